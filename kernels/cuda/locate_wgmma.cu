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
// For d <= 64 the samples are moved to registers when a unit begins (64 rows by 64 dimensions are 16
// registers a thread): reading both operands from shared memory, with 96 bytes a clock of its 128
// spoken for by the products, would leave too little for the copies and the levels.
#include "locate_epilogue.cuh"
#include "locate_wgmma.h"
#include "ptx/block.cuh"
#include "ptx/bulk_copy.cuh"
#include "ptx/dependent.cuh"
#include "ptx/ldmatrix.cuh"
#include "ptx/mbarrier.cuh"
#include "ptx/memory.cuh"
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

// What has been found for one row of the unit; the cut itself is in registers of the row's quad.
struct Found {
	float best;      // the highest f so far
	float margin;
	uint32_t count;  // cells kept, or that would have been if there were room
	uint32_t reserved;
};

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

// The lane's 32 levels of a tile: of columns 8j+2t and the next, at 2j and the next.
struct Levels {
	float value[32];
	__device__ __forceinline__ void fill(float v) {
#pragma unroll
		for (int i = 0; i < 32; i++) value[i] = v;
	}
	__device__ __forceinline__ void load(const float *tile, int t) {
#pragma unroll
		for (int j = 0; j < 16; j++) {
			const float2 pair = *(const float2 *)(tile + 8 * j + 2 * t);
			value[2 * j] = pair.x;
			value[2 * j + 1] = pair.y;
		}
	}
};

// The lane's two of 64 rows, g and g+8 of the warp's 16.
struct Rows {
	float scale[2];
	float cut[2];
};

// The highest f of the lane's 32 cells, of its two rows, and of the quarters of a row: even and odd
// columns with j < 8, then with j >= 8.
struct Maxima {
	float quarter[2][4];
	LocateMaxima whole;
};
__device__ __forceinline__ int quarter_of(int j, int side) { return j / 8 * 2 + side; }

// Turns accumulators into f = a + scale*level and takes the maxima of the lane's group: two
// instructions a score. Quarters are chains of maxima, so that the latency of one hides behind others.
__device__ __forceinline__ Maxima finish(float (&f)[64], const Levels &levels, const Rows &rows) {
	Maxima m;
#pragma unroll
	for (int j = 0; j < 16; j++) {
#pragma unroll
		for (int i = 0; i < 4; i++) {
			float &v = f[4 * j + i];
			float &top = m.quarter[i / 2][quarter_of(j, i % 2)];
			v = fmaf(levels.value[2 * j + i % 2], rows.scale[i / 2], v);
			top = j % 8 == 0 ? v : fmaxf(top, v);
		}
	}
#pragma unroll
	for (int half = 0; half < 2; half++) {
		const float(&q)[4] = m.quarter[half];
		m.whole.row[half] = fmaxf(fmaxf(q[0], q[1]), fmaxf(q[2], q[3]));
	}
	return m;
}

// Keeps the cells of the tile that reach the row's cut, after raising it. All lanes of the warp take
// part. half: 0 for row g, 1 for row g+8. As seldom as this is, it must be short: the warpgroup's next
// product waits for it.
template <int half>
__device__ __forceinline__ void keep(const float (&f)[64], const Maxima &m, float &cut, Found &found,
                                     brenier_locate_candidate *list, int capacity, int cell) {
	const float maximum = m.whole.row[half];
	float top = fmaxf(maximum, shuffle_xor(maximum, 1));
	top = fmaxf(top, shuffle_xor(top, 2));
	const float best = found.best;
	const bool higher = top > best;
	const float raised = locate_cut(top, found.margin);
	cut = higher ? raised : cut;
	sync_warp();
	if (higher && lane_id() % 4 == 0) {
		found.best = top;
		// What was kept is at most `best`: ruled out, if the new cut is above it.
		if (cut > best) found.count = 0;
	}
	sync_warp();
	if (!(maximum >= cut)) return;
	uint32_t reaching = 0;  // bit 2j+side: column 8j+2t+side
#pragma unroll
	for (int quarter = 0; quarter < 4; quarter++) {
		if (!(m.quarter[half][quarter] >= cut)) continue;
#pragma unroll
		for (int i = 0; i < 8; i++) {
			const int j = quarter / 2 * 8 + i, side = quarter % 2;
			if (f[4 * j + 2 * half + side] >= cut) reaching |= 1u << (2 * j + side);
		}
	}
	// Where several of a group are kept at once, the highest score stands for each: more than theirs
	// may only keep a cell too many. No loop: with one around here the compiler would make each product
	// wait for the last. More at once than `most` are many ties, for which there is no room.
	constexpr int most = 8;
#pragma unroll
	for (int i = 0; i < most; i++) {
		const int bit = __ffs((int)reaching) - 1;
		const uint32_t at = atomic_add(&found.count, 1);
		if (at < (uint32_t)capacity) list[at] = {cell + 8 * (bit / 2) + bit % 2, maximum};
		reaching &= reaching - 1;
		if (reaching == 0) return;
	}
	atomic_add(&found.count, (uint32_t)capacity);
}

