// The driver's entry points: memory, copies, fills.
#include <cstring>

#include "stream.h"

using namespace brenier::cudadouble;

namespace {

Driver &driver() { return Driver::instance(); }

uintptr_t number(const void *pointer) { return reinterpret_cast<uintptr_t>(pointer); }
CUdeviceptr device_pointer(uintptr_t address) { return static_cast<CUdeviceptr>(address); }

struct Area {
	uintptr_t address;
	size_t pitch;
};

enum class Side { device, host, either };
enum class Wait { no, yes };

// Whether the copy touches memory of ours there. Refuses what the driver would.
bool check_side(Area area, size_t width, size_t rows, Side side) {
	const size_t bytes = (rows - 1) * area.pitch + width;
	const Allocation *allocation = driver().memory.find(area.address, bytes);
	if (side == Side::device) require(allocation != nullptr, CUDA_ERROR_INVALID_VALUE);
	if (side == Side::host) require(area.address != 0, CUDA_ERROR_INVALID_VALUE);
	if (allocation == nullptr) {
		// Neither may it begin or end inside of an allocation.
		require(driver().memory.find(area.address, 1) == nullptr, CUDA_ERROR_INVALID_VALUE);
		require(driver().memory.find(area.address + bytes - 1, 1) == nullptr, CUDA_ERROR_INVALID_VALUE);
	} else if (side == Side::host) {
		require(allocation->kind == MemoryKind::pinned, CUDA_ERROR_INVALID_VALUE);
	}
	return allocation != nullptr;
}

// One copy, by the driver's rules on what has happened when a call returns (its API synchronisation
// behaviour): pageable memory is read before the call returns, and written too, whichever call it is;
// with pinned memory only the synchronous calls wait; between device addresses none does.
CUresult copy(CUstream stream_handle, Area to, Side to_side, Area from, Side from_side, size_t width, size_t rows, Wait wait) {
	Stream &stream = find_stream(stream_handle);
	Context &context = *stream.context;
	if (wait == Wait::yes) refuse_if_unsafe_in_capture(context);
	if (width == 0 || rows == 0) return CUDA_SUCCESS;
	CopyWork work{to.address, from.address, width, rows, to.pitch, from.pitch, false, false, nullptr};
	work.to_ours = check_side(to, width, rows, to_side);
	work.from_ours = check_side(from, width, rows, from_side);
	if (stream.capture) {
		submit(stream, std::move(work));
		return CUDA_SUCCESS;
	}
	if (!work.from_ours && work.to_ours) {
		work.staged = std::make_shared<std::vector<unsigned char>>(width * rows);
		for (size_t row = 0; row < rows; ++row)
			std::memcpy(work.staged->data() + row * width, reinterpret_cast<const void *>(from.address + row * from.pitch), width);
		wait = Wait::no;
	} else if (!work.to_ours) {
		wait = Wait::yes;
	} else if (to_side == Side::device && from_side == Side::device) {
		wait = Wait::no;
	}
	const auto operation = submit(stream, std::move(work));
	if (wait == Wait::yes) finish(operation);
	return context.lost;
}

CUresult linear(CUstream stream, uintptr_t to, Side to_side, uintptr_t from, Side from_side, size_t bytes, Wait wait) {
	return copy(stream, {to, bytes}, to_side, {from, bytes}, from_side, bytes, 1, wait);
}

// Fills are asynchronous to the host, those without a stream too.
CUresult fill(CUstream stream_handle, CUdeviceptr to, size_t pitch, unsigned value, unsigned element, size_t width, size_t rows) {
	Stream &stream = find_stream(stream_handle);
	require(to % element == 0 && (rows <= 1 || pitch % element == 0), CUDA_ERROR_INVALID_VALUE);
	if (width == 0 || rows == 0) return CUDA_SUCCESS;
	check_side({static_cast<uintptr_t>(to), pitch}, width * element, rows, Side::device);
	submit(stream, FillWork{static_cast<uintptr_t>(to), pitch, width, rows, value, element});
	return stream.context->lost;
}

CUresult allocate_pinned(void **memory, size_t bytes, unsigned flags) {
	require(memory != nullptr && bytes > 0, CUDA_ERROR_INVALID_VALUE);
	Context &context = current();
	refuse_if_unsafe_in_capture(context);
	const uintptr_t address = driver().memory.allocate(&context, context.device, MemoryKind::pinned, bytes, flags);
	require(address != 0, CUDA_ERROR_OUT_OF_MEMORY);
	*memory = reinterpret_cast<void *>(address);
	return CUDA_SUCCESS;
}

Area area_2d(CUmemorytype kind, CUdeviceptr device, const void *host, size_t x, size_t y, size_t pitch) {
	require(kind != CU_MEMORYTYPE_ARRAY, CUDA_ERROR_NOT_SUPPORTED);
	const uintptr_t base = kind == CU_MEMORYTYPE_HOST ? number(host) : static_cast<uintptr_t>(device);
	return {base + y * pitch + x, pitch};
}

Side side_2d(CUmemorytype kind) {
	if (kind == CU_MEMORYTYPE_UNIFIED) return Side::either;
	return kind == CU_MEMORYTYPE_HOST ? Side::host : Side::device;
}

CUresult copy_2d(CUstream stream, const CUDA_MEMCPY2D *c, Wait wait) {
	require(c != nullptr, CUDA_ERROR_INVALID_VALUE);
	Area to = area_2d(c->dstMemoryType, c->dstDevice, c->dstHost, c->dstXInBytes, c->dstY, c->dstPitch);
	Area from = area_2d(c->srcMemoryType, c->srcDevice, c->srcHost, c->srcXInBytes, c->srcY, c->srcPitch);
	require(c->Height <= 1 || (to.pitch >= c->WidthInBytes && from.pitch >= c->WidthInBytes), CUDA_ERROR_INVALID_VALUE);
	return copy(stream, to, side_2d(c->dstMemoryType), from, side_2d(c->srcMemoryType), c->WidthInBytes, c->Height, wait);
}

}  // namespace

