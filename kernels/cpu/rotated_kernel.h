// Rotated draws' hot loops; what a draw is, its streams and the order of every sum are in rotated.h.
// All results have the same bits on every path: sums of float32 by vf_fma_exact or single rounded
// operations, sums of float64 by multiplications and additions, which need no fma of the portable
// path's.
#include "best_kernel.h"
#include "natural_log.h"
#include "philox_kernel.h"
#include "exact_fma.h"

#undef vf_highest  // the highest lane
#if BRENIER_PATH == BRENIER_AVX512
#define vf_highest(v) _mm512_reduce_max_ps((__m512)(v))
#elif BRENIER_PATH == BRENIER_AVX2
#define vf_highest(v) brenier_highest_of_8((__m256)(v))
BRENIER_INLINE float brenier_highest_of_8(__m256 v) {
	__m128 m = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
	m = _mm_max_ps(m, _mm_movehl_ps(m, m));
	return _mm_cvtss_f32(_mm_max_ss(m, _mm_shuffle_ps(m, m, 1)));
}
#else
#define vf_highest(v) brenier_highest_of_4(v)
BRENIER_INLINE float brenier_highest_of_4(brenier_f4 v) {
	const float low = v[0] > v[1] ? v[0] : v[1], high = v[2] > v[3] ? v[2] : v[3];
	return low > high ? low : high;
}
#endif

// ---- the frame --------------------------------------------------------------------------------

#undef FRAME_TILE
#if LANES == 16 || !BRENIER_X86  // 32 vector registers
#define FRAME_TILE 12
#define FRAME_SHAPES(shape) shape(12) shape(8) shape(4) shape(2) shape(1)
#else
#define FRAME_TILE 6
#define FRAME_SHAPES(shape) shape(6) shape(4) shape(2) shape(1)
#endif

// The axes of the next tile when `axes` are left: packed tiles have no padding.
static inline int BRENIER_KERNEL(frame_tile)(int64_t axes) {
	if (axes >= FRAME_TILE) return FRAME_TILE;
	if (axes >= 8) return 8;
	return axes >= 4 ? 4 : axes >= 2 ? 2 : 1;
}

void BRENIER_KERNEL(brenier_frame_columns)(const double *reflectors, const float *signs, int64_t d,
                                           int64_t block, double *scratch, float *frame,
                                           float *packed) {
	enum { COLUMNS = BRENIER_FRAME_COLUMNS, VECTORS = COLUMNS / DOUBLES };
	const int64_t first = block * COLUMNS;
	const int64_t end = first + COLUMNS < d ? first + COLUMNS : d;
	memset(scratch, 0, (size_t)(d * COLUMNS) * sizeof *scratch);
	for (int64_t c = first; c < end; c++) scratch[c * COLUMNS + c - first] = signs[c];

	// Reflector k leaves the first k coordinates alone, so columns before k are unit vectors to it.
	for (int64_t k = end - 1; k >= 0; k--) {
		const double *w = reflectors + (k < (d + 1) / 2 ? k * (d + 1) : (d - k - 1) * (d + 1) + k + 1);
		double *rows = scratch + k * COLUMNS;
		vd dot[VECTORS];
#pragma GCC unroll 16
		for (int c = 0; c < VECTORS; c++) dot[c] = vd_set(0.0);
		for (int64_t i = 0; i < d - k; i++)
#pragma GCC unroll 16
			for (int c = 0; c < VECTORS; c++)
				dot[c] += w[i] * vd_load(rows + i * COLUMNS + c * DOUBLES);
		for (int64_t i = 0; i < d - k; i++)
#pragma GCC unroll 16
			for (int c = 0; c < VECTORS; c++) {
				double *at = rows + i * COLUMNS + c * DOUBLES;
				vd_store(at, vd_load(at) - w[i] * dot[c]);
			}
	}
	for (int64_t axis = 0; axis < d;) {
		const int R = BRENIER_KERNEL(frame_tile)(d - axis);
		for (int r = 0; r < R; r++)
			for (int64_t c = first; c < end; c++) {
				const float q = (float)scratch[(axis + r) * COLUMNS + c - first];
				frame[(axis + r) * d + c] = q;
				packed[axis * d + c * R + r] = q;
			}
		axis += R;
	}
}