// The screen's two kernels and what each does with a tile.
struct KeepCandidates {
	const brenier_locate_screen_params &p;
	Found *found;  // of the lane's first row of the row tile; its others are 8, 64 and 72 further
	int64_t row;   // that row
	int split, t;

	__device__ __forceinline__ void begin(Rows (&rows)[2], bool present) {
#pragma unroll
		for (int i = 0; i < 4; i++) {
			const int offset = 64 * (i / 2) + 8 * (i % 2);
			const brenier_locate_row own = p.rows[row + offset];
			const float margin = present ? own.margin : -1.0f;
			rows[i / 2].scale[i % 2] = own.scale;
			rows[i / 2].cut[i % 2] = margin >= 0 ? -locate_infinity() : locate_infinity();
			if (t == 0) found[offset] = {-locate_infinity(), margin, 0, 0};
		}
		sync_warp();
	}
	template <int upper>
	__device__ __forceinline__ void take(float (&f)[64], const Levels &levels, Rows &rows, int tile) {
		const Maxima m = finish(f, levels, rows);
		const bool reaches0 = m.whole.row[0] >= rows.cut[0], reaches1 = m.whole.row[1] >= rows.cut[1];
		if (!any(reaches0 || reaches1)) return;
		brenier_locate_candidate *list = p.candidates + ((row + 64 * upper) * p.splits + split) * p.capacity;
		const int cell = tile * tile_rows + 2 * t;
		if (any(reaches0)) keep<0>(f, m, rows.cut[0], found[64 * upper], list, p.capacity, cell);
		list += (int64_t)8 * p.splits * p.capacity;
		if (any(reaches1)) keep<1>(f, m, rows.cut[1], found[64 * upper + 8], list, p.capacity, cell);
	}
	__device__ __forceinline__ void end(bool present) {
		sync_warp();
		if (t != 0 || !present) return;
#pragma unroll
		for (int i = 0; i < 4; i++) {
			const int offset = 64 * (i / 2) + 8 * (i % 2);
			p.best[(row + offset) * p.splits + split] = found[offset].best;
			p.counts[(row + offset) * p.splits + split] = found[offset].count;
		}
	}
};

struct WriteMaxima {
	const brenier_locate_screen_params &p;
	Found *found;
	int64_t row;
	int split, t;
	int first;  // tile to write of

	__device__ __forceinline__ void begin(Rows (&rows)[2], bool present) {
#pragma unroll
		for (int i = 0; i < 4; i++) rows[i / 2].scale[i % 2] = p.rows[row + 64 * (i / 2) + 8 * (i % 2)].scale;
		first = present ? (int)((int64_t)split * p.tiles / p.splits) : p.tiles;
	}
	template <int upper>
	__device__ __forceinline__ void take(float (&f)[64], const Levels &levels, Rows &rows, int tile) {
		LocateMaxima m = finish(f, levels, rows).whole;
		wgmma_hold(m.row);  // the stores alone depend on what follows
		if (tile >= first) locate_write_maxima(m, p.maxima, row + 64 * upper, tile, p.tiles, t);
	}
	__device__ __forceinline__ void end(bool) {}
};

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
