// Statistics of rows; rows.h states the order of the sums.
#include "simd_double.h"

// Two rows side by side, so that the sums of one do not wait for themselves alone.
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

void BRENIER_KERNEL(brenier_row_products)(const float *x, int64_t n, int64_t d, const double *m,
                                          double *along, double *square) {
	int64_t r = 0;
	for (; r + 2 <= n; r += 2) BRENIER_KERNEL(products_of)(2, x + r * d, d, m, along + r, square + r);
	if (r < n) BRENIER_KERNEL(products_of)(1, x + r * d, d, m, along + r, square + r);
}

void BRENIER_KERNEL(brenier_row_sums)(const float *x, const int32_t *cells, int64_t n, int64_t d,
                                      int64_t first, int64_t end, double whole, int64_t *sums) {
	enum { AHEAD = 4, LINE = 64 / sizeof(int64_t) };  // rows; values of a cache line
	const vd wholes = vd_set(whole);
	for (int64_t r = 0; r < n; r++) {
		const int64_t later = r + AHEAD < n ? cells[r + AHEAD] : -1;
		if (later >= first && later < end)  // sums are mostly far away, and where is no pattern
			for (int64_t k = 0; k < d; k += LINE) __builtin_prefetch(sums + later * d + k, 1);
		if (cells[r] < first || cells[r] >= end) continue;
		int64_t *sum = sums + cells[r] * d;
		int64_t k = 0;
		for (; k + DOUBLES <= d; k += DOUBLES) {
			vh v;
			memcpy(&v, x + r * d + k, sizeof v);
			vl to;
			memcpy(&to, sum + k, sizeof to);
			to += (vl)(vd_widen(v) + wholes) - (vl)wholes;
			memcpy(sum + k, &to, sizeof to);
		}
		for (; k < d; k++) {
			const double v = (double)x[r * d + k] + whole;
			int64_t bits, zero;
			memcpy(&bits, &v, sizeof bits);
			memcpy(&zero, &whole, sizeof zero);
			sum[k] += bits - zero;
		}
	}
}
