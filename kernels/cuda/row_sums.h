#ifndef BRENIER_KERNELS_CUDA_ROW_SUMS_H
#define BRENIER_KERNELS_CUDA_ROW_SUMS_H
#include "params.h"

#define BRENIER_ROW_SUMS_THREADS 160
#define BRENIER_ROW_SUMS_ROWS 8  // of a block

// Statistics of rows x [n,d], the bits of kernels/cpu/rows.h: along[r] = <x_r, m>, squares[r] = <x_r, x_r>,
// and sums[cells[r]] += x_r in whole units of 2^-e, where whole = 1.5 * 2^(52-e).
//
// What the host wants of each row is written where it reads: the rows' cells and scores go there too.
typedef struct {
	BRENIER_ADDRESS(const float) x;        // [n,d]
	BRENIER_ADDRESS(const int32_t) cells;  // [n]
	BRENIER_ADDRESS(const double) scores;  // [n]
	BRENIER_ADDRESS(const double) m;       // [d]
	BRENIER_ADDRESS(int64_t) sums;         // [N,d]
	BRENIER_ADDRESS(int32_t) cells_out;    // [n], as what follows
	BRENIER_ADDRESS(double) scores_out;
	BRENIER_ADDRESS(double) along;
	BRENIER_ADDRESS(double) squares;
	double whole;
	uint32_t n, d;
} brenier_row_sums_params;

#endif
