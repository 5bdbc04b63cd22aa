// What the Hopper screen keeps of the scores in a lane's accumulators: locate_epilogue.cuh made to fit a
// warpgroup. What differs: levels are loaded once for the two halves of a row tile; little of a row's
// state is in registers, the rest in shared memory; and there are no loops, for the compiler makes
// products wait for one another where a loop stands between them.
//
// An accumulator [64,128] is held as ptx/wgmma.cuh says: lane 4g+t has, of rows g and g+8 of the warp's
// 16, columns 8j+2t and 8j+2t+1, j = 0..15, in f[4j .. 4j+3] (two of row g, two of row g+8).
#pragma once
#include "locate_epilogue.cuh"
#include "ptx/memory.cuh"
#include "ptx/warp.cuh"
#include "ptx/wgmma.cuh"

namespace brenier {
namespace {

// What has been found for one row of the unit; the cut itself is in registers of the row's quad.
struct Found {
	float best;      // the highest f so far
	float margin;
	uint32_t count;  // cells kept, or that would have been if there were room
	uint32_t reserved;
};

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

// For k = 1: the cells that no bound has ruled out when they were met.
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
		const int cell = tile * BRENIER_LOCATE_TILE + 2 * t;
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

// For any k: the maxima of all groups.
struct WriteMaxima {
	const brenier_locate_screen_params &p;
	Found *found;  // unused: nothing is remembered of a row
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

}  // namespace
}  // namespace brenier
