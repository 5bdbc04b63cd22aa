// Extend: from a sample's cells to its code.
#include "extend.cuh"
#include "ptx/dependent.cuh"

namespace brenier {

BRENIER_KERNEL(brenier_cuda_extend, brenier_extend_params, 32 * BRENIER_EXTEND_WARPS, 3) {
	__shared__ ExtendTile tiles[BRENIER_EXTEND_WARPS];
	ExtendTile &tile = tiles[threadIdx.x / 32];
	const int lane = (int)lane_id(), slot = lane / p.group, j = lane % p.group;
	const int64_t first = ((int64_t)blockIdx.x * BRENIER_EXTEND_WARPS + threadIdx.x / 32) * (32 / p.group);
	launch_dependents();
	wait_for_prerequisites();
	if (first >= p.n) return;
	const int samples = p.n - first < 32 / p.group ? (int)(p.n - first) : 32 / p.group;
	const int32_t cell = slot < samples && j < p.k ? p.cells[(first + slot) * p.k + j] : -1;
	extend_samples(p, tile, cell, first, samples);
}

BRENIER_KERNEL(brenier_cuda_plane_norms, brenier_plane_norms_params, BRENIER_NORM_THREADS, 8) {
	const int64_t i = (int64_t)blockIdx.x * BRENIER_NORM_THREADS + threadIdx.x;
	if (i >= p.N) return;
	const float *y = p.points + i * p.d;
	double sum = 1;
#pragma unroll 8
	for (int k = 0; k < p.d; k++) {
		const double v = widened(y[k]);
		sum = fma(v, v, sum);
	}
	p.norms[i] = sqrt(sum);
}

}  // namespace brenier
