#ifndef BRENIER_KERNELS_CPU_ROWS_H
#define BRENIER_KERNELS_CPU_ROWS_H
#include <stdint.h>

// Statistics of rows of x [n,d] float32, in float64. The same bits on every path.

// along[r] = <x_r, m> and square[r] = <x_r, x_r>: products and sums each rounded, four sums over the
// dimensions k mod 4, those beyond the last whole four in the first of them, then (s0+s1) + (s2+s3).
void brenier_row_products(int path, const float *x, int64_t n, int64_t d, const double *m,
                          double *along, double *square);

// sums[cells[r]] += x_r, in the order of the rows, for those whose cell is in [first,end); sums [N,d].
void brenier_row_sums(int path, const float *x, const int32_t *cells, int64_t n, int64_t d,
                      int64_t first, int64_t end, double *sums);

#endif