// One panel times R axes, q [d][R], to rows of z that are `stride` apart.
BRENIER_INLINE void BRENIER_KERNEL(rotate_tile)(const int R, const float *q, int64_t d,
                                                const float *panel, float *z, int64_t stride) {
	enum { W = 2 * LANES };
	vf sum[FRAME_TILE][2];
#pragma GCC unroll 12
	for (int r = 0; r < R; r++) sum[r][0] = sum[r][1] = vf_set(0.0f);
	for (int64_t c = 0; c < d; c++) {
		const vf y0 = vf_load(panel + c * W), y1 = vf_load(panel + c * W + LANES);
#pragma GCC unroll 12
		for (int r = 0; r < R; r++) {
			const vf axis = vf_set(q[c * R + r]);
			sum[r][0] = vf_fma_exact(axis, y0, sum[r][0]);
			sum[r][1] = vf_fma_exact(axis, y1, sum[r][1]);
		}
	}
#pragma GCC unroll 12
	for (int r = 0; r < R; r++) {
		vf_store(z + r * stride, sum[r][0]);
		vf_store(z + r * stride + LANES, sum[r][1]);
	}
}

#define ROTATE_FUNCTION(R)                                                                   \
	static __attribute__((noinline)) void BRENIER_KERNEL(rotate_panels_##R)(                 \
		const float *q, int64_t d, const float *panels, int64_t count, float *z,             \
		int64_t stride) {                                                                    \
		for (int64_t p = 0; p < count; p++)                                                  \
			BRENIER_KERNEL(rotate_tile)(R, q, d, panels + p * d * 2 * LANES, z + p * 2 * LANES, \
			                            stride);                                             \
	}
FRAME_SHAPES(ROTATE_FUNCTION)
#undef ROTATE_FUNCTION

