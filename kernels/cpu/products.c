#include "products.h"

#include "float_mode.h"

#define BRENIER_KERNEL_FILE "products_kernel.h"
#include "foreach_path.h"

static void (*const products[BRENIER_PATHS])(const float *, int64_t, int64_t, const double *, double *,
                                             double *) = BRENIER_TABLE(brenier_products);

void brenier_products(int path, const float *x, int64_t n, int64_t d, const double *m, double *along,
                      double *square) {
	const uint64_t mode = brenier_float_mode_set();
	products[path](x, n, d, m, along, square);
	brenier_float_mode_restore(mode);
}
