// Noise: samples of a seed, the same bits as kernels/cpu/noise_kernel.h.
//
// 85 % of the words have a central quantile, the rest lie in the tails and cost more than twice as
// much. Lanes that branch each for itself would make nearly every warp walk both ways for every word;
// instead a warp does the central ones in place and collects the others, 19 of 128 on average, which
// its lanes then do side by side: 163 float64 instructions for 128 words instead of 340.
#include "noise.h"

#include "device.cuh"
#include "philox.cuh"
#include "ptx/dependent.cuh"
#include "ptx/half.cuh"
#include "ptx/warp.cuh"
#include "quantile.cuh"

namespace brenier {
namespace {

enum { WARPS = BRENIER_NOISE_THREADS / 32 };

// What a thread makes: dimensions 4 block .. 4 block + 3 of one sample.
struct Part {
	uint32_t sample, block;
	bool exists;
};

__device__ __forceinline__ Part part_of_thread(const brenier_noise_params &p) {
	const uint32_t blocks = (p.d + 3) / 4;
	const uint32_t at = blockIdx.x * BRENIER_NOISE_THREADS + threadIdx.x;
	const uint32_t sample = at / blocks;
	return {sample, at - sample * blocks, sample < p.n};
}

__device__ __forceinline__ uint4 words_of(const brenier_noise_params &p, Part part) {
	const uint64_t index = p.first + part.sample;
	return philox(make_uint4((uint32_t)index, (uint32_t)(index >> 32), part.block, p.stream), p.seed);
}

__device__ __forceinline__ void store(const brenier_noise_params &p, Part part, float4 values) {
	if (!part.exists) return;
	float *to = p.x + (uint64_t)part.sample * p.d + 4 * part.block;
	if (p.d % 4 == 0) {
		*(float4 *)to = values;
		return;
	}
	const uint32_t dims = p.d - 4 * part.block;
	to[0] = values.x;
	if (dims > 1) to[1] = values.y;
	if (dims > 2) to[2] = values.z;
	if (dims > 3) to[3] = values.w;
}

}  // namespace

BRENIER_KERNEL(brenier_cuda_noise_uniform, brenier_noise_params, BRENIER_NOISE_THREADS, 8) {
	const Part part = part_of_thread(p);
	const uint4 words = words_of(p, part);
	const float4 values = make_float4((float)centred(words.x), (float)centred(words.y),
	                                  (float)centred(words.z), (float)centred(words.w));
	launch_dependents();
	wait_for_prerequisites();
	store(p, part, values);
}

BRENIER_KERNEL(brenier_cuda_noise_gaussian, brenier_noise_params, BRENIER_NOISE_THREADS, 8) {
	__shared__ uint4 staged_words[WARPS][32];  // a lane's four: bits of the value, or a word of the tails
	__shared__ uint8_t tail_slots[WARPS][128];  // which of the warp's 128 are in the tails
	const unsigned lane = lane_id();
	uint32_t *staged = (uint32_t *)staged_words[threadIdx.x / 32];
	uint8_t *slots = tail_slots[threadIdx.x / 32];

	const Part part = part_of_thread(p);
	const uint4 block = words_of(p, part);
	const uint32_t words[4] = {block.x, block.y, block.z, block.w};
	uint32_t results[4];
	int tails = 0;
#pragma unroll
	for (int i = 0; i < 4; i++) {
		const bool central = is_central(words[i]);
		const uint32_t others = ballot(!central);
		results[i] = central ? float_bits((float)central_quantile(words[i])) : words[i];
		if (!central) slots[tails + __popc(others & ((1u << lane) - 1))] = (uint8_t)(4 * lane + i);
		tails += __popc(others);
	}
	staged_words[threadIdx.x / 32][lane] = make_uint4(results[0], results[1], results[2], results[3]);
	sync_warp();

#pragma unroll 1
	for (int first = 0; first < tails; first += 32) {  // once, with few exceptions
		if (first + (int)lane < tails) {
			uint32_t *slot = &staged[slots[first + lane]];
			*slot = float_bits((float)tail_quantile(*slot));
		}
	}
	sync_warp();
	const uint4 bits = staged_words[threadIdx.x / 32][lane];
	launch_dependents();
	wait_for_prerequisites();
	store(p, part, make_float4(float_value(bits.x), float_value(bits.y), float_value(bits.z), float_value(bits.w)));
}

}  // namespace brenier
