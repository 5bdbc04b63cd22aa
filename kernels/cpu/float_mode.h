// The floating-point environment of the kernels: round to nearest, gradual underflow, no traps.
//
// A host program may have set its thread otherwise (games turn on flush-to-zero), and results must
// not depend on that. Every entry point sets the mode, calls its kernel through a pointer (so that
// no arithmetic moves across), and restores what it found.
//
// Including this also sets the compiler's part: a*b+c is never fused unless written as an fma. GCC
// keeps to that under -std=c11; Clang has to be told.
#ifndef BRENIER_KERNELS_CPU_FLOAT_MODE_H
#define BRENIER_KERNELS_CPU_FLOAT_MODE_H
#include <stdint.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#if defined(__clang__)
#pragma clang fp contract(off)
#endif

static inline uint64_t brenier_float_mode_set(void) {
#if defined(__x86_64__)
	const uint64_t found = _mm_getcsr();
	_mm_setcsr(0x1f80);  // MXCSR after reset: nearest, exceptions masked, neither FTZ nor DAZ
	return found;
#elif defined(__aarch64__)
	uint64_t found;
	__asm__ volatile("mrs %0, fpcr" : "=r"(found));
	__asm__ volatile("msr fpcr, %0" : : "r"((uint64_t)0) : "memory");
	return found;
#else
	return 0;
#endif
}

static inline void brenier_float_mode_restore(uint64_t found) {
#if defined(__x86_64__)
	_mm_setcsr((unsigned)found);
#elif defined(__aarch64__)
	__asm__ volatile("msr fpcr, %0" : : "r"(found) : "memory");
#else
	(void)found;
#endif
}

#endif
