// Where a convolution's blocks, pixels and taps are; what its kernels on the tensor cores share. See
// conv.h.
#pragma once
#include "conv.h"
#include "conv_divisor.cuh"
#include "device.cuh"

namespace brenier {

// What a block makes: BM pixels, counted through the images, of a phase, by BN rows of a group.
// Rows go fastest, then phases, which share their input; then pixels.
struct ConvBlock {
	const brenier_cuda_conv_phase &phase;
	int group, first_row, first_pixel;

	static __device__ inline int tiles(const brenier_cuda_conv &p, int bn) { return (p.packed_rows + bn - 1) / bn; }

	__device__ ConvBlock(const brenier_cuda_conv &p, int bm, int bn)
		: phase(p.phases[(int)blockIdx.x / (tiles(p, bn) * p.groups) % p.phase_count]) {
		const int tile = (int)blockIdx.x % (tiles(p, bn) * p.groups);
		group = tile / tiles(p, bn);
		first_row = tile % tiles(p, bn) * bn;
		first_pixel = (int)blockIdx.x / (tiles(p, bn) * p.groups * p.phase_count) * bm;
	}
	// A phase may have fewer pixels than the largest one.
	__device__ bool empty(const brenier_cuda_conv &p) const { return first_pixel >= p.n * phase.rows * phase.cols; }

	// The weights of a row of the tile at step 0.
	__device__ const uint16_t *weights(const brenier_cuda_conv &p, int row) const {
		return (const uint16_t *)p.weights + phase.weights +
		       ((int64_t)group * phase.steps * p.packed_rows + first_row + row) * BRENIER_CUDA_CONV_STEP;
	}
};

// The chunks of one of `wk` groups of warps: part, part + wk, ... Its steps count through them.
struct ConvChunks {
	int chunks, rounds, steps;  // of all groups; in which each makes one at most; of this group

	__device__ ConvChunks(const brenier_cuda_conv_phase &phase, int part, int wk) {
		constexpr int kChunk = BRENIER_CUDA_CONV_CHUNK;
		chunks = (phase.steps + kChunk - 1) / kChunk;
		rounds = chunks > 0 ? (chunks + wk - 1) / wk : 1;  // a phase may have no taps
		const int own = chunks > part ? (chunks - part + wk - 1) / wk : 0;
		const bool has_last = own > 0 && part + (own - 1) * wk == chunks - 1;
		steps = own * kChunk - (has_last ? chunks * kChunk - phase.steps : 0);
	}
};

// Where a pixel of the tile is in the output; image < 0: beyond the last one.
struct ConvPlace {
	int32_t image, pixel;
};

// Where a pixel of the tile reads: the input position of a tap at (0,0), y far outside where there is
// no such pixel; and its offset in bytes.
struct ConvPixel {
	int y, x;
	uint32_t offset;
};

// Pixel m of a phase, counted through the images.
__device__ inline ConvPlace conv_place(const brenier_cuda_conv &p, const brenier_cuda_conv_phase &phase, int group, int m,
                                       ConvPixel &pixel) {
	const int image = divided(m, phase.by_image), rest = m - image * phase.rows * phase.cols;
	const int i = divided(rest, phase.by_row), j = rest - i * phase.cols;
	const bool inside = image < p.n;
	const int y = i * phase.in_step_y;
	pixel.x = j * phase.in_step_x;
	pixel.y = inside ? y : -(1 << 30);
	pixel.offset = inside ? 2u * (uint32_t)(image * p.in_image + (y * p.in_width + pixel.x) * p.in_pitch + group * p.in_octets * 8) : 0;
	return {inside ? image : -1, phase.out_pixel + i * phase.out_step_y + j * phase.out_step_x};
}

// A step, and the tap and the octet of channels that one of its four 16-byte pieces has.
struct ConvCursor {
	static constexpr int kPieces = BRENIER_CUDA_CONV_STEP / 8;
	int step, tap, octet;

	__device__ void seek(const brenier_cuda_conv &p, const brenier_cuda_conv_phase &phase, int piece, int first) {
		step = first;
		if (p.taps_fastest) {
			const int taps = phase.taps > 0 ? phase.taps : 1;
			tap = first % taps;
			octet = first / taps * kPieces + piece;
		} else {
			const int at = first * kPieces + piece;
			tap = at / p.in_octets;
			octet = at % p.in_octets;
		}
	}
	// `count` steps further on.
	__device__ void skip(const brenier_cuda_conv &p, const brenier_cuda_conv_phase &phase, int piece, int count) {
		if (count > 1) {
			seek(p, phase, piece, step + count);
			return;
		}
		step++;
		if (p.taps_fastest) {
			const bool next = ++tap >= phase.taps;
			tap = next ? 0 : tap;
			octet += next ? kPieces : 0;
		} else {
			octet += kPieces;
			for (; octet >= p.in_octets; tap++) octet -= p.in_octets;
		}
	}
};

// What a cursor's piece reads, relative to a pixel.
struct ConvReach {
	int dy, dx;
	uint32_t moved;  // bytes; a sum that is used is within 32 bits

	__device__ ConvReach(const brenier_cuda_conv &p, const brenier_cuda_conv_phase &phase, const ConvCursor &at) {
		const bool some = at.tap < phase.taps;
		const brenier_cuda_conv_tap tap = p.taps[phase.first_tap + (some ? at.tap : 0)];
		dy = some ? tap.dy : -(1 << 29);
		dx = tap.dx;
		moved = 2u * (uint32_t)(tap.offset + at.octet * 8);
	}
	__device__ bool valid(const brenier_cuda_conv &p, const ConvPixel &pixel) const {
		return (unsigned)(pixel.y + dy) < (unsigned)p.in_height && (unsigned)(pixel.x + dx) < (unsigned)p.in_width;
	}
	// Only where it is valid.
	__device__ const unsigned char *from(const brenier_cuda_conv &p, const ConvPixel &pixel) const {
		return (const unsigned char *)p.in + (pixel.offset + moved);
	}
};

}  // namespace brenier
