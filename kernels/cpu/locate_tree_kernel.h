// The hot loops of locate_tree.h. The bound and what its rounding can hide are in locate_tree_bound.h.
#include "simd_double.h"

#include "best_kernel.h"

#undef vf_abs
#define vf_abs(v) ((vf)((vi)(v) & 0x7fffffff))
#undef vf_min
#define vf_min(a, b) (-vf_max(-(a), -(b)))

BRENIER_INLINE float BRENIER_KERNEL(highest_lane)(const vf most) {
	float highest = most[0];
	for (int l = 1; l < LANES; l++) highest = most[l] > highest ? most[l] : highest;
	return highest;
}

// The bounds of a block's parts for x [d], and the highest of them. That of a part past the last one is -infinity.
BRENIER_INLINE float BRENIER_KERNEL(tree_bounds)(const float *block, const float *x, const int64_t d,
                                                 float bounds[BRENIER_TREE_WIDTH]) {
	enum { W = BRENIER_TREE_WIDTH, V = W / LANES };
	vf sum[V];
	for (int v = 0; v < V; v++) sum[v] = vf_load(block + BRENIER_TREE_ROWS * d * W + v * LANES);
	for (int64_t k = 0; k < d; k++, block += BRENIER_TREE_ROWS * W) {
		const vf xk = vf_set(x[k]);
		for (int v = 0; v < V; v++) {
			const float *part = block + v * LANES;
			const vf away = vf_abs(xk - vf_load(part + BRENIER_TREE_SLOPE * W));
			const vf turn = vf_min(away * vf_load(part + BRENIER_TREE_TURN * W),
			                       vf_load(part + BRENIER_TREE_HALF * W));
			const vf rise = away - turn * vf_load(part + BRENIER_TREE_BEND * W);
			sum[v] = vf_fma(xk, vf_load(part + BRENIER_TREE_CENTRE * W), sum[v]);
			sum[v] = vf_fma(turn, rise, sum[v]);
		}
	}
	vf most = sum[0];
	for (int v = 0; v < V; v++) {
		most = vf_max(most, sum[v]);
		vf_store(bounds + v * LANES, sum[v]);
	}
	return BRENIER_KERNEL(highest_lane)(most);
}

// The exact scores of a leaf's cells for x [d] (locate.h); bit m is set where that of cell m is at least
// `least`.
BRENIER_INLINE unsigned BRENIER_KERNEL(tree_scores)(const float *points, const float *heights,
                                                    const float *x, const int64_t d, double least,
                                                    double scores[BRENIER_TREE_WIDTH]) {
	unsigned reach = 0;
	for (int v = 0; v < BRENIER_TREE_WIDTH; v += DOUBLES) {
		vh part;
		memcpy(&part, heights + v, sizeof part);
		vd sum = vd_widen(part);
		for (int64_t k = 0; k < d; k++) {
			memcpy(&part, points + k * BRENIER_TREE_WIDTH + v, sizeof part);
			sum += vd_set((double)x[k]) * vd_widen(part);  // the product is exact: see exact_score.h
		}
		reach |= vl_mask(sum >= vd_set(least)) << v;
		vd_store(scores + v, sum);
	}
	return reach;
}

// The search is best-first while fewer than TREE_BEST_FIRST blocks have parts to look at: the next is that with the
// highest bound of all, so that no search that rests on the same bounds looks at fewer parts. With more, and until it
// has found k cells, it is depth-first, the next being one of the latest block: there is room for another block of each
// of the 8 levels that N < 2^31 has.
enum { BRENIER_KERNEL(TREE_BEST_FIRST) = 64, BRENIER_KERNEL(TREE_ROOM) = BRENIER_KERNEL(TREE_BEST_FIRST) + 16 };

