// The activations, in float32. A NaN stays one.
#pragma once
#include "activation.h"
#include "device.cuh"

#include <math.h>

namespace brenier {

__device__ inline float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

__device__ inline float activate(float x, const brenier_cuda_activation &a) {
	switch (a.kind) {
	case BRENIER_CUDA_SILU:
		x = x < -87.0f ? -87.0f : x;  // there it is 0 to 1e-35, and -inf * 0 has no value
		return x * sigmoid(x);
	case BRENIER_CUDA_TANH: return tanhf(x);
	case BRENIER_CUDA_SIGMOID: return sigmoid(x);
	default:
		x = x < 0.0f ? a.alpha * x : x;
		x = x < a.low ? a.low : x;
		return x > a.high ? a.high : x;
	}
}

}  // namespace brenier
