// The screen of rotated draws on mma.sync (sm_80 and later).
//
// A set's draws lie on 24 lines, the columns of a matrix; its 16 axes are the dimension of one product, and
// cells the rows. A product starts at the cells' levels, so that its score is that of one draw of a line, and
// twice the level less it that of the other. Which axes a set has is chance, so a block keeps a tile, all
// axes of some cells, in shared memory while sets go by, and a transposing ldmatrix takes the rows that it
// wants: eight axes, of all remainders by 8, whose pitch is an odd number of 16 bytes, so that they never
// meet in a bank.
//
// All scores that matter are positive, so the largest is found among integers, of which Hopper takes three
// at a time.
#include "rotated_screen.cuh"

#include "ptx/block.cuh"
#include "ptx/cp_async.cuh"
#include "ptx/dependent.cuh"
#include "ptx/ldmatrix.cuh"
#include "ptx/mma.cuh"
#include "ptx/registers.cuh"
#include "ptx/warp.cuh"

namespace brenier {
namespace rotated {
namespace {

enum {
	PRODUCTS = SET / 16,   // of eight lines
	KEPT = 2 * PRODUCTS,   // lines of a lane, of two draws each
	SHARED_OUT = KEPT / 2,
	PAD = BRENIER_ROTATED_SCREEN_PAD / 2,  // values of a row
	PART = 64,                             // cells: four fragments
	RING = 3,                              // parts of a warp, of which all but one are on their way; wide
	RING_PITCH = PART + PAD
};
static_assert(RING * S * RING_PITCH * 2 == BRENIER_ROTATED_WIDE_BYTES, "a warp's ring fits");
static_assert(S == 2 * BRENIER_AXIS_CLASSES, "the rows of a matrix are of all classes");

// What a lane has of a set: the fragments of its lines, and the most of the draws of lines 8n + 2t + i, bits of
// float32, in most[2n + i].
struct Set {
	uint32_t b[PRODUCTS][2];
	int most[KEPT][2];