// The search for one sample. Several go on side by side, so that what one waits for from memory hides
// behind the others.
typedef struct {
	const float *x;
	double slack, least;  // a score below `least` is not among the k best
	float cut;            // nor is anything in a part whose bound is below this
	int32_t part;         // to look at: its number in its level, below 2^27, and the level (0: a leaf) times 2^28
	BRENIER_KERNEL(best) best;
	int blocks;                                                   // that have parts to look at
	int32_t first[BRENIER_KERNEL(TREE_ROOM)];                     // part of each
	float highest[BRENIER_KERNEL(TREE_ROOM)];                     // bound of each; past the last block -infinity
	float bounds[BRENIER_KERNEL(TREE_ROOM)][BRENIER_TREE_WIDTH];  // -infinity where that part was looked at
} BRENIER_KERNEL(tree_query);

// Puts the last block in the place of block b.
BRENIER_INLINE void BRENIER_KERNEL(tree_drop)(BRENIER_KERNEL(tree_query) * q, int b) {
	const int last = --q->blocks;
	q->first[b] = q->first[last];
	q->highest[b] = q->highest[last];
	memcpy(q->bounds[b], q->bounds[last], sizeof q->bounds[b]);
	q->highest[last] = -INFINITY;
}

// The block that has the next part to look at; -1: there is none.
BRENIER_INLINE int BRENIER_KERNEL(tree_block_next)(BRENIER_KERNEL(tree_query) * q) {
	if (q->best.count < q->best.k || q->blocks >= BRENIER_KERNEL(TREE_BEST_FIRST)) {
		while (q->blocks > 0 && q->highest[q->blocks - 1] < q->cut) BRENIER_KERNEL(tree_drop)(q, q->blocks - 1);
		return q->blocks - 1;
	}
	vf most = vf_set(q->cut);
	for (int b = 0; b < q->blocks; b += LANES) most = vf_max(most, vf_load(q->highest + b));
	const float highest = BRENIER_KERNEL(highest_lane)(most);
	for (int b = 0; b < q->blocks; b += LANES) {
		const unsigned there = lanes_at_least(vf_load(q->highest + b), highest);
		if (there != 0) return b + __builtin_ctz(there);
	}
	return -1;
}

// Finds the next part to look at. 0: there is none.
BRENIER_INLINE int BRENIER_KERNEL(tree_next)(BRENIER_KERNEL(tree_query) * q) {
	enum { W = BRENIER_TREE_WIDTH };
	const int b = BRENIER_KERNEL(tree_block_next)(q);
	if (b < 0) return 0;
	float *const bounds = q->bounds[b];
	unsigned there = 0;
	for (int v = 0; v < W; v += LANES) there |= lanes_at_least(vf_load(bounds + v), q->highest[b]) << v;
	const int m = __builtin_ctz(there);
	q->part = q->first[b] + m;
	bounds[m] = -INFINITY;
	vf most = vf_load(bounds);
	for (int v = LANES; v < W; v += LANES) most = vf_max(most, vf_load(bounds + v));
	q->highest[b] = BRENIER_KERNEL(highest_lane)(most);
	if (q->highest[b] < q->cut) BRENIER_KERNEL(tree_drop)(q, b);
	return 1;
}

// What all searches know.
typedef struct {
	const float *blocks, *points, *heights;
	const int32_t *numbers;
	double top;
	int64_t base[8];  // the first block of each level
} BRENIER_KERNEL(tree);

