// The k best cells of one row from the maxima of its groups, by one block.
//
//   1. a lower bound of the k-th largest maximum: the k-th largest among the maxima of 128 subsets
//   2. the groups that reach its cut are listed
//   3. the k-th largest maximum itself is among them; the list is cut again
//   4. where there are many rows: cells of what is left are screened again, one by one
//   5. what is then left is scored exactly and the warps' lists are merged
//
// Step 4 is there because a group that is left has 32 cells, of which one or two matter: packed they
// are half as many bytes, and eight lanes read a cell together.
#pragma once
#include "exact_score.cuh"
#include "locate_bound.cuh"
#include "ordered.cuh"
#include "ptx/block.cuh"
#include "ptx/memory.cuh"

namespace brenier {

// Groups that may be listed: more than near ties leave of real data, few enough for shared memory.
constexpr int LOCATE_LISTED = 512;

// Subsets of the groups whose maxima give the lower bound.
constexpr int LOCATE_SUBSETS = 128;

// Cells that may be left by the second screening.
constexpr int LOCATE_CELLS = 256;

// What a block of `threads` selects in.
template <int threads>
struct LocateSelection {
	Scored tops[threads / 32][32];
	__align__(16) float reached[LOCATE_LISTED + 4];
	int32_t listed[LOCATE_LISTED];
	int32_t cells[LOCATE_CELLS];
	uint32_t listed_count, cell_count;
	uint32_t kth;  // ordered
};

// The k-th largest of s.reached [count], which has room for 4 more: the largest value that at least k
// of them, itself among them, reach; -infinity if there are fewer. All threads of the block take part.
template <int threads>
__device__ inline float locate_kth_largest(LocateSelection<threads> &s, int count, int k) {
	if (threadIdx.x == 0) s.kth = ordered(-locate_infinity());
	if (threadIdx.x < 4) s.reached[count + threadIdx.x] = -locate_infinity();
	sync_threads();  // and the values are written
	for (int i = threadIdx.x; i < count; i += threads) {
		const float mine = s.reached[i];
		int reaching = 0;
#pragma unroll 4
		for (int j = 0; j < count; j += 4) {
			const float4 others = *(const float4 *)(s.reached + j);
			reaching += (others.x >= mine) + (others.y >= mine) + (others.z >= mine) + (others.w >= mine);
		}
		if (reaching >= k) atomic_max(&s.kth, ordered(mine));
	}
	sync_threads();
	return from_ordered(s.kth);
}

// The largest value of all threads of the block.
template <int threads>
__device__ inline float locate_largest(LocateSelection<threads> &s, float mine) {
	if (threadIdx.x == 0) s.kth = ordered(-locate_infinity());
	sync_threads();
#pragma unroll
	for (int mask = 16; mask > 0; mask /= 2) mine = fmaxf(mine, shuffle_xor(mine, mask));
	if (lane_id() == 0) atomic_max(&s.kth, ordered(mine));
	sync_threads();
	return from_ordered(s.kth);
}

// A row's groups, as one thread goes through them.
template <int threads>
struct LocateGroups {
	const float *maxima;
	int64_t row;
	int tiles;

