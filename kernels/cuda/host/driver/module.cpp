#include "module.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "kernel_faults.h"

namespace brenier::cudadouble {

namespace {

Driver &driver() { return Driver::instance(); }

// The build puts this before every image that it embeds, in a field of 64 bytes.
constexpr char label_prefix[] = "BRENIER image ";
constexpr size_t label_bytes = 64;

CUresult code_of(host::Fault fault) {
	switch (fault) {
	case host::Fault::none: return CUDA_SUCCESS;
	case host::Fault::configuration: return CUDA_ERROR_INVALID_VALUE;
	case host::Fault::illegal_address: return CUDA_ERROR_ILLEGAL_ADDRESS;
	case host::Fault::misaligned_address: return CUDA_ERROR_MISALIGNED_ADDRESS;
	case host::Fault::illegal_instruction: return CUDA_ERROR_ILLEGAL_INSTRUCTION;
	case host::Fault::deadlock: return CUDA_ERROR_LAUNCH_TIMEOUT;
	case host::Fault::trap: return CUDA_ERROR_LAUNCH_FAILED;
	}
	return CUDA_ERROR_UNKNOWN;
}

// Called from the threads that run a kernel, while the launching thread holds the lock.
bool is_device_memory(const void *at, size_t bytes) {
	return driver().memory.find(reinterpret_cast<uintptr_t>(at), bytes) != nullptr;
}

// sm_90a is the one target whose code runs on no later card; the others are built with PTX beside.
bool runs_on(const host::Kernel &kernel, int capability) {
	return kernel.least_capability == 90 ? capability == 90 : capability >= kernel.least_capability;
}

CUresult load(CUmodule *module, const void *image) {
	require(module != nullptr && image != nullptr, CUDA_ERROR_INVALID_VALUE);
	Context &context = current();
	refuse_if_unsafe_in_capture(context);
	const char *label = static_cast<const char *>(image) - label_bytes;
	const size_t prefix = sizeof label_prefix - 1;
	require(std::memcmp(label, label_prefix, prefix) == 0, CUDA_ERROR_INVALID_IMAGE);
	require(std::memchr(label, '\0', label_bytes) != nullptr, CUDA_ERROR_INVALID_IMAGE);

	auto loaded = std::make_shared<Module>();
	loaded->context = &context;
	loaded->name = label + prefix;
	bool exists = false;
	std::vector<const host::Kernel *> kernels;
	for (const host::Kernel *kernel = host::first_kernel(); kernel != nullptr; kernel = kernel->next) {
		if (loaded->name != kernel->module) continue;
		exists = true;
		if (runs_on(*kernel, driver().options.capability)) kernels.push_back(kernel);
	}
	if (!exists) driver().say("no kernel of a module named " + loaded->name + " was compiled for the host");
	require(exists, CUDA_ERROR_INVALID_IMAGE);
	require(!kernels.empty(), CUDA_ERROR_NO_BINARY_FOR_GPU);

	const auto handle = reinterpret_cast<CUmodule>(driver().modules.add(loaded));
	loaded->handle = handle;
	for (const host::Kernel *kernel : kernels) {
		auto function = std::make_shared<Function>();
		function->context = &context;
		function->module = handle;
		function->kernel = kernel;
		function->handle = reinterpret_cast<CUfunction>(driver().functions.add(function));
		loaded->functions[kernel->name] = function->handle;
	}
	*module = handle;
	return CUDA_SUCCESS;
}

std::shared_ptr<Module> find_module(Context &context, CUmodule handle) {
	auto module = driver().modules.find(handle);
	require(module != nullptr && module->context == &context, CUDA_ERROR_INVALID_HANDLE);
	return module;
}

std::shared_ptr<Function> find_function(Context &context, CUfunction handle) {
	auto function = driver().functions.find(handle);
	require(function != nullptr, CUDA_ERROR_INVALID_HANDLE);
	require(function->context == &context, CUDA_ERROR_INVALID_CONTEXT);
	return function;
}

// The registers of every kernel that is compiled for cards too.
struct Registers {
	const char *kernel;
	int capability, count;
};
constexpr Registers reported[] = {
#include "registers.inc"
};

// What ptxas gave a kernel, or might have given one of so many threads: the tests' own are compiled for
// the host alone.
int registers(const host::Kernel &kernel) {
	for (const Registers &r : reported)
		if (r.capability == driver().options.capability && r.kernel == std::string_view(kernel.name)) return r.count;
	return std::min(64, 65536 / kernel.max_threads / 8 * 8);
}

int blocks_per_multiprocessor(const Function &function, int threads, size_t shared) {
	const int capability = driver().options.capability;
	if (threads <= 0 || threads > function.kernel->max_threads) return 0;
	if (shared > static_cast<size_t>(function.dynamic_shared_limit)) return 0;
	const int warps = (threads + 31) / 32;
	const int by_threads = threads_per_multiprocessor(capability) / (warps * 32);
	const int warp_registers = (registers(*function.kernel) * 32 + 255) / 256 * 256;  // they are given out in 256s
	const int by_registers = 65536 / (warp_registers * warps);
	const int by_shared = shared_per_multiprocessor(capability) / static_cast<int>(shared + reserved_shared);
	return std::min({by_threads, by_registers, by_shared, 32});
}

// The one parameter, from either of the driver's two ways to give it.
std::vector<unsigned char> read_params(const host::Kernel &kernel, void **params, void **extra) {
	require((params != nullptr) != (extra != nullptr), CUDA_ERROR_INVALID_VALUE);
	const void *source = nullptr;
	size_t bytes = kernel.params_bytes;
	if (params != nullptr) {
		source = params[0];
	} else {
		for (; *extra != CU_LAUNCH_PARAM_END; extra += 2) {
			if (*extra == CU_LAUNCH_PARAM_BUFFER_POINTER) source = extra[1];
			if (*extra == CU_LAUNCH_PARAM_BUFFER_SIZE) bytes = *static_cast<const size_t *>(extra[1]);
		}
		require(bytes == kernel.params_bytes, CUDA_ERROR_INVALID_VALUE);
	}
	require(source != nullptr, CUDA_ERROR_INVALID_VALUE);
	const auto *first = static_cast<const unsigned char *>(source);
	return {first, first + bytes};
}

}  // namespace

int shared_per_block_opt_in(int capability) {
	switch (capability) {
	case 75: return 64 * 1024;
	case 80: return 163 * 1024;
	case 86:
	case 89:
	case 120: return 99 * 1024;
	default: return 227 * 1024;
	}
}

int shared_per_multiprocessor(int capability) {
	return capability == 75 ? 64 * 1024 : shared_per_block_opt_in(capability) + reserved_shared;
}

int threads_per_multiprocessor(int capability) {
	switch (capability) {
	case 75: return 1024;
	case 86:
	case 89:
	case 120: return 1536;
	default: return 2048;
	}
}

KernelWork make_launch(Context &context, CUfunction handle, std::array<unsigned, 3> grid, std::array<unsigned, 3> block,
                       unsigned shared, void **params, void **extra, bool dependent) {
	const auto function = find_function(context, handle);
	const host::Kernel &kernel = *function->kernel;
	const auto volume = [](const std::array<unsigned, 3> &dim) { return uint64_t(dim[0]) * dim[1] * dim[2]; };
	require(volume(grid) > 0 && volume(block) > 0, CUDA_ERROR_INVALID_VALUE);
	require(grid[0] <= 0x7fffffff && grid[1] <= 65535 && grid[2] <= 65535, CUDA_ERROR_INVALID_VALUE);
	require(block[0] <= 1024 && block[1] <= 1024 && block[2] <= 64, CUDA_ERROR_INVALID_VALUE);
	require(volume(block) <= 1024, CUDA_ERROR_INVALID_VALUE);
	require(volume(block) <= static_cast<unsigned>(kernel.max_threads), CUDA_ERROR_INVALID_VALUE);
	require(shared <= static_cast<unsigned>(function->dynamic_shared_limit), CUDA_ERROR_INVALID_VALUE);
	return {function, grid, block, shared, read_params(kernel, params, extra), dependent};
}

namespace {

// The kernels of a chain up to one, to be run when the next one waits for them.
class Earlier : public host::Prerequisite {
public:
	explicit Earlier(std::vector<const KernelWork *> chain) : chain_(std::move(chain)) {}
	void complete() override {
		std::call_once(once_, [this] {
			fault_ = perform_overlapping(chain_);
			completed_ = true;
		});
	}
	bool completed() const override { return completed_; }
	const Fault &fault() const { return fault_; }

private:
	const std::vector<const KernelWork *> chain_;
	std::once_flag once_;
	std::atomic<bool> completed_{false};
	Fault fault_;
};

}  // namespace

bool overlaps(const Work &work, size_t length) {
	constexpr size_t longest = 3;  // each takes OS threads of its own
	const auto *kernel = std::get_if<KernelWork>(&work);
	if (kernel == nullptr || !kernel->dependent || length == 0 || length >= longest) return false;
	switch (driver().options.kernels.copies) {
	case host::When::late: return false;
	case host::When::early: return true;
	case host::When::random: break;
	}
	return driver().random() % 2 == 0;
}

Fault perform_overlapping(const std::vector<const KernelWork *> &chain) {
	const KernelWork &last = *chain.back();
	if (chain.size() == 1) return perform_kernel(last);
	Earlier earlier({chain.begin(), chain.end() - 1});
	const Fault fault = perform_kernel(last, &earlier);
	earlier.complete();  // where the last one failed before its wait
	return earlier.fault().code != CUDA_SUCCESS ? earlier.fault() : fault;
}

Fault perform_kernel(const KernelWork &work, host::Prerequisite *prerequisite) {
	catch_kernel_faults();
	const Options &options = driver().options;
	const host::Kernel &kernel = *work.function->kernel;
	host::Options how;
	how.schedule = options.kernels;
	how.schedule.seed += driver().launches++;  // no two launches alike
	how.capability = options.capability;
	how.shared_limit = static_cast<size_t>(shared_per_block_opt_in(options.capability));
	how.workers = static_cast<int>(options.workers);
	how.dependent = work.dependent;
	how.prerequisite = prerequisite;
	how.is_device_memory = is_device_memory;
	const dim3 grid(work.grid[0], work.grid[1], work.grid[2]);
	const dim3 block(work.block[0], work.block[1], work.block[2]);
	const host::Outcome outcome = host::launch(kernel, grid, block, work.shared, work.params.data(), how);
	if (!outcome.ok()) return {code_of(outcome.fault), outcome.message};
	if (const Allocation *damaged = driver().memory.damaged())
		return {CUDA_ERROR_ILLEGAL_ADDRESS,
		        std::string(kernel.name) + " wrote outside of an allocation of " + std::to_string(damaged->bytes) + " bytes"};
	return {};
}

}  // namespace brenier::cudadouble