// Looks at a part, and asks for the next one. 0: there is none.
BRENIER_INLINE int BRENIER_KERNEL(tree_step)(const BRENIER_KERNEL(tree) * t, const int64_t d,
                                             BRENIER_KERNEL(tree_query) * q) {
	enum { W = BRENIER_TREE_WIDTH };
	const int level = q->part >> 28;
	const int64_t number = q->part & 0xfffffff;
	if (level > 0) {
		const float *block = t->blocks + (t->base[level] + number) * brenier_tree_block(d);
		const int b = q->blocks;
		q->first[b] = (level - 1) << 28 | (int32_t)(number * W);
		const float highest = BRENIER_KERNEL(tree_bounds)(block, q->x, d, q->bounds[b]);
		if (highest >= q->cut) {
			q->highest[b] = highest;
			q->blocks++;
		}
	} else {
		double scores[W];
		unsigned reach = BRENIER_KERNEL(tree_scores)(t->points + number * d * W, t->heights + number * W,
		                                             q->x, d, q->least, scores);
		if (reach != 0) {
			for (; reach != 0; reach &= reach - 1) {
				const int m = __builtin_ctz(reach);
				BRENIER_KERNEL(insert)(&q->best, scores[m], t->numbers[number * W + m]);
			}
			if (q->best.count == q->best.k) {
				q->least = q->best.scores[q->best.k - 1];
				q->cut = brenier_float_below(q->least - t->top - q->slack);
			}
		}
	}
	if (!BRENIER_KERNEL(tree_next)(q)) return 0;
	const int64_t then = q->part & 0xfffffff;
	if (q->part >> 28 == 0) {
		for (int64_t k = 0; k < d; k++) __builtin_prefetch(t->points + (then * d + k) * W);
		__builtin_prefetch(t->heights + then * W);
		__builtin_prefetch(t->numbers + then * W);
	} else {
		const float *block = t->blocks + (t->base[q->part >> 28] + then) * brenier_tree_block(d);
		for (int64_t i = 0; i < brenier_tree_block(d); i += W) __builtin_prefetch(block + i);
	}
	return 1;
}

// brenier_tree_search, for d known where it is compiled, so that its loops are unrolled.
BRENIER_INLINE int64_t BRENIER_KERNEL(tree_search)(const BRENIER_KERNEL(tree) * tree, int levels,
                                                   const float *x, int64_t rows, const int64_t d,
                                                   double norm, double reach, double extent, int k,
                                                   int64_t budget, int32_t *cells, double *scores) {
	enum { SIDE_BY_SIDE = 4 };
	BRENIER_KERNEL(tree_query) queries[SIDE_BY_SIDE], *at_work[SIDE_BY_SIDE];
	for (int a = 0; a < SIDE_BY_SIDE; a++) {
		at_work[a] = &queries[a];
		queries[a].blocks = 0;
		for (int b = 0; b < BRENIER_KERNEL(TREE_ROOM); b++) queries[a].highest[b] = -INFINITY;
	}
	int active = 0, beyond = 0;
	int64_t next = 0;
	for (;;) {
		while (active < SIDE_BY_SIDE && next < rows && budget > 0 && !beyond) {
			double square = 0;
			for (int64_t i = 0; i < d; i++) square += (double)x[next * d + i] * x[next * d + i];
			const double x_norm = sqrt(square) * (1 + 0x1p-20);  // above the rounding of the sum
			const double slack = brenier_tree_slack(d, x_norm, norm, reach, extent);
			if (slack < 0) {
				beyond = 1;
				break;
			}
			BRENIER_KERNEL(tree_query) *q = at_work[active++];
			q->x = x + next * d;
			q->slack = slack;
			q->least = -DBL_MAX;
			q->cut = -FLT_MAX;
			q->best = (BRENIER_KERNEL(best)){k, 0, cells + next * k, scores + next * k};
			q->part = levels << 28;
			for (; q->blocks > 0; q->blocks--) q->highest[q->blocks - 1] = -INFINITY;  // of the sample before
			next++;
		}
		if (active == 0) return beyond ? -1 - next : next;
		for (int a = 0; a < active;) {
			budget--;
			BRENIER_KERNEL(tree_query) *const q = at_work[a];
			if (BRENIER_KERNEL(tree_step)(tree, d, q)) {
				a++;
			} else {
				at_work[a] = at_work[--active];
				at_work[active] = q;
			}
		}
	}
}

#undef TREE_SEARCH
#define TREE_SEARCH(D)                                                                               \
	static __attribute__((noinline)) int64_t BRENIER_KERNEL(tree_search_##D)(                        \
		const BRENIER_KERNEL(tree) * tree, int levels, const float *x, int64_t rows, double norm,    \
		double reach, double extent, int k, int64_t budget, int32_t *cells, double *scores) {        \
		return BRENIER_KERNEL(tree_search)(tree, levels, x, rows, D, norm, reach, extent, k, budget, \
		                                   cells, scores);                                           \
	}
