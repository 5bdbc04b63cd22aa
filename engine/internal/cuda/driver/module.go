//go:build cuda

package driver

/*
#include <stdlib.h>
#include "calls.h"
*/
import "C"

import (
	"fmt"
	"unsafe"

	"gorgonia.org/cu"
)

// Image is a compiled file of kernels, for every card that it is compiled for.
type Image struct {
	Name  string // of the file: noise for noise.cu
	Bytes int

	data unsafe.Pointer
}

// Images are the kernels that this program was linked with.
func Images() []Image {
	table := unsafe.Slice(C.brenier_cuda_images(), int(C.brenier_image_count))
	images := make([]Image, len(table))
	for i, e := range table {
		images[i] = Image{Name: C.GoString(e.name), Bytes: int(e.bytes), data: unsafe.Pointer(e.data)}
	}
	return images
}

// Module is an image loaded into a context.
type Module struct {
	name        string
	handle      cu.Module
	capability9 bool
}

// LoadModule loads an image. The driver takes what is compiled for its card, or compiles the PTX.
func (c *Context) LoadModule(i Image) (*Module, error) {
	m := &Module{name: i.Name, capability9: c.major >= 9}
	if i.data == nil {
		return nil, &Error{Call: "LoadModule", Code: noLibrary, Text: fmt.Sprintf("module %q: want an image of Images, got an empty one", i.Name)}
	}
	code := C.cuModuleLoadData((*C.CUmodule)(unsafe.Pointer(&m.handle)), i.data)
	if err := status("cuModuleLoadData", code); err != nil {
		if v, want := Version(), C.CUDA_VERSION; v < want {
			e := err.(*Error)
			e.Text += fmt.Sprintf(": the driver serves CUDA %d.%d and the kernels are compiled by %d.%d; update the NVIDIA driver",
				v/1000, v%1000/10, want/1000, want%1000/10)
		}
		return nil, err
	}
	return m, nil
}

// Unload takes the module out of its context; its functions may not be used any more.
func (m *Module) Unload() error { return result("cuModuleUnload", m.handle.Unload()) }

// Function is a kernel, and what the compiler says of it for the card at hand.
type Function struct {
	Name         string
	Registers    int // a thread
	LocalBytes   int // a thread: spills and arrays that found no registers
	StaticShared int // bytes a block
	MaxThreads   int // a block

	handle    C.CUfunction
	dependent bool // the card knows programmatic dependent launches
}

// Function returns a kernel of the module by its name.
func (m *Module) Function(name string) (*Function, error) {
	found, err := m.handle.Function(name)
	if err != nil {
		return nil, result("cuModuleGetFunction", err)
	}
	f := &Function{Name: name, handle: *(*C.CUfunction)(unsafe.Pointer(&found)), dependent: m.capability9}
	for _, a := range []struct {
		value     *int
		attribute C.CUfunction_attribute
	}{
		{&f.Registers, C.CU_FUNC_ATTRIBUTE_NUM_REGS},
		{&f.LocalBytes, C.CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES},
		{&f.StaticShared, C.CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES},
		{&f.MaxThreads, C.CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK},
	} {
		var value C.int
		if err := status("cuFuncGetAttribute", C.cuFuncGetAttribute(&value, a.attribute, f.handle)); err != nil {
			return nil, err
		}
		*a.value = int(value)
	}
	return f, nil
}

// SetDynamicShared lets a launch ask for that many bytes of dynamic shared memory, at most
// Device.SharedPerBlock less StaticShared.
func (f *Function) SetDynamicShared(bytes int) error {
	return status("cuFuncSetAttribute",
		C.cuFuncSetAttribute(f.handle, C.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, C.int(bytes)))
}

// BlocksPerMultiprocessor is how many blocks of that many threads and bytes of dynamic shared memory run
// on a multiprocessor at once.
func (f *Function) BlocksPerMultiprocessor(threads, shared int) (int, error) {
	var blocks C.int
	err := status("cuOccupancyMaxActiveBlocksPerMultiprocessor",
		C.cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, f.handle, C.int(threads), C.size_t(shared)))
	return int(blocks), err
}
