#ifndef BRENIER_KERNELS_CPU_PRODUCTS_H
#define BRENIER_KERNELS_CPU_PRODUCTS_H
#include <stdint.h>

// along[r] = <x_r, m> and square[r] = <x_r, x_r> of the rows of x [n,d] float32, in float64: products
// and sums each rounded, four sums over the dimensions k mod 4, those beyond the last whole four in
// the first of them, then (s0 + s1) + (s2 + s3). The same bits on every path.
void brenier_products(int path, const float *x, int64_t n, int64_t d, const double *m, double *along,
                      double *square);

#endif
