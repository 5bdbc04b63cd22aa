#ifndef BRENIER_KERNELS_CUDA_ACTIVATION_H
#define BRENIER_KERNELS_CUDA_ACTIVATION_H
#include <stdint.h>

// The function that a step of the decoder applies to each element of its result.
enum {
	BRENIER_CUDA_LINEAR,  // clamp(x < 0 ? alpha x : x, low, high): none, Relu, LeakyRelu, Clip
	BRENIER_CUDA_SILU,
	BRENIER_CUDA_TANH,
	BRENIER_CUDA_SIGMOID,
};

typedef struct {
	int32_t kind;
	float alpha, low, high;
} brenier_cuda_activation;

#endif
