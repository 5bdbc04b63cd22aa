// Division by numbers that are known before a launch; conv.h.
#pragma once
#include "conv.h"
#include "device.cuh"

namespace brenier {

__device__ inline int divided(int n, const brenier_cuda_divisor &by) {
	return by.shift == 0 ? n : (int)(__umulhi((uint32_t)n, by.factor) >> (by.shift - 1));
}

// Divides n, and returns what is left.
__device__ inline int split(int &n, int number, const brenier_cuda_divisor &by) {
	const int whole = divided(n, by), rest = n - whole * number;
	n = whole;
	return rest;
}

}  // namespace brenier
