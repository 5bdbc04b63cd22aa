#ifndef BRENIER_KERNELS_CUDA_COUNT_H
#define BRENIER_KERNELS_CUDA_COUNT_H
#include "params.h"

#define BRENIER_COUNT_THREADS 256  // of a block; each takes one draw

// counts[cells[i * k]] += 1 for i < n: draws by the best cell of each. Whole numbers, so that their order
// does not show.
typedef struct {
	BRENIER_ADDRESS(const int32_t) cells;  // [n,k], best first
	BRENIER_ADDRESS(uint32_t) counts;      // [N]
	uint32_t n, k;
} brenier_count_params;

#endif
