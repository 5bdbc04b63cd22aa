// The natural logarithm by correctly rounded operations only, so that it has the same bits on every
// path. Include after simd.h, once for every path.
#include "simd_double.h"

// Horner's rule, all steps fma: highest coefficient first.
#undef HORNER7
#undef STEP
#define HORNER7(r, c7, c6, c5, c4, c3, c2, c1, c0)                                                \
	STEP(STEP(STEP(STEP(STEP(STEP(STEP(vd_set(c7), r, c6), r, c5), r, c4), r, c3), r, c2), r, c1), \
	     r, c0)
#define STEP(sum, r, c) vd_fma(sum, r, vd_set(c))

// The same of some vectors side by side: a chain of dependent steps leaves a processor idle, and the
// next chain is too far behind for it to see.
#undef EACH
#define EACH _Pragma("GCC unroll 4") for (int v = 0; v < vectors; v++)
BRENIER_INLINE void BRENIER_KERNEL(horner7)(const vd *r, const int vectors, const double c[8], vd *sum) {
	EACH sum[v] = vd_set(c[0]);
#pragma GCC unroll 7
	for (int i = 1; i < 8; i++) EACH sum[v] = vd_fma(sum[v], r[v], vd_set(c[i]));
}

// ln p, in place, for normal positive p, within a unit in the last place or so: p = 2^e m with m in
// [sqrt(1/2), sqrt(2)), and ln m from s = (m-1)/(m+1) as in FreeBSD's e_log.c (Sun Microsystems,
// 1993), whose coefficients these are. At most 4 vectors.
BRENIER_INLINE void BRENIER_KERNEL(natural_logs)(vd *p, const int vectors) {
	const int64_t root_half = 0x3FE6A09E667F3BCD;  // bits of sqrt(1/2)
	vd e[4], f[4], s[4], z[4], R[4];
	EACH {
		const vl moved = (vl)p[v] + (0x3FF0000000000000 - root_half);
		f[v] = (vd)((moved & 0x000FFFFFFFFFFFFF) + root_half) - 1.0;
		e[v] = (vd)((moved >> 52) | 0x4330000000000000)  // 2^52 + 1023 + e
		       - vd_set(4503599627370496.0 + 1023.0);
	}
	EACH s[v] = f[v] / (f[v] + 2.0);
	EACH z[v] = s[v] * s[v];
	BRENIER_KERNEL(horner7)(z, vectors, (const double[8]){
		0.0, 1.479819860511658591e-01, 1.531383769920937332e-01, 1.818357216161805012e-01,
		2.222219843214978396e-01, 2.857142874366239149e-01, 3.999999999940941908e-01,
		6.666666666666735130e-01}, R);
	EACH {
		const vd half = (0.5 * f[v]) * f[v];
		const vd low = vd_fma(s[v], half + z[v] * R[v], e[v] * 1.90821492927058770002e-10);
		p[v] = vd_fma(e[v], vd_set(6.93147180369123816490e-01), f[v] - (half - low));
	}
}
