// What is kept of the screened scores, while they are in the accumulators of the matrix instructions.
//
// Both screens meet here: lane 4g+t of a warp holds, of 16 samples by 128 cells, rows g and g+8 and
// columns 8j+2t and 8j+2t+1, j = 0..15, in d[4j .. 4j+3] (two of row g, two of row g+8), whether
// mma.sync or wgmma made them. A lane's 32 columns are one group (locate.h).
//
//   finish      d becomes f, and its maxima are taken: two instructions a score
//   maxima      of each group are written, for any k
//   candidates  for k = 1: a group is looked at only where its maximum reaches the row's cut
//
// The accumulators may hold several tiles; `first` is the index in d where the tile's 64 begin.
#pragma once
#include "locate_bound.cuh"
#include "ptx/warp.cuh"

namespace brenier {

// The largest f of the lane's 32 cells, of rows g and g+8.
struct LocateMaxima {
	float row[2];
};

// Turns the accumulators a into f = a + scale*level, in place. levels [128] are the tile's, in shared
// or global memory, aligned to 8 bytes; t = lane%4.
template <int first, int count>
__device__ __forceinline__ LocateMaxima locate_finish(float (&d)[count], const float *levels, int t, float scale0,
                                                      float scale1) {
	// Two chains for a row, so that one's latency hides behind the other.
	float even0 = -locate_infinity(), odd0 = even0, even1 = even0, odd1 = even0;
#pragma unroll
	for (int j = 0; j < 16; j++) {
		const float2 level = *(const float2 *)(levels + 8 * j + 2 * t);
		float *const f = d + first + 4 * j;
		f[0] = fmaf(level.x, scale0, f[0]);
		f[1] = fmaf(level.y, scale0, f[1]);
		f[2] = fmaf(level.x, scale1, f[2]);
		f[3] = fmaf(level.y, scale1, f[3]);
		even0 = fmaxf(even0, f[0]);
		odd0 = fmaxf(odd0, f[1]);
		even1 = fmaxf(even1, f[2]);
		odd1 = fmaxf(odd1, f[3]);
	}
	return {{fmaxf(even0, odd0), fmaxf(even1, odd1)}};
}

// Where the maxima of a row and tile begin.
__device__ inline int64_t locate_maxima_at(int64_t row, int64_t tile, int64_t tiles) {
	return ((row / 8 * tiles + tile) * 8 + row % 8) * BRENIER_LOCATE_GROUPS;
}

// Writes the maxima of one tile; `row` is the lane's row g, of rows that are padded to whole tiles.
// A warp writes 2 x 128 bytes.
__device__ __forceinline__ void locate_write_maxima(const LocateMaxima &m, float *maxima, int64_t row, int64_t tile,
                                                    int64_t tiles, int t) {
	maxima[locate_maxima_at(row, tile, tiles) + t] = m.row[0];
	maxima[locate_maxima_at(row + 8, tile, tiles) + t] = m.row[1];
}

// What has been found for one row in one split; the same in the four lanes of its quad. Few registers:
// what only the rare path needs is read again there.
struct LocateFound {
	float best;      // the highest f so far
	float cut;       // what a cell must reach to be kept
	uint32_t count;  // cells in the row's list, or that would be if there were room
};

// Begins a row.
__device__ __forceinline__ LocateFound locate_begin(const brenier_locate_screen_params &p, int64_t row) {
	return {-locate_infinity(), p.rows[row].margin >= 0 ? -locate_infinity() : locate_infinity(), 0};
}

// Ends it.
__device__ __forceinline__ void locate_end(const brenier_locate_screen_params &p, const LocateFound &found, int64_t row,
                                           int split, int t) {
	if (t != 0) return;
	p.best[row * p.splits + split] = found.best;
	p.counts[row * p.splits + split] = found.count;
}

// Keeps the cells of the tile, whose first is `cell`, that reach the row's cut, after raising it. All
// lanes of the warp take part. half: 0 for row g, 1 for row g+8, which is `row` here.
template <int first, int half, int count>
__device__ __forceinline__ void locate_keep(const float (&d)[count], float maximum, LocateFound &found,
                                            const brenier_locate_screen_params &p, int64_t row, int split, int32_t cell,
                                            int t) {
	float top = fmaxf(maximum, shuffle_xor(maximum, 1));
	top = fmaxf(top, shuffle_xor(top, 2));
	if (top > found.best) {
		const float before = found.best;
		found.best = top;
		found.cut = locate_cut(top, p.rows[row].margin);
		if (found.cut > before) found.count = 0;  // all that was kept is ruled out
	}
	uint32_t mine = 0;
	if (maximum >= found.cut) {
#pragma unroll
		for (int j = 0; j < 16; j++) {
			mine += d[first + 4 * j + 2 * half] >= found.cut;
			mine += d[first + 4 * j + 2 * half + 1] >= found.cut;
		}
	}
	// Each lane's place in the list: after those of the lanes below it in the quad.
	const uint32_t low = shuffle_xor(mine, 1), pair = mine + low, high = shuffle_xor(pair, 2);
	if (mine != 0) {
		brenier_locate_candidate *const list = p.candidates + (row * p.splits + split) * p.capacity;
		uint32_t at = found.count + ((t & 1) ? low : 0) + ((t & 2) ? high : 0);
#pragma unroll
		for (int j = 0; j < 16; j++) {
#pragma unroll
			for (int side = 0; side < 2; side++) {
				const float f = d[first + 4 * j + 2 * half + side];
				if (f >= found.cut) {
					if (at < (uint32_t)p.capacity) list[at] = {cell + 8 * j + 2 * t + side, f};
					at++;
				}
			}
		}
	}
	found.count += pair + high;
}

// Keeps what the bound cannot rule out of one tile, whose first cell is `cell`; `row` is the lane's
// row g. In the common case this is two comparisons and two votes.
template <int first, int count>
__device__ __forceinline__ void locate_candidates(const float (&d)[count], const LocateMaxima &m, LocateFound (&found)[2],
                                                  const brenier_locate_screen_params &p, int64_t row, int split,
                                                  int32_t cell, int t) {
	if (any(m.row[0] >= found[0].cut)) locate_keep<first, 0>(d, m.row[0], found[0], p, row, split, cell, t);
	if (any(m.row[1] >= found[1].cut)) locate_keep<first, 1>(d, m.row[1], found[1], p, row + 8, split, cell, t);
}

}  // namespace brenier
