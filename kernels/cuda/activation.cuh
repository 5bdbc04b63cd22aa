// The activations, in float32. A NaN stays one.
#pragma once
#include "activation.h"
#include "device.cuh"

#include <math.h>

namespace brenier {

__device__ inline float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

__device__ inline float silu(float x) {
	x = x < -87.0f ? -87.0f : x;  // there it is 0 to 1e-35, and -inf * 0 has no value
	return x * sigmoid(x);
}
__device__ inline float leak(float x, const brenier_cuda_activation &a) { return x < 0.0f ? a.alpha * x : x; }
__device__ inline float clamp(float x, const brenier_cuda_activation &a) {
	x = x < a.low ? a.low : x;
	return x > a.high ? a.high : x;
}

__device__ inline float activate(float x, const brenier_cuda_activation &a) {
	switch (a.kind) {
	case BRENIER_CUDA_SILU: return silu(x);
	case BRENIER_CUDA_TANH: return tanhf(x);
	case BRENIER_CUDA_SIGMOID: return sigmoid(x);
	default: return clamp(leak(x, a), a);
	}
}

// The same for several, with one question about the kind, and one about bounds.
template <int count>
__device__ inline void activate(float (&v)[count], const brenier_cuda_activation &a) {
#define BRENIER_EACH(value) \
	_Pragma("unroll") for (int i = 0; i < count; i++) v[i] = value
	switch (a.kind) {
	case BRENIER_CUDA_SILU: BRENIER_EACH(silu(v[i])); break;
	case BRENIER_CUDA_TANH: BRENIER_EACH(tanhf(v[i])); break;
	case BRENIER_CUDA_SIGMOID: BRENIER_EACH(sigmoid(v[i])); break;
	default:
		BRENIER_EACH(leak(v[i], a));
		if (a.low > -INFINITY || a.high < INFINITY) BRENIER_EACH(clamp(v[i], a));
	}
#undef BRENIER_EACH
}

}  // namespace brenier
