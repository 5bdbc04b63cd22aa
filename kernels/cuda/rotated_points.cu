// The points in the axes of a frame: z_ia = <q_a, y_i>, a float32 fma chain over dimensions 0 .. d-1
// that starts at zero. A matrix product with that order: a block makes 128 places of z for 64 axes, 8 by
// 8 in the registers of each thread, from 16 dimensions in shared memory at a time.
#include "rotated.h"

#include "device.cuh"
#include "ptx/block.cuh"
#include "ptx/dependent.cuh"

namespace brenier {
namespace {

enum {
	THREADS = BRENIER_ROTATED_POINTS_THREADS,
	CELLS = BRENIER_ROTATED_POINTS_CELLS,
	AXES = BRENIER_ROTATED_POINTS_AXES,
	DIMS = 16,
	ACROSS = CELLS / 8  // threads beside one another
};
static_assert(ACROSS * AXES / 8 == THREADS && CELLS == THREADS, "the threads' squares cover the tile, which has as many cells");

// The odd four columns keep transposed writes apart.
struct Tile {
	float points[DIMS][CELLS + 4];
	float axes[DIMS][AXES + 4];
	uint32_t cells[CELLS];  // of the places; past the last cell, that one
};

// The first of four cells whose places are 4 quad .. 4 quad + 3, tile after tile.
__device__ __forceinline__ int64_t cell_of(const brenier_rotated_points_params &p, int quad) {
	const int tile = quad / (8 * p.steps), within = quad - tile * 8 * p.steps;
	return (int64_t)tile * 32 * p.steps + within % 8 * 4 * p.steps + within / 8 * 4;
}

}  // namespace

BRENIER_KERNEL(brenier_cuda_rotated_points, brenier_rotated_points_params, THREADS, 4) {
	__shared__ __align__(16) Tile tile;
	launch_dependents();
	wait_for_prerequisites();
	const int d = p.d, quads = p.tiles * 8 * p.steps;
	const int first_quad = blockIdx.x * (CELLS / 4), first_axis = blockIdx.y * AXES;
	const int column = threadIdx.x % ACROSS, row = threadIdx.x / ACROSS;
	const int dim = threadIdx.x % 8, from = threadIdx.x / 8;  // what this thread brings: a warp 32 bytes of four rows

	const int quad = min(first_quad + (int)threadIdx.x / 4, quads - 1);
	tile.cells[threadIdx.x] = (uint32_t)min(cell_of(p, quad) + threadIdx.x % 4, (int64_t)p.N - 1);
	sync_threads();

	float sums[8][8];
#pragma unroll
	for (int a = 0; a < 8; a++)
#pragma unroll
		for (int c = 0; c < 8; c++) sums[a][c] = 0.0f;

#pragma unroll 1
	for (int k = 0; k < d; k += DIMS) {
#pragma unroll
		for (int j = 0; j < DIMS; j += 8) {
			// Past the last dimension axes are 0, and what of the points is read does not matter.
			const int at = min(k + j + dim, d - 1);
			const float *const point = p.points + at, *const axis = p.frame + at;
#pragma unroll
			for (int r = 0; r < CELLS; r += ACROSS) tile.points[j + dim][from + r] = point[(uint64_t)tile.cells[from + r] * (uint32_t)d];
#pragma unroll
			for (int r = 0; r < AXES; r += ACROSS) {
				const float q = axis[(uint64_t)(uint32_t)min(first_axis + from + r, d - 1) * (uint32_t)d];
				tile.axes[j + dim][from + r] = k + j + dim < d ? q : 0.0f;
			}
		}
		sync_threads();
#pragma unroll 4
		for (int i = 0; i < DIMS; i++) {
			float y[8], q[8];
#pragma unroll
			for (int h = 0; h < 2; h++) {
				const float4 ys = *(const float4 *)&tile.points[i][4 * column + h * CELLS / 2];
				const float4 qs = *(const float4 *)&tile.axes[i][4 * row + h * AXES / 2];
				y[4 * h] = ys.x, y[4 * h + 1] = ys.y, y[4 * h + 2] = ys.z, y[4 * h + 3] = ys.w;
				q[4 * h] = qs.x, q[4 * h + 1] = qs.y, q[4 * h + 2] = qs.z, q[4 * h + 3] = qs.w;
			}
#pragma unroll
			for (int a = 0; a < 8; a++)
#pragma unroll
				for (int c = 0; c < 8; c++) sums[a][c] = fmaf(q[a], y[c], sums[a][c]);
		}
		sync_threads();
	}
#pragma unroll
	for (int h = 0; h < 2; h++) {
		const int quad = first_quad + column + h * ACROSS;
		if (quad >= quads) continue;
		const int z_tile = quad / (8 * p.steps), place = 4 * (quad - z_tile * 8 * p.steps);
		float *const z = p.z + (int64_t)z_tile * d * 32 * p.steps + place;
#pragma unroll
		for (int a = 0; a < 8; a++) {
			const int axis = first_axis + 4 * row + a % 4 + a / 4 * (AXES / 2);
			if (axis >= d) continue;
			*(float4 *)(z + (int64_t)axis * 32 * p.steps) =
				make_float4(sums[a][4 * h], sums[a][4 * h + 1], sums[a][4 * h + 2], sums[a][4 * h + 3]);
		}
	}
}

}  // namespace brenier