void BRENIER_KERNEL(brenier_rotate)(const float *packed, int64_t d, const float *panels,
                                    int64_t first, int64_t end, int64_t C, float *z) {
	// A tile of axes stays in the first-level cache while a part of the panels goes by that the
	// second-level cache holds.
	enum { W = 2 * LANES };
	const int64_t bytes = d * W * (int64_t)sizeof(float);
	const int64_t step = bytes >= 65536 ? 1 : 65536 / bytes;
	for (int64_t p = first; p < end;) {
		const int64_t pass = p / C, stop = (pass + 1) * C < end ? (pass + 1) * C : end;
		const int64_t count = p + step < stop ? step : stop - p;
		for (int64_t axis = 0; axis < d;) {
			const int R = BRENIER_KERNEL(frame_tile)(d - axis);
			const float *q = packed + axis * d, *from = panels + p * d * W;
			float *to = z + (pass * d + axis) * (C + 1) * W + p % C * W;
			switch (R) {
#define ROTATE_CASE(R)                                                         \
	case R:                                                                    \
		BRENIER_KERNEL(rotate_panels_##R)(q, d, from, count, to, (C + 1) * W); \
		break;
				FRAME_SHAPES(ROTATE_CASE)
#undef ROTATE_CASE
			}
			axis += R;
		}
		p += count;
	}
}
#undef FRAME_SHAPES

// ---- the draws --------------------------------------------------------------------------------

// v [count*FAMILY][16] of families from `family` on. |v|^2 is chi^2 of d degrees, of which two are -2 ln of
// a uniform (Devroye, "Non-Uniform Random Variate Generation", 1986, IX.3.3), and one, where d is odd, the
// square of a normal [count].
enum { BRENIER_KERNEL(FAMILIES) = 16 };
static void BRENIER_KERNEL(coefficients_of)(const float *normals, int count, uint64_t seed,
                                            uint64_t family, int64_t d, float *v) {
	enum { FAMILIES = BRENIER_KERNEL(FAMILIES), SETS = BRENIER_SET / BRENIER_FAMILY, S = BRENIER_AXES };
	enum { MERGED = 16 };  // uniforms of a product: above 2^-529
	double square[FAMILIES], product[FAMILIES], logs[FAMILIES];
	for (int f = 0; f < FAMILIES; f++) {
		square[f] = d % 2 != 0 && f < count ? (double)normals[f] * normals[f] : 0;
		logs[f] = 0;
		product[f] = 1;
	}
	const int64_t words = d / 2;
	for (int64_t word = 0; word < words; word += 4) {
		for (int f = 0; f < FAMILIES; f += DOUBLES) {
			vq index;
			for (int i = 0; i < DOUBLES; i++) index[i] = family + (uint64_t)(f + i);
			vq c[4] = {index, index >> 32, (vq){0} + (uint64_t)(word / 4), (vq){0} + BRENIER_STREAM_RADIUS};
			BRENIER_KERNEL(philox_blocks)(&c, 1, seed);
			vd part = vd_load(product + f);
			for (int w = 0; w < 4 && word + w < words; w++)
				part *= BRENIER_KERNEL(uniform_of)(c[w] & 0xFFFFFFFFu);
			vd_store(product + f, part);
		}
		if ((word + 4) % MERGED != 0 && word + 4 < words) continue;
		for (int f = 0; f < FAMILIES; f += DOUBLES) {
			vd log = vd_load(product + f);
			BRENIER_KERNEL(natural_logs)(&log, 1);
			vd_store(logs + f, vd_load(logs + f) + log);
			vd_store(product + f, vd_set(1.0));
		}
	}
	for (int f = 0; f < FAMILIES; f += DOUBLES)
		vd_store(square + f, vd_sqrt(vd_load(square + f) - 2.0 * vd_load(logs + f)));
	const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
	uint32_t signs[4] = {0};
	for (int f = 0; f < count; f++, v += BRENIER_FAMILY * S) {
		const uint64_t set = (family + (uint64_t)f) / SETS;
		const int within = (int)((family + (uint64_t)f) % SETS);
		if (f == 0 || within == 0) {
			const uint32_t counter[4] = {(uint32_t)set, (uint32_t)(set >> 32), 0, BRENIER_STREAM_SIGNS};
			brenier_philox(counter, key, signs);
		}
		const float size = (float)(square[f] * 0.25);
		const uint32_t minus = signs[0] ^ BRENIER_FAMILY_SIGNS(within);
		for (int j = 0; j < S; j++) {
			const float value = minus >> j & 1 ? -size : size;
			const float other = j < S / 2 ? value : -value;
			v[j] = value;
			v[S + j] = -value;
			v[2 * S + j] = other;
			v[3 * S + j] = -other;
		}
	}
}

void BRENIER_KERNEL(brenier_rotated_coefficients)(const float *normals, int64_t count, uint64_t seed,
                                                  uint64_t family, int64_t d, float *v) {
	enum { FAMILIES = BRENIER_KERNEL(FAMILIES) };
	for (int64_t f = 0; f < count; f += FAMILIES)
		BRENIER_KERNEL(coefficients_of)(normals + f, (int)(count - f < FAMILIES ? count - f : FAMILIES), seed,
		                                family + (uint64_t)f, d, v + f * BRENIER_FAMILY * BRENIER_AXES);
}

void BRENIER_KERNEL(brenier_rotated_noise)(const float *frame, const int32_t *axes, const float *v,
                                           int64_t skip, int64_t rows, int64_t d, float *x) {
	enum { S = BRENIER_AXES };
	for (int64_t row = skip; row < skip + rows; row++, x += d) {
		const int32_t *axis = axes + row / BRENIER_CHOICE * S;
		const float *coefficient = v + row * S;
		for (int64_t c = 0; c < d; c += LANES) {
			const size_t bytes = (size_t)(d - c < LANES ? d - c : LANES) * sizeof(float);
			vf sum = vf_set(0.0f);
			for (int j = 0; j < S; j++) {
				const float *from = frame + axis[j] * d + c;
				vf q = vf_set(0.0f);
				if (bytes == sizeof q) q = vf_load(from);
				else memcpy(&q, from, bytes);
				const vf vj = vf_set(coefficient[j]);
				sum = vf_fma_exact(vj, q, sum);
			}
			memcpy(x + c, &sum, bytes);
		}
	}
}

// ---- their cells ------------------------------------------------------------------------------

// Scores one choice, v [CHOICE][16], against a panel, and merges the maxima over its two vectors
// into most [CHOICE][LANES]. at[j] is where axis j is within the pass. The sums, a vector of points and
// three coefficients are the registers of AVX2. Each sum starts with the product, which is what the fma to
// zero would be but for the sign of a zero.
BRENIER_INLINE void BRENIER_KERNEL(choice_tile)(const float *v, const int64_t *at, const float *z,
                                                const float *levels, float *most) {
	enum { FAMILIES = BRENIER_CHOICE / BRENIER_FAMILY, H = BRENIER_AXES / 2 };
	vf half[2][FAMILIES][2];
#pragma GCC unroll 8
	for (int j = 0; j < H; j++)
#pragma GCC unroll 2
		for (int h = 0; h < 2; h++) {
			const float *row = z + at[h * H + j];
			vf c[FAMILIES];
#pragma GCC unroll 3
			for (int f = 0; f < FAMILIES; f++) c[f] = vf_set(v[f * BRENIER_FAMILY * 2 * H + h * H + j]);
#pragma GCC unroll 2
			for (int t = 0; t < 2; t++) {
				const vf y = vf_load(row + t * LANES);
#pragma GCC unroll 3
				for (int f = 0; f < FAMILIES; f++)
					half[h][f][t] = j == 0 ? c[f] * y : vf_fma_exact(c[f], y, half[h][f][t]);
			}
		}
#pragma GCC unroll 3
	for (int f = 0; f < FAMILIES; f++, most += BRENIER_FAMILY * LANES) {
		vf high[BRENIER_FAMILY];
#pragma GCC unroll 2
		for (int t = 0; t < 2; t++) {
			const vf level = vf_load(levels + t * LANES);
			const vf sum = half[0][f][t] + half[1][f][t], difference = half[0][f][t] - half[1][f][t];
			const vf score[BRENIER_FAMILY] = {level + sum, level - sum, level + difference,
			                                  level - difference};
#pragma GCC unroll 4
			for (int q = 0; q < BRENIER_FAMILY; q++) high[q] = t == 0 ? score[q] : vf_max(high[q], score[q]);
		}
#pragma GCC unroll 4
		for (int q = 0; q < BRENIER_FAMILY; q++)
			vf_store(most + q * LANES, vf_max(high[q], vf_load(most + q * LANES)));
	}
}

// The tiles of a block of panels: a function of its own, which leaves all registers to the sums.
static __attribute__((noinline)) void BRENIER_KERNEL(choice_block)(const float *v, const int64_t *at,
                                                                   const float *z,
                                                                   const float *levels,
                                                                   int64_t panels, float *most) {
	for (int64_t p = 0; p < panels; p++) {
		BRENIER_KERNEL(choice_tile)(v, at, z + p * 2 * LANES, levels + p * 2 * LANES, most);
		__asm__ volatile("" : : : "memory"); /* keeps most in memory, not in spilled registers */
	}
}

#undef vi_select  // a where the comparison m holds, b elsewhere
#define vi_select(m, a, b) (((m) & (a)) | (~(m) & (b)))

// Sorts a block's maxima, most [CHOICE][LANES], into the K highest that each lane has had, tops
// [CHOICE][K][LANES], and the blocks that they are of; where two are equal the earlier block stays
// first. Clears most.
static inline void BRENIER_KERNEL(fold)(const int K, int32_t block, float *most, float *tops,
                                         int32_t *blocks) {
	for (int q = 0; q < BRENIER_CHOICE; q++, most += LANES) {
		vf value = vf_load(most);
		vi from = block - (vi){0};
		vf_store(most, vf_set(-INFINITY));
		for (int i = 0; i < K; i++, tops += LANES, blocks += LANES) {
			const vf top = vf_load(tops);
			vi at;
			memcpy(&at, blocks, sizeof at);
			const vi above = value > top;
			const vi stays = vi_select(above, from, at);
			vf_store(tops, vf_max(value, top));
			memcpy(blocks, &stays, sizeof stays);
			value = (vf)vi_select(above, (vi)top, (vi)value);
			from = vi_select(above, at, from);
		}
	}
}

// Where panel p is in the points' axis 0.
static inline const float *BRENIER_KERNEL(rotated_panel)(const rotated_map *map, int64_t p) {
	return map->z + (p / map->C * map->d * (map->C + 1) + p % map->C) * (2 * LANES);
}

BRENIER_INLINE void BRENIER_KERNEL(search)(const int K, const rotated_map *map, int64_t first,
                                           int64_t end, const int32_t *axes, const float *v,
                                           int64_t choices, float *tops, int32_t *blocks) {
	enum { W = 2 * LANES, S = BRENIER_AXES };
	float most[BRENIER_CHOICE * LANES] __attribute__((aligned(64)));
	for (int i = 0; i < BRENIER_CHOICE * LANES; i++) most[i] = -INFINITY;
	if (first == 0)
		for (int64_t i = 0; i < choices * BRENIER_CHOICE * K * LANES; i++) tops[i] = -INFINITY, blocks[i] = 0;

	const int64_t C = map->C, size = map->d * (C + 1) * W;  // panels and floats of a pass
	for (int64_t p = first; p < end; p += C) {
		const int64_t stop = p + C < end ? p + C : end;
		const float *next = map->z + (p / C + 1) * size;
		for (int64_t choice = 0; choice < choices; choice++) {
			// Every choice asks for its share of the next pass, which may be in memory yet.
			if (stop < end)
				for (int64_t i = choice * size / choices & -16; i < (choice + 1) * size / choices; i += 16)
					__builtin_prefetch(next + i, 0, 2);
			const float *vc = v + choice * BRENIER_CHOICE * S;
			const int64_t state = choice * BRENIER_CHOICE * K * LANES;
			int64_t at[S];
			for (int j = 0; j < S; j++) at[j] = axes[choice * S + j] * (C + 1) * W;
			const float *z = BRENIER_KERNEL(rotated_panel)(map, p), *levels = map->levels + p * W;
			for (int64_t start = p; start < stop; start += map->block) {
				const int64_t until = start + map->block < stop ? start + map->block : stop;
				BRENIER_KERNEL(choice_block)(vc, at, z, levels, until - start, most);
				z += map->block * W;
				levels += map->block * W;
				BRENIER_KERNEL(fold)(K, (int32_t)(start / map->block), most, tops + state, blocks + state);
			}
		}
	}
}

void BRENIER_KERNEL(brenier_rotated_search)(const rotated_map *map, int64_t first, int64_t end,
                                            const int32_t *axes, const float *v, int64_t choices, int k,
                                            float *tops, int32_t *blocks) {
	if (k == 1) BRENIER_KERNEL(search)(1, map, first, end, axes, v, choices, tops, blocks);
	else BRENIER_KERNEL(search)(k, map, first, end, axes, v, choices, tops, blocks);
}

// One draw's scores, v [16], at a panel: those that choice_tile has for it.
BRENIER_INLINE void BRENIER_KERNEL(draw_scores)(const float *v, const int64_t *at, const float *z,
                                                const float *levels, vf score[2]) {
	enum { H = BRENIER_AXES / 2 };
	vf half[2][2];
#pragma GCC unroll 8
	for (int j = 0; j < H; j++)
#pragma GCC unroll 2
		for (int h = 0; h < 2; h++) {
			const vf c = vf_set(v[h * H + j]);
			const float *row = z + at[h * H + j];
#pragma GCC unroll 2
			for (int t = 0; t < 2; t++)
				half[h][t] = j == 0 ? c * vf_load(row + t * LANES)
				                    : vf_fma_exact(c, vf_load(row + t * LANES), half[h][t]);
		}
#pragma GCC unroll 2
	for (int t = 0; t < 2; t++) score[t] = vf_load(levels + t * LANES) + (half[0][t] + half[1][t]);
}

// The number of the cell in a lane of vector t of a panel; locate.h.
static inline int64_t BRENIER_KERNEL(cell_of)(int64_t panel, int t, int lane, int64_t T) {
	return ((panel / T * LANES + lane) * T + panel % T) * 2 + t;
}

// Offers to the best the cells of some lanes of a block whose score is at least `least`.
BRENIER_INLINE void BRENIER_KERNEL(offer_block)(const rotated_map *map, const float *v,
                                                const int64_t *at, int64_t block, unsigned lanes,
                                                float least, BRENIER_KERNEL(best) * best) {
	const int64_t start = block * map->block;
	const int64_t stop = start + map->block < map->P ? start + map->block : map->P;
	const float *z = BRENIER_KERNEL(rotated_panel)(map, start);  // a block is within a pass
	for (int64_t p = start; p < stop; p++, z += 2 * LANES) {
		vf score[2];
		BRENIER_KERNEL(draw_scores)(v, at, z, map->levels + p * 2 * LANES, score);
		for (int t = 0; t < 2; t++)
			for (unsigned left = lanes & lanes_at_least(score[t], least); left != 0; left &= left - 1) {
				const int lane = __builtin_ctz(left);
				const int64_t cell = BRENIER_KERNEL(cell_of)(p, t, lane, map->T);
				if (cell < map->N) BRENIER_KERNEL(insert)(best, score[t][lane], (int32_t)cell);
			}
	}
}

// The k-th highest of tops [k][LANES], -infinity where fewer are higher than that.
static float BRENIER_KERNEL(kth_top)(const float *tops, int k) {
	if (k == 1) return vf_highest(vf_load(tops));
	float high[BRENIER_ROTATED_K];
	for (int i = 0; i < BRENIER_ROTATED_K; i++) high[i] = -INFINITY;
	for (int i = 0; i < k * LANES; i++) {
		if (!(tops[i] > high[k - 1])) continue;
		int at = k - 1;
		for (; at > 0 && tops[i] > high[at - 1]; at--) high[at] = high[at - 1];
		high[at] = tops[i];
	}
	return high[k - 1];
}

// The k best cells are in lanes of blocks whose maximum is among the k highest of all, or equal to
// the k-th; of such lanes each has kept its k highest. A lane that lost one equal to the k-th has k
// that are no lower and of earlier blocks, so of lower cells.
void BRENIER_KERNEL(brenier_rotated_finish)(const rotated_map *map, const int32_t *axes,
                                            const float *v, int64_t draws, int k, const float *tops,
                                            const int32_t *blocks, int32_t *cells, double *scores) {
	enum { S = BRENIER_AXES };
	for (int64_t draw = 0; draw < draws; draw++, tops += k * LANES, blocks += k * LANES) {
		int64_t at[S];
		for (int j = 0; j < S; j++)
			at[j] = axes[draw / BRENIER_CHOICE * S + j] * (map->C + 1) * (2 * LANES);
		BRENIER_KERNEL(best) best = {k, 0, cells + draw * k, scores + draw * k};
		const float top = BRENIER_KERNEL(kth_top)(tops, k), least = top > -FLT_MAX ? top : -FLT_MAX;
		for (int i = 0; i < k; i++)
			for (unsigned left = lanes_at_least(vf_load(tops + i * LANES), least); left != 0; left &= left - 1) {
				const int lane = __builtin_ctz(left);
				BRENIER_KERNEL(offer_block)(map, v + draw * S, at, blocks[i * LANES + lane], 1u << lane, least, &best);
			}
	}
}
