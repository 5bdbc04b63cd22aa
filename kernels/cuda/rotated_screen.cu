// The screen of rotated draws on mma.sync (sm_80 and later).
//
// A set's draws are a matrix of 48 columns, its 16 axes the dimension of one product, and cells the rows.
// Which axes a set has is chance, so a block keeps a tile, all axes of some cells, in shared memory while
// sets go by; what a warp reads of it serves six products. A fragment wants two axes of one cell in a word:
// those of a pair (kernels/cpu/rotated.h). A lane reads two cells of a pair at once, half a fragment; the
// four pairs that the lanes of a quad read have the four remainders by 4, and rows are 32 bytes longer than
// banks go round, so that they never meet.
//
// Levels come as what is added to. All scores that matter are positive, so the largest is found among
// integers, of which Hopper takes three at a time.
#include "rotated_screen.cuh"

#include "ptx/block.cuh"
#include "ptx/cp_async.cuh"
#include "ptx/dependent.cuh"
#include "ptx/mma.cuh"
#include "ptx/registers.cuh"
#include "ptx/warp.cuh"

namespace brenier {
namespace rotated {
namespace {

enum {
	PRODUCTS = SET / 8,  // of eight columns
	SHARED_OUT = PRODUCTS / 2,
	PAD = BRENIER_ROTATED_SCREEN_PAD / 4,  // words of a row
	PART = 64                              // cells: four fragments
};

// What a lane has of a set: where its two pairs of axes begin, and of each product the fragment of columns
// and the most of columns 2t and 2t+1, bits of float32.
struct Set {
	int at[2];
	uint32_t b[PRODUCTS][2];
	int most[PRODUCTS][2];

	__device__ __forceinline__ void clear() {
#pragma unroll
		for (int n = 0; n < PRODUCTS; n++) most[n][0] = most[n][1] = (int)0x80000000;
	}
};

__device__ __forceinline__ void load(Set &s, const Params &p, int set, int pitch) {
	const int lane = (int)lane_id(), g = lane / 4, t = lane % 4, sign = g % FAMILY;
	// Axes 2t, 2t+1 and 8 on from there are pairs t and 4 + t.
#pragma unroll
	for (int i = 0; i < 2; i++) s.at[i] = p.axes[(int64_t)set * S + 8 * i + 2 * t] / 2 * pitch + 2 * g;
	const float scale = (float)power_of_two(p.v_exponent);
	const float *const v = p.v + ((int64_t)set * FAMILIES + g / FAMILY) * S + 2 * t;
#pragma unroll
	for (int n = 0; n < PRODUCTS; n++) {
#pragma unroll
		for (int half = 0; half < 2; half++) {
			const float2 pair = *(const float2 *)(v + 8 / FAMILY * S * n + 8 * half);
			s.b[n][half] = pack_half2(pair.x * scale, pair.y * scale);
			if (sign == 1 || sign == 3 - half) s.b[n][half] ^= 0x80008000u;
		}
	}
}

// Scores 64 cells, z at the first of them, and takes the scores into the set's highest. Rows g and g + 8 of
// a fragment are cells 2g and 2g + 1 of its sixteen; levels [4][8] are of two cells, each twice.
__device__ __forceinline__ void score(Set &s, const uint32_t *z, const float4 *levels) {
#pragma unroll
	for (int r = 0; r < PART / 16; r++) {
		const uint2 near = *(const uint2 *)(z + s.at[0] + 16 * r), far = *(const uint2 *)(z + s.at[1] + 16 * r);
		const uint32_t a[4] = {near.x, near.y, far.x, far.y};
		const float4 two = levels[8 * r];
		const float level[4] = {two.x, two.y, two.z, two.w};
#pragma unroll
		for (int n = 0; n < PRODUCTS; n++) {
			float d[4];
			mma_f16(d, a, s.b[n], level);
#pragma unroll
			for (int i = 0; i < 2; i++)
				s.most[n][i] = __vimax3_s32(s.most[n][i], (int)float_bits(d[i]), (int)float_bits(d[2 + i]));
		}
	}
}

// The highest of a unit in columns 8n + column_of(lane), n < 3: first among the eight lanes that share
// columns, which share them out. What a lane gives and keeps is chosen without branches, as compilers would
// have it, after which a shuffle is slow.
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

__device__ __forceinline__ int column_of(int lane) {
	return (lane & 16) / 16 * SHARED_OUT * 8 + 2 * (lane % 4) + (lane & 8) / 8;
}

// A block's share of all tiles times all rounds of sets: a run of them, tile after tile. That blocks end where
// rounds do keeps all warps at work to the end.
template <bool staged, int threads>
__device__ __forceinline__ void screen(const Params &p) {
	launch_dependents();
	wait_for_prerequisites();
	const int C = p.units * UNIT, pitch = staged ? C + PAD : C, pairs = p.d / 2;
	float4 *const levels = (float4 *)dynamic_shared();  // [parts][4][8]: of two cells, each twice
	uint32_t *const kept = (uint32_t *)(levels + C / 2);
	const int columns = p.sets * SET;
	const int rounds = (p.sets + p.round - 1) / p.round;  // of a tile
	const int64_t all = (int64_t)p.tiles * rounds;
	int at = (int)(all * blockIdx.x / gridDim.x);
	const int end = (int)(all * (blockIdx.x + 1) / gridDim.x);
	const int lane = (int)lane_id(), warp = threadIdx.x / 32;
	const float4 *const own_levels = levels + lane / 4;
	while (at < end) {
		const int tile = at / rounds, begin = at - tile * rounds;
		const int stop = min(rounds, begin + (end - at)), last = min(p.sets, stop * p.round);
		const uint32_t *z = p.z16 + (int64_t)tile * pairs * C;
		if (staged) {
			for (int pair = warp; pair < pairs; pair += threads / 32)
				for (int i = lane; i < C / 4; i += 32) cp_async_16(kept + pair * pitch + i * 4, z + pair * C + i * 4);
			cp_async_commit();
			z = kept;
		}
		for (int i = threadIdx.x; i < C / 2; i += threads) {
			// Of part i/32 and its fragment i/8%4, the two cells of the lanes with g = i%8.
			const int64_t cell = (int64_t)tile * C + 2 * i;
			const float even = screened(p, level_of(p, cell)), odd = screened(p, level_of(p, cell + 1));
			levels[i] = make_float4(even, even, odd, odd);
		}
		cp_async_wait<0>();
		sync_threads();
#pragma unroll 1
		for (int set = begin * p.round + warp; warp < p.round && set < last; set += p.round) {
			float *to = p.maxima + (int64_t)(tile * p.units) * columns + set * SET + column_of(lane);
			Set own;
			load(own, p, set, pitch);
#pragma unroll 1
			for (int unit = 0; unit < p.units; unit++) {
				own.clear();
#pragma unroll 1
				for (int part = unit * (UNIT / PART); part < (unit + 1) * (UNIT / PART); part++)
					score(own, z + part * PART, own_levels + part * (PART / 2));
				float most[SHARED_OUT];
				highest(own, lane & 16, lane & 8, most);
#pragma unroll
				for (int n = 0; n < SHARED_OUT; n++)
					if (n % 2 == (lane & 4) / 4) to[8 * n] = most[n];
				to += columns;
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

// z16 as it lies: for tiles of more axes than shared memory holds.
BRENIER_KERNEL(brenier_cuda_rotated_screen_wide, brenier_rotated_search_params, BRENIER_ROTATED_WIDE_THREADS, 1) {
	rotated::screen<false, BRENIER_ROTATED_WIDE_THREADS>(p);
}

}  // namespace brenier
