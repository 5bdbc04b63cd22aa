// The plain locate: every exact score of every row, the float64 units at work all the time. It is the
// oracle of the other rungs, and serves the rows that their screens cannot decide.
//
// A block scores 32 samples against 64 cells at a time, 4 by 4 in the registers of each thread, then
// its warps offer the scores to the samples' lists.
#include "locate_plain.h"

#include "device.cuh"
#include "exact_score.cuh"
#include "ptx/block.cuh"
#include "ptx/dependent.cuh"
#include "ptx/memory.cuh"
#include "ptx/warp.cuh"

namespace brenier {
namespace {

enum {
	THREADS = BRENIER_LOCATE_PLAIN_THREADS,
	ROWS = BRENIER_LOCATE_PLAIN_ROWS,
	CELLS = BRENIER_LOCATE_PLAIN_CELLS,
	DIMS = 32,           // dimensions staged at a time
	SIDE = 4,            // of a thread's square of scores
	ACROSS = CELLS / SIDE,  // threads beside one another
	WARP_ROWS = ROWS / (THREADS / 32)
};
static_assert(ACROSS * ROWS / SIDE == THREADS, "the threads' squares cover the tile");

// What a block holds in shared memory. The odd two columns keep transposed writes apart.
struct Tile {
	double samples[DIMS][ROWS + 2];  // lifted
	union {
		double points[DIMS][CELLS + 2];  // lowered
		double scores[ROWS][CELLS];
	};
	double top_scores[ROWS][32];  // the lists of exact_score.cuh, a lane an element
	int32_t top_cells[ROWS][32];
};

// What one block does at a time: a tile of listed rows, and a range of its cells.
struct Item {
	int tile, part, parts;  // the range is part `part` of `parts`
	int first, rows;        // of the tile, in the list
	int begin, end;         // cells
};

__device__ __forceinline__ Item item_of(const brenier_locate_plain_params &p, int count, int at, int parts) {
	Item item;
	item.tile = at / parts;
	item.part = at - item.tile * parts;
	item.parts = parts;
	item.first = item.tile * ROWS;
	item.rows = min(ROWS, count - item.first);
	const int64_t groups = ((int64_t)p.N + CELLS - 1) / CELLS;
	item.begin = (int)(item.part * groups / parts * CELLS);
	item.end = (int)min((item.part + 1) * groups / parts * CELLS, (int64_t)p.N);
	return item;
}

__device__ __forceinline__ int64_t sample_of(const brenier_locate_plain_params &p, int listed) {
	return p.rows ? p.rows[listed] : listed;
}

// Brings dimensions k .. k+31 of the item's rows and of cells `cell` .. `cell`+63 to shared memory,
// transposed; zeros where there is none. A warp reads 32 bytes of four rows at a time.
__device__ __forceinline__ void stage(const brenier_locate_plain_params &p, const Item &item, int cell, int k, Tile &tile) {
	const int dim = threadIdx.x % 8;
#pragma unroll
	for (int d = 0; d < DIMS; d += 8) {
#pragma unroll
		for (int r = threadIdx.x / 8; r < CELLS; r += THREADS / 8) {
			const bool valid = cell + r < item.end && k + d + dim < p.d;
			const float y = valid ? p.points[(int64_t)(cell + r) * p.d + k + d + dim] : 0.0f;
			tile.points[d + dim][r] = lowered(y);
		}
#pragma unroll
		for (int r = threadIdx.x / 8; r < ROWS; r += THREADS / 8) {
			const bool valid = r < item.rows && k + d + dim < p.d;
			const float x = valid ? p.x[sample_of(p, item.first + r) * p.d + k + d + dim] : 0.0f;
			tile.samples[d + dim][r] = lifted(x);
		}
	}
}

// Scores of the item's rows with cells `cell` .. `cell`+63, left in tile.scores. Ends with a barrier.
__device__ __forceinline__ void score(const brenier_locate_plain_params &p, const Item &item, int cell, Tile &tile) {
	const int row = threadIdx.x / ACROSS * SIDE, column = threadIdx.x % ACROSS;  // and every ACROSS-th on
	double sums[SIDE][SIDE];
#pragma unroll
	for (int c = 0; c < SIDE; c++) {
		const int at = cell + column + ACROSS * c;
		const double height = at < item.end ? (double)p.heights[at] : 0.0;
#pragma unroll
		for (int r = 0; r < SIDE; r++) sums[r][c] = height;
	}
	for (int k = 0; k < p.d; k += DIMS) {
		sync_threads();
		stage(p, item, cell, k, tile);
		sync_threads();
		const int dims = min((int)DIMS, p.d - k);
#pragma unroll 4
		for (int i = 0; i < dims; i++) {
			double x[SIDE], y[SIDE];
#pragma unroll
			for (int r = 0; r < SIDE; r++) x[r] = tile.samples[i][row + r];
#pragma unroll
			for (int c = 0; c < SIDE; c++) y[c] = tile.points[i][column + ACROSS * c];
#pragma unroll
			for (int r = 0; r < SIDE; r++)
#pragma unroll
				for (int c = 0; c < SIDE; c++) sums[r][c] = fma(x[r], y[c], sums[r][c]);
		}
	}
	sync_threads();
#pragma unroll
	for (int r = 0; r < SIDE; r++)
#pragma unroll
		for (int c = 0; c < SIDE; c++) tile.scores[row + r][column + ACROSS * c] = sums[r][c];
	sync_threads();
}

// Offers tile.scores to the lists of the rows of this warp.
__device__ __forceinline__ void offer(const brenier_locate_plain_params &p, const Item &item, int cell, Tile &tile) {
	const int lane = (int)lane_id(), first = threadIdx.x / 32 * WARP_ROWS;
	for (int r = first; r < first + WARP_ROWS && r < item.rows; r++) {
		const Scored last = {tile.top_scores[r][p.k - 1], tile.top_cells[r][p.k - 1]};
		Scored mine[CELLS / 32];
		bool better = false;
#pragma unroll
		for (int c = 0; c < CELLS / 32; c++) {
			const int at = cell + lane + 32 * c;
			mine[c] = no_cell();
			if (at < item.end) mine[c] = {tile.scores[r][lane + 32 * c], at};
			better = better || precedes(mine[c], last);
		}
		if (!any(better)) continue;
		Scored top = {tile.top_scores[r][lane], tile.top_cells[r][lane]};
#pragma unroll 1
		for (int c = 0; c < CELLS / 32; c++) top_offer(top, c == 0 ? mine[0] : mine[1], p.k);
		tile.top_scores[r][lane] = top.score;
		tile.top_cells[r][lane] = top.cell;
		sync_warp();
	}
}

// Where the j-th of a part's list for a row of a tile is left.
__device__ __forceinline__ int64_t partial(const brenier_locate_plain_params &p, const Item &item, int row, int j) {
	return ((int64_t)(item.tile * ROWS + row) * item.parts + item.part) * p.k + j;
}

// Writes the warp's lists as the answer, or as a part's.
__device__ __forceinline__ void leave(const brenier_locate_plain_params &p, const Item &item, const Tile &tile) {
	const int lane = (int)lane_id(), first = threadIdx.x / 32 * WARP_ROWS;
	if (lane >= p.k) return;
	for (int r = first; r < first + WARP_ROWS && r < item.rows; r++) {
		if (item.parts == 1) {
			const int64_t to = sample_of(p, item.first + r) * p.k + lane;
			p.scores[to] = tile.top_scores[r][lane];
			p.cells[to] = tile.top_cells[r][lane];
		} else {
			const int64_t to = partial(p, item, r, lane);
			p.partial_scores[to] = tile.top_scores[r][lane];
			p.partial_cells[to] = tile.top_cells[r][lane];
		}
	}
}

// Merges the lists of all parts of the item's tile and writes the answer.
__device__ __forceinline__ void merge(const brenier_locate_plain_params &p, Item item) {
	const int lane = (int)lane_id(), first = threadIdx.x / 32 * WARP_ROWS;
	item.part = 0;
	for (int r = first; r < first + WARP_ROWS && r < item.rows; r++) {
		Scored top = no_cell();
#pragma unroll 1
		for (int at = 0; at < item.parts * p.k; at += 32) {
			Scored mine = no_cell();
			if (at + lane < item.parts * p.k) {
				const int64_t from = partial(p, item, r, at + lane);
				mine = {p.partial_scores[from], p.partial_cells[from]};
			}
			top_offer(top, mine, p.k);
		}
		if (lane < p.k) {
			const int64_t to = sample_of(p, item.first + r) * p.k + lane;
			p.scores[to] = top.score;
			p.cells[to] = top.cell;
		}
	}
}

}  // namespace

BRENIER_KERNEL(brenier_cuda_locate_plain, brenier_locate_plain_params, THREADS, 4) {
	__shared__ Tile tile;
	__shared__ bool last;
	launch_dependents();
	wait_for_prerequisites();
	const int count = p.count ? (int)*p.count : p.n;
	const int blocks = (int)gridDim.x, tiles = (count + ROWS - 1) / ROWS;
	const int groups = (p.N - 1) / CELLS + 1;
	// Merging takes parts * k / 32 dependent reads; scoring saves as much by more parts up to here.
	const int most = min(groups, 2048 / p.k);
	const int parts = tiles == 0 ? 1 : max(1, min(blocks / tiles, most));
	// With more than one part a block has one item at most, so that its place in `partial` is its own.
	for (int64_t at = blockIdx.x; at < (int64_t)tiles * parts; at += blocks) {
		const Item item = item_of(p, count, (int)at, parts);
		for (int i = threadIdx.x; i < ROWS * 32; i += THREADS) {
			tile.top_scores[i / 32][i % 32] = no_cell().score;
			tile.top_cells[i / 32][i % 32] = no_cell().cell;
		}
		for (int64_t cell = item.begin; cell < item.end; cell += CELLS) {
			score(p, item, (int)cell, tile);
			offer(p, item, (int)cell, tile);
		}
		leave(p, item, tile);
		if (parts == 1) {
			sync_threads();
			continue;
		}
		thread_fence();
		sync_threads();
		if (threadIdx.x == 0) {
			last = atomic_add(&p.finished[item.tile], 1) == (uint32_t)parts - 1;
			if (last) p.finished[item.tile] = 0;
		}
		sync_threads();
		if (!last) continue;
		thread_fence();
		merge(p, item);
	}
}

}  // namespace brenier
