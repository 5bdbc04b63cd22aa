//go:build cuda

package driver

// #include "calls.h"
import "C"

import (
	"unsafe"

	"gorgonia.org/cu"
)

// Address is a place in the device's memory; 0 is none.
type Address uint64

// Alloc returns fresh memory on the device, aligned to 256 bytes, its contents undefined. bytes > 0.
func (c *Context) Alloc(bytes int) (Address, error) {
	a, err := cu.MemAlloc(int64(bytes))
	return Address(a), result("cuMemAlloc", err)
}

// Free waits for what runs on the device and gives memory of Alloc back; 0 is none and fine.
func (c *Context) Free(a Address) error { return result("cuMemFree", cu.MemFree(cu.DevicePtr(a))) }

// MemoryInfo is the device's memory in bytes, and what of it no program has taken.
func (c *Context) MemoryInfo() (free, total uint64, err error) {
	f, t, err := cu.MemInfo()
	return uint64(f), uint64(t), result("cuMemGetInfo", err)
}

// AllocPinned returns page-locked memory of the host, which asynchronous copies of every context read
// and write. It is C memory: no Go pointer may be stored in it. bytes > 0.
func (c *Context) AllocPinned(bytes int) (unsafe.Pointer, error) {
	var p unsafe.Pointer
	err := status("cuMemHostAlloc", C.cuMemHostAlloc(&p, C.size_t(bytes), C.CU_MEMHOSTALLOC_PORTABLE))
	return p, err
}

// FreePinned gives memory of AllocPinned back.
func (c *Context) FreePinned(p unsafe.Pointer) error {
	return result("cuMemFreeHost", cu.MemFreeHost(p))
}

// ToDevice copies bytes from the host, Go memory or any other, and returns once they are there.
func (c *Context) ToDevice(dst Address, src unsafe.Pointer, bytes int) error {
	if err := cu.MemcpyHtoD(cu.DevicePtr(dst), src, int64(bytes)); err != nil {
		return result("cuMemcpyHtoD", err)
	}
	// Memory that is not pinned has only been read by now. The rest is work of the default stream,
	// for which the streams of NewStream do not wait.
	return WrapStream(0).Synchronize()
}

// ToHost copies bytes to the host, Go memory or any other, and returns once they are there.
func (c *Context) ToHost(dst unsafe.Pointer, src Address, bytes int) error {
	return result("cuMemcpyDtoH", cu.MemcpyDtoH(dst, cu.DevicePtr(src), int64(bytes)))
}
