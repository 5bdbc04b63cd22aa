// Draws counted by cell.
#include "count.h"

#include "device.cuh"
#include "ptx/dependent.cuh"
#include "ptx/memory.cuh"

BRENIER_KERNEL(brenier_cuda_count, brenier_count_params, BRENIER_COUNT_THREADS, 1) {
	using namespace brenier;
	launch_dependents();
	const uint32_t draw = blockIdx.x * BRENIER_COUNT_THREADS + threadIdx.x;
	wait_for_prerequisites();
	if (draw < p.n) atomic_add(&p.counts[p.cells[(uint64_t)draw * p.k]], 1u);
}
