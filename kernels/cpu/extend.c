#include "extend.h"

#include <math.h>

#include "float_mode.h"
#include "locate.h"  // BRENIER_MAX_K

#define BRENIER_KERNEL_FILE "extend_kernel.h"
#include "foreach_path.h"

static void (*const plane_norms[BRENIER_PATHS])(const float *, int64_t, int64_t,
                                                double *) = BRENIER_TABLE(brenier_plane_norms);
static void (*const cosines_of_cells[BRENIER_PATHS])(const int32_t *, int64_t, int64_t, int64_t,
                                                     const float *, const double *,
                                                     double *) = BRENIER_TABLE(brenier_cosines);
static void (*const extend[BRENIER_PATHS])(const float *, const int32_t *, int64_t, int64_t, int64_t,
                                           const float *, const double *, const float *, int, double,
                                           double, float *) = BRENIER_TABLE(brenier_cpu_extend);

void brenier_plane_norms(int path, const float *points, int64_t N, int64_t d, double *norms) {
	const uint64_t mode = brenier_float_mode_set();
	plane_norms[path](points, N, d, norms);
	brenier_float_mode_restore(mode);
}

void brenier_cosines(int path, const int32_t *cells, int64_t n, int64_t d, int64_t k,
                     const float *points, const double *norms, double *cosines) {
	const uint64_t mode = brenier_float_mode_set();
	cosines_of_cells[path](cells, n, d, k, points, norms, cosines);
	brenier_float_mode_restore(mode);
}

void brenier_cpu_extend(int path, const float *x, const int32_t *cells, int64_t n, int64_t d, int64_t k,
                    const float *points, const double *norms, const float *centroids, int mode,
                    double min_cosine, double blend, float *z) {
	const uint64_t found = brenier_float_mode_set();
	extend[path](x, cells, n, d, k, points, norms, centroids, mode, min_cosine, blend, z);
	brenier_float_mode_restore(found);
}
