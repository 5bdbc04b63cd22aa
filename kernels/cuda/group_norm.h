#ifndef BRENIER_KERNELS_CUDA_GROUP_NORM_H
#define BRENIER_KERNELS_CUDA_GROUP_NORM_H
#include "activation.h"
#include "params.h"

// GroupNormalization of values [n][pixels][pitch] with `channels` channels, then an activation: a
// block for each (group, image) = (blockIdx.x, blockIdx.y) from first_image on.
typedef struct {
	BRENIER_ADDRESS(const void) in;
	BRENIER_ADDRESS(void) out;
	BRENIER_ADDRESS(const float) scale;  // [channels]
	BRENIER_ADDRESS(const float) shift;
	int32_t first_image, pixels, pitch, channels, groups;
	float epsilon;
	brenier_cuda_activation activation;
} brenier_cuda_group_norm;

#define BRENIER_CUDA_GROUP_NORM_THREADS 256

#endif
