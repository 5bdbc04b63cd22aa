// How far a screened score can be from the exact one, and which cells that rules out.
//
// Everything is in scaled units (locate.h): X = scale x, Y_i = 2^point_exponent y_i, both without
// error; X', Y'_i what they are rounded to in float16; S = scale 2^point_exponent; c the highest
// height. Let F_i = S (h_i - c) + <X,Y_i> in real numbers, f_i the screened score and e_i the float64
// chain that decides, less c, times S. P = max |Y_i|, D = max |Y_i - Y'_i|, R = max |h_i|.
//
//  1. Input rounding, by Cauchy and Schwarz, from the residuals as they are:
//        |<X,Y_i> - <X',Y'_i>| = |<X - X', Y_i> + <X', Y_i - Y'_i>| <= |X - X'| P + |X'| D.
//     Nothing is assumed of float16: what underflows is part of the residual.
//  2. The tensor core. Products of float16 are exact. An instruction is a row of summations, each of
//     m products and the running sum: all are aligned to the largest exponent and truncated to F
//     fractional bits of it, added exactly, and the sum is truncated to float32 (MMA-Sim, arXiv
//     2511.10909: m = 4, F = 23 Volta; m = 8, F = 24 Ampere and Ada; m = 16, F = 25 Hopper). With
//     M = |X'| (P + D) >= sum_k |X'_k Y'_ik|, and every term and partial sum at most (1 + nu) M, a
//     summation is off by at most ((m + 1) 2^-F + 2^-23) (1 + nu) M. Assumed: F >= 23 and m >= 2, in
//     any order and grouping; that is at most 2^-22 (1 + nu) M for each of the products, so
//        |a_i - <X',Y'_i>| <= nu / (1 - nu) M,   nu = d' 2^-22,
//     where d' is d rounded up to a whole instruction (products with the padding are exact zeros, but
//     a summation rounds them too). Rounded to nearest, as on the host, it is less.
//  3. Heights. level_i = S/scale (h_i - c) is rounded once, f_i = fma(level_i, scale, a_i) once more:
//        |f_i - (a_i + S (h_i - c))| <= u |scale level_i| (1 + u) + u |f_i|,   u = 2^-24,
//     with |scale level_i| <= (1 + u) |f_i| + |a_i|: heights need not be known, and one far below the
//     others costs the cells near the top nothing. (Where a level is subnormal it is off by 2^-150, times the scale: 2^-90 at most.)
//  4. The float64 chain: products of two float32 are exact and their sums cannot underflow, so
//        |e_i - F_i| <= gamma_d(2^-53) (S R + |X| P),   gamma_n(u) = n u / (1 - n u) (Higham 2002).
//  Together |f_i - e_i| <= B(f_i), B(f) = g |f| + b, with g = 2^-22 and
//        b = |X - X'| P + |X'| D + (nu / (1 - nu) + 2^-22) M + 2 d 2^-53 (S R + |X| P) + 2^-80.
//
// Let t be the k-th largest screened score, or anything smaller, such as the k-th largest maximum of
// a group. k cells have f_i >= t, and, f - B(f) being increasing, e_i >= t - B(t). So the k-th best
// exact score is at least L = t - B(t), and each of the k best, and any tie with the last of them,
// has f_i + B(f_i) >= e_i >= L, which is f_i >= (L - b) / (1 +- g). This is at least
//        cut(t) = t - (margin + 2^-20 |t|),   margin >= 2 b (1 + 2^-19),
// where what is left of 2^-20 |t| (four times 2^-22, of which two and a bit are used) covers the
// rounding of these two operations in float32. cut(t) is increasing: a cell ruled out by an early,
// low t is ruled out by the final one.
//
// A screened score of -infinity comes from a level or a sum beyond float32: then, with scale >= 2^-26,
// F_i < -2^101. So cut(t) rules it out only if t >= -2^100, and margins stay below 2^90; otherwise
// nothing is ruled out, or the row is scored exactly. No other step overflows: |X'_k|, |Y'_ik| <= 2^15.
#pragma once
#include "device.cuh"
#include "locate.h"
#include "ptx/half.cuh"

namespace brenier {

// 2^e, for e in -1022 .. 1023.
__device__ inline double power_of_two(int e) { return double_value((uint64_t)(1023 + e) << 52); }

__device__ inline float locate_infinity() { return float_value(0x7f800000u); }

// The exponent that brings `extent` >= 0, the largest of some float32, to [2^14, 2^15).
__device__ inline int locate_exponent(float extent) {
	if (!(extent > 0)) return 0;
	// Subnormals come to a normal number by 2^24 first.
	const bool small = extent < float_value(1u << 23);
	const uint32_t bits = float_bits(small ? extent * 16777216.0f : extent);
	const int exponent = (int)(bits >> 23) - 127 - (small ? 24 : 0);
	return 14 - exponent;
}

// The scale of a sample whose largest |x_k| is `extent`. Smaller samples only lose precision; larger
// ones have no bound.
constexpr int locate_least_scale = -26, locate_most_scale = 60;

// What the bound needs to know of one sample: lengths in scaled units.
struct LocateSample {
	double norm;   // at least |X|
	double error;  // at least |X - X'|
	int exponent;  // scale = 2^exponent
};

// What rounding in these lines and in the sums of squares can take off, d < 2^30.
constexpr double locate_rounding = 1 + 0x1p-20;

// The margin of a sample; negative if no bound holds for it.
__device__ inline float locate_margin(const brenier_locate_map &map, const LocateSample &x, int dim) {
	if (!(x.exponent >= locate_least_scale && x.exponent <= locate_most_scale)) return -locate_infinity();
	const double steps = (double)((dim + BRENIER_LOCATE_STEP - 1) / BRENIER_LOCATE_STEP * BRENIER_LOCATE_STEP);
	const double nu = steps * 0x1p-22;
	const double P = sqrt(double_value(map.norm_squared)) * locate_rounding;
	const double D = sqrt(double_value(map.error_squared)) * locate_rounding;
	const double packed = x.norm + x.error;  // >= |X'|
	const double M = packed * (P + D);
	const double S = power_of_two(x.exponent) * power_of_two(locate_exponent(float_value(map.extent)));
	const double chain = 2 * (double)dim * 0x1p-53 * (S * map.reach + x.norm * P);
	const double b = x.error * P + packed * D + (nu / (1 - nu) + 0x1p-22) * M + chain + 0x1p-80;
	const double margin = 2 * b * (1 + 0x1p-18);
	if (!(nu < 0.25 && margin < 0x1p90)) return -locate_infinity();  // also for a NaN
	return (float)(margin * (1 + 0x1p-22));                          // not below margin
}

// The least screened score that is not ruled out, given t as above. Nothing reaches that of a row
// that is not screened.
__device__ inline float locate_cut(float t, float margin) {
	if (!(margin >= 0)) return locate_infinity();
	if (!(t >= -0x1p100f)) return -locate_infinity();
	return t - fmaf(0x1p-20f, fabsf(t), margin);
}

}  // namespace brenier
