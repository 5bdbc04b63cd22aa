// Screened scores of rotated draws, and how far they can be from those that decide.
//
// In units scaled by 2^(z_exponent + v_exponent), powers of two, so without error: V = 2^v_exponent v and
// Z_i = 2^z_exponent z_i are a draw's and a cell's values on its 16 axes, V' and Z'_i what they are in
// float16, r = reach >= |y_i| 2^z_exponent; |V|, r <= 2^14. F_i = L_i + <V, Z_i>, L_i being the scaled
// level, in real numbers; e_i is the float32 score of kernels/cpu/rotated.h, scaled; f_i the screened one, less
// the offset T = 2^29. Which cells the best are of is a question of scores of at least -2^28: the cell of
// the highest height has L_i = 0. Of cells with such scores |L_i| <= 2^29.
//
//  1. |Z_i| <= r (1 + 2^-7): the frame's rows and z are rounded, by less than 4 (d + 2) 2^-24 |y_i| in
//     all, d < 24,576.
//  2. Float16 keeps a number to 2^-11 of itself or, near zero, to 2^-25: |<V,Z_i> - <V',Z'_i>| <=
//     (2^-10 + 2^-22) |V| |Z_i| + 2^-22 (|V| + |Z_i|), by Cauchy and Schwarz; the last is below 8.
//  3. The tensor core adds 16 products to T + L_i: terms and partial sums are at most 2^30, so that the
//     sum is off by at most 16 * 2^-22 * 2^30 * (1 + 2^-17) (locate_bound.cuh, 2), which is 4097.
//  4. T + L_i is rounded once: 2^-24 2^30 = 64. The opposite draw's f_i is 2 (T + L_i) - f_i, rounded once
//     more. e_i is off from F_i by at most gamma_10 |V| |Z_i| and 2^-24 of itself: 170 + 64.
//  Together |f_i - e_i| <= B = (2^-10 + 2^-16) |V| r + 4,500, with 2^-16 for (1 + 2^-7) above.
//
// Let t be the k-th largest of the largest screened scores of some units, or less. k cells have f_i >= t,
// so e_i >= t - B, and each of the k best, or of those equal to the last of them, has f_i >= t - 2 B.
#pragma once
#include "../cpu/rotated.h"
#include "rotated.h"

#include "device.cuh"
#include "locate_bound.cuh"
#include "ptx/half.cuh"

namespace brenier {
namespace rotated {

using Params = brenier_rotated_search_params;

enum {
	S = BRENIER_AXES,
	FAMILY = BRENIER_FAMILY,
	SET = BRENIER_SET,
	FAMILIES = SET / FAMILY,
	UNIT = BRENIER_ROTATED_UNIT
};

__device__ __forceinline__ float minus_infinity() { return float_value(0xff800000u); }

// The level of a cell; none past the last.
__device__ __forceinline__ float level_of(const Params &p, int64_t cell) {
	return cell < p.N ? (float)((double)p.heights[cell] - *p.highest) : minus_infinity();
}

// A level or a score as a screen has it, rounded once.
__device__ __forceinline__ float screened(const Params &p, float score) {
	return (float)((double)score * power_of_two(p.z_exponent + p.v_exponent) + BRENIER_ROTATED_SCREEN_OFFSET);
}

// B, plus more than what rounding takes off it and a cut.
__device__ __forceinline__ float screen_bound(const Params &p, const float *v) {
	float square = 0.0f;
#pragma unroll
	for (int j = 0; j < S; j += 4) {
		const float4 four = *(const float4 *)(v + j);
		square = fmaf(four.x, four.x, fmaf(four.y, four.y, fmaf(four.z, four.z, fmaf(four.w, four.w, square))));
	}
	const float length = sqrtf(square) * (float)power_of_two(p.v_exponent);
	return fmaf((0x1p-10f + 0x1p-15f) * length, p.reach, 5120.0f);
}

}  // namespace rotated
}  // namespace brenier
