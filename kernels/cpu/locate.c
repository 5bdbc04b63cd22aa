#include "locate.h"

#include "float_mode.h"
#include "locate_bound.h"

#define BRENIER_KERNEL_FILE "locate_kernel.h"
#include "foreach_path.h"

#if BRENIER_X86
static const int tile_rows[BRENIER_PATHS] = {tile_rows_portable, tile_rows_avx2, tile_rows_avx512};
#else
static const int tile_rows[BRENIER_PATHS] = {tile_rows_portable, tile_rows_portable,
                                             tile_rows_portable};
#endif
static void (*const screen[BRENIER_PATHS])(const float *, int64_t, int64_t, const float *,
                                           const float *, int64_t, int64_t, int64_t, float *, float *,
                                           int64_t) = BRENIER_TABLE(brenier_locate_screen);
static void (*const select_best[BRENIER_PATHS])(const float *, int64_t, int64_t, const float *,
                                                const float *, int64_t, double, double, int,
                                                const float *, int64_t, int64_t, int64_t, int,
                                                int32_t *, float *, int32_t *,
                                                double *) = BRENIER_TABLE(brenier_locate_select);

int64_t brenier_locate_padded_rows(int path, int64_t rows) {
	return (rows + tile_rows[path] - 1) / tile_rows[path] * tile_rows[path];
}

void brenier_locate_screen(int path, const float *x, int64_t rows, int64_t d, const float *panels,
                           const float *levels, int64_t first, int64_t end, int64_t T, float *packed,
                           float *maxima, int64_t stride) {
	const uint64_t mode = brenier_float_mode_set();
	screen[path](x, rows, d, panels, levels, first, end, T, packed, maxima, stride);
	brenier_float_mode_restore(mode);
}

void brenier_locate_select(int path, const float *x, int64_t rows, int64_t d, const float *points,
                           const float *heights, int64_t N, double norm, double reach, int screened,
                           const float *maxima, int64_t stride, int64_t T, int64_t G, int k,
                           int32_t *kept, float *reached,
                           int32_t *cells, double *scores) {
	const uint64_t mode = brenier_float_mode_set();
	select_best[path](x, rows, d, points, heights, N, norm, reach, screened, maxima, stride, T, G, k,
	                  kept, reached, cells, scores);
	brenier_float_mode_restore(mode);
}
