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
#include "conv.h"
#include "conv_tiles.h"
#include "element.cuh"
#include "image.cuh"
#include "ptx/block.cuh"
#include "ptx/cp_async.cuh"
#include "ptx/dependent.cuh"
#include "ptx/ldmatrix.cuh"
#include "ptx/mma.cuh"
#include "ptx/registers.cuh"
#include "ptx/warp.cuh"

namespace brenier {

__device__ inline void multiply(Half, float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
	mma_f16(d, a, b);
}
__device__ inline void multiply(BFloat, float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
	mma_bf16(d, a, b);
}

// Where a pixel of the tile is in the output; image < 0: beyond the last one.
struct ConvPlace {
	int32_t image, pixel;
};

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
	unsigned char *to;   // of the group's first stage: the thread's first row and piece
	int row, piece;      // these
	int step;            // the next one
	int tap, octet;      // where k = step*32 + piece*8 is
	int y[kRowsA], x[kRowsA];  // of a row's pixel; y far outside where there is none
	uint32_t offset[kRowsA];   // bytes
	const uint16_t *weights;   // the tile's first row at step 0, this thread's row and piece
	int rows_left;             // of the packed rows, from the thread's first one on

	__device__ ConvLoader(const brenier_cuda_conv &p, const brenier_cuda_conv_phase &phase, unsigned char *stages, int thread)
		: p(p), phase(phase), row(thread / T::kPieces), piece(thread % T::kPieces) {
		to = stages + conv_piece(row, piece);
	}

	// Begins at a step.
	__device__ void seek(int first) {
		step = first;
		if (p.taps_fastest) {
			const int taps = phase.taps > 0 ? phase.taps : 1;
			tap = first % taps;
			octet = first / taps * T::kPieces + piece;
		} else {
			const int at = first * T::kPieces + piece;
			tap = at / p.in_octets;
			octet = at % p.in_octets;
		}
	}
	// The same `count` steps further on.
	__device__ void skip(int count) {
		if (count > 1) {
			seek(step + count);
			return;
		}
		step++;
		if (p.taps_fastest) {
			const bool next = ++tap >= phase.taps;
			tap = next ? 0 : tap;
			octet += next ? T::kPieces : 0;
		} else {
			octet += T::kPieces;
			for (; octet >= p.in_octets; tap++) octet -= p.in_octets;
		}
	}

	__device__ void load_weights(int stage) const {
		unsigned char *b = to + stage * T::kStageBytes + T::BM * 64;
		const uint16_t *from = weights + (int64_t)step * p.packed_rows * BRENIER_CUDA_CONV_STEP;
#pragma unroll
		for (int i = 0; i < kRowsB; i++)
			if (T::BN % kStride == 0 || row + i * kStride < T::BN)
				cp_async_16(b + i * kStride * 64, from + i * kStride * BRENIER_CUDA_CONV_STEP, i * kStride < rows_left);
	}

	__device__ void load_pixels(int stage) const {
		unsigned char *a = to + stage * T::kStageBytes;
		const bool some = tap < phase.taps;
		const brenier_cuda_conv_tap t = p.taps[phase.first_tap + (some ? tap : 0)];
		const int dy = some ? t.dy : -(1 << 29), dx = t.dx;
		const uint32_t moved = 2u * (uint32_t)(t.offset + octet * 8);  // a sum that is used is within 32 bits
#pragma unroll
		for (int i = 0; i < kRowsA; i++) {
			const bool valid = (unsigned)(y[i] + dy) < (unsigned)p.in_height && (unsigned)(x[i] + dx) < (unsigned)p.in_width;
			if (T::BM % kStride == 0 || row + i * kStride < T::BM)
				cp_async_16_cached(a + i * kStride * 64, (const unsigned char *)p.in + (offset[i] + moved), valid);
		}
	}
};

// Where a lane's ldmatrix rows lie in a stage: of the warp's first 16 rows of A, and of B, at the first
// 16 k. The second 16 k are at the flipped place.
template <class T>
struct ConvFragments {
	int a, b;

