// Inner products of rows; products.h states the order of the sums. Two rows side by side, so that
// the sums of one do not wait for themselves alone.
#include "simd_double.h"

BRENIER_INLINE void BRENIER_KERNEL(products_of)(const int rows, const float *x, int64_t d,
                                                const double *m, double *along, double *square) {
	brenier_d4 a[2] = {{0}, {0}}, s[2] = {{0}, {0}};
	int64_t k = 0;
	for (; k + 4 <= d; k += 4) {
		brenier_d4 with;
		memcpy(&with, m + k, sizeof with);
#pragma GCC unroll 2
		for (int r = 0; r < rows; r++) {
			brenier_f4 narrow;
			memcpy(&narrow, x + r * d + k, sizeof narrow);
			const brenier_d4 v = __builtin_convertvector(narrow, brenier_d4);
			a[r] += v * with;
			s[r] += v * v;
		}
	}
	for (int r = 0; r < rows; r++) {
		for (int64_t i = k; i < d; i++) {
			const double v = x[r * d + i];
			a[r][0] += v * m[i];
			s[r][0] += v * v;
		}
		along[r] = (a[r][0] + a[r][1]) + (a[r][2] + a[r][3]);
		square[r] = (s[r][0] + s[r][1]) + (s[r][2] + s[r][3]);
	}
}

void BRENIER_KERNEL(brenier_products)(const float *x, int64_t n, int64_t d, const double *m,
                                      double *along, double *square) {
	int64_t r = 0;
	for (; r + 2 <= n; r += 2) BRENIER_KERNEL(products_of)(2, x + r * d, d, m, along + r, square + r);
	if (r < n) BRENIER_KERNEL(products_of)(1, x + r * d, d, m, along + r, square + r);
}