	__device__ __forceinline__ void clear() {
#pragma unroll
		for (int n = 0; n < KEPT; n++) most[n][0] = most[n][1] = (int)0x80000000;
	}
};

// Lines 2f and 2f+1 are of family f's first and third draw.
__device__ __forceinline__ void load(Set &s, const Params &p, int set) {
	const int lane = (int)lane_id(), g = lane / 4, t = lane % 4;
	const float scale = (float)power_of_two(p.v_exponent);
	const float *const v = p.v + ((int64_t)set * FAMILIES + g / 2) * S + 2 * t;
#pragma unroll
	for (int n = 0; n < PRODUCTS; n++) {
#pragma unroll
		for (int half = 0; half < 2; half++) {
			const float2 pair = *(const float2 *)(v + 8 / 2 * S * n + 8 * half);
			s.b[n][half] = pack_half2(pair.x * scale, pair.y * scale);
			if (half == 1 && g % 2 == 1) s.b[n][half] ^= 0x80008000u;
		}
	}
}

// A lane's row of a fragment's matrices, which are eight axes and eight cells each: the axis among the set's,
// and the first of the cells.
__device__ __forceinline__ int row_axis(int lane) { return lane % 8 + lane / 16 * 8; }
__device__ __forceinline__ int row_cell(int lane) { return lane / 8 % 2 * 8; }

// Scores 64 cells, z at this lane's row of the first of them, and takes the scores into the set's highest.
// levels [4][8] are of cells g and g + 8 of sixteen, each twice.
__device__ __forceinline__ void score(Set &s, const uint16_t *z, const float4 *levels) {
#pragma unroll
	for (int r = 0; r < PART / 16; r++) {
		uint32_t a[4];
		ldmatrix_x4_transposed(a, z + 16 * r);
		const float4 two = levels[8 * r];
		const float level[4] = {two.x, two.y, two.z, two.w};
#pragma unroll
		for (int n = 0; n < PRODUCTS; n++) {
			float d[4];
			mma_f16(d, a, s.b[n], level);
#pragma unroll
			for (int i = 0; i < 2; i++) {
				int(&most)[2] = s.most[2 * n + i];
				most[0] = __vimax3_s32(most[0], (int)float_bits(d[i]), (int)float_bits(d[2 + i]));
				most[1] = __vimax3_s32(most[1], (int)float_bits(fmaf(2.0f, two.x, -d[i])), (int)float_bits(fmaf(2.0f, two.z, -d[2 + i])));
			}
		}
	}
}

// The highest of a unit, of draws draw_of(n, lane), n < 3: first among the eight lanes that share lines, which
// share them out. What a lane gives and keeps is chosen without branches, as compilers would have it, after
// which a shuffle is slow.
__device__ __forceinline__ void highest(const Set &s, bool second, bool odd, float (&most)[SHARED_OUT]) {
#pragma unroll
	for (int n = 0; n < SHARED_OUT; n++) {
		int pair[2];
#pragma unroll
		for (int i = 0; i < 2; i++) {
			const int early = s.most[n][i], late = s.most[n + SHARED_OUT][i];
			int given = second ? early : late, kept = second ? late : early;
			keep(given);
			pair[i] = max(kept, shuffle_xor(given, 16));
		}
		int given = odd ? pair[0] : pair[1], kept = odd ? pair[1] : pair[0];
		keep(given);
		const int own = max(kept, shuffle_xor(given, 8));
		most[n] = float_value((uint32_t)max(own, shuffle_xor(own, 4)));
	}
}

__device__ __forceinline__ int draw_of(int n, int lane) {
	const int line = n + (lane & 16) / 16 * SHARED_OUT;  // of the lane's
	return line / 2 * 16 + 4 * (lane % 4) + line % 2 * 2 + (lane & 8) / 8;
}

// A level that is finite, so that twice it is too.
__device__ __forceinline__ float finite_level(const Params &p, int64_t cell) { return fmaxf(screened(p, level_of(p, cell)), -0x1p100f); }

// A block's share of all tiles times all rounds of sets: a run of them, tile after tile. That blocks end where
// rounds do keeps all warps at work to the end.
template <bool staged, int threads>
__device__ __forceinline__ void screen(const Params &p) {
	launch_dependents();
	wait_for_prerequisites();
	const int C = p.units * UNIT, pitch = C + PAD, parts = p.units * (UNIT / PART);
	float4 *const levels = (float4 *)dynamic_shared();  // [parts][4][8]: of two cells, each twice
	uint16_t *const kept = (uint16_t *)(levels + C / 2);
	const int columns = p.sets * SET;
	const int rounds = (p.sets + p.round - 1) / p.round;  // of a tile
	const int64_t all = (int64_t)p.tiles * rounds;
	int at = (int)(all * blockIdx.x / gridDim.x);
	const int end = (int)(all * (blockIdx.x + 1) / gridDim.x);
	const int lane = (int)lane_id(), warp = threadIdx.x / 32;
	const float4 *const own_levels = levels + lane / 4;
	uint16_t *const ring = kept + warp * RING * S * RING_PITCH;
	while (at < end) {
		const int tile = at / rounds, begin = at - tile * rounds;
		const int stop = min(rounds, begin + (end - at)), last = min(p.sets, stop * p.round);
		const uint16_t *const z = p.z16 + (int64_t)tile * p.d * C;
		if (staged) {
			for (int axis = warp; axis < p.d; axis += threads / 32)
				for (int i = 8 * lane; i < C; i += 256) cp_async_16(kept + axis * pitch + i, z + (int64_t)axis * C + i);
			cp_async_commit();
		}
		for (int i = threadIdx.x; i < C / 2; i += threads) {
			const int64_t cell = (int64_t)tile * C + i / 8 * 16 + i % 8;
			const float near = finite_level(p, cell), far = finite_level(p, cell + 8);
			levels[i] = make_float4(near, near, far, far);
		}
		cp_async_wait<0>();
		sync_threads();
#pragma unroll 1
		for (int set = begin * p.round + warp; warp < p.round && set < last; set += p.round) {
			float *to = p.maxima + (int64_t)(tile * p.units) * columns + set * SET;
			Set own;
			load(own, p, set);
			const int32_t *const axes = p.axes + (int64_t)set * S;
			const uint16_t *const rows = staged ? kept + axes[row_axis(lane)] * pitch + row_cell(lane)
			                                    : ring + row_axis(lane) * RING_PITCH + row_cell(lane);
			// Half a row of a part, for the ring.
			const uint16_t *const from = z + (int64_t)axes[lane / 2] * C + lane % 2 * (PART / 2);
			const auto fetch = [&](int part) {
				uint16_t *const row = ring + (part % RING * S + lane / 2) * RING_PITCH + lane % 2 * (PART / 2);
				if (part < parts)
#pragma unroll
					for (int i = 0; i < PART / 2; i += 8) cp_async_16(row + i, from + part * PART + i);
				cp_async_commit();
			};
			if (!staged)
				for (int part = 0; part < RING - 1; part++) fetch(part);
#pragma unroll 1
			for (int unit = 0; unit < p.units; unit++) {
				own.clear();
#pragma unroll 1
				for (int part = unit * (UNIT / PART); part < (unit + 1) * (UNIT / PART); part++) {
					if (!staged) {
						cp_async_wait<RING - 2>();
						sync_warp();  // the part is here, and all are done with the one before
						fetch(part + RING - 1);
					}
					score(own, rows + (staged ? part * PART : part % RING * S * RING_PITCH), own_levels + part * (PART / 2));
				}
				float most[SHARED_OUT];
				highest(own, lane & 16, lane & 8, most);
#pragma unroll
				for (int n = 0; n < SHARED_OUT; n++)
					if (n % 2 == (lane & 4) / 4) to[draw_of(n, lane)] = most[n];
				to += columns;
			}
			if (!staged) {
				cp_async_wait<0>();
				sync_warp();
			}
		}
		sync_threads();
		at += stop - begin;
	}
}

}  // namespace
}  // namespace rotated

// z16 in shared memory, tile by tile.
BRENIER_KERNEL(brenier_cuda_rotated_screen, brenier_rotated_search_params, BRENIER_ROTATED_SCREEN_THREADS, 1) {
	rotated::screen<true, BRENIER_ROTATED_SCREEN_THREADS>(p);
}

// What a warp needs of z16 for a set, part by part: for tiles of more axes than shared memory holds.
BRENIER_KERNEL(brenier_cuda_rotated_screen_wide, brenier_rotated_search_params, BRENIER_ROTATED_WIDE_THREADS, 1) {
	rotated::screen<false, BRENIER_ROTATED_WIDE_THREADS>(p);
}

}  // namespace brenier
