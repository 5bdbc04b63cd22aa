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

// ln p for normal positive p, within a unit in the last place or so: p = 2^e m with m in
// [sqrt(1/2), sqrt(2)), and ln m from s = (m-1)/(m+1) as in FreeBSD's e_log.c (Sun Microsystems,
// 1993), whose coefficients these are.
BRENIER_INLINE vd BRENIER_KERNEL(natural_log)(vd p) {
	const int64_t root_half = 0x3FE6A09E667F3BCD;  // bits of sqrt(1/2)
	const vl moved = (vl)p + (0x3FF0000000000000 - root_half);
	const vd m = (vd)((moved & 0x000FFFFFFFFFFFFF) + root_half);
	const vd e = (vd)((moved >> 52) | 0x4330000000000000)  // 2^52 + 1023 + e
	             - vd_set(4503599627370496.0 + 1023.0);

	const vd f = m - 1.0;
	const vd s = f / (f + 2.0);
	const vd z = s * s;
	const vd half = (0.5 * f) * f;
	const vd R = z * HORNER7(z, 0.0, 1.479819860511658591e-01, 1.531383769920937332e-01,
	                         1.818357216161805012e-01, 2.222219843214978396e-01,
	                         2.857142874366239149e-01, 3.999999999940941908e-01,
	                         6.666666666666735130e-01);
	const vd low = vd_fma(s, half + R, e * 1.90821492927058770002e-10);
	return vd_fma(e, vd_set(6.93147180369123816490e-01), f - (half - low));
}
