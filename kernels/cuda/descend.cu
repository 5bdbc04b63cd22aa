// A step of the descent on the heights, where the draws are made: the same bits as on the host.
#include "descend.h"

#include "device.cuh"
#include "ordered.cuh"
#include "ptx/block.cuh"
#include "ptx/dependent.cuh"
#include "ptx/memory.cuh"
#include "ptx/warp.cuh"

namespace brenier {
namespace {

enum { THREADS = BRENIER_DESCEND_THREADS, WARPS = THREADS / 32 };

// The height that draws are made with until somebody hears that it is beyond float32: some cell must win.
__device__ __forceinline__ float finite(float height) {
	const float most = float_value(0x7f7fffffu);
	return fminf(fmaxf(height, -most), most);
}

// Moves a cell, and is its height for the next draws: it may be beyond float32.
__device__ __forceinline__ float move(const brenier_descend_params &p, int64_t cell) {
	const int64_t hits = p.hits[cell];
	const double count = (double)p.counts[cell];
	const double step = (double)hits < p.share ? p.steps[hits] : p.shared;
	const double gain = fmin(step, p.bound) / p.steepness;
	const double h = p.h[cell] - p.rates[cell] * gain * (count - p.expected);
	p.hits[cell] = hits + (int64_t)p.counts[cell];
	p.h[cell] = h;
	p.counts[cell] = 0;
#pragma unroll
	for (int a = 0; a < BRENIER_DESCEND_AVERAGES; a++) {
		const double mean = p.averages[a][cell];
		p.averages[a][cell] = mean + p.weights[a] * (h - mean);
	}
	const float height = (float)(h - p.centre);
	p.heights[cell] = finite(height);
	return height;
}

}  // namespace

// The last block to finish tells how far the heights go.
BRENIER_KERNEL(brenier_cuda_descend, brenier_descend_params, THREADS, 1) {
	__shared__ uint32_t highs[WARPS], fars[WARPS];
	launch_dependents();
	wait_for_prerequisites();
	const int64_t cell = (int64_t)blockIdx.x * THREADS + threadIdx.x;
	uint32_t high = 0, far = 0;
	if (cell < p.cells) {
		const float height = move(p, cell);
		high = ordered(finite(height));
		far = float_bits(height) & 0x7fffffffu;
	}
#pragma unroll
	for (int mask = 16; mask > 0; mask /= 2) {
		high = max(high, shuffle_xor(high, mask));
		far = max(far, shuffle_xor(far, mask));
	}
	if (lane_id() == 0) {
		highs[threadIdx.x / 32] = high;
		fars[threadIdx.x / 32] = far;
	}
	sync_threads();
	if (threadIdx.x != 0) return;
	for (int warp = 1; warp < WARPS; warp++) {
		high = max(high, highs[warp]);
		far = max(far, fars[warp]);
	}
	brenier_descend_extent &extent = *p.extent;
	atomic_max(&extent.highest, high);
	atomic_max(&extent.farthest, far);
	thread_fence();
	if (atomic_add(&extent.finished, 1) != gridDim.x - 1) return;
	thread_fence();
	high = atomic_exchange(&extent.highest, 0);
	far = atomic_exchange(&extent.farthest, 0);
	extent.finished = 0;
	extent.reach = max(extent.reach, far);
	*p.highest = (double)from_ordered(high);
	if (!p.map) return;
	p.map->highest = *p.highest;
	p.map->reach = (double)finite(float_value(far));
}

}  // namespace brenier
