//go:build cuda

// Package double is what tests ask of the driver's double beside the driver's own functions: see
// kernels/cuda/host/driver/cudadouble.h. Nothing but tests imports it.
package double

/*
#cgo CFLAGS: -std=c11 -O2 -Wall -Wextra -I${SRCDIR}/../../../../../kernels/cuda
#include <stdlib.h>
#include "host/driver/cudadouble.h"

// The library is not linked: each function is called by its address.
static int configure(void *f, const char *name, const char *value) {
	return ((int (*)(const char *, const char *))f)(name, value);
}
static void fail_call(void *f, const char *function, int nth, int code, int sticky) {
	((void (*)(const char *, int, int, int))f)(function, nth, code, sticky);
}
static int call(void *f) { return ((int (*)(void))f)(); }
static void act(void *f) { ((void (*)(void))f)(); }
static void record(void *f, int on) { ((void (*)(int))f)(on); }
static size_t text(void *f, char *buffer, size_t bytes) { return ((size_t (*)(char *, size_t))f)(buffer, bytes); }
static void objects(void *f, struct cudadouble_counts *counts) {
	((void (*)(struct cudadouble_counts *))f)(counts);
}
*/
import "C"

import (
	"os"
	"strings"
	"testing"
	"unsafe"

	"brenier/engine/internal/cuda/driver"
)

// CUresults that tests order or expect.
const (
	InvalidValue             = 1
	OutOfMemory              = 2
	DeviceUnavailable        = 46
	InvalidDevice            = 101
	InvalidContext           = 201
	NoBinaryForGPU           = 209
	InvalidHandle            = 400
	IllegalState             = 401
	NotFound                 = 500
	NotReady                 = 600
	IllegalAddress           = 700
	MisalignedAddress        = 716
	LaunchFailed             = 719
	StreamCaptureUnsupported = 900
	StreamCaptureInvalidated = 901
)

// Double is the driver's double that this process has loaded.
type Double struct{}

// Open loads what BRENIER_CUDA_DRIVER names. It skips the test where that is no double of the driver.
// Options and ordered failures are put back when the test ends.
func Open(t testing.TB) Double {
	t.Helper()
	path := os.Getenv("BRENIER_CUDA_DRIVER")
	if path == "" {
		t.Skip("BRENIER_CUDA_DRIVER names no double of the driver")
	}
	if err := driver.Load(path); err != nil {
		t.Fatal(err)
	}
	if driver.Symbol("cudadouble_version") == nil {
		t.Skipf("%s is a driver, not its double", path)
	}
	var d Double
	t.Cleanup(func() {
		if left := d.ClearFailures(); left != 0 {
			t.Logf("%d failures ordered by the test never came due", left)
		}
		d.RestoreDevice()
	})
	return d
}

// Configure sets an option until the test ends; the environment's value, or the given one, is put
// back then.
func (d Double) Configure(t testing.TB, name, value, otherwise string) {
	t.Helper()
	if before := os.Getenv("BRENIER_DOUBLE_" + strings.ToUpper(name)); before != "" {
		otherwise = before
	}
	d.configure(t, name, value)
	t.Cleanup(func() { d.configure(t, name, otherwise) })
}

func (Double) configure(t testing.TB, name, value string) {
	t.Helper()
	n, v := C.CString(name), C.CString(value)
	defer C.free(unsafe.Pointer(n))
	defer C.free(unsafe.Pointer(v))
	if C.configure(driver.Symbol("cudadouble_configure"), n, v) != 0 {
		t.Fatalf("the double has no option %s=%s", name, value)
	}
}

// Fail orders the nth call from now (1 is the next) of a function, of any for "", to fail with a
// CUresult; a sticky failure loses the context that is current then.
func (Double) Fail(function string, nth, code int, sticky bool) {
	var f *C.char
	if function != "" {
		f = C.CString(function)
		defer C.free(unsafe.Pointer(f))
	}
	var s C.int
	if sticky {
		s = 1
	}
	C.fail_call(driver.Symbol("cudadouble_fail"), f, C.int(nth), C.int(code), s)
}

// ClearFailures takes back what was ordered and has not come due; it returns how many that were.
func (Double) ClearFailures() int { return int(C.call(driver.Symbol("cudadouble_clear_failures"))) }

// LoseDevice loses every context, and no other can be made until RestoreDevice.
func (Double) LoseDevice() { C.act(driver.Symbol("cudadouble_lose_device")) }

// RestoreDevice undoes LoseDevice, but for the contexts that were lost.
func (Double) RestoreDevice() { C.act(driver.Symbol("cudadouble_restore_device")) }

// Record notes the names of the calls that f makes.
func (Double) Record(f func()) []string {
	C.record(driver.Symbol("cudadouble_record"), 1)
	f()
	C.record(driver.Symbol("cudadouble_record"), 0)
	return strings.Fields(text("cudadouble_calls"))
}

// LastMessage is what the double said last about a fault.
func (Double) LastMessage() string { return text("cudadouble_last_message") }

func text(function string) string {
	f := driver.Symbol(function)
	bytes := C.text(f, nil, 0)
	buffer := make([]byte, bytes)
	C.text(f, (*C.char)(unsafe.Pointer(&buffer[0])), bytes)
	return strings.TrimRight(string(buffer), "\x00")
}

// Objects counts what is alive in the process.
type Objects struct {
	Contexts, Modules, Functions, Streams, Events, Graphs, Executables uint64
	DeviceAllocations, DeviceBytes, PinnedAllocations, PinnedBytes     uint64
}

// Objects returns the counts at this moment.
func (Double) Objects() Objects {
	var c C.struct_cudadouble_counts
	C.objects(driver.Symbol("cudadouble_objects"), &c)
	return Objects{
		Contexts: uint64(c.contexts), Modules: uint64(c.modules), Functions: uint64(c.functions),
		Streams: uint64(c.streams), Events: uint64(c.events), Graphs: uint64(c.graphs), Executables: uint64(c.execs),
		DeviceAllocations: uint64(c.device_allocations), DeviceBytes: uint64(c.device_bytes),
		PinnedAllocations: uint64(c.pinned_allocations), PinnedBytes: uint64(c.pinned_bytes),
	}
}
