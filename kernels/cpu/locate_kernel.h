// Locate's hot loops; the two steps and the packed layout are described in locate.h, the bound and
// its proof in locate_bound.h.
#include "best_kernel.h"
#include "exact_score.h"

// The register tile: TILE_ROWS samples by one panel (two vectors), in the registers that the path
// has. Fewer samples take several panels at once, which keeps enough independent sums in flight.
#undef TILE_ROWS
#if LANES == 16 || !BRENIER_X86  // 32 vector registers
#define TILE_ROWS 12
#else
#define TILE_ROWS 6
#endif

enum { BRENIER_KERNEL(tile_rows) = TILE_ROWS };

// Screens R samples, packed as x [d][R], against S consecutive panels of one group, and merges the
// maxima into maxima [R,stride]; `fresh` if these are the group's first panels. R and S are
// constants where it is inlined, so that the sums are registers.
BRENIER_INLINE void BRENIER_KERNEL(screen_tile)(const int R, const int S, const float *x,
                                                const float *panels, const float *levels, int64_t d,
                                                int fresh, float *maxima, int64_t stride) {
	enum { W = 2 * LANES };
	vf sum[TILE_ROWS][2 * 4];
#pragma GCC unroll 8
	for (int s = 0; s < 2 * S; s++) {
		const vf level = vf_load(levels + s * LANES);
#pragma GCC unroll 12
		for (int r = 0; r < R; r++) sum[r][s] = level;
	}
	for (int64_t k = 0; k < d; k++) {
		vf y[2 * 4];
#pragma GCC unroll 8
		for (int s = 0; s < 2 * S; s++)
			y[s] = vf_load(panels + (s / 2) * d * W + k * W + (s % 2) * LANES);
#pragma GCC unroll 12
		for (int r = 0; r < R; r++) {
			const vf xr = vf_set(x[k * R + r]);
#pragma GCC unroll 8
			for (int s = 0; s < 2 * S; s++) sum[r][s] = vf_fma(xr, y[s], sum[r][s]);
		}
	}
#pragma GCC unroll 12
	for (int r = 0; r < R; r++) {
		vf most = sum[r][0];
#pragma GCC unroll 8
		for (int s = 1; s < 2 * S; s++) most = vf_max(most, sum[r][s]);
		if (!fresh) most = vf_max(most, vf_load(maxima + r * stride));
		vf_store(maxima + r * stride, most);
	}
}

// Screens R packed samples against panels first .. end-1, S at a time within a group.
BRENIER_INLINE void BRENIER_KERNEL(screen_rows)(const int R, const int S, const float *x,
                                                const float *panels, const float *levels, int64_t d,
                                                int64_t first, int64_t end, int64_t T, float *maxima,
                                                int64_t stride) {
	enum { W = 2 * LANES };
	for (int64_t p = first; p < end;) {
		const int64_t left = T - p % T < end - p ? T - p % T : end - p;
		float *to = maxima + p / T * LANES;
		const float *y = panels + p * d * W, *h = levels + p * W;
		if (left >= S) {
			BRENIER_KERNEL(screen_tile)(R, S, x, y, h, d, p % T == 0, to, stride);
			p += S;
		} else {
			BRENIER_KERNEL(screen_tile)(R, 1, x, y, h, d, p % T == 0, to, stride);
			p += 1;
		}
	}
}

// The tiles that are compiled: every full tile, then what is left of the rows in at most two.
#if TILE_ROWS == 12
#define SCREEN_SHAPES(shape) shape(1, 4) shape(2, 4) shape(4, 2) shape(8, 1) shape(12, 1)
#else
#define SCREEN_SHAPES(shape) shape(1, 4) shape(2, 2) shape(4, 1) shape(6, 1)
#endif

#define SCREEN_FUNCTION(R, S)                                                                    \
	static __attribute__((noinline)) void BRENIER_KERNEL(screen_rows_##R)(                       \
		const float *x, const float *panels, const float *levels, int64_t d, int64_t first,      \
		int64_t end, int64_t T, float *maxima, int64_t stride) {                                 \
		BRENIER_KERNEL(screen_rows)(R, S, x, panels, levels, d, first, end, T, maxima, stride);  \
	}
SCREEN_SHAPES(SCREEN_FUNCTION)
#undef SCREEN_FUNCTION

// The rows of the next tile when `rows` are left: the largest shape they fill, or the smallest
// that holds them where that wastes less than a quarter.
static inline int BRENIER_KERNEL(next_tile)(int64_t rows) {
	if (rows >= TILE_ROWS || rows * 4 > TILE_ROWS * 3) return TILE_ROWS;
	if (TILE_ROWS == 12 && rows >= 7) return 8;
	if (rows >= 4 || rows == 3) return 4;
	return rows >= 2 ? 2 : 1;
}

// Panels of one pass: what half a first-level cache holds, so that they stay there while the
// tiles of samples go by.
static inline int64_t BRENIER_KERNEL(pass_panels)(int64_t d) {
	const int64_t bytes = d * 2 * LANES * (int64_t)sizeof(float);
	return bytes >= 32768 ? 1 : 32768 / bytes;
}

