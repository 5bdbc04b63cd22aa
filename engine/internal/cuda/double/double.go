//go:build cuda

// Package double orders about the double of the CUDA driver (kernels/cuda/host/driver), for tests: what
// card it plays, which call fails, what is alive. Its functions may be called once driver.Load has
// loaded the double, from any goroutine; Present tells.
package double

/*
#cgo CFLAGS: -std=c11 -O2 -Wall -Wextra -I${SRCDIR}/../../../../kernels/cuda/host/driver
#include <stdlib.h>
#include "cudadouble.h"

// The double is loaded, not linked: its functions are called through their addresses, of the types that
// its header declares.
#define AS(name) ((__typeof__(&name))function)
static inline int configure(void *function, const char *name, const char *value) {
	return AS(cudadouble_configure)(name, value);
}
static inline void fail(void *function, const char *name, int nth, int code, int sticky) {
	AS(cudadouble_fail)(name, nth, code, sticky);
}
static inline int clear_failures(void *function) { return AS(cudadouble_clear_failures)(); }
static inline void plain(void *function) { AS(cudadouble_lose_device)(); }
static inline void note(void *function, int on) { AS(cudadouble_record)(on); }
static inline size_t text(void *function, char *buffer, size_t bytes) { return AS(cudadouble_calls)(buffer, bytes); }
static inline void objects(void *function, struct cudadouble_counts *counts) { AS(cudadouble_objects)(counts); }
*/
import "C"

import (
	"fmt"
	"strings"
	"unsafe"

	"brenier/engine/internal/cuda/driver"
)

// Present tells whether the driver that is loaded is the double.
func Present() bool { return driver.Symbol("cudadouble_version") != nil }

// function is the address of one of the double's functions.
func function(name string) unsafe.Pointer {
	f := driver.Symbol(name)
	if f == nil {
		panic("the driver that is loaded has no " + name + "; want BRENIER_CUDA_DRIVER to name its double, and Load")
	}
	return f
}

// Configure sets an option from now on: capability (75, 80, 86, 89, 90, 120), memory (bytes), schedule
// (late, early, random:<seed>), multiprocessors, workers, devices.
func Configure(name, value string) error {
	n, v := C.CString(name), C.CString(value)
	defer C.free(unsafe.Pointer(n))
	defer C.free(unsafe.Pointer(v))
	if C.configure(function("cudadouble_configure"), n, v) != 0 {
		return fmt.Errorf("the driver's double has no option %s=%s", name, value)
	}
	return nil
}

// Fail orders the nth call from now (1 is the next) of a function of the driver, as cuMemAlloc, or of
// any where it is empty, to answer a CUresult. A sticky failure also loses the context.
func Fail(name string, nth, code int, sticky bool) {
	var n *C.char
	if name != "" {
		n = C.CString(name)
		defer C.free(unsafe.Pointer(n))
	}
	var lose C.int
	if sticky {
		lose = 1
	}
	C.fail(function("cudadouble_fail"), n, C.int(nth), C.int(code), lose)
}

// ClearFailures takes back the orders of Fail that have not come due, and returns how many those were.
func ClearFailures() int { return int(C.clear_failures(function("cudadouble_clear_failures"))) }

// LoseDevice lets the GPU fall off the bus: every context is lost, and none can be made.
func LoseDevice() { C.plain(function("cudadouble_lose_device")) }

// RestoreDevice lets contexts be made again after LoseDevice.
func RestoreDevice() { C.plain(function("cudadouble_restore_device")) }

// Record begins to note the names of calls, forgetting those noted before, or stops.
func Record(on bool) {
	var flag C.int
	if on {
		flag = 1
	}
	C.note(function("cudadouble_record"), flag)
}

// Calls are the names noted since Record, in order.
func Calls() []string { return strings.Fields(read("cudadouble_calls")) }

// LastMessage is the text of the last failure that the double itself found: a fault of a kernel, a lost
// context.
func LastMessage() string { return read("cudadouble_last_message") }

// read is the whole text that one of the double's functions writes.
func read(name string) string {
	f := function(name)
	for bytes := C.size_t(1 << 12); ; {
		buffer := make([]C.char, bytes)
		need := C.text(f, &buffer[0], bytes)
		if need <= bytes {
			return C.GoString(&buffer[0])
		}
		bytes = need
	}
}

// Counts is what is alive in the process; device and pinned memory in bytes as asked for.
type Counts struct {
	Contexts, Modules, Functions, Streams, Events, Graphs, Execs   uint64
	DeviceAllocations, DeviceBytes, PinnedAllocations, PinnedBytes uint64
}

// Objects counts what is alive.
func Objects() Counts {
	var c C.struct_cudadouble_counts
	C.objects(function("cudadouble_objects"), &c)
	return Counts{
		Contexts: uint64(c.contexts), Modules: uint64(c.modules), Functions: uint64(c.functions),
		Streams: uint64(c.streams), Events: uint64(c.events), Graphs: uint64(c.graphs), Execs: uint64(c.execs),
		DeviceAllocations: uint64(c.device_allocations), DeviceBytes: uint64(c.device_bytes),
		PinnedAllocations: uint64(c.pinned_allocations), PinnedBytes: uint64(c.pinned_bytes),
	}
}
