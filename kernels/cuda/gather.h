#ifndef BRENIER_KERNELS_CUDA_GATHER_H
#define BRENIER_KERNELS_CUDA_GATHER_H
#include "params.h"

// Elements moved as a table says: Concat, Resize, Reorder, and a value to other runs.
//
// For each image and each of `count` moves: out[to] = in[from], zeros where from is negative, both
// counted in units of `unit` bytes (2, 4, 16 or 32) from the image's begin.
typedef struct {
	BRENIER_ADDRESS(const void) in;
	BRENIER_ADDRESS(void) out;
	BRENIER_ADDRESS(const int32_t) moves;  // [count][2]: to, from
	int64_t in_units, out_units;           // of an image
	int32_t n, count, unit;
} brenier_cuda_gather;

#endif
