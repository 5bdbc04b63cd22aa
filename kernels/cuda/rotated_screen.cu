// The screen of rotated draws on mma.sync (sm_80 and later).
//
// A set's draws lie on 24 lines, the rows of a matrix; its 16 axes are the dimension of one product, and cells
// the columns. A product starts at the cells' levels, so that its score is that of one draw of a line, and
// twice the level less it that of the other; the last eight lines are half of a product, whose other half are
// their other draws. So a lane has cells of few lines, and finds most of what is highest alone.
//
// Which axes a set has is chance, so a block keeps a tile, all axes of some cells, in shared memory while sets
// go by, and a transposing ldmatrix takes the rows that it wants: eight axes, of all remainders by 8, whose
// pitch is an odd number of 16 bytes, so that they never meet in a bank. A warp has two sets at a time, for
// which it reads the levels once.
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
	PAD = BRENIER_ROTATED_SCREEN_PAD / 2,  // values of a row
	PART = 64,                             // cells: eight fragments
	KEPT = 6,                              // draws of a set whose highest a lane looks for
	OUT = KEPT / 2,                        // that it has once it has shared them out
	RING = 3,                              // parts of a warp, of which all but one are on their way; wide
	RING_PITCH = PART + PAD
};
static_assert(RING * S * RING_PITCH * 2 == BRENIER_ROTATED_WIDE_BYTES, "a warp's ring fits");
static_assert(S == 2 * BRENIER_AXIS_CLASSES, "the rows of a matrix are of all classes");
static_assert(SET == 16 * OUT, "two lanes of a quad share out each eighth of the draws");

// What a lane has of a set: this lane's row of its first fragment, the lines' fragments, and the highest of six
// draws, bits of float32: both of line g, both of line g + 8, both of line g + 16.
struct Set {
	const uint16_t *row;
	uint32_t a[2][4];
	int most[KEPT];

	__device__ __forceinline__ void clear() {
#pragma unroll
		for (int i = 0; i < KEPT; i++) most[i] = (int)0x80000000;
	}
};

// Axes 2t, 2t + 1, or 8 on from there, of a line: lines 2f and 2f + 1 are of family f's first and third draw.
__device__ __forceinline__ uint32_t pair_of(const Params &p, int set, int line, int half) {
	const float scale = (float)power_of_two(p.v_exponent);
	const float2 pair = *(const float2 *)(p.v + ((int64_t)set * FAMILIES + line / 2) * S + 8 * half + 2 * ((int)lane_id() % 4));
	return pack_half2(pair.x * scale, pair.y * scale) ^ (half == 1 && line % 2 == 1 ? 0x80008000u : 0u);
}

__device__ __forceinline__ void load(Set &s, const Params &p, int set) {
	const int g = (int)lane_id() / 4;
#pragma unroll
	for (int half = 0; half < 2; half++) {
		s.a[0][2 * half] = pair_of(p, set, g, half);
		s.a[0][2 * half + 1] = pair_of(p, set, g + 8, half);
		s.a[1][2 * half] = pair_of(p, set, g + 16, half);
		s.a[1][2 * half + 1] = s.a[1][2 * half] ^ 0x80008000u;
	}
}

// A lane's row of two fragments' matrices, which are eight axes and eight cells each: the axis among the set's,
// and the first of the cells.
__device__ __forceinline__ int row_axis(int lane) { return lane % 16; }
__device__ __forceinline__ int row_cell(int lane) { return lane / 16 * 8; }

