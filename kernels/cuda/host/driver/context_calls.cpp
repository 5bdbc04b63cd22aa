// The driver's entry points: initialisation, devices, contexts.
#include <cstdio>
#include <cstring>

#include "module.h"
#include "stream.h"

using namespace brenier::cudadouble;

namespace {

Driver &driver() { return Driver::instance(); }

std::shared_ptr<Context> make_context(int device, unsigned flags, bool primary) {
	require(!driver().device_lost, CUDA_ERROR_DEVICE_UNAVAILABLE);
	auto context = std::make_shared<Context>();
	context->handle = reinterpret_cast<CUcontext>(driver().contexts.add(context));
	context->device = device;
	context->flags = flags;
	context->primary = primary;
	context->null_stream = std::make_shared<Stream>();
	context->null_stream->context = context.get();
	context->null_stream->legacy = true;
	return context;
}

// An H100's, but for what the options say.
int attribute(CUdevice_attribute which) {
	const Options &options = driver().options;
	switch (which) {
	case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK:
	case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X:
	case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Y: return 1024;
	case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z: return 64;
	case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X: return 0x7fffffff;
	case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y:
	case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z: return 65535;
	case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK: return shared_per_block;
	case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN: return shared_per_block_opt_in(options.capability);
	case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR: return shared_per_multiprocessor(options.capability);
	case CU_DEVICE_ATTRIBUTE_RESERVED_SHARED_MEMORY_PER_BLOCK: return reserved_shared;
	case CU_DEVICE_ATTRIBUTE_TOTAL_CONSTANT_MEMORY: return 64 * 1024;
	case CU_DEVICE_ATTRIBUTE_WARP_SIZE: return 32;
	case CU_DEVICE_ATTRIBUTE_MAX_PITCH: return 0x7fffffff;
	case CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_BLOCK:
	case CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_MULTIPROCESSOR: return 65536;
	case CU_DEVICE_ATTRIBUTE_CLOCK_RATE: return 1980000;
	case CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE: return 2619000;
	case CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH: return 5120;
	case CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE: return 50 << 20;
	case CU_DEVICE_ATTRIBUTE_MAX_PERSISTING_L2_CACHE_SIZE: return 32 << 20;
	case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT: return options.multiprocessors;
	case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR: return threads_per_multiprocessor(options.capability);
	case CU_DEVICE_ATTRIBUTE_MAX_BLOCKS_PER_MULTIPROCESSOR: return 32;
	case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR: return options.capability / 10;
	case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR: return options.capability % 10;
	case CU_DEVICE_ATTRIBUTE_ASYNC_ENGINE_COUNT: return 3;
	case CU_DEVICE_ATTRIBUTE_TEXTURE_ALIGNMENT: return 512;
	case CU_DEVICE_ATTRIBUTE_GPU_OVERLAP:
	case CU_DEVICE_ATTRIBUTE_CAN_MAP_HOST_MEMORY:
	case CU_DEVICE_ATTRIBUTE_CONCURRENT_KERNELS:
	case CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING:
	case CU_DEVICE_ATTRIBUTE_STREAM_PRIORITIES_SUPPORTED:
	case CU_DEVICE_ATTRIBUTE_GLOBAL_L1_CACHE_SUPPORTED:
	case CU_DEVICE_ATTRIBUTE_LOCAL_L1_CACHE_SUPPORTED:
	case CU_DEVICE_ATTRIBUTE_CAN_USE_HOST_POINTER_FOR_REGISTERED_MEM: return 1;
	case CU_DEVICE_ATTRIBUTE_PCI_BUS_ID: return 1;
	default: return 0;
	}
}

}  // namespace

