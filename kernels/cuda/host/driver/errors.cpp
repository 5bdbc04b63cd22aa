// The driver's entry points: names and texts of its codes.
#include <cuda.h>

namespace {

struct Code {
	CUresult code;
	const char *name;
	const char *text;
};

#define CODE(name, text) {name, #name, text}
constexpr Code codes[] = {
	CODE(CUDA_SUCCESS, "no error"),
	CODE(CUDA_ERROR_INVALID_VALUE, "invalid argument"),
	CODE(CUDA_ERROR_OUT_OF_MEMORY, "out of memory"),
	CODE(CUDA_ERROR_NOT_INITIALIZED, "initialization error"),
	CODE(CUDA_ERROR_DEINITIALIZED, "driver shutting down"),
	CODE(CUDA_ERROR_DEVICE_UNAVAILABLE, "CUDA-capable device(s) is/are busy or unavailable"),
	CODE(CUDA_ERROR_NO_DEVICE, "no CUDA-capable device is detected"),
	CODE(CUDA_ERROR_INVALID_DEVICE, "invalid device ordinal"),
	CODE(CUDA_ERROR_INVALID_IMAGE, "device kernel image is invalid"),
	CODE(CUDA_ERROR_INVALID_CONTEXT, "invalid device context"),
	CODE(CUDA_ERROR_NO_BINARY_FOR_GPU, "no kernel image is available for execution on the device"),
	CODE(CUDA_ERROR_ECC_UNCORRECTABLE, "uncorrectable ECC error encountered"),
	CODE(CUDA_ERROR_UNSUPPORTED_PTX_VERSION, "the provided PTX was compiled with an unsupported toolchain."),
	CODE(CUDA_ERROR_FILE_NOT_FOUND, "file not found"),
	CODE(CUDA_ERROR_OPERATING_SYSTEM, "OS call failed or operation not supported on this OS"),
	CODE(CUDA_ERROR_INVALID_HANDLE, "invalid resource handle"),
	CODE(CUDA_ERROR_ILLEGAL_STATE, "the operation cannot be performed in the present state"),
	CODE(CUDA_ERROR_NOT_FOUND, "named symbol not found"),
	CODE(CUDA_ERROR_NOT_READY, "device not ready"),
	CODE(CUDA_ERROR_ILLEGAL_ADDRESS, "an illegal memory access was encountered"),
	CODE(CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES, "too many resources requested for launch"),
	CODE(CUDA_ERROR_LAUNCH_TIMEOUT, "the launch timed out and was terminated"),
	CODE(CUDA_ERROR_PRIMARY_CONTEXT_ACTIVE, "cannot set while device is active in this process"),
	CODE(CUDA_ERROR_CONTEXT_IS_DESTROYED, "context is destroyed"),
	CODE(CUDA_ERROR_ASSERT, "device-side assert triggered"),
	CODE(CUDA_ERROR_ILLEGAL_INSTRUCTION, "an illegal instruction was encountered"),
	CODE(CUDA_ERROR_MISALIGNED_ADDRESS, "misaligned address"),
	CODE(CUDA_ERROR_LAUNCH_FAILED, "unspecified launch failure"),
	CODE(CUDA_ERROR_NOT_PERMITTED, "operation not permitted"),
	CODE(CUDA_ERROR_NOT_SUPPORTED, "operation not supported"),
	CODE(CUDA_ERROR_SYSTEM_DRIVER_MISMATCH, "system has unsupported display driver / cuda driver combination"),
	CODE(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "operation not permitted when stream is capturing"),
	CODE(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, "operation failed due to a previous error during capture"),
	CODE(CUDA_ERROR_STREAM_CAPTURE_MERGE, "operation would result in a merge of separate capture sequences"),
	CODE(CUDA_ERROR_STREAM_CAPTURE_UNMATCHED, "capture was not ended in the same stream as it began"),
	CODE(CUDA_ERROR_STREAM_CAPTURE_UNJOINED, "capturing stream has unjoined work"),
	CODE(CUDA_ERROR_STREAM_CAPTURE_ISOLATION, "dependency created on uncaptured work in another stream"),
	CODE(CUDA_ERROR_STREAM_CAPTURE_IMPLICIT, "operation would make the legacy stream depend on a capturing blocking stream"),
	CODE(CUDA_ERROR_CAPTURED_EVENT, "operation not permitted on an event last recorded in a capturing stream"),
	CODE(CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD, "attempt to terminate a thread-local capture sequence from another thread"),
	CODE(CUDA_ERROR_UNKNOWN, "unknown error"),
};
#undef CODE

const Code *find(CUresult code) {
	for (const Code &known : codes) {
		if (known.code == code) return &known;
	}
	return nullptr;
}

}  // namespace

extern "C" {

// Neither is counted as a call, nor can it be made to fail: they only read a table.
CUresult CUDAAPI cuGetErrorName(CUresult code, const char **name) {
	if (name == nullptr) return CUDA_ERROR_INVALID_VALUE;
	const Code *known = find(code);
	*name = known != nullptr ? known->name : nullptr;
	return known != nullptr ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult CUDAAPI cuGetErrorString(CUresult code, const char **text) {
	if (text == nullptr) return CUDA_ERROR_INVALID_VALUE;
	const Code *known = find(code);
	*text = known != nullptr ? known->text : nullptr;
	return known != nullptr ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

}  // extern "C"