void BRENIER_KERNEL(brenier_locate_pack_samples)(const float *x, int64_t rows, int64_t d,
                                                 float *packed) {
	for (int64_t row = 0; row < rows;) {
		const int R = BRENIER_KERNEL(next_tile)(rows - row);
		for (int64_t k = 0; k < d; k++)
			for (int r = 0; r < R; r++) packed[k * R + r] = row + r < rows ? x[(row + r) * d + k] : 0;
		packed += R * d;
		row += R;
	}
}

void BRENIER_KERNEL(brenier_locate_screen)(const float *packed, int64_t rows, int64_t d,
                                           const float *panels, const float *levels, int64_t first,
                                           int64_t end, int64_t T, float *maxima, int64_t stride) {
	// One tile alone uses each panel once: it takes them all in one pass, as fast as memory gives
	// them, several at a time and without asking ahead.
	const int alone = rows <= TILE_ROWS;
	const int64_t step = alone ? end - first : BRENIER_KERNEL(pass_panels)(d);
	for (int64_t p = first; p < end; p += step) {
		const int64_t stop = p + step < end ? p + step : end;
		const float *tile = packed, *next = panels + stop * d * 2 * LANES;
		const int64_t ahead = (stop + step < end ? step : end - stop) * d * 2 * LANES;
		for (int64_t row = 0; row < rows;) {
			const int R = BRENIER_KERNEL(next_tile)(rows - row);
			// Every tile asks for its share of the next pass' panels, which may be in memory yet.
			const int64_t until = row + R < rows ? ahead * (row + R) / rows : ahead;
			for (int64_t i = ahead * row / rows & -16; i < until; i += 16)
				__builtin_prefetch(next + i, 0, 2);
			switch (R) {
#define SCREEN_CASE(R, S)                                                                         \
	case R:                                                                                       \
		BRENIER_KERNEL(screen_rows_##R)(tile, panels, levels, d, p, stop, T, maxima + row * stride, \
		                                stride);                                                  \
		break;
				SCREEN_SHAPES(SCREEN_CASE)
#undef SCREEN_CASE
			}
			tile += R * d;
			row += R;
		}
	}
}
#undef SCREEN_SHAPES

#undef count_lanes  // bits set in a mask of lanes
#if LANES == 4
#define count_lanes(mask) ((int)(0x4332322132212110 >> 4 * (mask) & 7))  // a digit for each mask
#else
#define count_lanes(mask) __builtin_popcount(mask)
#endif

// The k-th largest of v [64], of which the first `count` are looked at and the others are -FLT_MAX;
// -FLT_MAX if count < k. By counting, without branches: it is the largest value that at least k
// others, itself among them, reach.
static float BRENIER_KERNEL(kth_largest)(const float v[64], int count, int k) {
	float kth = -FLT_MAX;
	for (int i = 0; i < count; i++) {
		int reaching = 0;
#pragma GCC unroll 16
		for (int s = 0; s < 64; s += LANES)
			reaching += count_lanes(lanes_at_least(vf_load(v + s), v[i]));
		const float candidate = reaching >= k ? v[i] : -FLT_MAX;
		kth = candidate > kth ? candidate : kth;
	}
	return kth;
}

// A lower bound of the k-th largest of v [count], count a multiple of LANES: the k-th largest
// among the maxima of 64 subsets.
static float BRENIER_KERNEL(kth_largest_bound)(const float *v, int64_t count, int k) {
	enum { SETS = 64 / LANES };
	vf most[SETS];
	for (int s = 0; s < SETS; s++) most[s] = vf_set(-FLT_MAX);
	int64_t i = 0;
	for (; i + SETS * LANES <= count; i += SETS * LANES)
#pragma GCC unroll 16
		for (int s = 0; s < SETS; s++) most[s] = vf_max(most[s], vf_load(v + i + s * LANES));
	float subset[SETS * LANES];
	for (int s = 0; s < SETS; s++, i += LANES)
		vf_store(subset + s * LANES, i < count ? vf_max(most[s], vf_load(v + i)) : most[s]);
	return BRENIER_KERNEL(kth_largest)(subset, SETS * LANES, k);
}

// Lists in kept the groups of v [count] that reach cut, with their maxima in reached.
static int64_t BRENIER_KERNEL(groups_at_least)(const float *v, int64_t count, float cut,
                                               int32_t *kept, float *reached) {
	int64_t n = 0;
	for (int64_t i = 0; i < count; i += LANES) {
		for (unsigned lanes = lanes_at_least(vf_load(v + i), cut); lanes != 0; lanes &= lanes - 1) {
			kept[n] = (int32_t)(i + __builtin_ctz(lanes));
			reached[n] = v[kept[n]];
			n++;
		}
	}
	return n;
}

