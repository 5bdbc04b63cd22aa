// The instruction-set paths of the CPU kernels, and how one source becomes one function for each.
//
// A stage is two files: NAME_kernel.h, written once over the vector type of simd.h, and NAME.c,
// which includes it through foreach_path.h, once for each path that the target can have. A kernel
// function is declared as BRENIER_KERNEL(name) and becomes name_portable, name_avx2, name_avx512.
#ifndef BRENIER_KERNELS_CPU_PATH_H
#define BRENIER_KERNELS_CPU_PATH_H

// Which path; the numbers are the index into a stage's table of functions. Macros, because the
// preprocessor compares them.
#define BRENIER_PORTABLE 0  // 4 lanes: SSE2 without fma on x86-64, NEON with fma on Arm
#define BRENIER_AVX2 1      // 8 lanes, fma
#define BRENIER_AVX512 2    // 16 lanes, fma
#define BRENIER_PATHS 3

// The best path that this processor and its operating system have.
int brenier_best_path(void);

#if defined(__x86_64__)
#define BRENIER_X86 1
#define BRENIER_TABLE(name) {name##_portable, name##_avx2, name##_avx512}
#else
#define BRENIER_X86 0
#define BRENIER_TABLE(name) {name##_portable, name##_portable, name##_portable}
#endif

#endif
