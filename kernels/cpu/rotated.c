#include "rotated.h"

#include <float.h>
#include <math.h>

#include "float_mode.h"
#include "noise.h"

// The points in the frame's axes, as brenier_rotated_search has them.
typedef struct {
	const float *z;       // [P/C][d][C+1][W]
	const float *levels;  // [P][W]
	int64_t N, d, T, P, C, block;
} rotated_map;

#define BRENIER_KERNEL_FILE "rotated_kernel.h"
#include "foreach_path.h"

static void (*const frame_columns[BRENIER_PATHS])(const double *, const float *, int64_t, int64_t,
                                                  double *, float *,
                                                  float *) = BRENIER_TABLE(brenier_frame_columns);
static void (*const rotate[BRENIER_PATHS])(const float *, int64_t, const float *, int64_t, int64_t,
                                           int64_t, float *) = BRENIER_TABLE(brenier_rotate);
static void (*const scale[BRENIER_PATHS])(const float *, int, int64_t, uint64_t, uint64_t, int64_t,
                                          int64_t, float *) = BRENIER_TABLE(brenier_rotated_scale);
static void (*const noise_of[BRENIER_PATHS])(const float *, const int32_t *, const float *, int64_t,
                                             int64_t, int64_t, int64_t,
                                             float *) = BRENIER_TABLE(brenier_rotated_noise);
static void (*const search[BRENIER_PATHS])(const rotated_map *, int64_t, int64_t, const int32_t *,
                                           const float *, int64_t, int64_t, int, float *,
                                           int32_t *) = BRENIER_TABLE(brenier_rotated_search);
static void (*const finish[BRENIER_PATHS])(const rotated_map *, const int32_t *, const float *,
                                           int64_t, int64_t, int, const float *, const int32_t *,
                                           int32_t *,
                                           double *) = BRENIER_TABLE(brenier_rotated_finish);

// The reflector of g [m]: w = (g + sign(g_0) |g| e_0) times sqrt(2) over its length, whose square is
// 2 |g| (|g| + |g_0|). H g is then -sign(g_0) |g| e_0; returns the sign that makes it positive.
static float reflector(const float *g, int64_t m, double *w) {
	double square = 0;
	for (int64_t i = 0; i < m; i++) square += (double)g[i] * g[i];
	const double length = sqrt(square), sign = g[0] < 0 ? -1 : 1;
	const double scale = 1 / sqrt(length * (length + sign * g[0]));
	w[0] = (g[0] + sign * length) * scale;
	for (int64_t i = 1; i < m; i++) w[i] = g[i] * scale;
	return (float)-sign;
}

void brenier_frame_reflectors(const float *normals, int64_t first, int64_t end, int64_t d,
                              double *reflectors, float *signs) {
	const uint64_t mode = brenier_float_mode_set();
	for (int64_t r = first; r < end; r++) {
		const int64_t row = r * (d + 1), other = d - 1 - r;
		signs[r] = reflector(normals + row, d - r, reflectors + row);
		if (other > r)
			signs[other] = reflector(normals + row + d - r, r + 1, reflectors + row + d - r);
	}
	brenier_float_mode_restore(mode);
}

void brenier_frame_columns(int path, const double *reflectors, const float *signs, int64_t d,
                           int64_t block, double *scratch, float *frame, float *packed) {
	const uint64_t mode = brenier_float_mode_set();
	frame_columns[path](reflectors, signs, d, block, scratch, frame, packed);
	brenier_float_mode_restore(mode);
}

void brenier_rotate(int path, const float *packed, int64_t d, const float *panels, int64_t first,
                    int64_t end, int64_t C, float *z) {
	const uint64_t mode = brenier_float_mode_set();
	rotate[path](packed, d, panels, first, end, C, z);
	brenier_float_mode_restore(mode);
}

