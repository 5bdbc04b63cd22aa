// The screen of rotated draws on mma.sync (sm_80 and later).
//
// A choice's draws are a matrix of 12 columns in 16, its 16 axes the dimension of one product, and cells
// the rows. Which axes a choice has is chance, so a block keeps a tile, all axes of some cells, in shared
// memory while choices go by. A fragment wants two axes of one cell in a word: those of a pair
// (kernels/cpu/rotated.h). A lane reads two cells of a pair at once, half a fragment; the four pairs that
// the lanes of a quad read have the four remainders by 4, and rows are 32 bytes longer than banks go round,
// so that they never meet.
//
// Levels come as what is added to, and are loaded once for some choices. All scores that matter are
// positive, so the largest is found among integers, of which Hopper takes three at a time.
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
	CHOICES = BRENIER_ROTATED_SCREEN_CHOICES,
	PAD = BRENIER_ROTATED_SCREEN_PAD / 4,  // words of a row
	PART = 64                              // cells: four fragments
};

// What a lane has of a choice: where its two pairs of axes begin, and the fragments of both sets of columns.
struct Choice {
	int at[2];
	uint32_t b[2][2];
	int most[2][2];  // of columns 2t and 2t+1, bits of float32

	__device__ __forceinline__ void clear() { most[0][0] = most[0][1] = most[1][0] = most[1][1] = (int)0x80000000; }
};

__device__ __forceinline__ void load(Choice &c, const Params &p, int choice, int pitch) {
	const int lane = (int)lane_id(), g = lane / 4, t = lane % 4;
	// Products 2t, 2t+1 and 8 on from there are of pairs t and 4 + t.
#pragma unroll
	for (int i = 0; i < 2; i++) c.at[i] = p.axes[(int64_t)choice * S + 8 * i + 2 * t] / 2 * pitch + 2 * g;
	const float scale = (float)power_of_two(p.v_exponent);
#pragma unroll
	for (int n = 0; n < 2; n++) {
		const int column = n == 0 ? g : 8 + g % 4, sign = column % FAMILY;  // columns 12 .. 15 are nobody's
		const float *const v = p.v + ((int64_t)choice * FAMILIES + column / FAMILY) * S + 2 * t;
#pragma unroll
		for (int half = 0; half < 2; half++) {
			const float2 pair = *(const float2 *)(v + 8 * half);
			c.b[n][half] = pack_half2(pair.x * scale, pair.y * scale);
			if (sign == 1 || sign == 3 - half) c.b[n][half] ^= 0x80008000u;
		}
	}
}

// Scores 64 cells, z at the first of them, and takes the scores into the choice's highest. Rows g and g + 8
// of a fragment are cells 2g and 2g + 1 of its sixteen.
__device__ __forceinline__ void score(Choice &c, const uint32_t *z, const float (&levels)[4][4]) {
#pragma unroll
	for (int r = 0; r < 4; r++) {
		const uint2 near = *(const uint2 *)(z + c.at[0] + 16 * r), far = *(const uint2 *)(z + c.at[1] + 16 * r);
		const uint32_t a[4] = {near.x, near.y, far.x, far.y};
#pragma unroll
		for (int n = 0; n < 2; n++) {
			float d[4];
			mma_f16(d, a, c.b[n], levels[r]);
#pragma unroll
			for (int i = 0; i < 2; i++)
				c.most[n][i] = __vimax3_s32(c.most[n][i], (int)float_bits(d[i]), (int)float_bits(d[2 + i]));
		}
	}
}

// The highest of a unit, in the lane that the column belongs to (column_of): first among the eight lanes that
// share columns, which share them out. What a lane gives and keeps is chosen without branches, as compilers
// would have it, after which a shuffle is slow.
__device__ __forceinline__ float highest(const Choice &c, bool second, bool odd) {
	int pair[2];
#pragma unroll
	for (int i = 0; i < 2; i++) {
		int given = second ? c.most[0][i] : c.most[1][i], kept = second ? c.most[1][i] : c.most[0][i];
		keep(given);
		pair[i] = max(kept, shuffle_xor(given, 16));
	}
	int given = odd ? pair[0] : pair[1], kept = odd ? pair[1] : pair[0];
	keep(given);
	const int most = max(kept, shuffle_xor(given, 8));
	return float_value((uint32_t)max(most, shuffle_xor(most, 4)));
}

// A lane's column, or one that is nobody's.
__device__ __forceinline__ int column_of(int lane) {
	return (lane & 4) != 0 ? CHOICE : (lane & 16) / 2 + 2 * (lane % 4) + (lane & 8) / 8;
}

// A block's share of all tiles times all sets of choices: a run of them, tile after tile.
template <bool staged, int threads>
__device__ __forceinline__ void screen(const Params &p) {
	launch_dependents();
	wait_for_prerequisites();
	const int C = p.units * UNIT, pitch = staged ? C + PAD : C, pairs = p.d / 2;
	float4 *const levels = (float4 *)dynamic_shared();  // [parts][4][8]: of two cells, each twice
	uint32_t *const kept = (uint32_t *)(levels + C / 2);
	const int sets = (p.choices + CHOICES - 1) / CHOICES;
	const int columns = p.choices * CHOICE;
	const int64_t all = (int64_t)p.tiles * sets;
	int at = (int)(all * blockIdx.x / gridDim.x);
	const int end = (int)(all * (blockIdx.x + 1) / gridDim.x);
	const int lane = (int)lane_id(), column = column_of(lane);
	const float4 *const own_levels = levels + lane / 4;
	while (at < end) {
		const int tile = at / sets, first = at - tile * sets;
		const int last = min(sets, first + (end - at));
		const uint32_t *z = p.z16 + (int64_t)tile * pairs * C;
		if (staged) {
			for (int pair = threadIdx.x / 32; pair < pairs; pair += threads / 32)
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
		for (int set = first + threadIdx.x / 32; set < last; set += threads / 32) {
			float *to = p.maxima + (int64_t)(tile * p.units) * columns + set * CHOICES * CHOICE + column;
			Choice choices[CHOICES];
#pragma unroll
			for (int q = 0; q < CHOICES; q++) load(choices[q], p, min(set * CHOICES + q, p.choices - 1), pitch);
#pragma unroll 1
			for (int unit = 0; unit < p.units; unit++) {
#pragma unroll
				for (int q = 0; q < CHOICES; q++) choices[q].clear();
#pragma unroll 1
				for (int part = unit * (UNIT / PART); part < (unit + 1) * (UNIT / PART); part++) {
					float level[4][4];
#pragma unroll
					for (int r = 0; r < 4; r++) {
						const float4 four = own_levels[(part * 4 + r) * 8];
						level[r][0] = four.x, level[r][1] = four.y, level[r][2] = four.z, level[r][3] = four.w;
					}
#pragma unroll
					for (int q = 0; q < CHOICES; q++) score(choices[q], z + part * PART, level);
				}
#pragma unroll
				for (int q = 0; q < CHOICES; q++) {
					const float most = highest(choices[q], lane & 16, lane & 8);
					if (column < CHOICE && set * CHOICES + q < p.choices) to[q * CHOICE] = most;
				}
				to += columns;
			}
		}
		sync_threads();
		at += last - first;
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