// Takes the scores of 64 cells, from cell `at` of the rows on, into the highest of some sets. levels [8][4] are
// of a lane's two cells of a fragment, twice.
template <int sets>
__device__ __forceinline__ void score(Set (&s)[sets], int at, const float4 *levels) {
#pragma unroll
	for (int r = 0; r < PART / 16; r++) {
		uint32_t b[sets][4];
#pragma unroll
		for (int i = 0; i < sets; i++) ldmatrix_x4_transposed(b[i], s[i].row + at + 16 * r);
#pragma unroll
		for (int h = 0; h < 2; h++) {
			const float4 two = levels[4 * (2 * r + h)];
			const float level[4] = {two.x, two.y, two.z, two.w};
#pragma unroll
			for (int i = 0; i < sets; i++) {
				const uint32_t cells[2] = {b[i][2 * h], b[i][2 * h + 1]};
				int(&most)[KEPT] = s[i].most;
				float d[4];
				mma_f16(d, s[i].a[0], cells, level);
#pragma unroll
				for (int k = 0; k < 4; k += 2) {
					most[k] = __vimax3_s32(most[k], (int)float_bits(d[k]), (int)float_bits(d[k + 1]));
					most[k + 1] = __vimax3_s32(most[k + 1], (int)float_bits(fmaf(2.0f, two.x, -d[k])), (int)float_bits(fmaf(2.0f, two.y, -d[k + 1])));
				}
				mma_f16(d, s[i].a[1], cells, level);
#pragma unroll
				for (int k = 0; k < 4; k += 2) most[4 + k / 2] = __vimax3_s32(most[4 + k / 2], (int)float_bits(d[k]), (int)float_bits(d[k + 1]));
			}
		}
	}
}

// The highest of a unit: first among the four lanes that share lines, of which pairs share them out, so that a
// lane has one draw of each line. What it gives and keeps is chosen without branches, as compilers would have
// it, after which a shuffle is slow.
__device__ __forceinline__ void highest(const Set &s, bool odd, float (&most)[OUT]) {
#pragma unroll
	for (int n = 0; n < OUT; n++) {
		int given = odd ? s.most[2 * n] : s.most[2 * n + 1], kept = odd ? s.most[2 * n + 1] : s.most[2 * n];
		keep(given);
		const int own = max(kept, shuffle_xor(given, 1));
		most[n] = float_value((uint32_t)max(own, shuffle_xor(own, 2)));
	}
}

// The draw that a lane then has of the first line; of the others it is 16 on each.
__device__ __forceinline__ int draw_of(unsigned lane) { return (int)(lane / 8 * FAMILY + lane / 4 % 2 * 2 + lane % 2); }

// A level that is finite, so that twice it is too.
__device__ __forceinline__ float finite_level(const Params &p, int64_t cell) { return fmaxf(screened(p, level_of(p, cell)), -0x1p100f); }

// Writes the highest of a unit, to[16 n]: what the two of a pair have alike, they share out.
__device__ __forceinline__ void put(const Set &s, bool odd, bool late, float *to) {
	float most[OUT];
	highest(s, odd, most);
	to[late ? 16 : 0] = late ? most[1] : most[0];
	if (!late) to[32] = most[2];
}

// What a warp has of a set's axes where no tile fits: RING parts of it, each half a row a lane.
struct Ring {
	uint16_t *row;
	const uint16_t *from;
	int parts;

	__device__ __forceinline__ Ring(uint16_t *ring, const uint16_t *z, const int32_t *axes, int C, int parts) : parts(parts) {
		const int lane = (int)lane_id(), half = lane % 2 * (PART / 2);
		row = ring + lane / 2 * RING_PITCH + half;
		from = z + (int64_t)axes[lane / 2] * C + half;
	}
	__device__ __forceinline__ static int place(int part) { return part % RING * S * RING_PITCH; }
	__device__ __forceinline__ void fetch(int part) const {
		if (part < parts)
#pragma unroll
			for (int i = 0; i < PART / 2; i += 8) cp_async_16(row + place(part) + i, from + part * PART + i);
		cp_async_commit();
	}
	__device__ __forceinline__ void begin() const {
		for (int part = 0; part < RING - 1; part++) fetch(part);
	}
	// Until a part is here, and all lanes are done with the one before, whose place is filled anew.
	__device__ __forceinline__ void advance(int part) const {
		cp_async_wait<RING - 2>();
		sync_warp();
		fetch(part + RING - 1);
	}
	__device__ __forceinline__ void end() const {
		cp_async_wait<0>();
		sync_warp();
	}
};