using namespace brenier::cudadouble;

extern "C" {

CUresult CUDAAPI cuModuleLoadData(CUmodule *module, const void *image) {
	return entry(__func__, [&] { return load(module, image); });
}

CUresult CUDAAPI cuModuleLoadDataEx(CUmodule *module, const void *image, unsigned, CUjit_option *, void **) {
	return entry(__func__, [&] { return load(module, image); });
}

CUresult CUDAAPI cuModuleLoadFatBinary(CUmodule *module, const void *image) {
	return entry(__func__, [&] { return load(module, image); });
}

CUresult CUDAAPI cuModuleUnload(CUmodule handle) {
	return entry(__func__, [&] {
		Context &context = current();
		refuse_if_unsafe_in_capture(context);
		find_module(context, handle);
		driver().functions.remove_if([handle](const Function &function) { return function.module == handle; });
		driver().modules.remove(handle);
		return CUDA_SUCCESS;
	}, Releases::yes);
}

CUresult CUDAAPI cuModuleGetFunction(CUfunction *function, CUmodule handle, const char *name) {
	return entry(__func__, [&] {
		require(function != nullptr && name != nullptr, CUDA_ERROR_INVALID_VALUE);
		const auto module = find_module(current(), handle);
		const auto found = module->functions.find(name);
		require(found != module->functions.end(), CUDA_ERROR_NOT_FOUND);
		*function = found->second;
		return CUDA_SUCCESS;
	});
}

CUresult CUDAAPI cuModuleGetFunctionCount(unsigned *count, CUmodule handle) {
	return entry(__func__, [&] {
		require(count != nullptr, CUDA_ERROR_INVALID_VALUE);
		*count = static_cast<unsigned>(find_module(current(), handle)->functions.size());
		return CUDA_SUCCESS;
	});
}

CUresult CUDAAPI cuModuleEnumerateFunctions(CUfunction *functions, unsigned count, CUmodule handle) {
	return entry(__func__, [&] {
		require(functions != nullptr, CUDA_ERROR_INVALID_VALUE);
		const auto module = find_module(current(), handle);
		for (const auto &named : module->functions) {
			if (count-- == 0) break;
			*functions++ = named.second;
		}
		return CUDA_SUCCESS;
	});
}

// Kernels share no global variables with the engine.
CUresult CUDAAPI cuModuleGetGlobal(CUdeviceptr *, size_t *, CUmodule handle, const char *) {
	return entry(__func__, [&] {
		find_module(current(), handle);
		return CUDA_ERROR_NOT_FOUND;
	});
}

CUresult CUDAAPI cuFuncGetAttribute(int *value, CUfunction_attribute which, CUfunction handle) {
	return entry(__func__, [&] {
		require(value != nullptr, CUDA_ERROR_INVALID_VALUE);
		const auto function = find_function(current(), handle);
		switch (which) {
		case CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK: *value = function->kernel->max_threads; break;
		case CU_FUNC_ATTRIBUTE_NUM_REGS: *value = registers(*function->kernel); break;
		case CU_FUNC_ATTRIBUTE_PTX_VERSION:
		case CU_FUNC_ATTRIBUTE_BINARY_VERSION: *value = driver().options.capability; break;
		case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES: *value = function->dynamic_shared_limit; break;
		case CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT: *value = function->carveout; break;
		// The host's compiler does not say what a kernel takes of these.
		case CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES:
		case CU_FUNC_ATTRIBUTE_CONST_SIZE_BYTES:
		case CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES:
		case CU_FUNC_ATTRIBUTE_CACHE_MODE_CA: *value = 0; break;
		default: return CUDA_ERROR_INVALID_VALUE;
		}
		return CUDA_SUCCESS;
	});
}

CUresult CUDAAPI cuFuncSetAttribute(CUfunction handle, CUfunction_attribute which, int value) {
	return entry(__func__, [&] {
		const auto function = find_function(current(), handle);
		if (which == CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES) {
			require(value >= 0 && value <= shared_per_block_opt_in(driver().options.capability), CUDA_ERROR_INVALID_VALUE);
			function->dynamic_shared_limit = value;
			return CUDA_SUCCESS;
		}
		require(which == CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT && value >= -1 && value <= 100, CUDA_ERROR_INVALID_VALUE);
		function->carveout = value;
		return CUDA_SUCCESS;
	});
}

CUresult CUDAAPI cuFuncSetCacheConfig(CUfunction handle, CUfunc_cache) {
	return entry(__func__, [&] {
		find_function(current(), handle);
		return CUDA_SUCCESS;
	});
}

CUresult CUDAAPI cuFuncGetModule(CUmodule *module, CUfunction handle) {
	return entry(__func__, [&] {
		require(module != nullptr, CUDA_ERROR_INVALID_VALUE);
		*module = find_function(current(), handle)->module;
		return CUDA_SUCCESS;
	});
}

CUresult CUDAAPI cuFuncGetName(const char **name, CUfunction handle) {
	return entry(__func__, [&] {
		require(name != nullptr, CUDA_ERROR_INVALID_VALUE);
		*name = find_function(current(), handle)->kernel->name;
		return CUDA_SUCCESS;
	});
}

CUresult CUDAAPI cuFuncGetParamInfo(CUfunction handle, size_t index, size_t *offset, size_t *bytes) {
	return entry(__func__, [&] {
		require(offset != nullptr, CUDA_ERROR_INVALID_VALUE);
		const auto function = find_function(current(), handle);
		require(index == 0, CUDA_ERROR_INVALID_VALUE);
		*offset = 0;
		if (bytes != nullptr) *bytes = function->kernel->params_bytes;
		return CUDA_SUCCESS;
	});
}

CUresult CUDAAPI cuOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, CUfunction handle, int threads, size_t shared) {
	return entry(__func__, [&] {
		require(blocks != nullptr && threads > 0, CUDA_ERROR_INVALID_VALUE);
		*blocks = blocks_per_multiprocessor(*find_function(current(), handle), threads, shared);
		return CUDA_SUCCESS;
	});
}

