// Convolution with at most 8 output channels of a group on the tensor cores. See conv.h.
//
// A pixel's channels serve few products, so each is read once: the products with the weights of all
// phases, rows and taps, the columns, come at one go,
//
//     sums[column, pixel] = sum over channels c of weight[column, c] in[pixel, c]
//
// and an output is the sum over its taps of the sums at the pixels that they reach. A block makes a
// rectangle of every phase's pixels: the sums of the input pixels that it reaches are in shared memory.
//
// Of an mma the 16 rows are columns, and 8 pixels its columns. The order of the 32 channels of a step
// is free as long as both operands have the same: lane 4g + t reads channels 8t .. 8t+7 of pixel g,
// 16 bytes, and these are its words of two mma of 16 k.
//
// An output's bits depend neither on the rectangle nor on the batch: k runs in order, then the taps do.
#pragma once
#include "activation.cuh"
#include "conv.h"
#include "conv_divisor.cuh"
#include "conv_sums.cuh"
#include "conv_tiles.h"
#include "device.cuh"
#include "image.cuh"
#include "ptx/dependent.cuh"

namespace brenier {

// The part of a line of `count` pixels that taps of pixels first .. first+many-1 reach.
struct ConvSpan {
	int begin, end;

	__device__ ConvSpan(int first, int step, int tap, int reach, int count) {
		begin = first * step + tap;
		end = begin + reach < count ? begin + reach : count;
		begin = begin > 0 ? begin : 0;
	}
	__device__ int size() const { return end > begin ? end - begin : 0; }
	__device__ bool has(int at) const { return at >= begin && at < end; }
};

template <class E>
__device__ inline void conv_few(const brenier_cuda_conv &p) {
	using Bits = typename E::Bits;
	constexpr int kWarps = BRENIER_CUDA_CONV_FEW_THREADS / 32, kGroups = 4;  // of 8 pixels, that a warp has at a time
	launch_dependents();
	const brenier_cuda_conv_few &few = p.few;
	int image = blockIdx.x;
	const int group = split(image, p.groups, few.by_groups);
	const int first_j = split(image, few.tiles_x, few.by_tiles_x) * few.cols;
	const int first_i = split(image, few.tiles_y, few.by_tiles_y) * few.rows;
	const int step_y = p.phases[0].in_step_y, step_x = p.phases[0].in_step_x;
	const ConvSpan y(first_i, step_y, few.first_y, few.height, p.in_height);
	const ConvSpan x(first_j, step_x, few.first_x, few.width, p.in_width);
	const int width = x.size(), pixels = y.size() * width;
	const float per_width = 1.0f / (float)width;

	float *const sums = (float *)dynamic_shared();  // [column][few.pitch]
	const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
	const int steps = (p.in_octets + 3) / 4;
	const uint4 *const weights = (const uint4 *)p.weights + ((int64_t)group * few.column_tiles * steps * 32 + lane) * 2;
	const Bits *const in = (const Bits *)p.in + (int64_t)image * p.in_image + (group * p.in_octets + t) * 8;
	wait_for_prerequisites();
#pragma unroll 1
	for (int first = warp; first * 8 < pixels; first += kWarps * kGroups) {
		int from[kGroups];  // negative: beyond the last pixel
#pragma unroll
		for (int q = 0; q < kGroups; q++) {
			const int pixel = (first + q * kWarps) * 8 + g;
			// Exact: the quotient is half a part or more from whole numbers, and there are fewer than 2^16 pixels.
			const int row = (int)(((float)pixel + 0.5f) * per_width), col = pixel - row * width;
			from[q] = pixel < pixels ? ((y.begin + row) * p.in_width + x.begin + col) * p.in_pitch : -1;
		}
#pragma unroll 1
		for (int tile = 0; tile < few.column_tiles; tile++) {
			float d[kGroups][4];
#pragma unroll
			for (int q = 0; q < kGroups; q++) d[q][0] = d[q][1] = d[q][2] = d[q][3] = 0.0f;
#pragma unroll 1
			for (int step = 0; step < steps; step++) {
				const uint4 *const w = weights + (tile * steps + step) * 64;
				const uint4 low = w[0], high = w[1];
				const bool some = step * 4 + t < p.in_octets;
				uint4 v[kGroups];
#pragma unroll
				for (int q = 0; q < kGroups; q++) {
					v[q].x = v[q].y = v[q].z = v[q].w = 0;
					if (some && from[q] >= 0) v[q] = *(const uint4 *)(in + from[q] + step * 32);
				}
#pragma unroll
				for (int q = 0; q < kGroups; q++) {
					multiply(E(), d[q], {low.x, low.y, low.z, low.w}, {v[q].x, v[q].y});
					multiply(E(), d[q], {high.x, high.y, high.z, high.w}, {v[q].z, v[q].w});
				}
			}
			// The columns are 8 floats beyond a multiple of 32 apart: no bank conflict.
			float *const to = sums + (tile * 16 + g) * few.pitch + 2 * t;
#pragma unroll
			for (int q = 0; q < kGroups; q++) {
				const int pixel = (first + q * kWarps) * 8;
				if (pixel >= pixels) break;
				float2 upper, lower;
				upper.x = d[q][0], upper.y = d[q][1], lower.x = d[q][2], lower.y = d[q][3];
				*(float2 *)(to + pixel) = upper;
				*(float2 *)(to + 8 * few.pitch + pixel) = lower;
			}
		}
	}
	sync_threads();

	const int area = few.rows * few.cols, outputs = p.phase_count * p.out_channels * area;
#pragma unroll 1
	for (int output = threadIdx.x; output < outputs; output += BRENIER_CUDA_CONV_FEW_THREADS) {
		int rest = output;
		int line = split(rest, area, few.by_area);
		const int column_of = split(line, few.cols, few.by_cols), row = split(rest, p.out_channels, few.by_channels);
		const brenier_cuda_conv_phase &phase = p.phases[rest];
		const int i = first_i + line, j = first_j + column_of;
		if (i >= phase.rows || j >= phase.cols) continue;
		const float *column = sums + (p.out_channels * phase.first_tap + row * phase.taps) * few.pitch;
		float sum = 0.0f;
		for (int tap = 0; tap < phase.taps; tap++, column += few.pitch) {
			const brenier_cuda_conv_tap &by = p.taps[phase.first_tap + tap];
			const int from_y = i * step_y + by.dy, from_x = j * step_x + by.dx;
			if (y.has(from_y) && x.has(from_x)) sum += column[(from_y - y.begin) * width + from_x - x.begin];
		}

		const int channel = group * p.out_channels + row;
		const int pixel = phase.out_pixel + i * phase.out_step_y + j * phase.out_step_x;
		float residual = 0.0f;
		if (p.residual != nullptr)
			residual = E::value(((const Bits *)p.residual)[image * p.residual_image + pixel * p.residual_pixel + channel]);
		const float *const scale_bias = p.scale_bias + 2 * (group * p.packed_rows + row);
		const float v = activate(fmaf(sum, scale_bias[0], scale_bias[1]) + residual, p.activation);
		const int to = image * p.out.image_step + pixel * p.out.pixel_step + channel * p.out.channel_step;
		if (p.out.kind == BRENIER_CUDA_OUT_VALUE)
			((Bits *)p.out.data)[to] = E::bits(v);
		else
			store_pixel(p.out, to, v);
	}
}

}  // namespace brenier
