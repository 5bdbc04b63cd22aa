// The vector of the path that is being compiled (BRENIER_PATH), as GCC's and Clang's vector
// extensions plus the few operations that those lack. Included again for every path, so it
// defines macros, and types under the path's own name.
//
//   LANES       floats in a vector: 4, 8 or 16
//   vf, vi      LANES floats, LANES int32; + - * / and comparisons work lane by lane
//   vf_fma(a,b,c)  a*b + c: one rounding where the path has fma, two on portable x86-64.
//                  Only where bits do not matter (the screen, whose bound counts two; decode).
//   vf_max(a,b)    lane-wise maximum
//   vf_set(s)      s in every lane
//   vf_load, vf_store     unaligned
//
// Where bits matter a kernel uses __builtin_fma on doubles: correctly rounded on every path, in
// hardware on AVX2, AVX-512 and Arm, by the C library on portable x86-64.
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#if BRENIER_X86
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#undef LANES
#undef BRENIER_KERNEL
#undef vf
#undef vi
#undef vf_fma
#undef vf_max
#undef vf_set
#undef vf_load
#undef vf_store

#ifndef BRENIER_SIMD_TYPES
#define BRENIER_SIMD_TYPES
typedef float brenier_f4 __attribute__((vector_size(16)));
typedef float brenier_f8 __attribute__((vector_size(32)));
typedef float brenier_f16 __attribute__((vector_size(64)));
typedef int32_t brenier_i4 __attribute__((vector_size(16)));
typedef int32_t brenier_i8 __attribute__((vector_size(32)));
typedef int32_t brenier_i16 __attribute__((vector_size(64)));
#define BRENIER_INLINE static inline __attribute__((always_inline))
#endif

#if BRENIER_PATH == BRENIER_AVX512

#define BRENIER_KERNEL(name) name##_avx512
#define LANES 16
#define vf brenier_f16
#define vi brenier_i16
#define vf_fma(a, b, c) ((vf)_mm512_fmadd_ps((__m512)(a), (__m512)(b), (__m512)(c)))
#define vf_max(a, b) ((vf)_mm512_max_ps((__m512)(a), (__m512)(b)))
#define vf_set(s) ((vf)_mm512_set1_ps(s))
#define vf_load(p) ((vf)_mm512_loadu_ps(p))
#define vf_store(p, v) _mm512_storeu_ps(p, (__m512)(v))

#elif BRENIER_PATH == BRENIER_AVX2

#define BRENIER_KERNEL(name) name##_avx2
#define LANES 8
#define vf brenier_f8
#define vi brenier_i8
#define vf_fma(a, b, c) ((vf)_mm256_fmadd_ps((__m256)(a), (__m256)(b), (__m256)(c)))
#define vf_max(a, b) ((vf)_mm256_max_ps((__m256)(a), (__m256)(b)))
#define vf_set(s) ((vf)_mm256_set1_ps(s))
#define vf_load(p) ((vf)_mm256_loadu_ps(p))
#define vf_store(p, v) _mm256_storeu_ps(p, (__m256)(v))

#else

#define BRENIER_KERNEL(name) name##_portable
#define LANES 4
#define vf brenier_f4
#define vi brenier_i4
#if defined(__aarch64__)
#define vf_fma(a, b, c) \
	((vf)vfmaq_f32((float32x4_t)(c), (float32x4_t)(a), (float32x4_t)(b)))
#define vf_max(a, b) ((vf)vmaxq_f32((float32x4_t)(a), (float32x4_t)(b)))
#elif BRENIER_X86
#define vf_fma(a, b, c) ((vf)(a) * (vf)(b) + (vf)(c))
#define vf_max(a, b) ((vf)_mm_max_ps((__m128)(a), (__m128)(b)))
#else
#define vf_fma(a, b, c) ((vf)(a) * (vf)(b) + (vf)(c))
#define vf_max(a, b) ((a) > (b) ? (a) : (b))
#endif
#define vf_set(s) ((vf){(s), (s), (s), (s)})
#define vf_load(p) (*(const brenier_unaligned_f4 *)(p))
#define vf_store(p, v) (*(brenier_unaligned_f4 *)(p) = (v))
#ifndef BRENIER_UNALIGNED_F4
#define BRENIER_UNALIGNED_F4
typedef brenier_f4 brenier_unaligned_f4 __attribute__((aligned(4), may_alias));
#endif

#endif
