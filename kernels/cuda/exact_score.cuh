// Exact scores and their order: what decides a cell, in every kernel that decides one.
//
//   score = h + x_0 y_0 + x_1 y_1 + ...,  float64, one fma a step, in this order
//   order: score descending, then cell ascending
//
// A step costs one float64 instruction. Float64 converts from float32 at a quarter of its own rate
// or less, so one factor is converted by moving bits, which leaves it 2^896 too small, and the other
// is made as much too large: their product is the same real number, so the fma rounds to the same
// bits. All float32 survive both ways: the largest becomes less than 2^1024, the smallest (2^-149) a
// subnormal float64 with bits to spare.
#pragma once
#include "device.cuh"
#include "ptx/half.cuh"
#include "ptx/warp.cuh"

namespace brenier {

// v 2^-896 for finite v: the bits of v with the fraction and exponent in the places of float64.
__device__ __forceinline__ double lowered(float v) {
	const uint32_t bits = float_bits(v);
	const uint32_t high = (uint32_t)((int32_t)bits >> 3) & 0x8fffffffu;
	return double_value((uint64_t)high << 32 | (uint32_t)(bits << 29));
}
// v itself: one float64 multiplication in place of a conversion.
__device__ __forceinline__ double widened(float v) { return lowered(v) * 0x1p896; }
// v 2^896.
__device__ __forceinline__ double lifted(float v) { return widened(v) * 0x1p896; }

// `sum` continued over dimensions 0 .. d-1, the one factor lifted [d]. Where d is a multiple of 4, y
// is aligned to 16 bytes.
__device__ __forceinline__ double exact_chain(const double *lifted_x, const float *y, int d, double sum) {
	int k = 0;
	if (d % 4 == 0) {
		const float4 *quads = (const float4 *)y;
#pragma unroll 4
		for (; k < d; k += 4) {
			const float4 v = quads[k / 4];
			sum = fma(lifted_x[k], lowered(v.x), sum);
			sum = fma(lifted_x[k + 1], lowered(v.y), sum);
			sum = fma(lifted_x[k + 2], lowered(v.z), sum);
			sum = fma(lifted_x[k + 3], lowered(v.w), sum);
		}
	}
#pragma unroll 4
	for (; k < d; k++) sum = fma(lifted_x[k], lowered(y[k]), sum);
	return sum;
}

// The score of a cell: x lifted [d], the cell's point y [d] and height.
__device__ __forceinline__ double exact_score(const double *lifted_x, const float *y, int d, float height) {
	return exact_chain(lifted_x, y, d, (double)height);
}
// The same of a sample as it is, x [d], aligned like y: thrice the float64 instructions.
__device__ __forceinline__ double exact_score(const float *x, const float *y, int d, float height) {
	double sum = (double)height;
	int k = 0;
	if (d % 4 == 0) {
#pragma unroll 4
		for (; k < d; k += 4) {
			const float4 a = *(const float4 *)(x + k), b = *(const float4 *)(y + k);
			sum = fma(lifted(a.x), lowered(b.x), sum);
			sum = fma(lifted(a.y), lowered(b.y), sum);
			sum = fma(lifted(a.z), lowered(b.z), sum);
			sum = fma(lifted(a.w), lowered(b.w), sum);
		}
	}
#pragma unroll 4
	for (; k < d; k++) sum = fma(lifted(x[k]), lowered(y[k]), sum);
	return sum;
}

// A cell with its score.
struct Scored {
	double score;
	int32_t cell;
};

// Comes after every cell that there is: finite inputs have finite scores.
__device__ __forceinline__ Scored no_cell() { return {-double_value(0x7ff0000000000000u), 0x7fffffff}; }

// Whether a comes before b.
__device__ __forceinline__ bool precedes(Scored a, Scored b) {
	return a.score > b.score || (a.score == b.score && a.cell < b.cell);
}

__device__ __forceinline__ Scored shuffle(Scored a, int source) {
	return {shuffle(a.score, source), shuffle(a.cell, source)};
}

// The best of the warp's cells, in every lane.
__device__ __forceinline__ Scored warp_best(Scored mine) {
#pragma unroll
	for (int mask = 16; mask > 0; mask /= 2) {
		const Scored other = {shuffle_xor(mine.score, mask), shuffle_xor(mine.cell, mask)};
		if (precedes(other, mine)) mine = other;
	}
	return mine;
}

// The top-k list of a warp, k <= 32: lane j holds the j-th best, no_cell() where there is none yet;
// lanes from k on hold what came after the k-th, or nothing of meaning.

// Puts one cell, the same in all lanes, in its place of the list.
__device__ __forceinline__ void top_insert(Scored &top, Scored cell) {
	const Scored before = {shuffle_up(top.score, 1), shuffle_up(top.cell, 1)};
	const bool stays = precedes(top, cell);
	const bool takes = lane_id() == 0 || precedes(before, cell);  // the first that does not stay
	if (!stays) top = takes ? cell : before;
}

// Offers 32 cells, one a lane (no_cell() where there is none), to the list of k. No cell may be
// offered twice.
__device__ __forceinline__ void top_offer(Scored &top, Scored mine, int k) {
	for (;;) {
		const uint32_t better = ballot(precedes(mine, shuffle(top, k - 1)));
		if (better == 0) return;
		const int source = __ffs((int)better) - 1;
		top_insert(top, shuffle(mine, source));
		if ((int)lane_id() == source) mine = no_cell();
	}
}

}  // namespace brenier
