// The cells of rotated draws, from float32 scores in the order of kernels/cpu/rotated.h.
//
// A choice's twelve draws share the sums over the halves of their coefficients: a score takes 4 products,
// 1.5 additions, a maximum, and a third of a cell's four values of z in one load. So many scores would want
// more bytes of z than a second-level cache has; a block therefore keeps a tile, all axes of some cells, in
// shared memory while choices go by. Eight lanes share a choice: they read 128 bytes of an axis at a time,
// which takes one wavefront whichever axes the warp's other choices have, and the maximum over their cells
// takes three steps, not five, and is of four times as many.
//
// Search keeps the maxima of the lanes' groups alone. Finish scores the cells of the best groups again.
#include "../cpu/rotated.h"
#include "rotated.h"

#include "device.cuh"
#include "exact_score.cuh"
#include "ptx/block.cuh"
#include "ptx/dependent.cuh"
#include "ptx/half.cuh"
#include "ptx/registers.cuh"
#include "ptx/warp.cuh"

namespace brenier {
namespace {

using Params = brenier_rotated_search_params;

enum {
	THREADS = BRENIER_ROTATED_SEARCH_THREADS,
	WARPS = THREADS / 32,
	LANES = BRENIER_ROTATED_GROUPS,
	QUAD = BRENIER_ROTATED_QUAD,
	S = BRENIER_ROTATED_AXES,
	FAMILY = BRENIER_FAMILY,
	CHOICE = BRENIER_CHOICE,
	FAMILIES = CHOICE / FAMILY
};

__device__ __forceinline__ float minus_infinity() { return float_value(0xff800000u); }

__device__ __forceinline__ float level_of(const Params &p, int64_t cell) {
	return cell < p.N ? (float)((double)p.heights[cell] - *p.highest) : minus_infinity();
}

// The cell that lies at a place of a tile.
__device__ __forceinline__ int64_t cell_at(const Params &p, int tile, int place) {
	return (int64_t)tile * 32 * p.steps + place / 4 % LANES * 4 * p.steps + place / 32 * 4 + place % 4;
}

// Scores this lane's four cells of a step, and takes their scores into the highest of each draw. at: how many
// bytes on from z they are, for each axis.
__device__ __forceinline__ void score_step(const float (&c)[FAMILIES][S], const int (&at)[S], const char *z,
                                           const float *levels, float (&most)[CHOICE]) {
	float sums[2][FAMILIES][4];
#pragma unroll
	for (int j = 0; j < S; j++) {
		const float4 four = *(const float4 *)(z + at[j]);
		const float y[4] = {four.x, four.y, four.z, four.w};
#pragma unroll
		for (int f = 0; f < FAMILIES; f++)
#pragma unroll
			for (int t = 0; t < 4; t++) {
				float &sum = sums[j / (S / 2)][f][t];
				sum = j % (S / 2) == 0 ? c[f][j] * y[t] : fmaf(c[f][j], y[t], sum);
			}
	}
	const float4 four = *(const float4 *)levels;
	const float level[4] = {four.x, four.y, four.z, four.w};
#pragma unroll
	for (int f = 0; f < FAMILIES; f++)
#pragma unroll
		for (int t = 0; t < 4; t++) {
			const float sum = sums[0][f][t] + sums[1][f][t], difference = sums[0][f][t] - sums[1][f][t];
			float *const high = most + f * FAMILY;
			high[0] = fmaxf(high[0], level[t] + sum);
			high[1] = fmaxf(high[1], level[t] - sum);
			high[2] = fmaxf(high[2], level[t] + difference);
			high[3] = fmaxf(high[3], level[t] - difference);
		}
}

// Leaves the k best groups of a tile for each draw of the choice, from what its eight lanes have.
template <bool one>
__device__ __forceinline__ void leave(const Params &p, int tile, int choice, float (&most)[CHOICE]) {
	const int lane = (int)lane_id(), member = lane % LANES, k = one ? 1 : p.k;
	const uint32_t before = ((1u << member) - 1) << (lane - member);  // the choice's lanes of lower groups
	const uint32_t group = (uint32_t)(tile * LANES + member);
	uint2 *const to = (uint2 *)p.tops + ((int64_t)choice * CHOICE * p.tiles + tile) * k;
	const int stride = p.tiles * k;
#pragma unroll
	for (int q = 0; q < CHOICE; q++) {
#pragma unroll 1
		for (int i = 0; i < k; i++) {
			float high = most[q];
#pragma unroll
			for (int mask = LANES / 2; mask > 0; mask /= 2) high = fmaxf(high, shuffle_xor(high, mask));
			const bool highest = most[q] == high;
			const uint32_t others = ballot(highest) & before;
			const bool takes = highest && others == 0;
			if (takes && choice < p.choices) to[(int64_t)q * stride + i] = make_uint2(float_bits(high), group);
			if (!one && takes) most[q] = minus_infinity();
		}
	}
}

// Scores four choices against a tile, z at its first place: in shared memory or not.
__device__ __forceinline__ void score_quad(const Params &p, int tile, int quad, const float *z, const float *levels) {
	const int lane = (int)lane_id(), place = lane % LANES * 4;
	const int choice = min(quad * QUAD + lane / LANES, p.choices - 1);
	float c[FAMILIES][S];
#pragma unroll
	for (int i = 0; i < FAMILIES * S; i += 4) {
		const float4 four = *(const float4 *)(p.v + (int64_t)choice * FAMILIES * S + i);
		c[i / S][i % S] = four.x, c[i / S][i % S + 1] = four.y, c[i / S][i % S + 2] = four.z, c[i / S][i % S + 3] = four.w;
	}
	int at[S];
#pragma unroll
	for (int j = 0; j < S; j += 4) {
		const int4 four = *(const int4 *)(p.axes + (int64_t)choice * S + j);
		const int axes[4] = {four.x, four.y, four.z, four.w};
#pragma unroll
		for (int i = 0; i < 4; i++) at[j + i] = 4 * (axes[i] * 32 * p.steps + place);
	}
	float most[CHOICE];
#pragma unroll
	for (int q = 0; q < CHOICE; q++) most[q] = minus_infinity();
	levels += place;
#pragma unroll 1
	for (int step = 0; step < p.steps; step++, z += 32, levels += 32) score_step(c, at, (const char *)z, levels, most);
	keep(quad);  // the choice is found again: all registers are taken
	if (p.k == 1) leave<true>(p, tile, quad * QUAD + lane / LANES, most);
	else leave<false>(p, tile, quad * QUAD + lane / LANES, most);
}

// A block's share of all tiles times all quads of choices: a run of them, tile after tile.
template <bool staged>
__device__ __forceinline__ void search(const Params &p) {
	launch_dependents();
	wait_for_prerequisites();
	float *const levels = (float *)dynamic_shared(), *const kept = levels + 32 * BRENIER_ROTATED_STEPS;
	const int quads = (p.choices + QUAD - 1) / QUAD, width = 32 * p.steps;
	const int64_t units = p.tiles * quads;
	int at = (int)(units * blockIdx.x / gridDim.x);
	const int end = (int)(units * (blockIdx.x + 1) / gridDim.x);
	while (at < end) {
		const int tile = at / quads, first = at - tile * quads;
		const int last = min(quads, first + (end - at));
		const float *const z = p.z + (int64_t)tile * p.d * width;
		for (int i = threadIdx.x; i < width; i += THREADS) levels[i] = level_of(p, cell_at(p, tile, i));
		if (staged) {
#pragma unroll 4
			for (int i = threadIdx.x; i < p.d * width / 4; i += THREADS) ((float4 *)kept)[i] = ((const float4 *)z)[i];
		}
		sync_threads();
#pragma unroll 1
		for (int quad = first + threadIdx.x / 32; quad < last; quad += WARPS) {
			if (staged) score_quad(p, tile, quad, kept, levels);
			else score_quad(p, tile, quad, z, levels);
		}
		sync_threads();
		at += last - first;
	}
}

// The score of a cell for draw `row` of the choices: that of score_step.
__device__ __forceinline__ float score_of(const Params &p, int row, int tile, int place, int64_t cell) {
	const int choice = row / CHOICE, sign = row % FAMILY;
	const int32_t *const axes = p.axes + (int64_t)choice * S;
	const float *const v = p.v + (int64_t)(row / FAMILY) * S;
	const float *const z = p.z + (int64_t)tile * p.d * 32 * p.steps + place;
	float sums[2];
#pragma unroll
	for (int j = 0; j < S; j++) {
		const float y = z[(int64_t)axes[j] * 32 * p.steps];
		float &sum = sums[j / (S / 2)];
		sum = j % (S / 2) == 0 ? v[j] * y : fmaf(v[j], y, sum);
	}
	const float all = sign < 2 ? sums[0] + sums[1] : sums[0] - sums[1];
	const float level = level_of(p, cell);
	return sign % 2 == 0 ? level + all : level - all;
}

}  // namespace

// z in shared memory, tile by tile.
BRENIER_KERNEL(brenier_cuda_rotated_search, brenier_rotated_search_params, THREADS, 2) { search<true>(p); }

// z as it lies: for tiles of more axes than shared memory holds.
BRENIER_KERNEL(brenier_cuda_rotated_search_wide, brenier_rotated_search_params, THREADS, 1) { search<false>(p); }

// The k best cells are in the k best groups: before a cell of any other group come the best cells of
// these.
BRENIER_KERNEL(brenier_cuda_rotated_finish, brenier_rotated_search_params, BRENIER_ROTATED_FINISH_THREADS, 4) {
	launch_dependents();
	wait_for_prerequisites();
	const int lane = (int)lane_id();
	const int draw = blockIdx.x * (BRENIER_ROTATED_FINISH_THREADS / 32) + threadIdx.x / 32;
	if (draw >= p.draws) return;
	const int row = p.skip + draw, entries = p.tiles * p.k;
	const uint2 *const tops = (const uint2 *)(p.tops + (int64_t)row * entries);
	Scored groups = no_cell();
#pragma unroll 1
	for (int at = 0; at < entries; at += 32) {
		Scored mine = no_cell();
		if (at + lane < entries) {
			const uint2 top = tops[at + lane];
			const float score = float_value(top.x);
			if (score != minus_infinity()) mine = {(double)score, (int32_t)top.y};  // else a group past cell N
		}
		top_offer(groups, mine, p.k);
	}
	Scored best = no_cell();
#pragma unroll 1
	for (int i = 0; i < p.k; i++) {
		const Scored group = shuffle(groups, i);
		if (group.cell == no_cell().cell) break;
		const int tile = group.cell / LANES, member = group.cell % LANES;
		const int place = lane / 4 * 32 + member * 4 + lane % 4;
		const int64_t cell = cell_at(p, tile, place);
		Scored mine = no_cell();
		if (lane < 4 * p.steps && cell < p.N) mine = {(double)score_of(p, row, tile, place, cell), (int32_t)cell};
		top_offer(best, mine, p.k);
	}
	if (lane >= p.k) return;
	p.cells[(int64_t)draw * p.k + lane] = best.cell;
	p.scores[(int64_t)draw * p.k + lane] = *p.highest + best.score;
}

}  // namespace brenier
