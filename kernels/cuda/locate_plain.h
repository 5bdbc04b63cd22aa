// Parameters of the plain locate kernel.
#ifndef BRENIER_KERNELS_CUDA_LOCATE_PLAIN_H
#define BRENIER_KERNELS_CUDA_LOCATE_PLAIN_H
#include "params.h"

#define BRENIER_LOCATE_PLAIN_THREADS 128
#define BRENIER_LOCATE_PLAIN_ROWS 32   // samples that a block takes at a time, a tile
#define BRENIER_LOCATE_PLAIN_CELLS 64  // cells that it scores for them at a time

// brenier_cuda_locate_plain: the k cells of the highest score for each sample, from the exact scores
// of all cells; exact_score.cuh states arithmetic and order. 1 <= k <= 32, k <= N.
//
// The samples are those that rows lists, or 0 .. n-1 where rows is 0. count, on the device, says how
// many rows are listed; where it is 0, n are. There may be no more than n.
//
// Grid: any number of blocks, as many as the card holds at once. Where that is more than there are
// tiles, several blocks share the cells of a tile, and the last of them to end merges what they
// found. What they leave for it is
//   partial_scores, partial_cells  [blocks*ROWS*k], no need to be set
//   finished                       [blocks], zeros before and after
typedef struct {
	BRENIER_ADDRESS(const float) x;           // [n,d], and more where rows lists higher ones
	BRENIER_ADDRESS(const float) points;      // [N,d]
	BRENIER_ADDRESS(const float) heights;     // [N]
	BRENIER_ADDRESS(const int32_t) rows;      // [*count] of x, cells and scores; or 0
	BRENIER_ADDRESS(const uint32_t) count;    // or 0
	BRENIER_ADDRESS(int32_t) cells;           // [n,k], best first
	BRENIER_ADDRESS(double) scores;           // [n,k]
	BRENIER_ADDRESS(double) partial_scores;
	BRENIER_ADDRESS(int32_t) partial_cells;
	BRENIER_ADDRESS(uint32_t) finished;
	int32_t n, N, d, k;
} brenier_locate_plain_params;

#endif
