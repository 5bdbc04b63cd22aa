// A thread's part of a warp's sums: made by mma.sync, and added to others in a fixed order. T is the
// shape of a tile, WM x WN a warp.
#pragma once
#include "element.cuh"
#include "ptx/block.cuh"
#include "ptx/mma.cuh"

namespace brenier {

__device__ inline void multiply(Half, float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
	mma_f16(d, a, b);
}
__device__ inline void multiply(BFloat, float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
	mma_bf16(d, a, b);
}

template <class T>
__device__ inline void conv_clear(float (&d)[T::WM / 16][T::WN / 8][4]) {
#pragma unroll
	for (int i = 0; i < T::WM / 16; i++)
#pragma unroll
		for (int j = 0; j < T::WN / 8; j++)
#pragma unroll
			for (int e = 0; e < 4; e++) d[i][j][e] = 0.0f;
}

// A thread's fragment of sums: to + d, or d alone where it is the first.
template <class T>
__device__ inline void conv_add(float (&to)[T::WM / 16][T::WN / 8][4], const float (&d)[T::WM / 16][T::WN / 8][4], bool first) {
#pragma unroll
	for (int i = 0; i < T::WM / 16; i++)
#pragma unroll
		for (int j = 0; j < T::WN / 8; j++)
#pragma unroll
			for (int e = 0; e < 4; e++) to[i][j][e] = first ? d[i][j][e] : to[i][j][e] + d[i][j][e];
}

// The same in shared memory, a slot for each group of warps.
template <class T>
__device__ inline void conv_put(float4 *sums, int slot, int thread, const float (&d)[T::WM / 16][T::WN / 8][4]) {
	constexpr int kNi = T::WN / 8, kQuads = T::WM / 16 * kNi;
#pragma unroll
	for (int q = 0; q < kQuads; q++) {
		const float(&from)[4] = d[q / kNi][q % kNi];
		float4 v;
		v.x = from[0], v.y = from[1], v.z = from[2], v.w = from[3];
		sums[(slot * kQuads + q) * T::kGroupThreads + thread] = v;
	}
}
template <class T>
__device__ inline void conv_get(const float4 *sums, int slot, int thread, float (&d)[T::WM / 16][T::WN / 8][4]) {
	constexpr int kNi = T::WN / 8, kQuads = T::WM / 16 * kNi;
#pragma unroll
	for (int q = 0; q < kQuads; q++) {
		const float4 v = sums[(slot * kQuads + q) * T::kGroupThreads + thread];
		float(&to)[4] = d[q / kNi][q % kNi];
		to[0] = v.x, to[1] = v.y, to[2] = v.z, to[3] = v.w;
	}
}

// d, and what is in shared memory; the order of two summands does not matter.
template <class T>
__device__ inline void conv_take(const float4 *sums, int thread, float (&d)[T::WM / 16][T::WN / 8][4]) {
	constexpr int kNi = T::WN / 8, kQuads = T::WM / 16 * kNi;
#pragma unroll
	for (int q = 0; q < kQuads; q++) {
		const float4 v = sums[q * T::kGroupThreads + thread];
		float(&to)[4] = d[q / kNi][q % kNi];
		to[0] += v.x, to[1] += v.y, to[2] += v.z, to[3] += v.w;
	}
}

// One round of several groups of warps, d the chunk of group `part`: the chunks join the total of group
// 0 in their order. All threads of the block take part; `others` groups besides the first have one.
template <class T>
__device__ inline void conv_join(float (&total)[T::WM / 16][T::WN / 8][4], float (&d)[T::WM / 16][T::WN / 8][4], float4 *sums,
                                 int part, int thread, int others, bool first, bool last) {
	if (part > 0 && part <= others) conv_put<T>(sums, part - 1, thread, d);
	sync_threads();
	if (part == 0) {
		conv_add<T>(total, d, first);
#pragma unroll 1
		for (int o = 0; o < T::WK - 1 && o < others; o++) {
			conv_get<T>(sums, o, thread, d);
			conv_add<T>(total, d, false);
		}
	}
	if (!last) sync_threads();
}

}  // namespace brenier
