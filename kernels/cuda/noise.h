// Parameters of the noise kernels.
#ifndef BRENIER_KERNELS_CUDA_NOISE_H
#define BRENIER_KERNELS_CUDA_NOISE_H
#include "params.h"

#define BRENIER_NOISE_THREADS 128  // of a block; each makes one Philox block of four dimensions

// Writes samples first .. first+n-1 of `seed` to x.
//   key = seed (low, high), counter = (index low, index high, block, stream); a block is four
//   consecutive dimensions. Word r of it gives u = (r + 1/2) / 2^32:
//   brenier_cuda_noise_uniform   x = u - 1/2
//   brenier_cuda_noise_gaussian  x = the normal distribution's quantile of u; quantile.cuh
// both rounded to float32. Grid: one thread for each of n * ceil(d/4) < 2^32 blocks of four.
typedef struct {
	BRENIER_ADDRESS(float) x;  // [n,d], aligned to 16 bytes
	uint64_t seed, first;
	uint32_t n, d, stream;
} brenier_noise_params;

#endif