CUresult CUDAAPI cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *blocks, CUfunction handle, int threads,
                                                                     size_t shared, unsigned) {
	return entry(__func__, [&] {
		require(blocks != nullptr && threads > 0, CUDA_ERROR_INVALID_VALUE);
		*blocks = blocks_per_multiprocessor(*find_function(current(), handle), threads, shared);
		return CUDA_SUCCESS;
	});
}

CUresult CUDAAPI cuLaunchKernel(CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                                unsigned block_y, unsigned block_z, unsigned shared, CUstream handle, void **params,
                                void **extra) {
	return entry(__func__, [&] {
		Stream &stream = find_stream(handle);
		submit(stream, make_launch(*stream.context, function, {grid_x, grid_y, grid_z}, {block_x, block_y, block_z}, shared,
		                           params, extra, false));
		return stream.context->lost;
	});
}

CUresult CUDAAPI cuLaunchKernelEx(const CUlaunchConfig *config, CUfunction function, void **params, void **extra) {
	return entry(__func__, [&] {
		require(config != nullptr && (config->numAttrs == 0 || config->attrs != nullptr), CUDA_ERROR_INVALID_VALUE);
		bool dependent = false;
		for (unsigned i = 0; i < config->numAttrs; ++i) {
			const CUlaunchAttribute &attribute = config->attrs[i];
			switch (attribute.id) {
			case CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION:
				require(driver().options.capability >= 90, CUDA_ERROR_NOT_SUPPORTED);
				dependent = attribute.value.programmaticStreamSerializationAllowed != 0;
				break;
			case CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION: {
				const auto &cluster = attribute.value.clusterDim;
				require(cluster.x == 1 && cluster.y == 1 && cluster.z == 1, CUDA_ERROR_NOT_SUPPORTED);
				break;
			}
			case CU_LAUNCH_ATTRIBUTE_IGNORE:
			case CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW:
			case CU_LAUNCH_ATTRIBUTE_PRIORITY: break;
			default: return CUDA_ERROR_NOT_SUPPORTED;
			}
		}
		Stream &stream = find_stream(config->hStream);
		submit(stream, make_launch(*stream.context, function, {config->gridDimX, config->gridDimY, config->gridDimZ},
		                           {config->blockDimX, config->blockDimY, config->blockDimZ}, config->sharedMemBytes, params,
		                           extra, dependent));
		return stream.context->lost;
	});
}

}  // extern "C"
