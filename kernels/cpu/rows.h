#ifndef BRENIER_KERNELS_CPU_ROWS_H
#define BRENIER_KERNELS_CPU_ROWS_H
#include <stdint.h>

// Statistics of rows of x [n,d] float32. The same bits on every path.

// In float64: along[r] = <x_r, m> and square[r] = <x_r, x_r>: products and sums each rounded, four sums over
// the dimensions k mod 4, those beyond the last whole four in the first of them, then (s0+s1) + (s2+s3).
void brenier_row_products(int path, const float *x, int64_t n, int64_t d, const double *m,
                          double *along, double *square);

// sums[cells[r]] += x_r 2^exponent for the rows whose cell is in [first,end), each value rounded to the
// nearest whole number, halves to the even one; sums [N,d]. Whole numbers, so that order does not show.
// |x| 2^exponent < 2^51, and every sum within int64.
void brenier_row_sums(int path, const float *x, const int32_t *cells, int64_t n, int64_t d,
                      int64_t first, int64_t end, int exponent, int64_t *sums);

#endif
