// The screen on mma.sync (sm_80 and later): scores of 128 samples a block against a split's cells.
//
// Four warps of 32 samples each take every tile of 128 cells whole, so that a row belongs to one quad
// of lanes. The cells stream through three stages of shared memory, a slice of 64 dimensions at a
// time; the samples stay there from beginning to end where they fit (`resident`), otherwise their
// slice comes along with the cells'. What is kept of the scores, locate_epilogue.cuh says.
//
// Grid: (row tiles, splits); 128 threads. Shared memory, in this order:
//   samples  [slices][16384]               if resident
//   stages   [3] x (cells [16384], samples [16384] if not resident)
//   levels   [3][128] float32, or [2][128] where a tile is several slices: they come with the last one
#include "locate_epilogue.cuh"
#include "ptx/block.cuh"
#include "ptx/cp_async.cuh"
#include "ptx/dependent.cuh"
#include "ptx/ldmatrix.cuh"
#include "ptx/mma.cuh"

namespace brenier {
namespace {

constexpr int THREADS = 128, STAGES = 3;
constexpr int SLICE = BRENIER_LOCATE_SLICE_BYTES, TILE = BRENIER_LOCATE_TILE;

// All threads of the block copy a slice.
__device__ __forceinline__ void copy_slice(unsigned char *to, const unsigned char *from) {
#pragma unroll
	for (int i = 0; i < SLICE / 16 / THREADS; i++) {
		const int at = (i * THREADS + threadIdx.x) * 16;
		cp_async_16(to + at, from + at);
	}
}

// A walk over the slices of a split's tiles, in the order in which they are multiplied.
struct Walk {
	int tile, slice;
	__device__ __forceinline__ void next(int slices) {
		if (++slice == slices) {
			slice = 0;
			tile++;
		}
	}
};

struct Shared {
	unsigned char *samples;  // if resident
	unsigned char *stages;
	float *levels;
	int stage_bytes;

