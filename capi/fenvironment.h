// The floating-point environment of a thread: rounding, denormals, traps, sticky flags. Results are
// defined for IEEE 754's default one, but games set flush-to-zero and debuggers unmask traps; so a
// public function works in the default and gives the caller's back, flags included.
#ifndef BRENIER_CAPI_FENVIRONMENT_H
#define BRENIER_CAPI_FENVIRONMENT_H

#if defined(__x86_64__)

#include <xmmintrin.h>

typedef unsigned int fenvironment;

static inline fenvironment fenvironment_default(void) {
    const fenvironment callers = _mm_getcsr();
    _mm_setcsr(0x1F80);  // all exceptions masked, round to nearest, denormals kept
    return callers;
}

static inline void fenvironment_restore(fenvironment callers) { _mm_setcsr(callers); }

#elif defined(__aarch64__)

#include <stdint.h>

typedef struct {
    uint64_t fpcr, fpsr;
} fenvironment;

static inline fenvironment fenvironment_default(void) {
    fenvironment callers;
    __asm__ volatile("mrs %0, fpcr\n\tmrs %1, fpsr" : "=r"(callers.fpcr), "=r"(callers.fpsr));
    __asm__ volatile("msr fpcr, %0" : : "r"((uint64_t)0) : "memory");
    return callers;
}

static inline void fenvironment_restore(fenvironment callers) {
    __asm__ volatile("msr fpcr, %0\n\tmsr fpsr, %1" : : "r"(callers.fpcr), "r"(callers.fpsr) : "memory");
}

#else
#error "the floating-point environment of this processor is not known; add it here"
#endif

#endif