	// visit(maximum, group) for each of the thread's groups; group = tile*4 + its number in the tile.
	// The four of a tile at once where there are enough for all threads.
	template <class Visit>
	__device__ __forceinline__ void each(Visit visit) const {
		const float *const mine = maxima + (row / 8 * tiles * 8 + row % 8) * BRENIER_LOCATE_GROUPS;
		if (tiles >= 4 * threads) {
#pragma unroll 8
			for (int tile = threadIdx.x; tile < tiles; tile += threads) {
				const float4 m = *(const float4 *)(mine + (int64_t)tile * 32);
				visit(m.x, tile * 4);
				visit(m.y, tile * 4 + 1);
				visit(m.z, tile * 4 + 2);
				visit(m.w, tile * 4 + 3);
			}
		} else {
			const float *at = mine + threadIdx.x / 4 * 32 + threadIdx.x % 4;
#pragma unroll 8
			for (int group = threadIdx.x; group < tiles * 4; group += threads, at += threads / 4 * 32) visit(*at, group);
		}
	}
};

// Lists in s the groups of a row that may hold one of its k best cells, and returns their number;
// -1 if there are more than there is room for. Those below `cut`, which is set, are -1 in the list. All
// threads of the block take part.
template <int threads>
__device__ inline int locate_list_groups(LocateSelection<threads> &s, const LocateGroups<threads> &groups, int k,
                                         float margin, float &cut) {
	float most = -locate_infinity();
	groups.each([&](float maximum, int) { most = fmaxf(most, maximum); });
	if (threadIdx.x == 0) s.listed_count = s.cell_count = 0;
	float kth;
	if (k == 1) {
		kth = locate_largest(s, most);
	} else {
		float subset = most;
#pragma unroll
		for (int mask = 1; mask < threads / LOCATE_SUBSETS; mask *= 2) subset = fmaxf(subset, shuffle_xor(subset, mask));
		if (threadIdx.x % (threads / LOCATE_SUBSETS) == 0) s.reached[threadIdx.x / (threads / LOCATE_SUBSETS)] = subset;
		kth = locate_kth_largest(s, LOCATE_SUBSETS, k);
	}
	cut = locate_cut(kth, margin);
	const float low = cut;
	if (most >= low)
		groups.each([&](float maximum, int group) {
			if (!(maximum >= low)) return;
			const uint32_t at = atomic_add(&s.listed_count, 1u);
			if (at < (uint32_t)LOCATE_LISTED) {
				s.listed[at] = group;
				s.reached[at] = maximum;
			}
		});
	sync_threads();
	const int listed = (int)s.listed_count;
	if (listed > LOCATE_LISTED) return -1;
	if (k == 1 || listed <= k) return listed;  // the bound was the k-th itself, or none can go
	cut = locate_cut(locate_kth_largest(s, listed, k), margin);
	for (int i = threadIdx.x; i < listed; i += threads)
		if (!(s.reached[i] >= cut)) s.listed[i] = -1;
	sync_threads();
	return listed;
}

// The cell of place `at`, 0 .. 31, of a group.
__device__ __forceinline__ int locate_cell_of(int group, int at) {
	return group / BRENIER_LOCATE_GROUPS * BRENIER_LOCATE_TILE + at / 2 * 8 + group % BRENIER_LOCATE_GROUPS * 2 + at % 2;
}

// The two float16 of a word.
__device__ __forceinline__ float2 locate_halves(uint32_t word) {
	return {half_value((uint16_t)(word & 0xffff)), half_value((uint16_t)(word >> 16))};
}

// Lists in s, after locate_list_groups, the cells of the listed groups whose own screened score reaches
// the cut, and returns their number, which may be more than there is room for. A sum of float32, in any
// order, keeps the bound of locate_bound.cuh with much to spare. All threads of the block take part.
template <int threads>
__device__ inline int locate_list_cells(LocateSelection<threads> &s, const brenier_locate_decide_params &p, int64_t row,
                                        int listed, float cut) {
	const int lane = lane_id(), chunk = lane % 8;
	const float scale = p.rows[row].scale;
	const unsigned char *const sample = p.packed_samples +
	                                    row / BRENIER_LOCATE_TILE * p.slices * BRENIER_LOCATE_SLICE_BYTES +
	                                    row % BRENIER_LOCATE_TILE * 128 + (chunk ^ (int)(row % 8)) * 16;
	for (int i = threadIdx.x / 32; i < listed; i += threads / 32) {
		const int group = s.listed[i];
		if (group < 0) continue;
		const unsigned char *const tile =
			p.packed_cells + (int64_t)(group / BRENIER_LOCATE_GROUPS) * p.slices * BRENIER_LOCATE_SLICE_BYTES;
		const int cell = locate_cell_of(group, lane / 8);  // the lane's first; the others are 16 apart
		const unsigned char *const points = tile + cell % BRENIER_LOCATE_TILE * 128 + (chunk ^ cell % 8) * 16;
		float sums[8] = {0, 0, 0, 0, 0, 0, 0, 0};
		for (int slice = 0; slice < p.slices; slice++) {
			const int64_t at = (int64_t)slice * BRENIER_LOCATE_SLICE_BYTES;
			const uint4 x = *(const uint4 *)(sample + at);
			const float2 x0 = locate_halves(x.x), x1 = locate_halves(x.y), x2 = locate_halves(x.z), x3 = locate_halves(x.w);
#pragma unroll
			for (int j = 0; j < 8; j++) {
				const uint4 y = *(const uint4 *)(points + at + j * 16 * 128);
				const float2 y0 = locate_halves(y.x), y1 = locate_halves(y.y), y2 = locate_halves(y.z), y3 = locate_halves(y.w);
				sums[j] = fmaf(x0.x, y0.x, sums[j]);
				sums[j] = fmaf(x0.y, y0.y, sums[j]);
				sums[j] = fmaf(x1.x, y1.x, sums[j]);
				sums[j] = fmaf(x1.y, y1.y, sums[j]);
				sums[j] = fmaf(x2.x, y2.x, sums[j]);
				sums[j] = fmaf(x2.y, y2.y, sums[j]);
				sums[j] = fmaf(x3.x, y3.x, sums[j]);
				sums[j] = fmaf(x3.y, y3.y, sums[j]);
			}
		}
#pragma unroll
		for (int j = 0; j < 8; j++) {
			float sum = sums[j];
#pragma unroll
			for (int mask = 1; mask < 8; mask *= 2) sum += shuffle_xor(sum, mask);
			if (chunk != j) continue;  // one lane a cell
			if (cell + j * 16 >= p.cells || !(fmaf(p.levels[cell + j * 16], scale, sum) >= cut)) continue;
			const uint32_t place = atomic_add(&s.cell_count, 1u);
			if (place < (uint32_t)LOCATE_CELLS) s.cells[place] = cell + j * 16;
		}
	}
	sync_threads();
	return (int)s.cell_count;
}

// x [d] as exact_score wants it. All threads of the block take part, and meet before it is read.
template <int threads>
__device__ inline void locate_lift(double *lifted_x, const float *x, int d) {
	for (int k = threadIdx.x; k < d; k += threads) lifted_x[k] = lifted(x[k]);
}

// exact_chain with `ahead` quads of the point under way at once: where few warps share a multiprocessor
// the memory's latency is what scoring costs.
template <int ahead>
__device__ __forceinline__ double locate_exact_score(const double *lifted_x, const float *y, int d, float height) {
	double sum = (double)height;
	int k = 0;
	if (d % 4 == 0) {
		for (; k + 4 * ahead <= d; k += 4 * ahead) {
			float4 quads[ahead];
#pragma unroll
			for (int i = 0; i < ahead; i++) quads[i] = ((const float4 *)(y + k))[i];
#pragma unroll
			for (int i = 0; i < ahead; i++) {
				sum = fma(lifted_x[k + 4 * i], lowered(quads[i].x), sum);
				sum = fma(lifted_x[k + 4 * i + 1], lowered(quads[i].y), sum);
				sum = fma(lifted_x[k + 4 * i + 2], lowered(quads[i].z), sum);
				sum = fma(lifted_x[k + 4 * i + 3], lowered(quads[i].w), sum);
			}
		}
	}
	return exact_chain(lifted_x + k, y + k, d - k, sum);
}

// Scores cells of a row exactly, writes its k best and returns them to the lanes of the first warp: the `cells` listed ones or, if that is
// negative, those of the `groups` listed ones or, if that is too, all. lifted_x may be null. All threads
// of the block take part.
template <int threads, int ahead>
__device__ inline Scored locate_decide(LocateSelection<threads> &s, const brenier_locate_decide_params &p, int64_t row,
                                     const double *lifted_x, int groups, int cells) {
	const int warp = threadIdx.x / 32, lane = lane_id();
	const float *const x = p.x + row * p.dim;
	Scored top = no_cell();
	const int64_t rounds = cells >= 0 ? (cells + 31) / 32 : groups >= 0 ? groups : (p.cells + 31) / 32;
	for (int64_t i = warp; i < rounds; i += threads / 32) {
		int64_t cell = i * 32 + lane;
		if (cells >= 0) {
			cell = cell < cells ? s.cells[cell] : p.cells;
		} else if (groups >= 0) {
			if (s.listed[i] < 0) continue;
			cell = locate_cell_of(s.listed[i], lane);
		}
		Scored mine = no_cell();
		if (cell < p.cells) {
			const float *const y = p.points + cell * p.dim;
			const float h = p.heights[cell];
			mine.score = lifted_x != nullptr ? locate_exact_score<ahead>(lifted_x, y, p.dim, h) : exact_score(x, y, p.dim, h);
			mine.cell = (int32_t)cell;
		}
		top_offer(top, mine, p.k);
	}
	s.tops[warp][lane] = lane < p.k ? top : no_cell();
	sync_threads();
	if (warp != 0) return top;
	for (int other = 1; other < threads / 32; other++) top_offer(top, s.tops[other][lane], p.k);
	if (lane < p.k) {
		p.best_cells[row * p.k + lane] = top.cell;
		p.best_scores[row * p.k + lane] = top.score;
	}
	return top;
}

// Decides the block's row, unless it joins the exact rows, and returns its k best cells to the lanes of
// the first warp. again: screen the cells of groups one by one. ahead: quads of a point that a lane asks
// for at once. Dynamic shared memory: d float64 where p.lifted says so.
template <int threads, bool again, int ahead>
__device__ __forceinline__ Scored locate_select(const brenier_locate_decide_params &p, LocateSelection<threads> &s) {
	const int64_t row = blockIdx.x;
	const float margin = p.rows[row].margin;
	if (margin < 0 && p.exact_count) return no_cell();
	double *const lifted_x = p.lifted ? (double *)dynamic_shared() : nullptr;
	if (p.lifted) locate_lift<threads>(lifted_x, p.x + row * p.dim, p.dim);
	sync_threads();

	const LocateGroups<threads> groups = {p.maxima, row, p.tiles};
	float cut = 0;
	const int listed = margin < 0 ? -1 : locate_list_groups(s, groups, p.k, margin, cut);
	if (listed < 0 && p.exact_count) {
		if (threadIdx.x == 0) p.exact_rows[atomic_add(p.exact_count, 1u)] = (int32_t)row;
		return no_cell();
	}
	int cells = -1;
	if (again && listed >= 0) {
		cells = locate_list_cells(s, p, row, listed, cut);
		if (cells > LOCATE_CELLS) cells = -1;
	}
	return locate_decide<threads, ahead>(s, p, row, lifted_x, listed, cells);
}

}  // namespace brenier