TREE_SEARCH(1)
TREE_SEARCH(2)
TREE_SEARCH(3)
TREE_SEARCH(4)
TREE_SEARCH(5)
TREE_SEARCH(6)
#undef TREE_SEARCH

int64_t BRENIER_KERNEL(brenier_tree_search)(const float *x, int64_t rows, int64_t d, int64_t N,
                                            const float *blocks, const float *points,
                                            const float *heights, const int32_t *numbers, double top,
                                            double norm, double reach, double extent, int k,
                                            int64_t budget, int32_t *cells, double *scores) {
	static int64_t (*const search[BRENIER_TREE_MOST])(const BRENIER_KERNEL(tree) *, int, const float *,
	                                                  int64_t, double, double, double, int, int64_t,
	                                                  int32_t *, double *) = {
		BRENIER_KERNEL(tree_search_1), BRENIER_KERNEL(tree_search_2), BRENIER_KERNEL(tree_search_3),
		BRENIER_KERNEL(tree_search_4), BRENIER_KERNEL(tree_search_5), BRENIER_KERNEL(tree_search_6),
	};
	BRENIER_KERNEL(tree) tree = {blocks, points, heights, numbers, top, {0}};
	int levels = 0;  // above the leaves
	for (int64_t parts = brenier_tree_parts(N); levels == 0 || parts > 1;) {
		parts = brenier_tree_parts(parts);
		levels++;
		if (parts > 1) tree.base[levels + 1] = tree.base[levels] + parts;
	}
	return search[d - 1](&tree, levels, x, rows, norm, reach, extent, k, budget, cells, scores);
}

// Writes the slope of part m of a block, that of a plane through the heights of its members at [d][stride],
// which it raises. A cell that nothing falls into may lie anywhere below the others, and what a bound is to
// touch is the highest: so members below the plane are put on it, and another one is laid, a few times.
static void BRENIER_KERNEL(tree_slope)(float *block, int m, int64_t d, const float *fits, const float *at,
                                       int64_t stride, int members, double height[BRENIER_TREE_WIDTH]) {
	enum { W = BRENIER_TREE_WIDTH, V = W / DOUBLES, ROUNDS = 3 };
	const double each = 1.0 / members;
	vd away[BRENIER_TREE_MOST][V];  // of the members from their mean
	for (int64_t k = 0; k < d; k++) {
		double sum = 0;
		for (int i = 0; i < members; i++) sum += at[k * stride + i];
		for (int v = 0; v < V; v++) {
			vh part;
			memcpy(&part, at + k * stride + v * DOUBLES, sizeof part);
			away[k][v] = vd_widen(part) - sum * each;
		}
	}
	for (int round = 0;; round++) {
		double sum = 0;
		for (int i = 0; i < members; i++) sum += height[i];
		vd plane[V];
		for (int v = 0; v < V; v++) plane[v] = vd_set(sum * each);
		for (int64_t k = 0; k < d; k++) {
			vd fit = vd_set(0.0);
			for (int v = 0; v < V; v++) {
				vh part;
				memcpy(&part, fits + k * W + v * DOUBLES, sizeof part);
				fit += vd_widen(part) * vd_load(height + v * DOUBLES);
			}
			double slope = 0;
			for (int l = 0; l < DOUBLES; l++) slope -= fit[l];
			// Any slope makes a bound. This is also false for a NaN.
			slope = fabs(slope) < BRENIER_TREE_STEEPEST ? slope : 0;
			block[(BRENIER_TREE_ROWS * k + BRENIER_TREE_SLOPE) * W + m] = (float)slope;
			for (int v = 0; v < V; v++) plane[v] -= slope * away[k][v];
		}
		if (round == ROUNDS) return;
		for (int v = 0; v < V; v++) {
			const vd old = vd_load(height + v * DOUBLES);
			vd_store(height + v * DOUBLES, vd_select(plane[v] > old, plane[v], old));
		}
	}
}