// A shuffle of d/2 pairs of axes, by Fisher and Yates within each of four classes: place a has a pair
// of a's remainder by 4. A word takes w r / 2^32 for a number below r, which is uneven by 2^-32; no
// draw's law depends on it.
static void shuffle_pairs(uint64_t seed, uint64_t shuffle, int64_t count, int32_t *pairs) {
	const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
	uint32_t words[4];
	for (int64_t a = 0; a < count; a++) pairs[a] = (int32_t)a;
	for (int64_t a = 0; a < count; a++) {
		if (a % 4 == 0) {
			const uint32_t counter[4] = {(uint32_t)shuffle, (uint32_t)(shuffle >> 32), (uint32_t)(a / 4),
			                             BRENIER_STREAM_AXES};
			brenier_philox(counter, key, words);
		}
		const int64_t b = a + 4 * (int64_t)((uint64_t)words[a % 4] * (uint64_t)((count - a + 3) / 4) >> 32);
		const int32_t swap = pairs[a];
		pairs[a] = pairs[b];
		pairs[b] = swap;
	}
}

void brenier_rotated_draws(int path, uint64_t seed, uint64_t group, int64_t group_choices,
                           int64_t first, int64_t choices, int64_t d, int64_t s, int32_t *shuffled,
                           float *normals, int32_t *axes, float *v) {
	const int64_t alike = BRENIER_SET / BRENIER_CHOICE, each = BRENIER_SHUFFLE_SETS(d, s) * alike;
	const int64_t families = BRENIER_CHOICE / BRENIER_FAMILY;
	const uint64_t shuffles = (uint64_t)((group_choices + each - 1) / each);
	for (int64_t c = 0; c < choices; c++) {
		const int64_t choice = first + c;
		if (c == 0 || choice % each == 0)
			shuffle_pairs(seed, group * shuffles + (uint64_t)(choice / each), d / 2, shuffled);
		for (int64_t j = 0; j < s; j++)
			axes[c * s + j] = 2 * shuffled[(choice % each / alike * s + j) / 2] + j % 2;
	}
	const uint64_t family = (group * (uint64_t)group_choices + (uint64_t)first) * (uint64_t)families;
	const int width = (int)(s + (d - s) % 2);
	brenier_cpu_noise(path, BRENIER_GAUSSIAN, normals, choices * families, width, seed, family,
	                  BRENIER_STREAM_DIRECTION);
	const uint64_t mode = brenier_float_mode_set();
	scale[path](normals, width, choices * families, seed, family, d, s, v);
	brenier_float_mode_restore(mode);
}

void brenier_rotated_noise(int path, const float *frame, const int32_t *axes, const float *v,
                           int64_t skip, int64_t rows, int64_t d, int64_t s, float *x) {
	const uint64_t mode = brenier_float_mode_set();
	noise_of[path](frame, axes, v, skip, rows, d, s, x);
	brenier_float_mode_restore(mode);
}

void brenier_rotated_search(int path, const float *z, const float *levels, int64_t d, int64_t C,
                            int64_t block, int64_t first, int64_t end, const int32_t *axes,
                            const float *v, int64_t choices, int64_t s, int k, float *tops,
                            int32_t *blocks) {
	const uint64_t mode = brenier_float_mode_set();
	const rotated_map map = {.z = z, .levels = levels, .d = d, .C = C, .block = block};
	search[path](&map, first, end, axes, v, choices, s, k, tops, blocks);
	brenier_float_mode_restore(mode);
}

void brenier_rotated_finish(int path, const float *z, const float *levels, int64_t N, int64_t d,
                            int64_t T, int64_t P, int64_t C, int64_t block, const int32_t *axes,
                            const float *v, int64_t draws, int64_t s, int k, const float *tops,
                            const int32_t *blocks, int32_t *cells, double *scores) {
	const uint64_t mode = brenier_float_mode_set();
	const rotated_map map = {z, levels, N, d, T, P, C, block};
	finish[path](&map, axes, v, draws, s, k, tops, blocks, cells, scores);
	brenier_float_mode_restore(mode);
}