extern "C" {

CUresult CUDAAPI cuMemGetInfo(size_t *free, size_t *total) {
	return entry(__func__, [&] {
		require(free != nullptr && total != nullptr, CUDA_ERROR_INVALID_VALUE);
		const size_t used = driver().memory.used(current().device);
		*total = driver().options.memory;
		*free = used < *total ? *total - used : 0;
		return CUDA_SUCCESS;
	});
}

CUresult CUDAAPI cuMemAlloc(CUdeviceptr *memory, size_t bytes) {
	return entry(__func__, [&] {
		require(memory != nullptr && bytes > 0, CUDA_ERROR_INVALID_VALUE);
		Context &context = current();
		refuse_if_unsafe_in_capture(context);
		const size_t total = driver().options.memory;
		require(bytes <= total && driver().memory.used(context.device) <= total - bytes, CUDA_ERROR_OUT_OF_MEMORY);
		const uintptr_t address = driver().memory.allocate(&context, context.device, MemoryKind::device, bytes, 0);
		require(address != 0, CUDA_ERROR_OUT_OF_MEMORY);
		*memory = device_pointer(address);
		return CUDA_SUCCESS;
	});
}

// Waits for the context's work, as the driver does, though it promises so nowhere.
CUresult CUDAAPI cuMemFree(CUdeviceptr memory) {
	return entry(__func__, [&] {
		Context &context = current();
		refuse_if_unsafe_in_capture(context);
		if (memory == 0) return CUDA_SUCCESS;
		drain(context);
		require(driver().memory.release(static_cast<uintptr_t>(memory), MemoryKind::device), CUDA_ERROR_INVALID_VALUE);
		return context.lost;
	}, Releases::yes);
}

CUresult CUDAAPI cuMemGetAddressRange(CUdeviceptr *base, size_t *bytes, CUdeviceptr memory) {
	return entry(__func__, [&] {
		current();
		const Allocation *allocation = driver().memory.find(static_cast<uintptr_t>(memory), 1);
		require(allocation != nullptr, CUDA_ERROR_NOT_FOUND);
		if (base != nullptr) *base = device_pointer(allocation->address);
		if (bytes != nullptr) *bytes = allocation->bytes;
		return CUDA_SUCCESS;
	});
}

CUresult CUDAAPI cuMemAllocHost(void **memory, size_t bytes) {
	return entry(__func__, [&] { return allocate_pinned(memory, bytes, 0); });
}

CUresult CUDAAPI cuMemHostAlloc(void **memory, size_t bytes, unsigned flags) {
	return entry(__func__, [&] { return allocate_pinned(memory, bytes, flags); });
}

CUresult CUDAAPI cuMemFreeHost(void *memory) {
	return entry(__func__, [&] {
		Context &context = current();
		refuse_if_unsafe_in_capture(context);
		drain(context);
		require(driver().memory.release(number(memory), MemoryKind::pinned), CUDA_ERROR_INVALID_VALUE);
		return context.lost;
	}, Releases::yes);
}

CUresult CUDAAPI cuMemHostGetDevicePointer(CUdeviceptr *device, void *memory, unsigned flags) {
	return entry(__func__, [&] {
		require(device != nullptr && flags == 0, CUDA_ERROR_INVALID_VALUE);
		current();
		const Allocation *allocation = driver().memory.find(number(memory), 1);
		require(allocation != nullptr && allocation->kind == MemoryKind::pinned, CUDA_ERROR_INVALID_VALUE);
		*device = device_pointer(number(memory));
		return CUDA_SUCCESS;
	});
}

CUresult CUDAAPI cuMemHostGetFlags(unsigned *flags, void *memory) {
	return entry(__func__, [&] {
		require(flags != nullptr, CUDA_ERROR_INVALID_VALUE);
		current();
		const Allocation *allocation = driver().memory.find(number(memory), 1);
		require(allocation != nullptr && allocation->kind == MemoryKind::pinned, CUDA_ERROR_INVALID_VALUE);
		*flags = allocation->flags;
		return CUDA_SUCCESS;
	});
}

CUresult CUDAAPI cuPointerGetAttribute(void *data, CUpointer_attribute which, CUdeviceptr memory) {
	return entry(__func__, [&] {
		require(data != nullptr, CUDA_ERROR_INVALID_VALUE);
		const Allocation *allocation = driver().memory.find(static_cast<uintptr_t>(memory), 1);
		require(allocation != nullptr, CUDA_ERROR_INVALID_VALUE);
		switch (which) {
		case CU_POINTER_ATTRIBUTE_CONTEXT: *static_cast<CUcontext *>(data) = allocation->context->handle; break;
		case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
			*static_cast<CUmemorytype *>(data) = allocation->kind == MemoryKind::device ? CU_MEMORYTYPE_DEVICE : CU_MEMORYTYPE_HOST;
			break;
		case CU_POINTER_ATTRIBUTE_DEVICE_POINTER: *static_cast<CUdeviceptr *>(data) = memory; break;
		case CU_POINTER_ATTRIBUTE_HOST_POINTER:
			require(allocation->kind == MemoryKind::pinned, CUDA_ERROR_INVALID_VALUE);
			*static_cast<void **>(data) = reinterpret_cast<void *>(memory);
			break;
		case CU_POINTER_ATTRIBUTE_IS_MANAGED: *static_cast<bool *>(data) = false; break;
		case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL: *static_cast<int *>(data) = allocation->device; break;
		case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR: *static_cast<CUdeviceptr *>(data) = device_pointer(allocation->address); break;
		case CU_POINTER_ATTRIBUTE_RANGE_SIZE: *static_cast<size_t *>(data) = allocation->bytes; break;
		default: return CUDA_ERROR_NOT_SUPPORTED;
		}
		return CUDA_SUCCESS;
	});
}

// ---- copies ----

CUresult CUDAAPI cuMemcpy(CUdeviceptr to, CUdeviceptr from, size_t bytes) {
	return entry(__func__, [&] { return linear(nullptr, to, Side::either, from, Side::either, bytes, Wait::yes); });
}
CUresult CUDAAPI cuMemcpyAsync(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream) {
	return entry(__func__, [&] { return linear(stream, to, Side::either, from, Side::either, bytes, Wait::no); });
}
CUresult CUDAAPI cuMemcpyHtoD(CUdeviceptr to, const void *from, size_t bytes) {
	return entry(__func__, [&] { return linear(nullptr, to, Side::device, number(from), Side::host, bytes, Wait::yes); });
}
CUresult CUDAAPI cuMemcpyHtoDAsync(CUdeviceptr to, const void *from, size_t bytes, CUstream stream) {
	return entry(__func__, [&] { return linear(stream, to, Side::device, number(from), Side::host, bytes, Wait::no); });
}
CUresult CUDAAPI cuMemcpyDtoH(void *to, CUdeviceptr from, size_t bytes) {
	return entry(__func__, [&] { return linear(nullptr, number(to), Side::host, from, Side::device, bytes, Wait::yes); });
}
CUresult CUDAAPI cuMemcpyDtoHAsync(void *to, CUdeviceptr from, size_t bytes, CUstream stream) {
	return entry(__func__, [&] { return linear(stream, number(to), Side::host, from, Side::device, bytes, Wait::no); });
}
CUresult CUDAAPI cuMemcpyDtoD(CUdeviceptr to, CUdeviceptr from, size_t bytes) {
	return entry(__func__, [&] { return linear(nullptr, to, Side::device, from, Side::device, bytes, Wait::yes); });
}
CUresult CUDAAPI cuMemcpyDtoDAsync(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream) {
	return entry(__func__, [&] { return linear(stream, to, Side::device, from, Side::device, bytes, Wait::no); });
}
CUresult CUDAAPI cuMemcpy2D(const CUDA_MEMCPY2D *c) {
	return entry(__func__, [&] { return copy_2d(nullptr, c, Wait::yes); });
}
CUresult CUDAAPI cuMemcpy2DUnaligned(const CUDA_MEMCPY2D *c) {
	return entry(__func__, [&] { return copy_2d(nullptr, c, Wait::yes); });
}
CUresult CUDAAPI cuMemcpy2DAsync(const CUDA_MEMCPY2D *c, CUstream stream) {
	return entry(__func__, [&] { return copy_2d(stream, c, Wait::no); });
}

// ---- fills ----

CUresult CUDAAPI cuMemsetD8(CUdeviceptr to, unsigned char value, size_t count) {
	return entry(__func__, [&] { return fill(nullptr, to, 0, value, 1, count, 1); });
}
CUresult CUDAAPI cuMemsetD16(CUdeviceptr to, unsigned short value, size_t count) {
	return entry(__func__, [&] { return fill(nullptr, to, 0, value, 2, count, 1); });
}
CUresult CUDAAPI cuMemsetD32(CUdeviceptr to, unsigned value, size_t count) {
	return entry(__func__, [&] { return fill(nullptr, to, 0, value, 4, count, 1); });
}
CUresult CUDAAPI cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t count, CUstream stream) {
	return entry(__func__, [&] { return fill(stream, to, 0, value, 1, count, 1); });
}
CUresult CUDAAPI cuMemsetD16Async(CUdeviceptr to, unsigned short value, size_t count, CUstream stream) {
	return entry(__func__, [&] { return fill(stream, to, 0, value, 2, count, 1); });
}
CUresult CUDAAPI cuMemsetD32Async(CUdeviceptr to, unsigned value, size_t count, CUstream stream) {
	return entry(__func__, [&] { return fill(stream, to, 0, value, 4, count, 1); });
}
CUresult CUDAAPI cuMemsetD2D8(CUdeviceptr to, size_t pitch, unsigned char value, size_t width, size_t rows) {
	return entry(__func__, [&] { return fill(nullptr, to, pitch, value, 1, width, rows); });
}
CUresult CUDAAPI cuMemsetD2D32(CUdeviceptr to, size_t pitch, unsigned value, size_t width, size_t rows) {
	return entry(__func__, [&] { return fill(nullptr, to, pitch, value, 4, width, rows); });
}
CUresult CUDAAPI cuMemsetD2D8Async(CUdeviceptr to, size_t pitch, unsigned char value, size_t width, size_t rows, CUstream stream) {
	return entry(__func__, [&] { return fill(stream, to, pitch, value, 1, width, rows); });
}
CUresult CUDAAPI cuMemsetD2D32Async(CUdeviceptr to, size_t pitch, unsigned value, size_t width, size_t rows, CUstream stream) {
	return entry(__func__, [&] { return fill(stream, to, pitch, value, 4, width, rows); });
}

}  // extern "C"