// Writes the bend of part m, as the slopes of a block's parts have it: of its own, or of those around it.
static void BRENIER_KERNEL(tree_bend)(float *block, int m, int64_t d, const float *fits, const float *of) {
	enum { W = BRENIER_TREE_WIDTH };
	for (int64_t k = 0; k < d; k++) {
		double bend = 0;
		for (int i = 0; fits != NULL && i < W; i++)
			bend += (double)fits[k * W + i] * of[(BRENIER_TREE_ROWS * k + BRENIER_TREE_SLOPE) * W + i];
		bend = bend > 1e-20 ? bend < 1e20 ? bend : 1e20 : 1e-20;  // any bend makes a bound
		block[(BRENIER_TREE_ROWS * k + BRENIER_TREE_BEND) * W + m] = (float)(bend / 2);
		block[(BRENIER_TREE_ROWS * k + BRENIER_TREE_TURN) * W + m] = (float)(1 / bend);
	}
}

// Adds the bend of part m to the heights of its members at [d][stride], from which the slope at the
// middle of the box then follows and not that at the middle of the members.
static void BRENIER_KERNEL(tree_unbend)(const float *block, int m, int64_t d, const float *at, int64_t stride,
                                        const double height[BRENIER_TREE_WIDTH],
                                        double straight[BRENIER_TREE_WIDTH]) {
	enum { W = BRENIER_TREE_WIDTH };
	for (int i = 0; i < W; i++) straight[i] = height[i];
	for (int64_t k = 0; k < d; k++) {
		const float *const of = block + BRENIER_TREE_ROWS * k * W + m;
		for (int i = 0; i < W; i++) {
			const double u = (double)at[k * stride + i] - of[BRENIER_TREE_CENTRE * W];
			straight[i] += of[BRENIER_TREE_BEND * W] * u * u;
		}
	}
}

// Writes the roof of part m of a block, whose members are points [d][16] of given heights, or the parts
// of the block `below`.
static void BRENIER_KERNEL(tree_cover)(float *block, int m, int64_t d, const double height[BRENIER_TREE_WIDTH],
                                       int members, const float *points, const float *below) {
	enum { W = BRENIER_TREE_WIDTH };
	double excess[W], sizes[W], sloped = 0;
	for (int i = 0; i < W; i++) {
		excess[i] = height[i];
		sizes[i] = fabs(height[i]);
	}
	for (int64_t k = 0; k < d; k++) {
		const float *const of = block + BRENIER_TREE_ROWS * k * W + m;
		const double centre = of[BRENIER_TREE_CENTRE * W], half = of[BRENIER_TREE_HALF * W];
		const double slope = of[BRENIER_TREE_SLOPE * W], bend = of[BRENIER_TREE_BEND * W];
		sloped += fabs(slope) * half;
		if (below == NULL) {
			for (int i = 0; i < W; i++) {
				const double u = points[k * W + i] - centre, rise = u * (slope + bend * u);
				excess[i] += rise;
				sizes[i] += fabs(u) * (fabs(slope) + bend * fabs(u));
			}
			continue;
		}
		const float *const member = below + BRENIER_TREE_ROWS * k * W;
		for (int i = 0; i < W; i++) {
			const double u = member[BRENIER_TREE_CENTRE * W + i] - centre;
			const double wide = member[BRENIER_TREE_HALF * W + i];
			// Of a point v from the member's centre: height + rise + tilt v + more v^2 at most.
			const double rise = u * (slope + bend * u);
			const double tilt = fabs(slope + 2 * bend * u - member[BRENIER_TREE_SLOPE * W + i]);
			const double more = bend - member[BRENIER_TREE_BEND * W + i];
			const double top = more < 0 && tilt < -2 * more * wide ? tilt / (-2 * more) : wide;
			excess[i] += rise + top * (tilt + more * top);
			sizes[i] += fabs(u) * (fabs(slope) + bend * fabs(u)) +
			            wide * (tilt + fabs(slope) + 2 * bend * fabs(u) + fabs(more) * wide);
		}
	}
	double most = -DBL_MAX;
	for (int i = 0; i < members; i++) {
		const double above = excess[i] + sizes[i] * (double)(d + 8) * 0x1p-50;
		most = above > most ? above : most;
	}
	block[BRENIER_TREE_ROWS * d * W + m] = brenier_tree_roof(d, most, sloped);
}

