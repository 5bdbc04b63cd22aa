// The screen for sm_90a: scores of 256 samples by 128 cells at a time, by warpgroups.
//
// A block keeps two row tiles of samples in shared memory; the cells stream past them in slices of 128
// cells by 64 dimensions (16 KiB), through a ring of stages that one thread fills (the producer) and
// two warpgroups empty, each with a row tile of its own (the consumers). Blocks are persistent: they
// take units (a pair of row tiles, a split of the cells) in turn, and those at work at the same time
// take the same split, so that its cells are read from memory once and from L2 thereafter.
//
// A consumer multiplies the lower and the upper 64 of its rows in turn, into two accumulators: what is
// kept of one is taken from it while the other is under way. Per slice s of tile c:
//
//   multiply lower(c, s)
//   wait for upper(c, s-1) or, at s = 0, for the last of tile c-1; hand its stage back; at s = 0 the
//      upper rows of tile c-1 are complete: take what is kept of them
//   multiply upper(c, s)
//
// and after the last slice: wait for lower(c, s), take what is kept of the lower rows. So one or two
// products are queued at any time, and the tensor cores never wait for the rest, which takes less.
//
// Reading both operands from shared memory takes 96 of its 128 bytes a clock; with the copies and the
// levels that would be all of it. So what fits of the samples is moved to registers when a unit
// begins: all for d <= 64, and the lower rows of two slices for more.
#include "locate_wgmma.h"
#include "locate_wgmma_epilogue.cuh"
#include "ptx/block.cuh"
#include "ptx/bulk_copy.cuh"
#include "ptx/dependent.cuh"
#include "ptx/ldmatrix.cuh"
#include "ptx/mbarrier.cuh"
#include "ptx/registers.cuh"
#include "ptx/wgmma.cuh"

namespace brenier {
namespace {

constexpr int tile_rows = BRENIER_LOCATE_TILE, slice_bytes = BRENIER_LOCATE_SLICE_BYTES;
constexpr int unit_rows = BRENIER_LOCATE_WGMMA_ROW_TILES * tile_rows;
constexpr int half_bytes = slice_bytes / 2;  // 64 rows of a slice
constexpr int max_stages = BRENIER_LOCATE_WGMMA_MAX_STAGES;
constexpr int warpgroup_threads = 128;
constexpr int slice_steps = BRENIER_LOCATE_SLICE / BRENIER_LOCATE_STEP;
constexpr int step_bytes = 2 * BRENIER_LOCATE_STEP;
constexpr int consumer_warps = 8;

// The block's shared memory.
struct Shared {
	unsigned char *samples;  // [2][slices][16384]
	unsigned char *cells;    // [stages][16384]
	float *levels;           // [stages][128]; of the stages with a tile's last slice
	Found *found;            // [256]
	uint64_t *full, *empty;  // [stages]
	uint64_t *samples_full, *samples_empty;
};
static_assert(unit_rows * sizeof(Found) + (2 * max_stages + 2) * sizeof(uint64_t) <= BRENIER_LOCATE_WGMMA_STATE_BYTES,
              "the state of a block has its room");

__device__ __forceinline__ Shared shared_of(int slices, int stages) {
	Shared s;
	s.samples = dynamic_shared();
	s.cells = s.samples + brenier_locate_wgmma_sample_bytes(slices);
	s.levels = (float *)(s.cells + stages * slice_bytes);
	s.found = (Found *)(s.levels + stages * tile_rows);
	s.full = (uint64_t *)(s.found + unit_rows);
	s.empty = s.full + max_stages;
	s.samples_full = s.empty + max_stages;
	s.samples_empty = s.samples_full + 1;
	return s;
}

// A place in the ring: a stage, and how often it has been come by, modulo 2.
struct Place {
	int stage;
	uint32_t parity;
	__device__ __forceinline__ void advance(int stages) {
		if (++stage == stages) {
			stage = 0;
			parity ^= 1;
		}
	}
};

// The work of a block.
struct Unit {
	int row_tile;     // the first of two
	int split;
	int first, last;  // cell tiles first .. last-1
};

__device__ __forceinline__ int unit_count(const brenier_locate_screen_params &p) {
	return (p.row_tiles + 1) / 2 * p.splits;
}
__device__ __forceinline__ Unit unit_of(const brenier_locate_screen_params &p, int u) {
	const int pairs = (p.row_tiles + 1) / 2;
	Unit unit;
	unit.split = u / pairs;
	unit.row_tile = 2 * (u % pairs);
	unit.first = (int)((int64_t)unit.split * p.tiles / p.splits);
	unit.last = (int)((int64_t)(unit.split + 1) * p.tiles / p.splits);
	return unit;
}
// The row tile of one of the unit's two consumers. Where there is none, it does the other's work again,
// and nothing is kept of it.
__device__ __forceinline__ int row_tile_of(const brenier_locate_screen_params &p, const Unit &unit, int consumer) {
	const int tile = unit.row_tile + consumer;
	return tile < p.row_tiles ? tile : unit.row_tile;
}

__device__ void produce(const brenier_locate_screen_params &p, const Shared &s, int stages) {
	const uint32_t tile_bytes = (uint32_t)p.slices * slice_bytes;
	Place place = {0, 0};
	uint32_t units_parity = 0;
	for (int u = blockIdx.x; u < unit_count(p); u += gridDim.x) {
		const Unit unit = unit_of(p, u);
		mbarrier_wait(s.samples_empty, units_parity ^ 1);
		units_parity ^= 1;
		mbarrier_arrive_expect(s.samples_full, 2 * tile_bytes);
		for (int consumer = 0; consumer < 2; consumer++) {
			bulk_copy(s.samples + consumer * tile_bytes,
			          p.samples + (int64_t)row_tile_of(p, unit, consumer) * tile_bytes, tile_bytes, s.samples_full);
		}
		for (int tile = unit.first; tile < unit.last; tile++) {
			const unsigned char *from = p.cells + (int64_t)tile * tile_bytes;
			for (int slice = 0; slice < p.slices; slice++, from += slice_bytes) {
				const bool last = slice == p.slices - 1;
				uint64_t *const full = s.full + place.stage;
				mbarrier_wait(s.empty + place.stage, place.parity ^ 1);
				mbarrier_arrive_expect(full, slice_bytes + (last ? tile_rows * 4 : 0));
				bulk_copy(s.cells + place.stage * slice_bytes, from, slice_bytes, full);
				if (last) {
					bulk_copy(s.levels + place.stage * tile_rows, p.levels + (int64_t)tile * tile_rows,
					          tile_rows * 4, full);
				}
				place.advance(stages);
			}
		}
	}
}

// The samples of a consumer as an operand. 32 registers a thread hold what they can of them: both halves
// of the rows for one slice, or the lower half for two; the rest stays in shared memory.
template <bool one_slice>
struct Samples {
	uint32_t registers[2][slice_steps][4];  // [upper] of one slice, or [slice] of the lower rows
	uint64_t half[2];                       // descriptors of slice 0 of the lower and the upper rows

