// Includes BRENIER_KERNEL_FILE once for each path that the target can have, with the compiler set
// to that path's instructions and the vector type of simd.h in place. No include guard: every
// stage's .c file includes this once.
#include "path.h"

#define BRENIER_PATH BRENIER_PORTABLE
#include "simd.h"
#include BRENIER_KERNEL_FILE
#undef BRENIER_PATH

#if BRENIER_X86

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif
#define BRENIER_PATH BRENIER_AVX2
#include "simd.h"
#include BRENIER_KERNEL_FILE
#undef BRENIER_PATH
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#if defined(__clang__)
#pragma clang attribute push( \
	__attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma,prefer-vector-width=512")
#endif
#define BRENIER_PATH BRENIER_AVX512
#include "simd.h"
#include BRENIER_KERNEL_FILE
#undef BRENIER_PATH
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
