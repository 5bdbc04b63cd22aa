// Convolution as a matrix product on the tensor cores (mma.sync, sm_80 and later). See conv.h.
//
// A block makes a tile of BM pixels, counted through the images, by BN output channels of a phase.
// The k of the product are taken in steps of 32: the tile's input pixels, gathered through a tap, and
// its weights come to shared memory by cp.async, kStages steps ahead.
//
//     A  BM pixels x 32 k, B  BN rows x 32 k    16-bit, 64 bytes a row; 16-byte piece c of row r is at
//                                               piece c ^ (r/2)%4, so that no ldmatrix meets a conflict
//     D  BM x BN                                float32 in registers, WM x WN a warp
//
// Sums: each chunk of 16 steps from zero, by mma in the order of k; the chunks' sums are added in
// order in float32. With WK > 1 the block's WK groups of warps take the chunks in turn; with WK = 1
// one group takes them one after another. Both give the same bits, so what an element gets depends
// neither on the tile nor on the batch.
#pragma once
#include "activation.cuh"
#include "conv_gather.cuh"
#include "conv_sums.cuh"
#include "conv_tiles.h"
#include "image.cuh"
#include "ptx/cp_async.cuh"
#include "ptx/dependent.cuh"
#include "ptx/ldmatrix.cuh"
#include "ptx/registers.cuh"
#include "ptx/warp.cuh"

namespace brenier {

// The shape of a tile and of its shared memory; see conv_tiles.h.
template <int bm, int bn, int wm, int wn, int wk, int stages>
struct ConvTile {
	static constexpr int BM = bm, BN = bn, WM = wm, WN = wn, WK = wk, kStages = stages;
	static constexpr int kGroupThreads = BRENIER_CUDA_CONV_GROUP_THREADS(bm, bn, wm, wn);
	static constexpr int kThreads = BRENIER_CUDA_CONV_THREADS(bm, bn, wm, wn, wk);
	static constexpr int kPieces = BRENIER_CUDA_CONV_STEP / 8;  // 16-byte pieces of a row
	static constexpr int kStageBytes = BRENIER_CUDA_CONV_STAGE_BYTES(bm, bn);
	static constexpr int kPlacesAt = BRENIER_CUDA_CONV_PLACES_AT(bm, bn, wk, stages);
	static constexpr int kSumsAt = BRENIER_CUDA_CONV_SUMS_AT(bm, bn, wk, stages);
	static constexpr bool kSumsInShared = wk == 1 && BRENIER_CUDA_CONV_SUMS_BYTES(bm, bn, wm, wn, wk) > 0;
	static constexpr bool kSumsAlways = BRENIER_CUDA_CONV_SUMS_ALWAYS(bm, bn, wk, stages);
};

// Byte offset of 16-byte piece c of row r in a stage's A or B. Rows 8 apart differ by 512 bytes, and
// pieces c and c ^ 2 by a flip of bit 5.
__device__ inline int conv_piece(int r, int c) { return r * 64 + ((c ^ (r >> 1 & 3)) << 4); }

// What a thread loads: one 16-byte piece of every step for some rows of A, and some of B.
template <class T>
struct ConvLoader {
	static constexpr int kStride = T::kGroupThreads / T::kPieces;  // rows between two of a thread's
	static constexpr int kRowsA = (T::BM + kStride - 1) / kStride, kRowsB = (T::BN + kStride - 1) / kStride;
	static_assert(kStride % 8 == 0, "a thread's rows have their piece at the same place");

	const brenier_cuda_conv &p;
	const brenier_cuda_conv_phase &phase;
	unsigned char *to;  // of the group's first stage: the thread's first row and piece
	int row, piece;     // these
	ConvCursor at;      // the next step, this thread's piece
	ConvPixel pixels[kRowsA];
	const uint16_t *weights;  // the tile's first row at step 0, this thread's row and piece
	int rows_left;            // of the packed rows, from the thread's first one on

