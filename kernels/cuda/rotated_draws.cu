// Rotated draws: the axes and coefficients of a group's sets, and draws themselves. The same bits as
// kernels/cpu/rotated.c and rotated_kernel.h.
#include "../cpu/rotated.h"
#include "rotated.h"

#include "device.cuh"
#include "philox.cuh"
#include "ptx/dependent.cuh"
#include "quantile.cuh"

namespace brenier {
namespace {

enum {
	S = BRENIER_AXES,
	CLASSES = BRENIER_AXIS_CLASSES,
	FAMILIES = BRENIER_SET / BRENIER_FAMILY,
	MERGED = 16  // uniforms of a product: above 2^-529
};

__device__ __forceinline__ uint4 words_of(uint64_t seed, uint64_t index, uint32_t block, uint32_t stream) {
	return philox(make_uint4((uint32_t)index, (uint32_t)(index >> 32), block, stream), seed);
}

// A word's uniform, exact.
__device__ __forceinline__ double uniform(uint32_t word) { return ((double)word + 0.5) * 0x1p-32; }

}  // namespace

BRENIER_KERNEL(brenier_cuda_rotated_axes, brenier_rotated_draws_params, BRENIER_ROTATED_AXES_THREADS, 1) {
	launch_dependents();
	wait_for_prerequisites();
	const int d = p.d, each = BRENIER_SHUFFLE_SETS(d);
	const int shuffles = (p.sets + each - 1) / each;
	const int shuffle = blockIdx.x * blockDim.x + threadIdx.x;
	if (shuffle >= shuffles) return;
	const uint64_t index = (p.group + blockIdx.y) * (uint64_t)shuffles + (uint64_t)shuffle;
	uint16_t *const axes = (uint16_t *)dynamic_shared() + threadIdx.x;  // axis a at a * threads
	const int stride = blockDim.x;
	for (int a = 0; a < d; a++) axes[a * stride] = (uint16_t)a;
	// Fisher and Yates, among axes of the same remainder; only as far as there are sets.
	const int used = min(each, p.sets - shuffle * each) * S;
	int32_t *const to = p.axes + ((int64_t)blockIdx.y * p.sets + (int64_t)shuffle * each) * S;
	for (int a = 0; a < used; a += 4) {
		const uint4 block = words_of(p.seed, index, (uint32_t)(a / 4), BRENIER_STREAM_AXES);
		const uint32_t words[4] = {block.x, block.y, block.z, block.w};
		int taken[4];
#pragma unroll
		for (int i = 0; i < 4; i++) {
			const uint64_t left = (uint64_t)((d - a - i + CLASSES - 1) / CLASSES);
			const int b = a + i + CLASSES * (int)((uint64_t)words[i] * left >> 32);
			taken[i] = axes[b * stride];
			axes[b * stride] = axes[(a + i) * stride];
		}
		*(int4 *)(to + a) = make_int4(taken[0], taken[1], taken[2], taken[3]);
	}
}

BRENIER_KERNEL(brenier_cuda_rotated_coefficients, brenier_rotated_draws_params, BRENIER_ROTATED_COEFFICIENTS_THREADS, 1) {
	launch_dependents();
	wait_for_prerequisites();
	const int at = blockIdx.x * BRENIER_ROTATED_COEFFICIENTS_THREADS + threadIdx.x;
	if (at >= p.sets * FAMILIES) return;
	const int64_t within = (int64_t)blockIdx.y * p.sets * FAMILIES + at;
	const uint64_t set = p.group * (uint64_t)p.sets + (uint64_t)(within / FAMILIES);
	const uint64_t family = p.group * (uint64_t)p.sets * FAMILIES + (uint64_t)within;

	const int words = p.d / 2;
	double product = 1.0, logs = 0.0;
#pragma unroll 1
	for (int word = 0; word < words; word += 4) {
		const uint4 block = words_of(p.seed, family, (uint32_t)(word / 4), BRENIER_STREAM_RADIUS);
		product = product * uniform(block.x);
		if (word + 1 < words) product = product * uniform(block.y);
		if (word + 2 < words) product = product * uniform(block.z);
		if (word + 3 < words) product = product * uniform(block.w);
		if ((word + 4) % MERGED != 0 && word + 4 < words) continue;
		logs = logs + natural_log(product);
		product = 1.0;
	}
	double square = 0.0;
	if (p.d % 2 != 0) square = (double)p.normals[within] * (double)p.normals[within];
	const float size = (float)(sqrt(square - 2.0 * logs) * 0.25);
	const uint32_t minus = words_of(p.seed, set, 0, BRENIER_STREAM_SIGNS).x ^ BRENIER_FAMILY_SIGNS(at % FAMILIES);
#pragma unroll
	for (int j = 0; j < S; j++) p.v[within * S + j] = minus >> j & 1 ? -size : size;
}

BRENIER_KERNEL(brenier_cuda_rotated_noise, brenier_rotated_noise_params, BRENIER_ROTATED_NOISE_THREADS, 1) {
	launch_dependents();
	wait_for_prerequisites();
	const int64_t at = (int64_t)blockIdx.x * BRENIER_ROTATED_NOISE_THREADS + threadIdx.x;
	const int64_t row = at / p.d;
	if (row >= p.rows) return;
	const int c = (int)(at - row * p.d);
	const int64_t draw = p.first + row, family = draw / BRENIER_FAMILY;
	const int sign = (int)(draw % BRENIER_FAMILY);
	const int32_t *const axes = p.axes + draw / BRENIER_SET * S;
	const float *const v = p.v + family * S;
	float sum = 0.0f;
#pragma unroll
	for (int j = 0; j < S; j++) {
		const bool negative = sign == 1 || (sign == 2 && j >= S / 2) || (sign == 3 && j < S / 2);
		sum = fmaf(negative ? -v[j] : v[j], p.frame[(int64_t)axes[j] * p.d + c], sum);
	}
	p.x[at] = sum;
}

}  // namespace brenier