	__device__ ConvFragments(int warp_row, int warp_col, int lane)
		: a(conv_piece(warp_row + lane % 16, lane / 16)),
		  b(T::BM * 64 + conv_piece(warp_col + (T::WN == 8 ? 0 : lane / 16 * 8) + lane % 8, lane / 8 % 2)) {
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
		if constexpr (T::WN == 8) {
			ldmatrix_x2(b[0], b_rows);
		} else {
#pragma unroll
			for (int j = 0; j < T::WN / 16; j++) {
				uint32_t r[4];
				ldmatrix_x4(r, b_rows + 16 * j * 64);
				b[2 * j][0] = r[0], b[2 * j][1] = r[1], b[2 * j + 1][0] = r[2], b[2 * j + 1][1] = r[3];
			}
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
#pragma unroll
		for (int i = 0; i < count; i += 2) {
			const uint32_t both = *(const uint32_t *)(residual + i);
			v[i] += E::value((Bits)both);
			v[i + 1] += E::value((Bits)(both >> 16));
		}
	}
#pragma unroll
	for (int i = 0; i < count; i++) v[i] = activate(v[i], p.activation);

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

template <class E, class T>
__device__ inline void conv(const brenier_cuda_conv &p) {
	constexpr int kMi = T::WM / 16, kNi = T::WN / 8;
	constexpr int kChunk = BRENIER_CUDA_CONV_CHUNK;
	launch_dependents();

	// The block's tile: channels fastest, then phases, which share their input; then pixels.
	const int tiles = (p.packed_rows + T::BN - 1) / T::BN * p.groups;
	int block = blockIdx.x;
	const int col_tile = block % tiles;
	block /= tiles;
	const brenier_cuda_conv_phase &phase = p.phases[block % p.phase_count];
	const int first_pixel = block / p.phase_count * T::BM;
	const int per_group = tiles / p.groups;
	const int group = col_tile / per_group, first_row = col_tile % per_group * T::BN;
	const int per_image = phase.rows * phase.cols;
	if (first_pixel >= p.n * per_image) {
		wait_for_prerequisites();
		return;
	}

	unsigned char *const shared = dynamic_shared();
	const int part = threadIdx.x / T::kGroupThreads, thread = threadIdx.x % T::kGroupThreads;
	unsigned char *const stages = shared + part * T::kStages * T::kStageBytes;
	ConvPlace *const places = (ConvPlace *)(shared + T::kPlacesAt);
	float4 *const sums = (float4 *)(shared + T::kSumsAt);

	ConvLoader<T> loader(p, phase, stages, thread);
	loader.rows_left = p.packed_rows - first_row - loader.row;
	loader.weights = (const uint16_t *)p.weights + phase.weights +
	                 (int64_t)group * phase.steps * p.packed_rows * BRENIER_CUDA_CONV_STEP +
	                 (first_row + loader.row) * BRENIER_CUDA_CONV_STEP + loader.piece * 8;
#pragma unroll
	for (int i = 0; i < ConvLoader<T>::kRowsA; i++) {
		const int r = loader.row + i * ConvLoader<T>::kStride, m = first_pixel + r;
		const int image = m / per_image, rest = m % per_image;
		const int py = rest / phase.cols, px = rest % phase.cols;
		const bool inside = image < p.n;
		const int y = py * phase.in_step_y, x = px * phase.in_step_x;
		loader.y[i] = inside ? y : -(1 << 30);
		loader.x[i] = x;
		loader.offset[i] = inside ? 2u * (image * p.in_image + (y * p.in_width + x) * p.in_pitch + group * p.in_octets * 8) : 0;
		if (part == 0 && loader.piece == 0 && (T::BM % ConvLoader<T>::kStride == 0 || r < T::BM)) {
			places[r].image = inside ? image : -1;
			places[r].pixel = phase.out_pixel + py * phase.out_step_y + px * phase.out_step_x;
		}
	}

	sync_threads();  // the places are known

	// The chunks of this group of warps are part, part + WK, ...; its steps, one after another.
	const int chunks = (phase.steps + kChunk - 1) / kChunk;
	const int own_chunks = chunks > part ? (chunks - part + T::WK - 1) / T::WK : 0;
	const bool has_last = own_chunks > 0 && part + (own_chunks - 1) * T::WK == chunks - 1;
	const int own_steps = own_chunks * kChunk - (has_last ? chunks * kChunk - phase.steps : 0);

	// The weights of the first stages come while the kernel before still runs; then the pixels.
	loader.seek(part * kChunk);
#pragma unroll
	for (int s = 0; s < T::kStages - 1; s++) {
		if (s < own_steps) loader.load_weights(s);
		loader.skip(1);
	}
	wait_for_prerequisites();
	loader.seek(part * kChunk);
#pragma unroll
	for (int s = 0; s < T::kStages - 1; s++) {
		if (s < own_steps) loader.load_pixels(s);
		cp_async_commit();
		loader.skip(1);
	}
	static_assert(T::kStages - 1 < kChunk, "the first stages lie in one chunk");

	const int lane = threadIdx.x % 32, warp = thread / 32;
	const int warp_row = warp / (T::BN / T::WN) * T::WM, warp_col = warp % (T::BN / T::WN) * T::WN;
	const ConvFragments<T> fragments(warp_row, warp_col, lane);
	float d[kMi][kNi][4], total[kMi][kNi][4];
	int s = 0, stage = 0, next_stage = T::kStages - 1;  // steps done; where they are and where the next goes
	const int rounds = chunks > 0 ? (chunks + T::WK - 1) / T::WK : 1;  // a phase may have no taps
	for (int round = 0; round < rounds; round++) {
#pragma unroll
		for (int i = 0; i < kMi; i++)
#pragma unroll
			for (int j = 0; j < kNi; j++)
#pragma unroll
				for (int e = 0; e < 4; e++) d[i][j][e] = 0.0f;
		const int end = own_steps < (round + 1) * kChunk ? own_steps : (round + 1) * kChunk;
		for (; s < end; s++) {
			cp_async_wait<T::kStages - 2>();
			if constexpr (T::WK == 1) sync_threads();
			else if constexpr (T::kGroupThreads == 32) sync_warp();
			else named_sync(1 + part, T::kGroupThreads);
			if (s + T::kStages - 1 < own_steps) {
				loader.load_weights(next_stage);
				loader.load_pixels(next_stage);
				const bool ends_chunk = T::WK > 1 && (s + T::kStages) % kChunk == 0;
				loader.skip(ends_chunk ? (T::WK - 1) * kChunk + 1 : 1);
			}
			cp_async_commit();
			conv_step<E, T>(stages + stage * T::kStageBytes, fragments, d);
			stage = stage + 1 == T::kStages ? 0 : stage + 1;
			next_stage = next_stage + 1 == T::kStages ? 0 : next_stage + 1;
		}

		// The chunks' sums join the total, in the order of the chunks.
		const bool last = round + 1 == rounds;
		if constexpr (T::WK > 1) {
			const int others = chunks - round * T::WK - 1;  // that other groups have made in this round, or more
			if (part > 0 && part <= others) conv_put<T>(sums, part - 1, thread, d);
			sync_threads();
			if (part == 0) {
				conv_add<T>(total, d, round == 0);
#pragma unroll 1
				for (int o = 0; o < T::WK - 1 && o < others; o++) {
					conv_get<T>(sums, o, thread, d);
					conv_add<T>(total, d, false);
				}
			}
			if (!last) sync_threads();
		} else if constexpr (T::kSumsInShared) {
			if (round > 0) {
				conv_get<T>(sums, 0, thread, total);
				conv_add<T>(d, total, false);  // the order of two summands does not matter
			}
			if (!last) conv_put<T>(sums, 0, thread, d);
		} else {
			conv_add<T>(total, d, round == 0);
		}
	}
	if (T::WK > 1 && part > 0) return;

	float(&sum)[kMi][kNi][4] = T::kSumsInShared ? d : total;
	const int g = lane / 4, t = lane % 4;
	if constexpr (T::WN == 8) {
#pragma unroll
		for (int i = 0; i < kMi; i++)
#pragma unroll
			for (int e = 0; e < 4; e++)
				conv_store_few<E>(p, places[warp_row + 16 * i + e / 2 * 8 + g], group, first_row + 2 * t + e % 2, sum[i][0][e]);
	} else {
		constexpr int kBlocks = kNi < 4 ? kNi : 4, kCount = 2 * kBlocks;  // blocks of 8 rows, of a group of 32
#pragma unroll
		for (int j = 0; j < kNi; j += kBlocks) {
			const int packed = first_row + warp_col + 8 * j;
			const int channel = packed / 32 * 32 + 8 * t + packed % 32 / 8 * 2;
			const int own = p.out_channels - channel;
			if (own <= 0) continue;
			float scale_bias[2 * kCount];
#pragma unroll
			for (int b = 0; b < 2 * kCount; b++) scale_bias[b] = p.scale_bias[2 * (group * p.packed_rows + channel) + b];
#pragma unroll
			for (int i = 0; i < kMi; i++)
#pragma unroll
				for (int half = 0; half < 2; half++) {
					const ConvPlace at = places[warp_row + 16 * i + 8 * half + g];
					float v[kCount];
#pragma unroll
					for (int b = 0; b < kCount; b++) v[b] = sum[i][j + b / 2][2 * half + b % 2];
					if (at.image >= 0) conv_store<E, kCount>(p, at, group * p.out_channels + channel, own, scale_bias, v);
				}
		}
	}
}

}  // namespace brenier
