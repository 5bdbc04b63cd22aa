#include "rows.h"

#include <math.h>

#include "float_mode.h"

#define BRENIER_KERNEL_FILE "rows_kernel.h"
#include "foreach_path.h"

static void (*const products[BRENIER_PATHS])(const float *, int64_t, int64_t, const double *, double *,
                                             double *) = BRENIER_TABLE(brenier_row_products);
static void (*const sums_of[BRENIER_PATHS])(const float *, const int32_t *, int64_t, int64_t, int64_t,
                                            int64_t, double, int64_t *) = BRENIER_TABLE(brenier_row_sums);

void brenier_row_products(int path, const float *x, int64_t n, int64_t d, const double *m,
                          double *along, double *square) {
	const uint64_t mode = brenier_float_mode_set();
	products[path](x, n, d, m, along, square);
	brenier_float_mode_restore(mode);
}

void brenier_row_sums(int path, const float *x, const int32_t *cells, int64_t n, int64_t d,
                      int64_t first, int64_t end, int exponent, int64_t *sums) {
	const uint64_t mode = brenier_float_mode_set();
	// Its last bit is 2^-exponent, that of what is added to it too.
	const double whole = ldexp(1.5, 52 - exponent);
	sums_of[path](x, cells, n, d, first, end, whole, sums);
	brenier_float_mode_restore(mode);
}