void BRENIER_KERNEL(brenier_tree_lower)(int64_t N, int64_t d, const float *h, double top, int64_t first,
                                        int64_t end, float *blocks, const float *fits,
                                        const float *points, float *heights, const int32_t *cells) {
	enum { W = BRENIER_TREE_WIDTH };
	const int64_t leaves = brenier_tree_parts(N), level = brenier_tree_parts(leaves);
	for (int64_t b = first; b < end; b++) {
		float *const block = blocks + b * brenier_tree_block(d);
		const int parts = brenier_tree_members(leaves, b);
		double height[W][W];
		for (int m = 0; m < parts; m++) {
			const int64_t leaf = b * W + m;
			for (int i = 0; i < W; i++) {
				const int32_t cell = cells[leaf * W + i];
				heights[leaf * W + i] = cell >= 0 ? h[cell] : -INFINITY;
				height[m][i] = cell >= 0 ? (double)h[cell] - top : 0;
			}
			double rough[W];
			memcpy(rough, height[m], sizeof rough);
			BRENIER_KERNEL(tree_slope)(block, m, d, fits + leaf * d * W, points + leaf * d * W, W,
			                           brenier_tree_members(N, leaf), rough);
		}
		const float *around = level > 1 ? fits + (level * W + b) * d * W : NULL;  // of this block as a part
		for (int m = 0; m < parts; m++) BRENIER_KERNEL(tree_bend)(block, m, d, around, block);
		for (int m = 0; m < parts; m++) {
			const int64_t leaf = b * W + m;
			double straight[W];
			BRENIER_KERNEL(tree_unbend)(block, m, d, points + leaf * d * W, W, height[m], straight);
			const int members = brenier_tree_members(N, leaf);
			BRENIER_KERNEL(tree_slope)(block, m, d, fits + leaf * d * W, points + leaf * d * W, W, members, straight);
			BRENIER_KERNEL(tree_cover)(block, m, d, height[m], members, points + leaf * d * W, NULL);
		}
	}
}

void BRENIER_KERNEL(brenier_tree_upper)(int64_t N, int64_t d, float *blocks, const float *fits) {
	enum { W = BRENIER_TREE_WIDTH };
	const int64_t size = brenier_tree_block(d);
	int64_t base = 0, below = brenier_tree_parts(N);  // of level 1: its first block, and what is below it
	for (int64_t level = brenier_tree_parts(below); level > 1;) {
		const float *lower = blocks + base * size;
		base += level;
		for (int64_t part = 0; part < level; part++, lower += size) {
			const int members = brenier_tree_members(below, part);
			const float *fit = fits + (base * W + part) * d * W;
			float *const block = blocks + (base + part / W) * size;
			const int m = (int)(part % W);
			double height[W] = {0};
			for (int i = 0; i < members; i++) height[i] = lower[BRENIER_TREE_ROWS * d * W + i];
			BRENIER_KERNEL(tree_bend)(block, m, d, fit, lower);
			double straight[W];
			BRENIER_KERNEL(tree_unbend)(block, m, d, lower, BRENIER_TREE_ROWS * W, height, straight);
			BRENIER_KERNEL(tree_slope)(block, m, d, fit, lower, BRENIER_TREE_ROWS * W, members, straight);
			BRENIER_KERNEL(tree_cover)(block, m, d, height, members, NULL, lower);
		}
		below = level;
		level = brenier_tree_parts(level);
	}
}
