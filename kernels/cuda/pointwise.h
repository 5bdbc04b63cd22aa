#ifndef BRENIER_KERNELS_CUDA_POINTWISE_H
#define BRENIER_KERNELS_CUDA_POINTWISE_H
#include "activation.h"
#include "params.h"

// Element by element over values whose runs are padded to multiples of 8. Elements are counted in
// octets of 8 neighbours.

// out = activation(in scale + shift), scale and shift repeated; both 0 for the activation alone.
typedef struct {
	BRENIER_ADDRESS(const void) in;
	BRENIER_ADDRESS(void) out;
	BRENIER_ADDRESS(const float) scale;  // [period octets]
	BRENIER_ADDRESS(const float) shift;
	int64_t octets;
	int32_t period;  // in octets
	brenier_cuda_activation activation;
} brenier_cuda_affine;

// out = activation(a + b), or of a b.
typedef struct {
	BRENIER_ADDRESS(const void) a;
	BRENIER_ADDRESS(const void) b;
	BRENIER_ADDRESS(void) out;
	int64_t octets;
	int32_t multiply;
	brenier_cuda_activation activation;
} brenier_cuda_binary;

#endif