// A block's share of all tiles times all rounds of sets: a run of them, tile after tile. That blocks end where
// rounds do keeps all warps at work to the end.
template <bool staged, int threads>
__device__ __forceinline__ void screen(const Params &p) {
	enum { TOGETHER = staged ? BRENIER_ROTATED_SCREEN_SETS : 1 };
	launch_dependents();
	wait_for_prerequisites();
	const int C = p.units * UNIT, pitch = C + PAD;
	float4 *const levels = (float4 *)dynamic_shared();  // [parts][8][4]: of two cells, twice
	uint16_t *const kept = (uint16_t *)(levels + C / 2);
	const int columns = p.sets * SET;
	const int bundles = (p.sets + TOGETHER - 1) / TOGETHER, rounds = (bundles + p.round - 1) / p.round;  // of a tile
	const int64_t all = (int64_t)p.tiles * rounds;
	int at = (int)(all * blockIdx.x / gridDim.x);
	const int end = (int)(all * (blockIdx.x + 1) / gridDim.x);
	const int lane = (int)lane_id(), warp = threadIdx.x / 32;
	const bool odd = lane & 1, late = lane & 2;
	const float4 *const own_levels = levels + lane % 4;
	uint16_t *const ring = kept + warp * RING * S * RING_PITCH;
	while (at < end) {
		const int tile = at / rounds, begin = at - tile * rounds;
		const int stop = min(rounds, begin + (end - at)), last = min(bundles, stop * p.round);
		const uint16_t *const z = p.z16 + (int64_t)tile * p.d * C;
		if (staged) {
			for (int axis = warp; axis < p.d; axis += threads / 32)
				for (int i = 8 * lane; i < C; i += 256) cp_async_16(kept + axis * pitch + i, z + (int64_t)axis * C + i);
			cp_async_commit();
		}
		for (int i = threadIdx.x; i < C / 2; i += threads) {
			const int64_t cell = (int64_t)tile * C + 2 * i;
			const float first = finite_level(p, cell), second = finite_level(p, cell + 1);
			levels[i] = make_float4(first, second, first, second);
		}
		cp_async_wait<0>();
		sync_threads();
#pragma unroll 1
		for (int bundle = begin * p.round + warp; warp < p.round && bundle < last; bundle += p.round) {
			Set own[TOGETHER];
			float *to[TOGETHER];
#pragma unroll
			for (int i = 0; i < TOGETHER; i++) {
				const int set = min(bundle * TOGETHER + i, p.sets - 1);  // where there is none, the last once more
				load(own[i], p, set);
				to[i] = p.maxima + (int64_t)(tile * p.units) * columns + set * SET + draw_of(lane_id());
				const int axis = p.axes[(int64_t)set * S + row_axis(lane)];
				own[i].row = staged ? kept + axis * pitch + row_cell(lane) : ring + row_axis(lane) * RING_PITCH + row_cell(lane);
			}
			const Ring parts(ring, z, p.axes + (int64_t)bundle * TOGETHER * S, C, p.units * (UNIT / PART));
			if (!staged) parts.begin();
#pragma unroll 1
			for (int unit = 0; unit < p.units; unit++) {
#pragma unroll
				for (int i = 0; i < TOGETHER; i++) own[i].clear();
#pragma unroll 1
				for (int part = unit * (UNIT / PART); part < (unit + 1) * (UNIT / PART); part++) {
					if (!staged) parts.advance(part);
					score(own, staged ? part * PART : Ring::place(part), own_levels + part * (PART / 2));
				}
#pragma unroll
				for (int i = 0; i < TOGETHER; i++) {
					put(own[i], odd, late, to[i]);
					to[i] += columns;
				}
			}
			if (!staged) parts.end();
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