	__device__ ConvLoader(const brenier_cuda_conv &p, const brenier_cuda_conv_phase &phase, unsigned char *stages, int thread)
		: p(p), phase(phase), row(thread / T::kPieces), piece(thread % T::kPieces) {
		to = stages + conv_piece(row, piece);
	}

	__device__ void load_weights(int stage) const {
		unsigned char *b = to + stage * T::kStageBytes + T::BM * 64;
		const uint16_t *from = weights + (int64_t)at.step * p.packed_rows * BRENIER_CUDA_CONV_STEP;
#pragma unroll
		for (int i = 0; i < kRowsB; i++)
			if (T::BN % kStride == 0 || row + i * kStride < T::BN)
				cp_async_16(b + i * kStride * 64, from + i * kStride * BRENIER_CUDA_CONV_STEP, i * kStride < rows_left);
	}

	__device__ void load_pixels(int stage) const {
		unsigned char *a = to + stage * T::kStageBytes;
		const ConvReach reach(p, phase, at);
#pragma unroll
		for (int i = 0; i < kRowsA; i++)
			if (T::BM % kStride == 0 || row + i * kStride < T::BM)
				cp_async_16_cached(a + i * kStride * 64, reach.from(p, pixels[i]), reach.valid(p, pixels[i]));
	}
};

// Where a lane's ldmatrix rows lie in a stage: of the warp's first 16 rows of A, and of B, at the first
// 16 k. The second 16 k are at the flipped place.
template <class T>
struct ConvFragments {
	int a, b;