extern "C" {

CUresult CUDAAPI cuInit(unsigned flags) {
	return entry(__func__, [&] {
		require(flags == 0, CUDA_ERROR_INVALID_VALUE);
		driver().initialised = true;
		return CUDA_SUCCESS;
	}, Releases::no, false);
}

CUresult CUDAAPI cuDriverGetVersion(int *version) {
	return entry(__func__, [&] {
		require(version != nullptr, CUDA_ERROR_INVALID_VALUE);
		*version = 13000;
		return CUDA_SUCCESS;
	}, Releases::no, false);
}

CUresult CUDAAPI cuDeviceGetCount(int *count) {
	return entry(__func__, [&] {
		require(count != nullptr, CUDA_ERROR_INVALID_VALUE);
		*count = driver().options.devices;
		return CUDA_SUCCESS;
	});
}

CUresult CUDAAPI cuDeviceGet(CUdevice *device, int ordinal) {
	return entry(__func__, [&] {
		require(device != nullptr, CUDA_ERROR_INVALID_VALUE);
		check_device(ordinal);
		*device = ordinal;
		return CUDA_SUCCESS;
	});
}

CUresult CUDAAPI cuDeviceGetName(char *name, int length, CUdevice device) {
	return entry(__func__, [&] {
		require(name != nullptr && length > 0, CUDA_ERROR_INVALID_VALUE);
		check_device(device);
		std::snprintf(name, static_cast<size_t>(length), "brenier double (host)");
		return CUDA_SUCCESS;
	});
}

CUresult CUDAAPI cuDeviceGetUuid(CUuuid *uuid, CUdevice device) {
	return entry(__func__, [&] {
		require(uuid != nullptr, CUDA_ERROR_INVALID_VALUE);
		check_device(device);
		std::memcpy(uuid->bytes, "brenier double ", 15);
		uuid->bytes[15] = static_cast<char>(device);
		return CUDA_SUCCESS;
	});
}

CUresult CUDAAPI cuDeviceGetPCIBusId(char *id, int length, CUdevice device) {
	return entry(__func__, [&] {
		require(id != nullptr && length > 0, CUDA_ERROR_INVALID_VALUE);
		check_device(device);
		std::snprintf(id, static_cast<size_t>(length), "0000:%02X:00.0", device + 1);
		return CUDA_SUCCESS;
	});
}

CUresult CUDAAPI cuDeviceTotalMem(size_t *bytes, CUdevice device) {
	return entry(__func__, [&] {
		require(bytes != nullptr, CUDA_ERROR_INVALID_VALUE);
		check_device(device);
		*bytes = driver().options.memory;
		return CUDA_SUCCESS;
	});
}

CUresult CUDAAPI cuDeviceGetAttribute(int *value, CUdevice_attribute which, CUdevice device) {
	return entry(__func__, [&] {
		require(value != nullptr && which > 0 && which < CU_DEVICE_ATTRIBUTE_MAX, CUDA_ERROR_INVALID_VALUE);
		check_device(device);
		*value = attribute(which);
		return CUDA_SUCCESS;
	});
}

CUresult CUDAAPI cuDeviceCanAccessPeer(int *can, CUdevice device, CUdevice peer) {
	return entry(__func__, [&] {
		require(can != nullptr, CUDA_ERROR_INVALID_VALUE);
		check_device(device);
		check_device(peer);
		*can = 0;
		return CUDA_SUCCESS;
	});
}

// ---- contexts ----

CUresult CUDAAPI cuCtxCreate_v2(CUcontext *context, unsigned flags, CUdevice device) {
	return entry(__func__, [&] {
		require(context != nullptr, CUDA_ERROR_INVALID_VALUE);
		check_device(device);
		*context = make_context(device, flags, false)->handle;
		context_stack().push_back(*context);
		return CUDA_SUCCESS;
	});
}

CUresult CUDAAPI cuCtxCreate_v4(CUcontext *context, CUctxCreateParams *parameters, unsigned flags, CUdevice device) {
	return entry(__func__, [&] {
		require(context != nullptr, CUDA_ERROR_INVALID_VALUE);
		require(parameters == nullptr || parameters->numExecAffinityParams == 0, CUDA_ERROR_NOT_SUPPORTED);
		check_device(device);
		*context = make_context(device, flags, false)->handle;
		context_stack().push_back(*context);
		return CUDA_SUCCESS;
	});
}

CUresult CUDAAPI cuCtxDestroy(CUcontext handle) {
	return entry(__func__, [&] {
		const auto context = find_context(handle);
		require(context != nullptr, CUDA_ERROR_INVALID_CONTEXT);
		require(!context->primary, CUDA_ERROR_INVALID_CONTEXT);
		const CUresult lost = context->lost;
		driver().destroy_context(context);
		auto &stack = context_stack();
		if (!stack.empty() && stack.back() == handle) stack.pop_back();
		return lost;
	}, Releases::yes);
}

CUresult CUDAAPI cuCtxPushCurrent(CUcontext handle) {
	return entry(__func__, [&] {
		require(find_context(handle) != nullptr, CUDA_ERROR_INVALID_CONTEXT);
		context_stack().push_back(handle);
		return CUDA_SUCCESS;
	});
}

CUresult CUDAAPI cuCtxPopCurrent(CUcontext *handle) {
	return entry(__func__, [&] {
		auto &stack = context_stack();
		require(!stack.empty(), CUDA_ERROR_INVALID_CONTEXT);
		if (handle != nullptr) *handle = stack.back();
		stack.pop_back();
		return CUDA_SUCCESS;
	}, Releases::yes);
}

CUresult CUDAAPI cuCtxSetCurrent(CUcontext handle) {
	return entry(__func__, [&] {
		require(handle == nullptr || find_context(handle) != nullptr, CUDA_ERROR_INVALID_CONTEXT);
		auto &stack = context_stack();
		if (!stack.empty()) stack.pop_back();
		if (handle != nullptr) stack.push_back(handle);
		return CUDA_SUCCESS;
	});
}

CUresult CUDAAPI cuCtxGetCurrent(CUcontext *handle) {
	return entry(__func__, [&] {
		require(handle != nullptr, CUDA_ERROR_INVALID_VALUE);
		*handle = context_stack().empty() ? nullptr : context_stack().back();
		return CUDA_SUCCESS;
	});
}

CUresult CUDAAPI cuCtxGetDevice(CUdevice *device) {
	return entry(__func__, [&] {
		require(device != nullptr, CUDA_ERROR_INVALID_VALUE);
		*device = current().device;
		return CUDA_SUCCESS;
	});
}

CUresult CUDAAPI cuCtxGetFlags(unsigned *flags) {
	return entry(__func__, [&] {
		require(flags != nullptr, CUDA_ERROR_INVALID_VALUE);
		*flags = current().flags;
		return CUDA_SUCCESS;
	});
}

CUresult CUDAAPI cuCtxGetApiVersion(CUcontext handle, unsigned *version) {
	return entry(__func__, [&] {
		require(version != nullptr, CUDA_ERROR_INVALID_VALUE);
		require(handle == nullptr ? current_or_null() != nullptr : find_context(handle) != nullptr, CUDA_ERROR_INVALID_CONTEXT);
		*version = 3020;
		return CUDA_SUCCESS;
	});
}

CUresult CUDAAPI cuCtxGetStreamPriorityRange(int *least, int *greatest) {
	return entry(__func__, [&] {
		current();
		if (least != nullptr) *least = 0;
		if (greatest != nullptr) *greatest = -5;
		return CUDA_SUCCESS;
	});
}

CUresult CUDAAPI cuCtxSynchronize() {
	return entry(__func__, [&] {
		Context &context = current();
		refuse_if_unsafe_in_capture(context);
		drain(context);
		return context.lost;
	});
}

CUresult CUDAAPI cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device) {
	return entry(__func__, [&] {
		require(context != nullptr, CUDA_ERROR_INVALID_VALUE);
		check_device(device);
		auto &primary = driver().primary[device];
		if (primary.context == nullptr) primary.context = make_context(device, primary.flags, true);
		++primary.retained;
		*context = primary.context->handle;
		return CUDA_SUCCESS;
	});
}

CUresult CUDAAPI cuDevicePrimaryCtxRelease(CUdevice device) {
	return entry(__func__, [&] {
		check_device(device);
		auto &primary = driver().primary[device];
		require(primary.retained > 0, CUDA_ERROR_INVALID_CONTEXT);
		if (--primary.retained == 0) {
			driver().destroy_context(primary.context);
			primary.context = nullptr;
		}
		return CUDA_SUCCESS;
	}, Releases::yes);
}

CUresult CUDAAPI cuDevicePrimaryCtxSetFlags(CUdevice device, unsigned flags) {
	return entry(__func__, [&] {
		check_device(device);
		driver().primary[device].flags = flags;
		return CUDA_SUCCESS;
	});
}

CUresult CUDAAPI cuDevicePrimaryCtxGetState(CUdevice device, unsigned *flags, int *active) {
	return entry(__func__, [&] {
		require(flags != nullptr && active != nullptr, CUDA_ERROR_INVALID_VALUE);
		check_device(device);
		const auto &primary = driver().primary[device];
		*flags = primary.flags;
		*active = primary.context != nullptr;
		return CUDA_SUCCESS;
	});
}

}  // extern "C"
