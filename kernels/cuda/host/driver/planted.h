// Parameters of planted.cu.
#ifndef BRENIER_KERNELS_CUDA_HOST_DRIVER_PLANTED_H
#define BRENIER_KERNELS_CUDA_HOST_DRIVER_PLANTED_H
#include "params.h"

typedef struct {
	BRENIER_ADDRESS(uint32_t) to;          // [count]
	BRENIER_ADDRESS(const uint32_t) from;  // [count]
	uint32_t count, value;                 // count at most 64
} brenier_planted_params;

#endif
