#include "locate.h"

#include "float_mode.h"
#include "locate_bound.h"

#define BRENIER_KERNEL_FILE "locate_kernel.h"
#include "foreach_path.h"

static const int lanes_of_path[BRENIER_PATHS] = {4, 8, 16};
#if BRENIER_X86
static const int tile_rows[BRENIER_PATHS] = {tile_rows_portable, tile_rows_avx2, tile_rows_avx512};
#else
static const int tile_rows[BRENIER_PATHS] = {tile_rows_portable, tile_rows_portable,
                                             tile_rows_portable};
#endif
static void (*const pack_samples[BRENIER_PATHS])(const float *, int64_t, int64_t, float *) =
	BRENIER_TABLE(brenier_locate_pack_samples);
static void (*const screen[BRENIER_PATHS])(const float *, int64_t, int64_t, const float *,
                                           const float *, int64_t, int64_t, int64_t, float *,
                                           int64_t) = BRENIER_TABLE(brenier_locate_screen);
static void (*const select_best[BRENIER_PATHS])(const float *, int64_t, int64_t, const float *,
                                                const float *, int64_t, double, double,
                                                const float *, int64_t, int64_t, int64_t, int,
                                                int32_t *, float *, int32_t *,
                                                double *) = BRENIER_TABLE(brenier_locate_select);

// Where a cell is in the packed map.
typedef struct {
	int64_t panel, column;
} cell_place;

static inline cell_place place_of(int64_t cell, int64_t T, int64_t lanes) {
	const int64_t group = cell / (2 * T), slot = cell % (2 * T);
	return (cell_place){group / lanes * T + slot / 2, slot % 2 * lanes + group % lanes};
}

void brenier_locate_pack(int path, const float *points, int64_t first, int64_t end, int64_t d,
                         int64_t T, float *panels) {
	const int64_t lanes = lanes_of_path[path], width = 2 * lanes;
	for (int64_t cell = first; cell < end; cell++) {
		const cell_place place = place_of(cell, T, lanes);
		float *to = panels + place.panel * d * width + place.column;
		for (int64_t k = 0; k < d; k++) to[k * width] = points[cell * d + k];
	}
}

void brenier_locate_levels(int path, const float *heights, int64_t N, int64_t T, int64_t P,
                           float *levels, float *highest, float *lowest) {
	const uint64_t mode = brenier_float_mode_set();
	const int64_t lanes = lanes_of_path[path], width = 2 * lanes;
	float high[8], low[8];  // side by side: of one, every comparison would wait for the one before
	for (int lane = 0; lane < 8; lane++) high[lane] = low[lane] = heights[0];
	int64_t cell = 0;
	for (; cell + 8 <= N; cell += 8) {
		for (int lane = 0; lane < 8; lane++) {
			const float h = heights[cell + lane];
			high[lane] = h > high[lane] ? h : high[lane];
			low[lane] = h < low[lane] ? h : low[lane];
		}
	}
	for (; cell < N; cell++) {
		if (heights[cell] > high[0]) high[0] = heights[cell];
		if (heights[cell] < low[0]) low[0] = heights[cell];
	}
	for (int lane = 1; lane < 8; lane++) {
		if (high[lane] > high[0]) high[0] = high[lane];
		if (low[lane] < low[0]) low[0] = low[lane];
	}
	*highest = high[0];
	*lowest = low[0];
	for (int64_t i = 0; i < P * width; i++) levels[i] = -FLT_MAX;
	for (int64_t first = 0; first < N; first += 2 * T) {  // a group
		const cell_place place = place_of(first, T, lanes);
		float *to = levels + place.panel * width + place.column;
		const int64_t cells = N - first < 2 * T ? N - first : 2 * T;
		for (int64_t slot = 0; slot < cells; slot++)
			to[slot / 2 * width + slot % 2 * lanes] =
				(float)((double)heights[first + slot] - (double)high[0]);
	}
	brenier_float_mode_restore(mode);
}

int brenier_locate_tile_rows(int path) { return tile_rows[path]; }

void brenier_locate_pack_samples(int path, const float *x, int64_t rows, int64_t d, float *packed) {
	pack_samples[path](x, rows, d, packed);
}

void brenier_locate_screen(int path, const float *packed, int64_t rows, int64_t d,
                           const float *panels, const float *levels, int64_t first, int64_t end,
                           int64_t T, float *maxima, int64_t stride) {
	const uint64_t mode = brenier_float_mode_set();
	screen[path](packed, rows, d, panels, levels, first, end, T, maxima, stride);
	brenier_float_mode_restore(mode);
}

void brenier_locate_select(int path, const float *x, int64_t rows, int64_t d, const float *points,
                           const float *heights, int64_t N, double norm, double reach,
                           const float *maxima, int64_t stride, int64_t T, int64_t G, int k,
                           int32_t *kept, float *reached,
                           int32_t *cells, double *scores) {
	const uint64_t mode = brenier_float_mode_set();
	select_best[path](x, rows, d, points, heights, N, norm, reach, maxima, stride, T, G, k,
	                  kept, reached, cells, scores);
	brenier_float_mode_restore(mode);
}
