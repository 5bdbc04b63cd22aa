#include "rotated.h"

#include <float.h>
#include <math.h>
#include <string.h>

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
static void (*const coefficients[BRENIER_PATHS])(const float *, int64_t, uint64_t, uint64_t, int64_t,
                                                 float *) = BRENIER_TABLE(brenier_rotated_coefficients);
static void (*const noise_of[BRENIER_PATHS])(const float *, const int32_t *, const float *, int64_t,
                                             int64_t, int64_t,
                                             float *) = BRENIER_TABLE(brenier_rotated_noise);
static void (*const search[BRENIER_PATHS])(const rotated_map *, int64_t, int64_t, const int32_t *,
                                           const float *, int64_t, int, float *,
                                           int32_t *) = BRENIER_TABLE(brenier_rotated_search);
static void (*const finish[BRENIER_PATHS])(const rotated_map *, const int32_t *, const float *,
                                           int64_t, int, const float *, const int32_t *, int32_t *,
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

// A shuffle of the d axes, by Fisher and Yates within each class: place a has an axis of a's remainder. A
// word takes w r / 2^32 for a number below r, which is uneven by 2^-32; no draw's law depends on it.
static void shuffle_axes(uint64_t seed, uint64_t shuffle, int64_t d, int32_t *axes) {
	enum { CLASSES = BRENIER_AXIS_CLASSES };
	const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
	uint32_t words[4];
	for (int64_t a = 0; a < d; a++) axes[a] = (int32_t)a;
	for (int64_t a = 0; a < d; a++) {
		if (a % 4 == 0) {
			const uint32_t counter[4] = {(uint32_t)shuffle, (uint32_t)(shuffle >> 32), (uint32_t)(a / 4),
			                             BRENIER_STREAM_AXES};
			brenier_philox(counter, key, words);
		}
		const uint64_t left = (uint64_t)(d - a + CLASSES - 1) / CLASSES;
		const int64_t b = a + CLASSES * (int64_t)((uint64_t)words[a % 4] * left >> 32);
		const int32_t swap = axes[a];
		axes[a] = axes[b];
		axes[b] = swap;
	}
}

void brenier_rotated_draws(int path, uint64_t seed, uint64_t group, int64_t group_choices,
                           int64_t first, int64_t choices, int64_t d, int32_t *shuffled,
                           float *normals, int32_t *axes, float *v) {
	enum { S = BRENIER_AXES, ALIKE = BRENIER_SET / BRENIER_CHOICE, FAMILIES = BRENIER_CHOICE / BRENIER_FAMILY };
	const int64_t each = BRENIER_SHUFFLE_SETS(d) * ALIKE;  // choices of a shuffle
	const uint64_t shuffles = (uint64_t)((group_choices + each - 1) / each);
	for (int64_t c = 0; c < choices; c++) {
		const int64_t choice = first + c;
		if (c == 0 || choice % each == 0)
			shuffle_axes(seed, group * shuffles + (uint64_t)(choice / each), d, shuffled);
		memcpy(axes + c * S, shuffled + choice % each / ALIKE * S, S * sizeof *axes);
	}
	const uint64_t family = (group * (uint64_t)group_choices + (uint64_t)first) * FAMILIES;
	if (d % 2 != 0)
		brenier_cpu_noise(path, BRENIER_GAUSSIAN, normals, choices * FAMILIES, 1, seed, family,
		                  BRENIER_STREAM_DEGREE);
	const uint64_t mode = brenier_float_mode_set();
	coefficients[path](normals, choices * FAMILIES, seed, family, d, v);
	brenier_float_mode_restore(mode);
}

void brenier_rotated_noise(int path, const float *frame, const int32_t *axes, const float *v,
                           int64_t skip, int64_t rows, int64_t d, float *x) {
	const uint64_t mode = brenier_float_mode_set();
	noise_of[path](frame, axes, v, skip, rows, d, x);
	brenier_float_mode_restore(mode);
}

void brenier_rotated_search(int path, const float *z, const float *levels, int64_t d, int64_t C,
                            int64_t block, int64_t first, int64_t end, const int32_t *axes,
                            const float *v, int64_t choices, int k, float *tops,
                            int32_t *blocks) {
	const uint64_t mode = brenier_float_mode_set();
	const rotated_map map = {.z = z, .levels = levels, .d = d, .C = C, .block = block};
	search[path](&map, first, end, axes, v, choices, k, tops, blocks);
	brenier_float_mode_restore(mode);
}

void brenier_rotated_finish(int path, const float *z, const float *levels, int64_t N, int64_t d,
                            int64_t T, int64_t P, int64_t C, int64_t block, const int32_t *axes,
                            const float *v, int64_t draws, int k, const float *tops,
                            const int32_t *blocks, int32_t *cells, double *scores) {
	const uint64_t mode = brenier_float_mode_set();
	const rotated_map map = {z, levels, N, d, T, P, C, block};
	finish[path](&map, axes, v, draws, k, tops, blocks, cells, scores);
	brenier_float_mode_restore(mode);
}