	__device__ __forceinline__ void load(const unsigned char *tile, int thread) {
		const int lane = thread % 32;
#pragma unroll
		for (int i = 0; i < 2; i++) {
			const unsigned char *const slice = one_slice ? tile : tile + i * slice_bytes;
			const int row = (one_slice ? 64 * i : 0) + 16 * (thread / 32) + lane % 16;
#pragma unroll
			for (int step = 0; step < slice_steps; step++) {
				const int chunk = 2 * step + lane / 16;
				ldmatrix_x4(registers[i][step], slice + row * 128 + ((chunk ^ row % 8) * 16));
			}
		}
		half[0] = wgmma_descriptor(tile);
		half[1] = wgmma_descriptor(tile + half_bytes);
	}
	// From the registers [i].
	__device__ __forceinline__ void multiply_held(float (&d)[64], int i, uint64_t cells, bool first) const {
#pragma unroll
		for (int step = 0; step < slice_steps; step++)
			wgmma_f16<128>(d, registers[i][step], wgmma_advance(cells, step * step_bytes), !first || step != 0);
	}
	__device__ __forceinline__ void multiply_shared(float (&d)[64], int upper, int slice, uint64_t cells) const {
		const uint64_t samples = half[upper] + (uint64_t)slice * (slice_bytes >> 4);
#pragma unroll
		for (int step = 0; step < slice_steps; step++) {
			wgmma_f16<128>(d, wgmma_advance(samples, step * step_bytes), wgmma_advance(cells, step * step_bytes),
			               slice != 0 || step != 0);
		}
	}
	__device__ __forceinline__ void multiply_upper(float (&d)[64], int slice, uint64_t cells) const {
		if (one_slice)
			multiply_held(d, 1, cells, true);
		else
			multiply_shared(d, 1, slice, cells);
	}
};

template <class Keep, bool one_slice>
__device__ __forceinline__ void consume(const brenier_locate_screen_params &p, const Shared &s, int stages,
                                        int consumer, int thread) {
	const int slices = one_slice ? 1 : p.slices;
	const int warp = thread / 32, lane = thread % 32, t = lane % 4;
	const int row = 16 * warp + lane / 4;  // the lane's first of the row tile
	float lower[64], upper[64] = {};
	Place place = {0, 0};
	uint32_t units_parity = 0;
	const auto ready = [&] { mbarrier_wait(s.full + place.stage, place.parity); };
	const auto release = [&](int stage, bool taken = true) {
		if (lane == 0 && taken) mbarrier_arrive(s.empty + stage);
	};
	const auto cells = [&] { return wgmma_descriptor(s.cells + place.stage * slice_bytes); };

	for (int u = blockIdx.x; u < unit_count(p); u += gridDim.x) {
		const Unit unit = unit_of(p, u);
		const bool present = unit.row_tile + consumer < p.row_tiles;
		Keep kept{p, s.found + consumer * tile_rows + row,
		          (int64_t)row_tile_of(p, unit, consumer) * tile_rows + row, unit.split, t};
		Rows rows[2];
		kept.begin(rows, present);
		Samples<one_slice> samples;
		mbarrier_wait(s.samples_full, units_parity);
		units_parity ^= 1;
		samples.load(s.samples + consumer * slices * slice_bytes, thread);
		if (one_slice) {
			sync_warp();
			if (lane == 0) mbarrier_arrive(s.samples_empty);
		}

		// Before the first tile there is none to take the upper rows of: with these levels nothing reaches
		// a cut.
		Levels levels;
		levels.fill(float_value(0x7fffffffu));
		int before = 0;  // the stage of the slice before this one
#pragma unroll 1
		for (int tile = unit.first; tile < unit.last; tile++) {
			ready();
			wgmma_fence();
			samples.multiply_held(lower, 0, cells(), true);
			wgmma_commit();
			wgmma_wait<1>();
			wgmma_hold(upper);
			release(before, tile > unit.first);
			kept.template take<1>(upper, levels, rows[1], tile - 1);
			wgmma_fence();
			samples.multiply_upper(upper, 0, cells());
			wgmma_commit();
			if (!one_slice) {
				const auto next = [&](int slice) {
					before = place.stage;
					place.advance(stages);
					ready();
					wgmma_fence();
					if (slice == 1)
						samples.multiply_held(lower, 1, cells(), false);
					else
						samples.multiply_shared(lower, 0, slice, cells());
					wgmma_commit();
					wgmma_wait<1>();
					release(before);
					wgmma_fence();
					samples.multiply_upper(upper, slice, cells());
					wgmma_commit();
				};
				next(1);
#pragma unroll 1
				for (int slice = 2; slice < slices; slice++) next(slice);
			}
			wgmma_wait<1>();
			wgmma_hold(lower);
			levels.load(s.levels + place.stage * tile_rows, t);
			kept.template take<0>(lower, levels, rows[0], tile);
			before = place.stage;
			place.advance(stages);
		}
		wgmma_wait<0>();
		wgmma_hold(upper);
		release(before);
		kept.template take<1>(upper, levels, rows[1], unit.last - 1);
		if (!one_slice) {
			if (lane == 0) mbarrier_arrive(s.samples_empty);
		}
		kept.end(present);
	}
}

template <class Keep, bool one_slice>
__device__ __forceinline__ void screen(const brenier_locate_screen_params &p) {
	launch_dependents();  // every block is resident, so none is kept out
	const int stages = brenier_locate_wgmma_stages(p.slices);
	const Shared s = shared_of(p.slices, stages);
	if (threadIdx.x == 0) {
		for (int stage = 0; stage < stages; stage++) {
			mbarrier_init(s.full + stage, 1);
			mbarrier_init(s.empty + stage, consumer_warps);
		}
		mbarrier_init(s.samples_full, 1);
		mbarrier_init(s.samples_empty, consumer_warps);
		mbarrier_init_fence();
	}
	sync_threads();
	wait_for_prerequisites();
	const int warpgroup = threadIdx.x / warpgroup_threads;
	if (warpgroup == 0) {
		registers_lower<40>();
		if (threadIdx.x == 0) produce(p, s, stages);
	} else {
		registers_raise<232>();
		consume<Keep, one_slice>(p, s, stages, warpgroup - 1, threadIdx.x % warpgroup_threads);
	}
}

}  // namespace
}  // namespace brenier

BRENIER_KERNEL(brenier_cuda_locate_wgmma_candidates, brenier_locate_screen_params, BRENIER_LOCATE_WGMMA_THREADS, 1) {
	brenier::screen<brenier::KeepCandidates, true>(p);
}

BRENIER_KERNEL(brenier_cuda_locate_wgmma_candidates_sliced, brenier_locate_screen_params, BRENIER_LOCATE_WGMMA_THREADS, 1) {
	brenier::screen<brenier::KeepCandidates, false>(p);
}

BRENIER_KERNEL(brenier_cuda_locate_wgmma_maxima, brenier_locate_screen_params, BRENIER_LOCATE_WGMMA_THREADS, 1) {
	brenier::screen<brenier::WriteMaxima, true>(p);
}

BRENIER_KERNEL(brenier_cuda_locate_wgmma_maxima_sliced, brenier_locate_screen_params, BRENIER_LOCATE_WGMMA_THREADS, 1) {
	brenier::screen<brenier::WriteMaxima, false>(p);
}
