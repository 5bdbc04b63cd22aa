// What the rounding of a block's bound can hide.
//
// Derived here, with gamma_n(u) = n u/(1 - n u) as in locate_bound.h. Let U be the right side of the bound
// in locate_tree.h in real numbers, with the float32 that are stored, and V what a search computes of it in
// float32. With a_k = |x_k - slope_k|, the maximum over u_k is at least 0 and at most a_k half_k.
//
//  1. What a search takes for the best u_k is off by a relative error e of 4 roundings at most, or is
//     half_k. That makes the maximum less by bend_k u_k^2 e^2 <= a_k half_k e^2, for 2 bend_k u_k <= a_k:
//     less than one rounding of a_k half_k.
//  2. a_k - bend_k u_k has an error of three roundings of a_k, and its product with u_k is at most a_k half_k.
//  3. The sum starts at roof and has 2d terms; a term meets at most two roundings in each step.
//  4. A result that is subnormal is off by 2^-149 more, and may then be multiplied by a_k or half_k:
//     in all by a = (4d+8) 2^-149 (the steepest slope + |x| + extent) at most.
//
// So with gamma = gamma_{4d+6}(2^-24)
//
//   |V - U| <= gamma (|roof| + sum_k |slope_k| half_k) + gamma sum_k |x_k| (|centre_k| + half_k) + a
//           <= what the stored roof has been raised by  + gamma |x| extent + a
//
// The first part is in the roof, and the second is the same for all blocks. The float64 chain e_i that decides
// is off by at most c = gamma_d(2^-53) (reach + |x| norm) (locate_bound.h, 3.). Therefore
//
//   e_i - top <= V + slack,    slack >= gamma |x| extent + a + c
//
// and a part with V < t - top - slack has no cell with a score of t or more. The sums must not overflow, so
// a search is for x and heights far from there.
#ifndef BRENIER_KERNELS_CPU_LOCATE_TREE_BOUND_H
#define BRENIER_KERNELS_CPU_LOCATE_TREE_BOUND_H
#include <float.h>
#include <math.h>
#include <stdint.h>

// The largest slope that is stored.
#define BRENIER_TREE_STEEPEST 1e9

// gamma, of two terms more than derived: for rounding in these lines.
static inline double brenier_tree_gamma(int64_t d) {
	const double n = (double)(4 * d + 8) * 0x1p-24;
	return n / (1 - n);
}

// slack, for a sample of norm at most x_norm; a negative number where there is none.
static inline double brenier_tree_slack(int64_t d, double x_norm, double norm, double reach,
                                        double extent) {
	const double chain = 2 * (double)d * 0x1p-53 * (reach + x_norm * norm);
	const double tiny = (double)(4 * d + 8) * 0x1p-149 * (BRENIER_TREE_STEEPEST + x_norm + extent);
	const double slack = brenier_tree_gamma(d) * x_norm * extent + tiny + chain;
	const int holds = 2 * reach + x_norm * extent < FLT_MAX / 16;  // also false for a NaN
	return holds ? slack * (1 + 0x1p-40) : -1;
}

// A float at most v, at least -FLT_MAX. |v| < FLT_MAX.
static inline float brenier_float_below(double v) {
	return (float)(v - fabs(v) * 0x1p-23 - 0x1p-148);
}

// The roof that is stored for one of v, with sum_k |slope_k| half_k.
static inline float brenier_tree_roof(int64_t d, double v, double sloped) {
	return -brenier_float_below(-(v + brenier_tree_gamma(d) * (fabs(v) * (1 + 0x1p-20) + sloped)));
}

#endif