// Lists in kept the groups that may hold one of the k best cells.
static int64_t BRENIER_KERNEL(candidate_groups)(const float *maxima, int64_t G, int k,
                                                brenier_bound bound, int32_t *kept, float *reached) {
	const float low = BRENIER_KERNEL(kth_largest_bound)(maxima, G, k);
	const int64_t listed = BRENIER_KERNEL(groups_at_least)(
		maxima, G, brenier_screen_cut(bound, low), kept, reached);
	if (listed > 64) return listed;  // many near ties: a closer look would drop few
	for (int64_t g = listed; g < 64; g++) reached[g] = -FLT_MAX;
	const float cut = brenier_screen_cut(bound, BRENIER_KERNEL(kth_largest)(reached, (int)listed, k));
	int64_t count = 0;
	for (int64_t g = 0; g < listed; g++) {
		kept[count] = kept[g];
		count += reached[g] >= cut;
	}
	return count;
}

// Asks for the points of a group that will be scored: they lie anywhere in memory, and waiting for
// one group after another costs more than scoring them. At most a page; the processor's own
// prefetching goes on from there.
static void BRENIER_KERNEL(prefetch_points)(const float *points, int64_t d, int64_t first,
                                            int64_t end) {
	enum { PAGE = 4096 / sizeof(float), LINE = 64 / sizeof(float) };
	const int64_t stop = first * d + PAGE < end * d ? first * d + PAGE : end * d;
	for (int64_t i = first * d; i < stop; i += LINE) __builtin_prefetch(points + i);
}

// One sample's cells to score, collected until there is one for each chain.
typedef struct {
	const float *x, *points, *heights;
	int64_t d;
	int waiting;
	int32_t cells[CHAINS];
	BRENIER_KERNEL(best) best;
} BRENIER_KERNEL(scoring);

// Scores the waiting cells exactly and offers them to the best.
static void BRENIER_KERNEL(score_waiting)(BRENIER_KERNEL(scoring) * s) {
	const float *y[CHAINS];
	double sum[CHAINS];
	for (int c = 0; c < CHAINS; c++) {
		const int32_t cell = s->cells[c < s->waiting ? c : 0];
		y[c] = s->points + cell * s->d;
		sum[c] = s->heights[cell];
	}
	BRENIER_KERNEL(exact_chains)(s->x, y, s->d, sum);
	for (int c = 0; c < s->waiting; c++) BRENIER_KERNEL(insert)(&s->best, sum[c], s->cells[c]);
	s->waiting = 0;
}

static void BRENIER_KERNEL(score_range)(BRENIER_KERNEL(scoring) * s, int64_t first, int64_t end) {
	for (int64_t cell = first; cell < end; cell++) {
		s->cells[s->waiting++] = (int32_t)cell;
		if (s->waiting == CHAINS) BRENIER_KERNEL(score_waiting)(s);
	}
}

// Lists in kept the groups of one sample that have to be scored, and returns their number; -1 if
// that is every cell.
static int64_t BRENIER_KERNEL(groups_to_score)(const float *x, int64_t d, double norm, double reach,
                                               const float *maxima, int64_t G, int k, int32_t *kept,
                                               float *reached) {
	double square = 0;
	for (int64_t i = 0; i < d; i++) square += (double)x[i] * x[i];
	const double x_norm = sqrt(square) * (1 + 0x1p-20);  // above the rounding of d < 2^30 terms
	const brenier_bound bound = brenier_screen_bound(d, x_norm, norm, reach);
	return bound.holds ? BRENIER_KERNEL(candidate_groups)(maxima, G, k, bound, kept, reached) : -1;
}

void BRENIER_KERNEL(brenier_locate_select)(const float *x, int64_t rows, int64_t d,
                                           const float *points, const float *heights, int64_t N,
                                           double norm, double reach, const float *maxima,
                                           int64_t stride, int64_t T, int64_t G, int k, int32_t *kept,
                                           float *reached, int32_t *cells, double *scores) {
	// The next sample's groups are known, and their points asked for, while this one's are scored.
	int32_t *this_kept = kept, *next_kept = kept + G;
	const int64_t width = 2 * T;  // cells of a group
	int64_t count = BRENIER_KERNEL(groups_to_score)(x, d, norm, reach, maxima, G, k, this_kept, reached);
	for (int64_t row = 0; row < rows; row++, x += d) {
		maxima += stride;
		int64_t next = 0;
		if (row + 1 < rows)
			next = BRENIER_KERNEL(groups_to_score)(x + d, d, norm, reach, maxima, G, k, next_kept, reached);
		BRENIER_KERNEL(scoring) scoring = {
			.x = x, .points = points, .heights = heights, .d = d,
			.best = {k, 0, cells + row * k, scores + row * k},
		};
		if (count < 0) BRENIER_KERNEL(score_range)(&scoring, 0, N);
		for (int64_t g = 0; g < count || g < next; g++) {
			if (g < next) {
				const int64_t first = next_kept[g] * width;
				BRENIER_KERNEL(prefetch_points)(points, d, first, first + width < N ? first + width : N);
			}
			if (g < count) {
				const int64_t first = this_kept[g] * width;
				BRENIER_KERNEL(score_range)(&scoring, first, first + width < N ? first + width : N);
			}
		}
		if (scoring.waiting > 0) BRENIER_KERNEL(score_waiting)(&scoring);
		int32_t *const swap = this_kept;
		this_kept = next_kept;
		next_kept = swap;
		count = next;
	}
}
