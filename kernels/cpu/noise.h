#ifndef BRENIER_KERNELS_CPU_NOISE_H
#define BRENIER_KERNELS_CPU_NOISE_H
#include <stdint.h>

#define BRENIER_GAUSSIAN 0
#define BRENIER_UNIFORM 1

// Philox4x32-10: ten rounds of the counter under the key.
// Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011).
void brenier_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

// Writes samples first .. first+n-1 of `seed` to x [n,d].
//   key = seed (low, high), counter = (index low, index high, block, stream); a block is four
//   consecutive dimensions. Word r of it gives u = (r + 1/2) / 2^32, which is exact in float64:
//   uniform   x = u - 1/2
//   gaussian  x = the normal distribution's quantile of u; noise_kernel.h
// both rounded to float32. Every sample's bits are its own: no batch, path or order changes them.
void brenier_cpu_noise(int path, int source, float *x, int64_t n, int64_t d, uint64_t seed,
                   uint64_t first, uint32_t stream);

#endif
