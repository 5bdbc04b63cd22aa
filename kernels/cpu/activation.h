#ifndef BRENIER_KERNELS_CPU_ACTIVATION_H
#define BRENIER_KERNELS_CPU_ACTIVATION_H
#include <stdint.h>

// The function that a step of the decoder applies to each element of its result.
typedef enum {
	BRENIER_LINEAR,     // clamp(max(x,0) + alpha min(x,0), low, high): none, Relu, LeakyRelu, Clip
	BRENIER_SILU,
	BRENIER_TANH,
	BRENIER_SIGMOID,
} brenier_activation_kind;

typedef struct {
	int32_t kind;
	float alpha, low, high;
} brenier_activation;

#endif
