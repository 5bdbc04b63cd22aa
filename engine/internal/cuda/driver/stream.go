//go:build cuda

package driver

/*
#include "calls.h"
#cgo noescape brenier_cuda_launch
#cgo nocallback brenier_cuda_launch
*/
import "C"

import (
	"unsafe"

	"gorgonia.org/cu"
)

// Stream is a queue of work: what is put into one stream runs in order.
type Stream struct {
	handle cu.Stream
	owned  bool
	apart  bool // the next launch may not overlap what is ahead of it

	// Of a stream that runs nothing, what takes its launches; else both are nil.
	rewrite *rewrite
	listing listing
}

func (s *Stream) runsNothing() bool { return s.rewrite != nil || s.listing != nil }

// NewStream returns a stream that does not wait for the default stream of the context, nor it for this.
func (c *Context) NewStream() (*Stream, error) {
	handle, err := cu.MakeStream(cu.NonBlocking)
	if err != nil {
		return nil, result("cuStreamCreate", err)
	}
	return &Stream{handle: handle, owned: true}, nil
}

// WrapStream is a stream of the caller's, a CUstream, which stays the caller's to destroy. 0 is the
// default stream.
func WrapStream(handle uintptr) *Stream {
	return &Stream{handle: *(*cu.Stream)(unsafe.Pointer(&handle))}
}

// Destroy gives the stream back once its work is done, without waiting for that. A stream of WrapStream
// is left as it is, and a second Destroy does nothing.
func (s *Stream) Destroy() error {
	if !s.owned {
		return nil
	}
	s.owned = false
	return result("cuStreamDestroy", s.handle.Destroy())
}

// Handle is the CUstream.
func (s *Stream) Handle() uintptr { return *(*uintptr)(unsafe.Pointer(&s.handle)) }

func (s *Stream) c() C.CUstream { return C.CUstream(unsafe.Pointer(s.handle.C())) }

// Dim counts blocks or threads along three axes; a zero counts as 1.
type Dim struct{ X, Y, Z int }

func (d Dim) c() C.brenier_cuda_dim {
	return C.brenier_cuda_dim{x: C.uint(max(d.X, 1)), y: C.uint(max(d.Y, 1)), z: C.uint(max(d.Z, 1))}
}

// Launch puts a kernel into the stream: grid blocks of block threads with shared bytes of dynamic shared
// memory. params points to the kernel's parameter struct, which is copied before Launch returns. It is
// one C call and allocates nothing.
func (s *Stream) Launch(f *Function, grid, block Dim, shared int, params unsafe.Pointer) error {
	if s.rewrite != nil {
		return s.rewrite.launch(f, grid, block, shared, params)
	}
	if s.listing != nil {
		s.listing.launch(f, grid, block, shared, params)
		return nil
	}
	return status("cuLaunchKernel", C.brenier_cuda_launch(f.handle, grid.c(), block.c(), C.uint(shared), s.c(), (*C.uchar)(params), 0))
}

// LaunchDependent is Launch of a kernel that may start before the kernel ahead of it in the stream has
// ended: up to its own wait (ptx/dependent.cuh) it may touch nothing that the other writes. Where the
// card has no such launches (before compute capability 9.0) it is Launch.
func (s *Stream) LaunchDependent(f *Function, grid, block Dim, shared int, params unsafe.Pointer) error {
	if !f.dependent || s.runsNothing() || s.apart {
		s.apart = false
		return s.Launch(f, grid, block, shared, params)
	}
	return status("cuLaunchKernelEx", C.brenier_cuda_launch(f.handle, grid.c(), block.c(), C.uint(shared), s.c(), (*C.uchar)(params), 1))
}

// Apart makes the next launch wait for all that is ahead of it. A kernel may touch before its wait what
// the kernel ahead of the one ahead of it writes, as far as that one has not waited either: those that load
// before their wait what changes seldom need this where it has changed.
func (s *Stream) Apart() { s.apart = true }

// ToDevice copies bytes from the host, which must be pinned or other C memory and stay untouched until
// the stream has passed.
func (s *Stream) ToDevice(dst Address, src unsafe.Pointer, bytes int) error {
	return result("cuMemcpyHtoDAsync", cu.MemcpyHtoDAsync(cu.DevicePtr(dst), src, int64(bytes), s.handle))
}

// ToHost copies bytes to the host, which must be pinned or other C memory; they are there once the stream
// has passed.
func (s *Stream) ToHost(dst unsafe.Pointer, src Address, bytes int) error {
	return result("cuMemcpyDtoHAsync", cu.MemcpyDtoHAsync(dst, cu.DevicePtr(src), int64(bytes), s.handle))
}

// OnDevice copies bytes within the device; the two ranges may not overlap.
func (s *Stream) OnDevice(dst, src Address, bytes int) error {
	if s.runsNothing() {
		return nil
	}
	return result("cuMemcpyDtoDAsync", cu.MemcpyDtoDAsync(cu.DevicePtr(dst), cu.DevicePtr(src), int64(bytes), s.handle))
}

// Clear sets bytes on the device to zero.
func (s *Stream) Clear(dst Address, bytes int) error {
	if s.runsNothing() {
		return nil
	}
	return result("cuMemsetD8Async", cu.MemsetD8Async(cu.DevicePtr(dst), 0, int64(bytes), s.handle))
}

// Synchronize waits until the stream is empty, and returns what went wrong in it.
func (s *Stream) Synchronize() error { return result("cuStreamSynchronize", s.handle.Synchronize()) }

// Record marks the event at this place of the stream.
func (s *Stream) Record(e *Event) error { return result("cuEventRecord", e.handle.Record(s.handle)) }

// Wait lets what follows in the stream wait for the event as it was last recorded.
func (s *Stream) Wait(e *Event) error { return result("cuStreamWaitEvent", s.handle.Wait(e.handle, 0)) }

// BeginCapture has what is put into the stream from here written down instead of run. Until EndCapture
// the thread may not make calls that would wait or allocate.
func (s *Stream) BeginCapture() error {
	return status("cuStreamBeginCapture", C.cuStreamBeginCapture(s.c(), C.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL))
}

// EndCapture returns what was written down since BeginCapture.
func (s *Stream) EndCapture() (*Graph, error) {
	g := new(Graph)
	if err := status("cuStreamEndCapture", C.cuStreamEndCapture(s.c(), &g.handle)); err != nil {
		return nil, err
	}
	return g, nil
}
