//go:build cuda

package driver

// #include "calls.h"
import "C"

import (
	"errors"
	"fmt"
	"reflect"
)

// Error is what the driver answered instead of success.
type Error struct {
	Call string // the function that failed, as cuMemAlloc
	Code int    // its CUresult; negative where no driver could be asked
	Name string // CUDA_ERROR_OUT_OF_MEMORY; empty where no driver could be asked
	Text string // the driver's words, or a sentence of this package
}

// noLibrary is the Code of an Error that no driver gave.
const noLibrary = C.BRENIER_CUDA_NO_LIBRARY

func (e *Error) Error() string {
	switch {
	case e.Code < 0:
		return e.Text
	case e.Name == "":
		return fmt.Sprintf("%s failed: %s (CUDA error %d)", e.Call, e.Text, e.Code)
	}
	return fmt.Sprintf("%s failed: %s (%s, %d)", e.Call, e.Text, e.Name, e.Code)
}

// status is the error of a call of ours, or nil.
func status(call string, code C.CUresult) error {
	if code == C.CUDA_SUCCESS {
		return nil
	}
	return newError(call, code)
}

// result is the error of a call of cu, or nil. The type of cu's errors is its own secret, but it is an
// integer: the CUresult.
func result(call string, err error) error {
	if err == nil {
		return nil
	}
	if v := reflect.ValueOf(err); v.CanInt() {
		return newError(call, C.CUresult(v.Int()))
	}
	return &Error{Call: call, Code: C.CUDA_ERROR_UNKNOWN, Text: err.Error()}
}

func newError(call string, code C.CUresult) error {
	e := &Error{Call: call, Code: int(code), Text: "unknown error"}
	var text *C.char
	if C.cuGetErrorName(code, &text) == C.CUDA_SUCCESS && text != nil {
		e.Name = C.GoString(text)
	}
	text = nil
	if C.cuGetErrorString(code, &text) == C.CUDA_SUCCESS && text != nil {
		e.Text = C.GoString(text)
	}
	if e.Name == "" && code == C.CUDA_ERROR_NOT_INITIALIZED { // the forwarding functions
		e.Name, e.Text = "CUDA_ERROR_NOT_INITIALIZED", "no CUDA driver is loaded"
	}
	return e
}

// code is the CUresult within an error, or CUDA_SUCCESS.
func code(err error) C.CUresult {
	var e *Error
	if errors.As(err, &e) && e.Code > 0 {
		return C.CUresult(e.Code)
	}
	return C.CUDA_SUCCESS
}

// IsOutOfMemory tells whether an error is the driver's that memory, on the device or pinned, ran out.
func IsOutOfMemory(err error) bool { return code(err) == C.CUDA_ERROR_OUT_OF_MEMORY }

// IsLost tells whether an error leaves the context without use: every later call of it fails, and what
// it holds is gone. The card fell off, or a kernel did what cannot be continued from.
func IsLost(err error) bool {
	switch code(err) {
	case C.CUDA_ERROR_DEINITIALIZED, C.CUDA_ERROR_DEVICE_UNAVAILABLE, C.CUDA_ERROR_CONTEXT_IS_DESTROYED,
		C.CUDA_ERROR_ECC_UNCORRECTABLE, C.CUDA_ERROR_NVLINK_UNCORRECTABLE, C.CUDA_ERROR_CONTAINED,
		C.CUDA_ERROR_ILLEGAL_ADDRESS, C.CUDA_ERROR_LAUNCH_TIMEOUT, C.CUDA_ERROR_ASSERT,
		C.CUDA_ERROR_HARDWARE_STACK_ERROR, C.CUDA_ERROR_ILLEGAL_INSTRUCTION,
		C.CUDA_ERROR_MISALIGNED_ADDRESS, C.CUDA_ERROR_INVALID_ADDRESS_SPACE, C.CUDA_ERROR_INVALID_PC,
		C.CUDA_ERROR_LAUNCH_FAILED, C.CUDA_ERROR_TENSOR_MEMORY_LEAK, C.CUDA_ERROR_EXTERNAL_DEVICE,
		C.CUDA_ERROR_UNKNOWN: // what a card answers that has fallen off the bus
		return true
	}
	return false
}
