// Kernels for cudadouble_test.cpp: one that does what it should, and ways not to.
#include "planted.h"

#include "device.cuh"
#include "ptx/dependent.cuh"

using namespace brenier;

BRENIER_KERNEL(brenier_cuda_planted_write, brenier_planted_params, 64, 1) {
	launch_dependents();
	wait_for_prerequisites();
	if (threadIdx.x < p.count) p.to[threadIdx.x] = p.value;
}

BRENIER_KERNEL(brenier_cuda_planted_copy, brenier_planted_params, 64, 1) {
	launch_dependents();
	wait_for_prerequisites();
	if (threadIdx.x < p.count) p.to[threadIdx.x] = p.from[threadIdx.x];
}

// Reads what the kernel before it writes before it has waited for that.
BRENIER_KERNEL(brenier_cuda_planted_early_copy, brenier_planted_params, 64, 1) {
	launch_dependents();
	const uint32_t value = threadIdx.x < p.count ? p.from[threadIdx.x] : 0;
	wait_for_prerequisites();
	if (threadIdx.x < p.count) p.to[threadIdx.x] = value;
}

BRENIER_KERNEL(brenier_cuda_planted_divide, brenier_planted_params, 64, 1) { p.to[0] = 1 / p.value; }