	// Where a tile's levels lie: the next one's may be under way, and of single slices the one's after.
	__device__ __forceinline__ float *levels_of(int slices, int tile, int stage) const {
		return levels + (slices == 1 ? stage : tile & 1) * TILE;
	}
};

// Asks for what one step of the walk needs.
__device__ __forceinline__ void load(const brenier_locate_screen_params &p, const Shared &s, Walk at, int stage) {
	unsigned char *const to = s.stages + stage * s.stage_bytes;
	copy_slice(to, p.cells + ((int64_t)at.tile * p.slices + at.slice) * SLICE);
	if (!p.resident) copy_slice(to + SLICE, p.samples + ((int64_t)blockIdx.x * p.slices + at.slice) * SLICE);
	if (at.slice == p.slices - 1 && threadIdx.x < TILE / 4)
		cp_async_16(s.levels_of(p.slices, at.tile, stage) + threadIdx.x * 4, p.levels + (int64_t)at.tile * TILE + threadIdx.x * 4);
}

// d[m] [16 samples, 128 cells] += the products over 16 dimensions, step `step` of a slice. `samples`
// is the slice at the warp's 32 rows.
__device__ __forceinline__ void multiply(float (&d)[2][64], const unsigned char *samples, const unsigned char *cells,
                                         int step) {
	// Every row that a lane points at is lane%8 modulo 8, so the swizzle is one number a step.
	const int lane = lane_id();
	const unsigned char *const a_row = samples + lane % 16 * 128 + ((step * 2 + lane / 16) ^ lane % 8) * 16;
	const unsigned char *const b_row =
		cells + (lane / 16 * 8 + lane % 8) * 128 + ((step * 2 + lane / 8 % 2) ^ lane % 8) * 16;
	uint32_t a[2][4];
#pragma unroll
	for (int m = 0; m < 2; m++) ldmatrix_x4(a[m], a_row + m * 16 * 128);
#pragma unroll
	for (int j = 0; j < 16; j += 2) {
		uint32_t b[4];
		ldmatrix_x4(b, b_row + j * 8 * 128);
		const uint32_t left[2] = {b[0], b[1]}, right[2] = {b[2], b[3]};
#pragma unroll
		for (int m = 0; m < 2; m++) {
			mma_f16(*(float(*)[4])(d[m] + 4 * j), a[m], left);
			mma_f16(*(float(*)[4])(d[m] + 4 * j + 4), a[m], right);
		}
	}
}

__device__ __forceinline__ void clear(float (&d)[2][64]) {
#pragma unroll
	for (int i = 0; i < 64; i++) d[0][i] = d[1][i] = 0;
}

// candidates: keep cells for k = 1; otherwise write the maxima of groups.
template <bool candidates>
__device__ __forceinline__ void screen(const brenier_locate_screen_params &p) {
	const int warp = threadIdx.x / 32, t = threadIdx.x % 4;
	const int split = blockIdx.y;
	const int first = (int)((int64_t)split * p.tiles / p.splits), end = (int)((int64_t)(split + 1) * p.tiles / p.splits);
	const int64_t row = (int64_t)blockIdx.x * TILE + warp * 32 + threadIdx.x % 32 / 4;  // the lane's first; also 8, 16, 24 on

	Shared s;
	s.samples = dynamic_shared();
	s.stages = s.samples + (p.resident ? p.slices * SLICE : 0);
	s.stage_bytes = p.resident ? SLICE : 2 * SLICE;
	s.levels = (float *)(s.stages + STAGES * s.stage_bytes);

	launch_dependents();
	wait_for_prerequisites();
	if (p.resident)
		for (int slice = 0; slice < p.slices; slice++)
			copy_slice(s.samples + slice * SLICE, p.samples + ((int64_t)blockIdx.x * p.slices + slice) * SLICE);
	Walk ahead = {first, 0};
	for (int stage = 0; stage < STAGES - 1; stage++) {
		if (ahead.tile < end) load(p, s, ahead, stage);
		ahead.next(p.slices);
		cp_async_commit();
	}

	float scale[2][2];
	LocateFound found[2][2];
#pragma unroll
	for (int m = 0; m < 2; m++)
#pragma unroll
		for (int half = 0; half < 2; half++) {
			scale[m][half] = p.rows[row + m * 16 + half * 8].scale;
			if (candidates) found[m][half] = locate_begin(p, row + m * 16 + half * 8);
		}

	float d[2][64];
	clear(d);
	int stage = 0;
	for (Walk at = {first, 0}; at.tile < end; at.next(p.slices)) {
		cp_async_wait<STAGES - 2>();
		sync_threads();  // this stage has landed for all, and all are done with the one before
		const int behind = stage == 0 ? STAGES - 1 : stage - 1;
		if (ahead.tile < end) load(p, s, ahead, behind);
		ahead.next(p.slices);
		cp_async_commit();

		const unsigned char *const cells = s.stages + stage * s.stage_bytes;
		const unsigned char *const samples = (p.resident ? s.samples + at.slice * SLICE : cells + SLICE) + warp * 32 * 128;
		const int steps = min(4, p.steps - at.slice * 4);
		if (steps == 4) {
#pragma unroll
			for (int step = 0; step < 4; step++) multiply(d, samples, cells, step);
		} else {
#pragma unroll 1
			for (int step = 0; step < steps; step++) multiply(d, samples, cells, step);
		}

		if (at.slice == p.slices - 1) {
			const float *const levels = s.levels_of(p.slices, at.tile, stage);
#pragma unroll
			for (int m = 0; m < 2; m++) {
				const LocateMaxima maxima = locate_finish<0>(d[m], levels, t, scale[m][0], scale[m][1]);
				if (candidates)
					locate_candidates<0>(d[m], maxima, found[m], p, row + m * 16, split, at.tile * TILE, t);
				else
					locate_write_maxima(maxima, p.maxima, row + m * 16, at.tile, p.tiles, t);
			}
			clear(d);
		}
		stage = stage == STAGES - 1 ? 0 : stage + 1;
	}
	cp_async_wait<0>();
	if (candidates)
#pragma unroll
		for (int m = 0; m < 2; m++)
#pragma unroll
			for (int half = 0; half < 2; half++) locate_end(p, found[m][half], row + m * 16 + half * 8, split, t);
}

}  // namespace

BRENIER_KERNEL(brenier_cuda_locate_mma_candidates, brenier_locate_screen_params, THREADS, 2) { screen<true>(p); }
BRENIER_KERNEL(brenier_cuda_locate_mma_maxima, brenier_locate_screen_params, THREADS, 2) { screen<false>(p); }

}  // namespace brenier