	__device__ ConvFragments(int warp_row, int warp_col, int lane)
		: a(conv_piece(warp_row + lane % 16, lane / 16)),
		  b(T::BM * 64 + conv_piece(warp_col + lane / 16 * 8 + lane % 8, lane / 8 % 2)) {
		keep(a);
		keep(b);
	}
};

// The product of one step: D += A B of a warp.
template <class E, class T>
__device__ inline void conv_step(const unsigned char *stage, ConvFragments<T> at, float (&d)[T::WM / 16][T::WN / 8][4]) {
#pragma unroll
	for (int k = 0; k < BRENIER_CUDA_CONV_STEP / 16; k++) {
		const unsigned char *const a_rows = stage + (at.a ^ k << 5), *const b_rows = stage + (at.b ^ k << 5);
		uint32_t b[T::WN / 8][2];
#pragma unroll
		for (int j = 0; j < T::WN / 16; j++) {
			uint32_t r[4];
			ldmatrix_x4(r, b_rows + 16 * j * 64);
			b[2 * j][0] = r[0], b[2 * j][1] = r[1], b[2 * j + 1][0] = r[2], b[2 * j + 1][1] = r[3];
		}
#pragma unroll
		for (int i = 0; i < T::WM / 16; i++) {
			uint32_t a[4];
			ldmatrix_x4(a, a_rows + 16 * i * 64);
#pragma unroll
			for (int j = 0; j < T::WN / 8; j++) multiply(E(), d[i][j], a, b[j]);
		}
	}
}

// Writes `count` neighbouring channels of one pixel, of which the first is `first` in the output;
// `own` of them exist there. scale_bias has the pairs of all of them.
template <class E, int count>
__device__ inline void conv_store(const brenier_cuda_conv &p, ConvPlace at, int first, int own,
                                  const float (&scale_bias)[2 * count], float (&v)[count]) {
	using Bits = typename E::Bits;
#pragma unroll
	for (int i = 0; i < count; i++) v[i] = fmaf(v[i], scale_bias[2 * i], scale_bias[2 * i + 1]);
	if (p.residual != nullptr) {
		const Bits *residual = (const Bits *)p.residual + at.image * p.residual_image + at.pixel * p.residual_pixel + first;
		if constexpr (count == 8) {
			const Octet o = load_octet<E>(residual);
#pragma unroll
			for (int i = 0; i < count; i++) v[i] += o.v[i];
		} else {
#pragma unroll
			for (int i = 0; i < count; i += 2) {
				const uint32_t both = *(const uint32_t *)(residual + i);
				v[i] += E::value((Bits)both);
				v[i + 1] += E::value((Bits)(both >> 16));
			}
		}
	}
	activate(v, p.activation);

	const int to = at.image * p.out.image_step + at.pixel * p.out.pixel_step;
	if (p.out.kind != BRENIER_CUDA_OUT_VALUE) {
#pragma unroll
		for (int i = 0; i < count; i++)
			if (i < own) store_pixel(p.out, to + (first + i) * p.out.channel_step, v[i]);
		return;
	}
	uint32_t words[count / 2];
#pragma unroll
	for (int i = 0; i < count; i += 2) words[i / 2] = E::pack(v[i], v[i + 1]);
	Bits *out = (Bits *)p.out.data + to + first;
	if constexpr (count == 8) {
		uint4 all;
		all.x = words[0], all.y = words[1], all.z = words[2], all.w = words[3];
		*(uint4 *)out = all;
	} else {
#pragma unroll
		for (int i = 0; i < count / 2; i++) *(uint32_t *)(out + 2 * i) = words[i];
	}
}

template <class E, class T>
__device__ inline void conv(const brenier_cuda_conv &p) {
	constexpr int kMi = T::WM / 16, kNi = T::WN / 8;
	constexpr int kChunk = BRENIER_CUDA_CONV_CHUNK;
	launch_dependents();

	const ConvBlock block(p, T::BM, T::BN);
	const brenier_cuda_conv_phase &phase = block.phase;
	if (block.empty(p)) {
		wait_for_prerequisites();
		return;
	}

	unsigned char *const shared = dynamic_shared();
	const int part = threadIdx.x / T::kGroupThreads, thread = threadIdx.x % T::kGroupThreads;
	unsigned char *const stages = shared + part * T::kStages * T::kStageBytes;
	ConvPlace *const places = (ConvPlace *)(shared + T::kPlacesAt);
	float4 *const sums = (float4 *)(shared + T::kSumsAt);

	ConvLoader<T> loader(p, phase, stages, thread);
	loader.rows_left = p.packed_rows - block.first_row - loader.row;
	loader.weights = block.weights(p, loader.row) + loader.piece * 8;
#pragma unroll
	for (int i = 0; i < ConvLoader<T>::kRowsA; i++) {
		const int r = loader.row + i * ConvLoader<T>::kStride;
		const ConvPlace place = conv_place(p, phase, block.group, block.first_pixel + r, loader.pixels[i]);
		if (part == 0 && loader.piece == 0 && (T::BM % ConvLoader<T>::kStride == 0 || r < T::BM)) places[r] = place;
	}
	sync_threads();  // the places are known

	const ConvChunks own(phase, part, T::WK);

	// The weights of the first stages come while the kernel before still runs; then the pixels.
	loader.at.seek(p, phase, loader.piece, part * kChunk);
#pragma unroll
	for (int s = 0; s < T::kStages - 1; s++) {
		if (s < own.steps) loader.load_weights(s);
		loader.at.skip(p, phase, loader.piece, 1);
	}
	wait_for_prerequisites();
	loader.at.seek(p, phase, loader.piece, part * kChunk);
#pragma unroll
	for (int s = 0; s < T::kStages - 1; s++) {
		if (s < own.steps) loader.load_pixels(s);
		cp_async_commit();
		loader.at.skip(p, phase, loader.piece, 1);
	}
	static_assert(T::kStages - 1 < kChunk, "the first stages lie in one chunk");

	const int lane = threadIdx.x % 32, warp = thread / 32;
	const int warp_row = warp / (T::BN / T::WN) * T::WM, warp_col = warp % (T::BN / T::WN) * T::WN;
	const ConvFragments<T> fragments(warp_row, warp_col, lane);
	float d[kMi][kNi][4], total[kMi][kNi][4];
	int s = 0, stage = 0, next_stage = T::kStages - 1;  // steps done; where they are and where the next goes
	for (int round = 0; round < own.rounds; round++) {
		conv_clear<T>(d);
		const int end = own.steps < (round + 1) * kChunk ? own.steps : (round + 1) * kChunk;
		for (; s < end; s++) {
			cp_async_wait<T::kStages - 2>();
			if constexpr (T::WK == 1) sync_threads();
			else if constexpr (T::kGroupThreads == 32) sync_warp();
			else named_sync(1 + part, T::kGroupThreads);
			if (s + T::kStages - 1 < own.steps) {
				loader.load_weights(next_stage);
				loader.load_pixels(next_stage);
				const bool ends_chunk = T::WK > 1 && (s + T::kStages) % kChunk == 0;
				loader.at.skip(p, phase, loader.piece, ends_chunk ? (T::WK - 1) * kChunk + 1 : 1);
			}
			cp_async_commit();
			conv_step<E, T>(stages + stage * T::kStageBytes, fragments, d);
			stage = stage + 1 == T::kStages ? 0 : stage + 1;
			next_stage = next_stage + 1 == T::kStages ? 0 : next_stage + 1;
		}

		// The chunks' sums join the total, in the order of the chunks.
		if constexpr (T::WK > 1) {
			conv_join<T>(total, d, sums, part, thread, own.chunks - round * T::WK - 1, round == 0, round + 1 == own.rounds);
		} else if constexpr (T::kSumsInShared) {
			if (round > 0) conv_take<T>(sums, thread, d);
			if (round + 1 < own.rounds) conv_put<T>(sums, 0, thread, d);
		} else {
			conv_add<T>(total, d, round == 0);
		}
	}
	if (T::WK > 1 && part > 0) return;

	// The sums pass through the thread's own part of shared memory: walked in a loop there, they are
	// finished by code that exists once. Unrolled over the registers it would overflow the instruction
	// cache, which costs more than the products do.
	float4 *const finished = T::kSumsAlways ? sums : (float4 *)shared;
	static_assert(T::kSumsAlways ? T::kSumsInShared : T::BM * T::BN * 4 <= T::kPlacesAt, "there is room for the sums");
	if constexpr (T::WK == 1 && !T::kSumsAlways) sync_threads();  // all have read the last stage
	conv_put<T>(finished, 0, thread, T::kSumsInShared ? d : total);

	const int g = lane / 4, t = lane % 4;
	constexpr int kBlocks = kNi < 4 ? kNi : 4, kCount = 2 * kBlocks;  // blocks of 8 rows, of a group of 32
#pragma unroll 1
	for (int j = 0; j < kNi; j += kBlocks) {
		const int packed = block.first_row + warp_col + 8 * j;
		const int channel = packed / 32 * 32 + 8 * t + packed % 32 / 8 * 2;
		const int written = p.out_channels - channel;
		if (written <= 0) continue;
		float scale_bias[2 * kCount];
#pragma unroll
		for (int b = 0; b < 2 * kCount; b++) scale_bias[b] = p.scale_bias[2 * (block.group * p.packed_rows + channel) + b];
#pragma unroll 1
		for (int i = 0; i < kMi; i++) {
			float v[2][kCount];  // of pixels g and g + 8 of 16
#pragma unroll
			for (int b = 0; b < kBlocks; b++) {
				const float4 quad = finished[(i * kNi + j + b) * T::kGroupThreads + thread];
				v[0][2 * b] = quad.x, v[0][2 * b + 1] = quad.y, v[1][2 * b] = quad.z, v[1][2 * b + 1] = quad.w;
			}
#pragma unroll
			for (int half = 0; half < 2; half++) {
				const ConvPlace at = places[warp_row + 16 * i + 8 * half + g];
				if (at.image >= 0)
					conv_store<E, kCount>(p, at, block.group * p.out_channels + channel, written, scale_bias, v[half]);
			}
		}
	}
}

}  // namespace brenier
