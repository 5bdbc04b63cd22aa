//go:build cuda

// Package driver is the CUDA driver as the backend sees it: devices, contexts, memory, modules,
// streams, events and graphs, behind one narrow interface whose every error is an *Error that names
// the call.
//
// Where gorgonia.org/cu has a call, that is what is used; what it lacks (loading the driver, dynamic
// shared memory, pinned memory, graphs) and what must cost no more than one C call (launches) is in
// calls.h. A program links against forwarding functions (kernels/cuda/driver/load.h), so that it
// starts on a machine without a driver; Load finds the real one.
//
// The driver keeps a current context for each thread. What needs one is called inside Context.Do;
// Load, DeviceCount, OpenDevice, NewContext, WrapContext and Images are not.
package driver

/*
#cgo CFLAGS: -std=c11 -O2 -Wall -Wextra -I${SRCDIR}/../../../../kernels/cuda
#cgo LDFLAGS: -lbrenier_kernels -lcuda -ldl
#include <stdlib.h>
#include "calls.h"
*/
import "C"

import (
	"fmt"
	"sync"
	"unsafe"

	"gorgonia.org/cu"
)

// SystemLibrary is the file that Load("") looks for, wherever the system's loader looks.
const SystemLibrary = "libcuda.so.1"

// loaded is the library of this process: a driver cannot be unloaded, nor can a second one be there.
var loaded struct {
	sync.Mutex
	path string // "" where none is loaded
}

// Load loads and initialises the driver, from a file or, with "", from SystemLibrary. Until it has
// succeeded every call answers CUDA_ERROR_NOT_INITIALIZED, and after a failure it may be called again.
// A process has one driver: the same path again is fine, another is an error.
func Load(path string) error {
	if path == "" {
		path = SystemLibrary
	}
	loaded.Lock()
	defer loaded.Unlock()
	if loaded.path == path {
		return nil
	}
	if loaded.path != "" {
		return &Error{Call: "Load", Code: noLibrary, Text: fmt.Sprintf(
			"the CUDA driver %s is loaded already, and a process has one; %s was asked for", loaded.path, path)}
	}
	file := C.CString(path)
	defer C.free(unsafe.Pointer(file))
	var message [512]C.char
	switch status := C.brenier_cuda_driver_load(file, &message[0], C.size_t(len(message))); status {
	case 0:
		loaded.path = path
		return nil
	case C.BRENIER_CUDA_NO_LIBRARY:
		return &Error{Call: "Load", Code: noLibrary, Text: fmt.Sprintf(
			"the CUDA driver %s cannot be loaded: %s", path, C.GoString(&message[0]))}
	default:
		return &Error{Call: "cuInit", Code: int(status), Text: C.GoString(&message[0])}
	}
}

// Version is the CUDA version that the loaded driver serves: 13000 is 13.0. It is 0 where none is loaded.
func Version() int { return max(cu.Version(), 0) }

// Symbol is the address of a symbol of the loaded driver, or nil where it has none or none is loaded.
// By it tests reach the controls of the driver's double.
func Symbol(name string) unsafe.Pointer {
	text := C.CString(name)
	defer C.free(unsafe.Pointer(text))
	loaded.Lock()
	defer loaded.Unlock()
	return C.brenier_cuda_driver_symbol(text)
}
