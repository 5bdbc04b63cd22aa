// The points in the axes of a frame: z_ia = <q_a, y_i>, a float32 fma chain over dimensions 0 .. d-1
// that starts at zero. A matrix product with that order: a block makes 128 cells for 64 axes, 8
// by 8 in the registers of each thread, from 8 dimensions in shared memory at a time; the next 8 are on
// their way meanwhile.
#include "rotated.h"

#include "device.cuh"
#include "ptx/block.cuh"
#include "ptx/dependent.cuh"
#include "ptx/half.cuh"

namespace brenier {
namespace {

enum {
	THREADS = BRENIER_ROTATED_POINTS_THREADS,
	CELLS = BRENIER_ROTATED_POINTS_CELLS,
	AXES = BRENIER_ROTATED_POINTS_AXES,
	DIMS = 8,
	ACROSS = CELLS / 8,        // threads beside one another
	ROWS = 4 * THREADS / DIMS  // that all threads bring at a time, four dimensions each
};
static_assert(ACROSS * AXES / 8 == THREADS && CELLS == 2 * ROWS && AXES == ROWS, "the threads' parts cover the tile");

// The odd four columns keep transposed writes apart.
struct Tile {
	float points[DIMS][CELLS + 4];
	float axes[DIMS][AXES + 4];
};

// Coordinates at .. at+3 of a row; past the last, which coordinate does not matter.
__device__ __forceinline__ float4 four_of(const float *row, int at, int d) {
	if (d % 4 == 0) return *(const float4 *)(row + min(at, d - 4));
	return make_float4(row[min(at, d - 1)], row[min(at + 1, d - 1)], row[min(at + 2, d - 1)], row[min(at + 3, d - 1)]);
}

// 2^e, for e in -126 .. 127.
__device__ __forceinline__ float float_power_of_two(int e) { return float_value((uint32_t)(127 + e) << 23); }

}  // namespace

BRENIER_KERNEL(brenier_cuda_rotated_points, brenier_rotated_points_params, THREADS, 4) {
	__shared__ __align__(16) Tile tile;
	launch_dependents();
	wait_for_prerequisites();
	const int d = p.d;
	const int first_cell = blockIdx.x * CELLS, first_axis = blockIdx.y * AXES;
	const int column = threadIdx.x % ACROSS, row = threadIdx.x / ACROSS;
	const int dim = threadIdx.x % (DIMS / 4) * 4, from = threadIdx.x / (DIMS / 4);  // what this thread brings

	float4 ys[2], qs;
	const auto bring = [&](int k) {
#pragma unroll
		for (int h = 0; h < 2; h++) ys[h] = four_of(p.points + (int64_t)min(first_cell + from + h * ROWS, p.N - 1) * d, k + dim, d);
		qs = four_of(p.frame + (int64_t)min(first_axis + from, d - 1) * d, k + dim, d);
	};

	float sums[8][8];
#pragma unroll
	for (int a = 0; a < 8; a++)
#pragma unroll
		for (int c = 0; c < 8; c++) sums[a][c] = 0.0f;

	bring(0);
#pragma unroll 1
	for (int k = 0; k < d; k += DIMS) {
#pragma unroll
		for (int h = 0; h < 2; h++) {
			const float y[4] = {ys[h].x, ys[h].y, ys[h].z, ys[h].w};
#pragma unroll
			for (int j = 0; j < 4; j++) tile.points[dim + j][from + h * ROWS] = y[j];
		}
		const float own[4] = {qs.x, qs.y, qs.z, qs.w};
#pragma unroll
		for (int j = 0; j < 4; j++) tile.axes[dim + j][from] = k + dim + j < d ? own[j] : 0.0f;  // past the last, nothing is added
		sync_threads();
		if (k + DIMS < d) bring(k + DIMS);
#pragma unroll 2
		for (int i = 0; i < DIMS; i++) {
			float y[8], q[8];
#pragma unroll
			for (int h = 0; h < 2; h++) {
				const float4 four = *(const float4 *)&tile.points[i][4 * column + h * CELLS / 2];
				const float4 axes = *(const float4 *)&tile.axes[i][4 * row + h * AXES / 2];
				y[4 * h] = four.x, y[4 * h + 1] = four.y, y[4 * h + 2] = four.z, y[4 * h + 3] = four.w;
				q[4 * h] = axes.x, q[4 * h + 1] = axes.y, q[4 * h + 2] = axes.z, q[4 * h + 3] = axes.w;
			}
#pragma unroll
			for (int a = 0; a < 8; a++)
#pragma unroll
				for (int c = 0; c < 8; c++) sums[a][c] = fmaf(q[a], y[c], sums[a][c]);
		}
		sync_threads();
	}

	// Two factors, as one may be beyond float32.
	const int half = p.z_exponent / 2;
	const float scale = float_power_of_two(half), rest = float_power_of_two(p.z_exponent - half);
	const int64_t C = (int64_t)p.units * BRENIER_ROTATED_UNIT;
	const int z_tile = (int)(first_cell / C), place = (int)(first_cell % C) + 4 * column;
#pragma unroll
	for (int a = 0; a < 8; a++) {
		const int at = first_axis + 4 * row + a % 4 + a / 4 * (AXES / 2);
		if (at >= d) continue;
#pragma unroll
		for (int h = 0; h < 2; h++) {
			const float *const four = sums[a] + 4 * h;
			const int64_t to = ((int64_t)z_tile * d + at) * C + place + h * CELLS / 2;
			*(float4 *)(p.z + to) = make_float4(four[0], four[1], four[2], four[3]);
			*(uint2 *)(p.z16 + to) = make_uint2(pack_half2(four[0] * scale * rest, four[1] * scale * rest),
			                                    pack_half2(four[2] * scale * rest, four[3] * scale * rest));
		}
	}
}

}  // namespace brenier
