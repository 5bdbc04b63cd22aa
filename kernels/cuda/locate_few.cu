// The screen for few samples (mma.sync, sm_80 and later): bound by reading the packed cells once, which
// are shared out over the whole chip.
//
// Cells are the rows of the product, samples its columns, 8 at a time. A warp takes a tile of 128 cells
// as eight strips of 16, each slice of 64 dimensions straight from global memory into fragments, with
// four 16-byte loads a lane and four strips of a slice under way at once.
//
// Any order of the dimensions will do, as long as both factors have the same. Lane 4g+t takes chunks t
// and t+4 of row g: the first 8 bytes of a chunk are its part of one instruction's fragment, the last 8
// of the next one's. So no swizzle has to be undone, and every load takes whole sectors.
//
// Grid: any number of blocks. Dynamic shared memory: the samples' chunks,
//   [slices][samples/8][2][32 lanes][16 bytes], chunk c of sample s at half c/4, lane s%8*4 + c%4
#include "locate_pack.cuh"
#include "locate_epilogue.cuh"
#include "ptx/block.cuh"
#include "ptx/dependent.cuh"
#include "ptx/memory.cuh"
#include "ptx/mma.cuh"

namespace brenier {
namespace {

constexpr int THREADS = 256, WARPS = THREADS / 32;
constexpr int STRIPS = BRENIER_LOCATE_TILE / 16;  // of a tile
constexpr int AHEAD = 4;                          // slices of strips under way
static_assert(STRIPS % AHEAD == 0, "a tile is a whole number of rounds");

// Where chunks of samples lie in shared memory.
template <int columns>
struct SampleChunks {
	unsigned char *base;
	int sample;
	__device__ __forceinline__ unsigned char *operator()(int chunk) const {
		const int block = (chunk / 8 * columns + sample / 8) * 2 + chunk % 8 / 4;
		return base + block * 512 + (sample % 8 * 4 + chunk % 4) * 16;
	}
};

// 16 cells by 64 dimensions, as one lane holds them: rows g and g+8, chunks t and t+4 of each.
struct Strip {
	uint4 low[2], high[2];        // [chunk t, t+4]; of row g, of row g+8
	float low_level, high_level;  // with the last slice
};

// A warp's way through its tiles: slice by slice, strip by strip.
struct Walk {
	int tile, strip, slice;
	__device__ __forceinline__ void next(int slices, int stride) {
		if (++slice < slices) return;
		slice = 0;
		if (++strip < STRIPS) return;
		strip = 0;
		tile += stride;
	}
};

__device__ __forceinline__ void load(const brenier_locate_few_params &p, Walk at, Strip &to) {
	const int lane = lane_id(), g = lane / 4, t = lane % 4;
	if (at.tile >= p.tiles) return;
	const unsigned char *const row = p.cells +
	                                 ((int64_t)at.tile * p.slices + at.slice) * BRENIER_LOCATE_SLICE_BYTES +
	                                 (at.strip * 16 + g) * 128;
#pragma unroll
	for (int chunk = 0; chunk < 2; chunk++) {
		const int place = ((chunk * 4 + t) ^ g) * 16;
		to.low[chunk] = load_constant_16(row + place);
		to.high[chunk] = load_constant_16(row + 8 * 128 + place);
	}
	if (at.slice < p.slices - 1) return;
	const float *const level = p.levels + (int64_t)at.tile * BRENIER_LOCATE_TILE + at.strip * 16 + g;
	to.low_level = level[0];
	to.high_level = level[8];
}

// d[n] [16 cells, 8 samples] += the products over one slice.
template <int columns>
__device__ __forceinline__ void multiply(float (&d)[columns][4], const Strip &cells, const unsigned char *samples) {
#pragma unroll
	for (int chunk = 0; chunk < 2; chunk++) {
		const uint32_t first[4] = {cells.low[chunk].x, cells.high[chunk].x, cells.low[chunk].y, cells.high[chunk].y};
		const uint32_t second[4] = {cells.low[chunk].z, cells.high[chunk].z, cells.low[chunk].w, cells.high[chunk].w};
#pragma unroll
		for (int n = 0; n < columns; n++) {
			const uint4 b = *(const uint4 *)(samples + (n * 2 + chunk) * 512 + lane_id() * 16);
			const uint32_t b_first[2] = {b.x, b.y}, b_second[2] = {b.z, b.w};
			mma_f16(d[n], first, b_first);
			mma_f16(d[n], second, b_second);
		}
	}
}

// Brings the samples to shared memory, and rows of up to 8 samples to global memory too.
template <int columns>
__device__ __forceinline__ void bring_samples(const brenier_locate_few_params &p, unsigned char *shared,
                                              brenier_locate_row *rows) {
	const int warp = threadIdx.x / 32, lane = lane_id();
	if (columns == 1) {
		SampleChunks<columns> place = {shared, warp};
		brenier_locate_row r = {1, -locate_infinity()};
		if (warp < p.row_count)
			r = locate_pack_sample(p.x + (int64_t)warp * p.dim, p.dim, *p.map, p.slices, place);
		else
			locate_pack_row(nullptr, p.dim, 1, p.slices, place);
		if (lane != 0) return;
		rows[warp] = r;
		if (blockIdx.x == 0) p.rows[warp] = r;
	} else {
		for (int i = threadIdx.x; i < columns * 8 * p.slices * 8; i += THREADS) {
			const int sample = i % (columns * 8), chunk = i / (columns * 8);
			const LocateTileRow from = {(unsigned char *)p.samples, sample};
			const SampleChunks<columns> to = {shared, sample};
			*(uint4 *)to(chunk) = *(const uint4 *)from(chunk);
		}
		for (int i = threadIdx.x; i < columns * 8; i += THREADS) rows[i] = p.rows[i];
	}
}
static_assert(WARPS == 8, "a warp packs a sample");

template <int columns>
__device__ __forceinline__ void screen(const brenier_locate_few_params &p) {
	__shared__ brenier_locate_row rows[columns * 8];
	unsigned char *const samples = dynamic_shared();
	const int lane = lane_id(), g = lane / 4, t = lane % 4;
	const int stride = WARPS * gridDim.x;

	// The map does not depend on the kernel before this one, so its first loads need not wait.
	launch_dependents();
	Walk at = {(int)(threadIdx.x / 32 * gridDim.x + blockIdx.x), 0, 0}, ahead = at;
	Strip strips[AHEAD];
#pragma unroll
	for (int i = 0; i < AHEAD; i++) {
		load(p, ahead, strips[i]);
		ahead.next(p.slices, stride);
	}
	wait_for_prerequisites();
	bring_samples<columns>(p, samples, rows);
	sync_threads();

	float scale[columns][2];  // of samples 2t and 2t+1
#pragma unroll
	for (int n = 0; n < columns; n++) {
		scale[n][0] = rows[n * 8 + 2 * t].scale;
		scale[n][1] = rows[n * 8 + 2 * t + 1].scale;
	}
	float d[columns][4], most[columns][2];
	while (at.tile < p.tiles) {
#pragma unroll
		for (int i = 0; i < AHEAD; i++) {
			if (at.slice == 0) {
#pragma unroll
				for (int n = 0; n < columns; n++) {
					d[n][0] = d[n][1] = d[n][2] = d[n][3] = 0;
					if (at.strip == 0) most[n][0] = most[n][1] = -locate_infinity();
				}
			}
			multiply<columns>(d, strips[i], samples + at.slice * columns * 1024);
			const float low = strips[i].low_level, high = strips[i].high_level;
			load(p, ahead, strips[i]);
			ahead.next(p.slices, stride);
			if (at.slice == p.slices - 1) {
#pragma unroll
				for (int n = 0; n < columns; n++) {
#pragma unroll
					for (int side = 0; side < 2; side++) {
						most[n][side] = fmaxf(most[n][side], fmaf(low, scale[n][side], d[n][side]));
						most[n][side] = fmaxf(most[n][side], fmaf(high, scale[n][side], d[n][2 + side]));
					}
				}
				if (at.strip == STRIPS - 1) {
					// Cells g modulo 8; those of g and its neighbour are a group. Even lanes of a pair
					// write sample 2t, odd ones sample 2t+1.
#pragma unroll
					for (int n = 0; n < columns; n++) {
						const float mine = g % 2 == 0 ? most[n][0] : most[n][1];
						const float given = g % 2 == 0 ? most[n][1] : most[n][0];
						const float maximum = fmaxf(mine, shuffle_xor(given, 4));
						p.maxima[locate_maxima_at(n * 8 + 2 * t + g % 2, at.tile, p.tiles) + g / 2] = maximum;
					}
				}
			}
			at.next(p.slices, stride);
		}
	}
}

}  // namespace

BRENIER_KERNEL(brenier_cuda_locate_few_8, brenier_locate_few_params, THREADS, 2) { screen<1>(p); }
BRENIER_KERNEL(brenier_cuda_locate_few_16, brenier_locate_few_params, THREADS, 1) { screen<2>(p); }
BRENIER_KERNEL(brenier_cuda_locate_few_32, brenier_locate_few_params, THREADS, 1) { screen<4>(p); }
BRENIER_KERNEL(brenier_cuda_locate_few_64, brenier_locate_few_params, THREADS, 1) { screen<8>(p); }

}  // namespace brenier
