//go:build cuda

package driver

/*
#include "calls.h"

// What kind of memory a pointer is into, the device that it belongs to, and how that addresses it.
// Memory that the driver knows nothing of, as of malloc, is CU_MEMORYTYPE_UNIFIED + 1.
static inline CUresult brenier_cuda_pointer(CUdeviceptr p, unsigned int *type, int *device, CUdeviceptr *address) {
	CUresult status = cuPointerGetAttribute(type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, p);
	if (status == CUDA_ERROR_INVALID_VALUE) {
		*type = CU_MEMORYTYPE_UNIFIED + 1;
		return CUDA_SUCCESS;
	}
	if (status == CUDA_SUCCESS) status = cuPointerGetAttribute(device, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, p);
	if (status == CUDA_SUCCESS) status = cuPointerGetAttribute(address, CU_POINTER_ATTRIBUTE_DEVICE_POINTER, p);
	return status;
}
#cgo noescape brenier_cuda_pointer
#cgo nocallback brenier_cuda_pointer
*/
import "C"

// Kind is whose memory a pointer is into.
type Kind int

// The kinds. What kernels of a device can reach is all but Pageable.
const (
	Pageable Kind = iota // the host's, unknown to the driver
	Pinned               // the host's, page-locked by the driver
	OnDevice             // a device's
)

// Memory is what the driver knows of a pointer.
type Memory struct {
	Kind    Kind
	Device  int     // the index of the device that it belongs to
	Address Address // as kernels of that device reach it; 0 for Pageable
}

// MemoryAt says what a pointer, of the host or of a device, points into. It allocates nothing.
func (c *Context) MemoryAt(p uintptr) (Memory, error) {
	var kind C.uint
	var device C.int
	var address C.CUdeviceptr
	if err := status("cuPointerGetAttribute", C.brenier_cuda_pointer(C.CUdeviceptr(p), &kind, &device, &address)); err != nil {
		return Memory{}, err
	}
	switch kind {
	case C.CU_MEMORYTYPE_HOST:
		return Memory{Pinned, int(device), Address(address)}, nil
	case C.CU_MEMORYTYPE_DEVICE, C.CU_MEMORYTYPE_UNIFIED:
		return Memory{OnDevice, int(device), Address(address)}, nil
	}
	return Memory{}, nil
}
