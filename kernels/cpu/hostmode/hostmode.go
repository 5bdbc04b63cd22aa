// Package hostmode runs code under the floating-point environments that a host program may have
// set for its threads. It is for tests: results must not depend on the host's mode.
package hostmode

/*
#include <stdint.h>
#if defined(__x86_64__)
#include <immintrin.h>
static uint64_t get_mode(void) { return _mm_getcsr(); }
static void set_mode(uint64_t mode) { _mm_setcsr((unsigned)mode); }
enum { FLUSH_MODE = 0x9fc0, UPWARD_MODE = 0x5f80 };  // FTZ and DAZ; RC 10
#elif defined(__aarch64__)
static uint64_t get_mode(void) {
	uint64_t mode;
	__asm__ volatile("mrs %0, fpcr" : "=r"(mode));
	return mode;
}
static void set_mode(uint64_t mode) { __asm__ volatile("msr fpcr, %0" : : "r"(mode) : "memory"); }
enum { FLUSH_MODE = 1 << 24, UPWARD_MODE = 1 << 22 };  // FZ; RMode 01
#else
static uint64_t get_mode(void) { return 0; }
static void set_mode(uint64_t mode) { (void)mode; }
enum { FLUSH_MODE = 0, UPWARD_MODE = 0 };
#endif
*/
import "C"

import "runtime"

// Mode is a floating-point environment.
type Mode int

const (
	Flush  Mode = iota // subnormal operands and results are zero, as games often have it
	Upward             // results are rounded up
)

// Run calls f on a thread in the given mode, and puts the thread back as it was. f must do its
// work on its own goroutine.
func Run(mode Mode, f func()) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	found := C.get_mode()
	defer C.set_mode(found)
	C.set_mode([...]C.uint64_t{Flush: C.FLUSH_MODE, Upward: C.UPWARD_MODE}[mode])
	f()
}
