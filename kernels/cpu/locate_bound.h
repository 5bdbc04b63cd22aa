// How far a screened score can be from the exact one, and which groups that rules out.
//
// Derived here; rounding-error terms as in Higham, "Accuracy and Stability of Numerical
// Algorithms" (2002), section 3.1: gamma_n(u) = n u / (1 - n u), u = 2^-24 in float32.
//
// Let c be the highest height, s_i = h_i - c + <x,y_i> in real numbers, f_i the screened score and
// e_i the float64 chain that decides, less c. M >= |x| max|y_i| and R >= max|h_i|.
//
//  1. The screen rounds h_i - c once, then does d steps, each with one rounding (fma) or two.
//     Every term of the sum so meets at most d + 2 roundings, and every operation whose result is
//     subnormal adds at most 2^-150 (underflow is gradual: float_mode.h), so, with
//     sum_k |x_k y_ik| <= |x| |y_i| by Cauchy and Schwarz,
//        |f_i - s_i| <= gamma (|h_i - c| + M) + a,   gamma = gamma_{d+2}(2^-24), a = (d+1) 2^-149.
//  2. The heights need not be known: |h_i - c| <= |s_i| + M <= |f_i| + |f_i - s_i| + M. Therefore
//        |f_i - s_i| <= (gamma (|f_i| + 2 M) + a) / (1 - gamma).
//     A height far below the others thus costs the cells near the top nothing.
//  3. The float64 chain: products of two float32 are exact, sums of them cannot underflow, so
//        |e_i - s_i| <= gamma_d(2^-53) (R + M).
//  Together |f_i - e_i| <= B(f_i), B(f) = g |f| + b, where g >= gamma / (1 - gamma) and
//  b >= 2 g M + 2 a + gamma_d(2^-53) (R + M).
//
// Let t be the k-th largest group maximum, or anything smaller. k groups reach t, so k distinct
// cells have f_i >= t, and, f - B(f) being increasing for g < 1, e_i >= t - B(t). The k-th best
// exact score is therefore at least L = t - B(t), and each of the k best, and any tie with the
// last of them, has f_i + B(f_i) >= e_i >= L. As f + B(f) is increasing, this is f_i >= cut with
//        cut + B(cut) = L:   cut = (L - b) / (1 + g) if L >= b, else (L - b) / (1 - g).
// A group whose maximum is below cut holds none of them.
//
// No step overflows while |f_i| stays in range: partial sums are at most (1 + gamma)(|h_i - c| + M),
// so the screen is used only if (max|h_i - c| + M) < FLT_MAX / 4; the padding's score, which is
// exactly -FLT_MAX, is then below that of any real cell.
#ifndef BRENIER_KERNELS_CPU_LOCATE_BOUND_H
#define BRENIER_KERNELS_CPU_LOCATE_BOUND_H
#include <float.h>
#include <math.h>
#include <stdint.h>

typedef struct {
	double g, b;  // B(f) = g |f| + b
	int holds;    // 0: no bound; every cell has to be scored exactly
} brenier_bound;

// The bound for a sample of norm at most x_norm.
static inline brenier_bound brenier_screen_bound(int64_t d, double x_norm, double norm,
                                                 double reach) {
	const double nu = (double)(d + 4) * 0x1p-24;  // 2 more than derived: for rounding in these lines
	const double M = x_norm * norm;
	const double g = nu / (1 - 2 * nu);  // gamma / (1 - gamma)
	const double a = (double)(d + 1) * 0x1p-149;
	const double chain = 2 * (double)d * 0x1p-53;  // >= gamma_d(2^-53)
	const brenier_bound bound = {
		.g = g,
		.b = 2 * g * M + 2 * a + chain * (reach + M),
		.holds = nu < 0.25 && 2 * reach + M < FLT_MAX / 4,  // also false for a NaN
	};
	return bound;
}

// The largest float that no group of a top-k cell lies below, given t as above.
static inline float brenier_screen_cut(brenier_bound bound, float t) {
	const double size = fabs((double)t);
	const double L = t - (bound.g * size + bound.b);
	const double gap = L - bound.b;
	double cut = gap / (gap >= 0 ? 1 + bound.g : 1 - bound.g);
	cut -= (size + bound.b) * 0x1p-40;  // more than these lines round off
	if (!(cut > -FLT_MAX)) return -FLT_MAX;
	const float near = (float)cut;
	return near > cut ? nextafterf(near, -FLT_MAX) : near;
}

#endif
