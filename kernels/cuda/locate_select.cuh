// The k best cells of one row from the maxima of its groups, by one block.
//
//   1. a lower bound of the k-th largest maximum: the k-th largest among the maxima of 128 subsets
//   2. the groups that reach its cut are listed
//   3. the k-th largest maximum itself is among them; the list is cut again
//   4. cells of what is left are scored exactly, a group a warp, and the warps' lists merged
#pragma once
#include "exact_score.cuh"
#include "locate_bound.cuh"
#include "ptx/block.cuh"
#include "ptx/memory.cuh"

namespace brenier {

// Groups that may be listed: more than near ties leave of real data, few enough for shared memory.
constexpr int LOCATE_LISTED = 512;

// Subsets of the groups whose maxima give the lower bound.
constexpr int LOCATE_SUBSETS = 128;

// What a block of `threads` selects in.
template <int threads>
struct LocateSelection {
	Scored tops[threads / 32][32];
	__align__(16) float reached[LOCATE_LISTED + 4];
	int32_t listed[LOCATE_LISTED];
	uint32_t count;
	uint32_t kth;  // ordered
};

// Numbers whose order is that of the floats.
__device__ inline uint32_t ordered(float v) {
	const uint32_t bits = float_bits(v);
	return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}
__device__ inline float from_ordered(uint32_t v) { return float_value(v & 0x80000000u ? v & 0x7fffffffu : ~v); }

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
#pragma unroll 8
			for (int group = threadIdx.x; group < tiles * 4; group += threads)
				visit(mine[(int64_t)(group / 4) * 32 + group % 4], group);
		}
	}
};

// Lists in s the groups of a row that may hold one of its k best cells, and returns their number;
// -1 if there are more than there is room for. All threads of the block take part.
template <int threads>
__device__ inline int locate_list_groups(LocateSelection<threads> &s, const LocateGroups<threads> &groups, int k,
                                         float margin) {
	float most = -locate_infinity();
	groups.each([&](float maximum, int) { most = fmaxf(most, maximum); });
	if (threadIdx.x == 0) s.count = 0;
	float low;
	if (k == 1) {
		low = locate_largest(s, most);
	} else {
		float subset = most;
#pragma unroll
		for (int mask = 1; mask < threads / LOCATE_SUBSETS; mask *= 2) subset = fmaxf(subset, shuffle_xor(subset, mask));
		if (threadIdx.x % (threads / LOCATE_SUBSETS) == 0) s.reached[threadIdx.x / (threads / LOCATE_SUBSETS)] = subset;
		low = locate_kth_largest(s, LOCATE_SUBSETS, k);
	}
	low = locate_cut(low, margin);
	if (most >= low)
		groups.each([&](float maximum, int group) {
			if (!(maximum >= low)) return;
			const uint32_t at = atomic_add(&s.count, 1u);
			if (at < (uint32_t)LOCATE_LISTED) {
				s.listed[at] = group;
				s.reached[at] = maximum;
			}
		});
	sync_threads();
	const int listed = (int)s.count;
	if (listed > LOCATE_LISTED) return -1;
	if (k == 1 || listed <= k) return listed;  // the bound was the k-th itself, or none can go
	const float cut = locate_cut(locate_kth_largest(s, listed, k), margin);
	for (int i = threadIdx.x; i < listed; i += threads)
		if (!(s.reached[i] >= cut)) s.listed[i] = -1;
	sync_threads();
	return listed;
}

// x [d] as exact_score wants it. All threads of the block take part.
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

// Decides a row from its `listed` groups, or from all cells if that is negative, and writes its k
// best. lifted_x may be null. All threads of the block take part.
template <int threads, int ahead>
__device__ inline void locate_decide(LocateSelection<threads> &s, const brenier_locate_decide_params &p, int64_t row,
                                     const double *lifted_x, int listed) {
	const int warp = threadIdx.x / 32, lane = lane_id();
	const float *const x = p.x + row * p.dim;
	Scored top = no_cell();
	auto offer = [&](int64_t cell) {
		Scored mine = no_cell();
		if (cell < p.cells) {
			const float *const y = p.points + cell * p.dim;
			const float h = p.heights[cell];
			mine.score = lifted_x != nullptr ? locate_exact_score<ahead>(lifted_x, y, p.dim, h) : exact_score(x, y, p.dim, h);
			mine.cell = (int32_t)cell;
		}
		top_offer(top, mine, p.k);
	};
	if (listed < 0)
		for (int64_t first = warp * 32; first < p.cells; first += threads) offer(first + lane);
	for (int i = warp; i < listed; i += threads / 32) {
		const int group = s.listed[i];
		if (group < 0) continue;
		offer((int64_t)(group / 4) * BRENIER_LOCATE_TILE + lane / 2 * 8 + group % 4 * 2 + lane % 2);
	}
	s.tops[warp][lane] = lane < p.k ? top : no_cell();
	sync_threads();
	if (warp != 0) return;
	for (int other = 1; other < threads / 32; other++) top_offer(top, s.tops[other][lane], p.k);
	if (lane < p.k) {
		p.best_cells[row * p.k + lane] = top.cell;
		p.best_scores[row * p.k + lane] = top.score;
	}
}

}  // namespace brenier
