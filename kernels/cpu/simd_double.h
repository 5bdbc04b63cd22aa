// The float64 half of simd.h, for the kernels whose bits are promised. Include after simd.h and,
// like it, once for every path.
//
//   DOUBLES      float64 in a vector: 2, 4 or 8
//   vd, vl, vq   DOUBLES float64, int64, uint64; + - * / and comparisons work lane by lane
//   vh, vu       DOUBLES float32 or uint32: half a float vector, what a vd widens from
//   vd_fma(a,b,c)        a*b + c with one rounding on every path: in hardware on AVX2, AVX-512
//                        and Arm, by the C library on portable x86-64
//   vd_sqrt(a)           correctly rounded
//   vd_select(m,a,b)     a where the comparison m holds, b elsewhere
//   vd_set, vd_load, vd_store     unaligned
//   vd_widen(h), vd_narrow(d)     vh to vd (exact), vd to vh (rounded to nearest)
//   vl_mask(m)           bit i is set where the comparison m holds in lane i
//   vq_widen(u)          vu to vq
//   vq_mul_low(a,b)      the products of the lanes' low 32 bits
#undef DOUBLES
#undef vd
#undef vl
#undef vq
#undef vh
#undef vu
#undef vd_fma
#undef vd_sqrt
#undef vl_mask
#undef vq_widen
#undef vq_mul_low

#ifndef BRENIER_SIMD_DOUBLE_TYPES
#define BRENIER_SIMD_DOUBLE_TYPES
typedef double brenier_d2 __attribute__((vector_size(16)));
typedef double brenier_d4 __attribute__((vector_size(32)));
typedef double brenier_d8 __attribute__((vector_size(64)));
typedef int64_t brenier_l2 __attribute__((vector_size(16)));
typedef int64_t brenier_l4 __attribute__((vector_size(32)));
typedef int64_t brenier_l8 __attribute__((vector_size(64)));
typedef uint64_t brenier_q2 __attribute__((vector_size(16)));
typedef uint64_t brenier_q4 __attribute__((vector_size(32)));
typedef uint64_t brenier_q8 __attribute__((vector_size(64)));
typedef float brenier_h2 __attribute__((vector_size(8)));
typedef uint32_t brenier_u2 __attribute__((vector_size(8)));
typedef uint32_t brenier_u4 __attribute__((vector_size(16)));
typedef uint32_t brenier_u8 __attribute__((vector_size(32)));
#define vd_set(s) ((s) - (vd){0})  // the compiler broadcasts; s - 0 is s, -0 included
#define vd_select(m, a, b) ((vd)(((vl)(m) & (vl)(a)) | (~(vl)(m) & (vl)(b))))
#define vd_widen(h) __builtin_convertvector(h, vd)
#define vd_narrow(d) __builtin_convertvector(d, vh)
#endif

#if BRENIER_PATH == BRENIER_AVX512

#define DOUBLES 8
#define vd brenier_d8
#define vl brenier_l8
#define vq brenier_q8
#define vh brenier_f8
#define vu brenier_u8
#define vd_fma(a, b, c) ((vd)_mm512_fmadd_pd((__m512d)(a), (__m512d)(b), (__m512d)(c)))
#define vd_sqrt(a) ((vd)_mm512_sqrt_pd((__m512d)(a)))
#define vl_mask(m) ((unsigned)_mm512_movepi64_mask((__m512i)(m)))
#define vq_widen(u) ((vq)_mm512_cvtepu32_epi64((__m256i)(u)))
#define vq_mul_low(a, b) ((vq)_mm512_mul_epu32((__m512i)(a), (__m512i)(b)))

#elif BRENIER_PATH == BRENIER_AVX2

#define DOUBLES 4
#define vd brenier_d4
#define vl brenier_l4
#define vq brenier_q4
#define vh brenier_f4
#define vu brenier_u4
#define vd_fma(a, b, c) ((vd)_mm256_fmadd_pd((__m256d)(a), (__m256d)(b), (__m256d)(c)))
#define vd_sqrt(a) ((vd)_mm256_sqrt_pd((__m256d)(a)))
#define vl_mask(m) ((unsigned)_mm256_movemask_pd((__m256d)(m)))
#define vq_widen(u) ((vq)_mm256_cvtepu32_epi64((__m128i)(u)))
#define vq_mul_low(a, b) ((vq)_mm256_mul_epu32((__m256i)(a), (__m256i)(b)))

#else

#define DOUBLES 2
#define vq_widen(u) __builtin_convertvector(u, vq)
#define vd brenier_d2
#define vl brenier_l2
#define vq brenier_q2
#define vh brenier_h2
#define vu brenier_u2
#if defined(__aarch64__)
#define vd_fma(a, b, c) \
	((vd)vfmaq_f64((float64x2_t)(c), (float64x2_t)(a), (float64x2_t)(b)))
#define vd_sqrt(a) ((vd)vsqrtq_f64((float64x2_t)(a)))
#else
#define vd_fma(a, b, c) brenier_fma_by_lane(a, b, c)
BRENIER_INLINE vd brenier_fma_by_lane(vd a, vd b, vd c) {
	return (vd){__builtin_fma(a[0], b[0], c[0]), __builtin_fma(a[1], b[1], c[1])};
}
#if BRENIER_X86
#define vd_sqrt(a) ((vd)_mm_sqrt_pd((__m128d)(a)))
#define vl_mask(m) ((unsigned)_mm_movemask_pd((__m128d)(m)))
#define vq_mul_low(a, b) ((vq)_mm_mul_epu32((__m128i)(a), (__m128i)(b)))
#else
#define vd_sqrt(a) brenier_sqrt_by_lane(a)
BRENIER_INLINE vd brenier_sqrt_by_lane(vd a) {
	return (vd){__builtin_sqrt(a[0]), __builtin_sqrt(a[1])};
}
#endif
#endif
#if !BRENIER_X86
#define vl_mask(m) brenier_mask_by_lane((vl)(m))
#define vq_mul_low(a, b) (((a) & 0xFFFFFFFFu) * ((b) & 0xFFFFFFFFu))
BRENIER_INLINE unsigned brenier_mask_by_lane(vl m) { return (unsigned)((m[0] & 1) | (m[1] & 2)); }
#endif

#endif

#undef vd_load
#undef vd_store
#define vd_load(p) BRENIER_KERNEL(vd_load)(p)
#define vd_store(p, v) BRENIER_KERNEL(vd_store)(p, v)
BRENIER_INLINE vd BRENIER_KERNEL(vd_load)(const double *p) {
	vd v;
	memcpy(&v, p, sizeof v);
	return v;
}
BRENIER_INLINE void BRENIER_KERNEL(vd_store)(double *p, vd v) { memcpy(p, &v, sizeof v); }
