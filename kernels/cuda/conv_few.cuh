// Convolution with at most 8 rows of a group on the tensor cores: what conv_mma.cuh makes, by warps
// that work alone. See conv.h.
//
// With few rows a pixel's channels serve few products, so they do not pass through shared memory: the
// order of the 32 k of a step is free as long as both operands have the same. Lane 4g + t reads channels
// 8t .. 8t+7 of its pixels and of row g's weights, 16 bytes each, and these are its words of two mma
// of 16 k. Steps come kDepth at a time, while the ones before are multiplied.
//
// The chunks' sums join as in conv_mma.cuh: the same bits from every tile.
#pragma once
#include "activation.cuh"
#include "conv_gather.cuh"
#include "conv_sums.cuh"
#include "conv_tiles.h"
#include "image.cuh"
#include "ptx/dependent.cuh"

namespace brenier {

// The shape of a tile; see conv_tiles.h.
template <int bm, int bn, int wm, int wn, int wk, int depth>
struct ConvFewTile {
	static constexpr int BM = bm, WM = wm, WN = wn, WK = wk, kDepth = depth;
	static constexpr int kGroupThreads = BRENIER_CUDA_CONV_GROUP_THREADS(bm, bn, wm, wn);
	static constexpr int kThreads = BRENIER_CUDA_CONV_THREADS(bm, bn, wm, wn, wk);
	static constexpr int kPixels = WM / 8;  // of a lane
	static_assert(bn == BRENIER_CUDA_CONV_FEW && wn == bn, "one warp makes all rows");
	static_assert(BRENIER_CUDA_CONV_CHUNK % (2 * depth) == 0, "a chunk is whole pairs of loads");
};

// Writes one element of a kernel for few outputs.
template <class E>
__device__ inline void conv_store_few(const brenier_cuda_conv &p, ConvPlace at, int group, int row, float v) {
	using Bits = typename E::Bits;
	const int own = p.row_channel[row];
	if (at.image < 0 || own < 0) return;
	const int channel = group * p.out_channels + own, pixel = at.pixel + p.row_pixel[row];
	float residual = 0.0f;
	if (p.residual != nullptr)
		residual = E::value(((const Bits *)p.residual)[at.image * p.residual_image + pixel * p.residual_pixel + channel]);
	const float *scale_bias = p.scale_bias + 2 * (group * p.packed_rows + row);
	v = activate(fmaf(v, scale_bias[0], scale_bias[1]) + residual, p.activation);
	const int to = at.image * p.out.image_step + pixel * p.out.pixel_step + channel * p.out.channel_step;
	if (p.out.kind == BRENIER_CUDA_OUT_VALUE)
		((Bits *)p.out.data)[to] = E::bits(v);
	else
		store_pixel(p.out, to, v);
}

// What a lane has of kDepth steps.
template <class T>
struct ConvFewSteps {
	uint4 pixels[T::kDepth][T::kPixels], weights[T::kDepth];
};

template <class E, class T>
__device__ inline void conv_few(const brenier_cuda_conv &p) {
	constexpr int kChunk = BRENIER_CUDA_CONV_CHUNK;
	launch_dependents();
	const ConvBlock block(p, T::BM, BRENIER_CUDA_CONV_FEW);
	const brenier_cuda_conv_phase &phase = block.phase;
	if (block.empty(p)) {
		wait_for_prerequisites();
		return;
	}
	const int part = threadIdx.x / T::kGroupThreads, thread = threadIdx.x % T::kGroupThreads;
	const int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
	ConvPixel pixels[T::kPixels];
	ConvPlace places[T::kPixels];
#pragma unroll
	for (int r = 0; r < T::kPixels; r++)
		places[r] = conv_place(p, phase, block.group, block.first_pixel + thread / 32 * T::WM + 8 * r + g, pixels[r]);
	const uint16_t *weights = block.weights(p, g) + 8 * t;
	const ConvChunks own(phase, part, T::WK);
	ConvCursor at;
	at.seek(p, phase, t, part * kChunk);
	wait_for_prerequisites();

	// The group's steps from `first` on; what is beyond its last one stays as it was.
	const auto load = [&](ConvFewSteps<T> &to, int first) {
#pragma unroll
		for (int i = 0; i < T::kDepth; i++) {
			if (first + i >= own.steps) return;
			to.weights[i] = *(const uint4 *)(weights + (int64_t)at.step * (BRENIER_CUDA_CONV_FEW * BRENIER_CUDA_CONV_STEP));
			const ConvReach reach(p, phase, at);
#pragma unroll
			for (int r = 0; r < T::kPixels; r++) {
				uint4 v;
				v.x = v.y = v.z = v.w = 0;
				if (reach.valid(p, pixels[r])) v = *(const uint4 *)reach.from(p, pixels[r]);
				to.pixels[i][r] = v;
			}
			at.skip(p, phase, t, 1);
		}
		if (T::WK > 1 && (first + T::kDepth) % kChunk == 0) at.seek(p, phase, t, at.step + (T::WK - 1) * kChunk);
	};

	float d[T::WM / 16][1][4], total[T::WM / 16][1][4];
	const auto multiply_steps = [&](const ConvFewSteps<T> &from, int count) {
#pragma unroll
		for (int i = 0; i < T::kDepth; i++) {
			if (i >= count) return;
			const uint32_t low[2] = {from.weights[i].x, from.weights[i].y}, high[2] = {from.weights[i].z, from.weights[i].w};
#pragma unroll
			for (int m = 0; m < T::WM / 16; m++) {
				const uint4 upper = from.pixels[i][2 * m], lower = from.pixels[i][2 * m + 1];
				multiply(E(), d[m][0], {upper.x, lower.x, upper.y, lower.y}, low);
				multiply(E(), d[m][0], {upper.z, lower.z, upper.w, lower.w}, high);
			}
		}
	};
	ConvFewSteps<T> even, odd;  // loads in turn
	load(even, 0);
	int s = 0;
	for (int round = 0; round < own.rounds; round++) {
		conv_clear<T>(d);
		const int end = own.steps < (round + 1) * kChunk ? own.steps : (round + 1) * kChunk;
		for (; s < end; s += 2 * T::kDepth) {
			load(odd, s + T::kDepth);
			multiply_steps(even, end - s);
			load(even, s + 2 * T::kDepth);
			multiply_steps(odd, end - s - T::kDepth);
		}
		if constexpr (T::WK > 1)
			conv_join<T>(total, d, (float4 *)dynamic_shared(), part, thread, own.chunks - round * T::WK - 1, round == 0,
			             round + 1 == own.rounds);
		else
			conv_add<T>(total, d, round == 0);
	}
	if (T::WK > 1 && part > 0) return;
#pragma unroll
	for (int m = 0; m < T::WM / 16; m++)
#pragma unroll
		for (int e = 0; e < 4; e++)
			conv_store_few<E>(p, places[2 * m + e / 2], block.group, block.first_row + 2 * t + e % 2, total[m][0][e]);
}

}  // namespace brenier
