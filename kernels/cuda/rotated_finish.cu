// The cells of rotated draws, from float32 scores in the order of kernels/cpu/rotated.h: of the units that
// a screen has not ruled out, those of the cells that float16 values do not rule out either. And the screen
// of cards without the instructions of rotated_screen.cu, which is those scores themselves.
#include "rotated_screen.cuh"

#include "exact_score.cuh"
#include "ptx/block.cuh"
#include "ptx/dependent.cuh"
#include "ptx/memory.cuh"
#include "ptx/warp.cuh"

namespace brenier {
namespace rotated {
namespace {

enum {
	THREADS = BRENIER_ROTATED_FINISH_THREADS,
	WARPS = THREADS / 32,
	DRAWS = BRENIER_ROTATED_FINISH_DRAWS,
	PARTS = THREADS / DRAWS,  // that share out the units, a thread of each for a draw
	LISTED = 24               // units of a draw that have room; more, which are rare, are looked for again
};
static_assert(PARTS >= BRENIER_ROTATED_K, "units in as many parts as cells are asked for");

__device__ __forceinline__ void load(const float *z, float (&y)[1]) { y[0] = *z; }
__device__ __forceinline__ void load(const float *z, float (&y)[4]) {
	const float4 four = *(const float4 *)z;
	y[0] = four.x, y[1] = four.y, y[2] = four.z, y[3] = four.w;
}

// The sums over both halves of v [16], and of the axes, for some cells, z at the first of them.
template <int cells>
__device__ __forceinline__ void sums_of(const float *z, int64_t C, const int32_t *axes, const float *v, float (&sums)[2][cells]) {
#pragma unroll
	for (int j = 0; j < S; j++) {
		float y[cells], (&half)[cells] = sums[j / (S / 2)];
		load(z + axes[j] * C, y);
#pragma unroll
		for (int i = 0; i < cells; i++) half[i] = j % (S / 2) == 0 ? v[j] * y[i] : fmaf(v[j], y[i], half[i]);
	}
}

struct Draw {
	const int32_t *axes;  // [16]
	const float *v;       // [16], of the first draw of the family
	int sign;             // which of the family it is
};
__device__ __forceinline__ Draw draw_of(const Params &p, int row) {
	return {p.axes + (int64_t)(row / SET) * S, p.v + (int64_t)(row / FAMILY) * S, row % FAMILY};
}

// The score that a family's draw gives a cell with these sums.
__device__ __forceinline__ float score_of(float level, float first, float second, int sign) {
	const float all = sign < 2 ? first + second : first - second;
	return sign % 2 == 0 ? level + all : level - all;
}

static_assert(UNIT == 32 * 4, "a lane has four cells of a unit");

// The first of this lane's four cells of a unit, and where it lies in z or z16 along the first axis.
__device__ __forceinline__ int32_t cell_of(int unit) { return unit * UNIT + 4 * (int)lane_id(); }
template <class T>
__device__ __forceinline__ const T *values_of(const Params &p, const T *z, int unit) {
	const int64_t C = (int64_t)p.units * UNIT;
	return z + (int64_t)(unit / p.units) * p.d * C + unit % p.units * UNIT + 4 * (int)lane_id();
}

// Screened scores of this lane's four cells of a unit, by z16 alone: half of the bytes that decide.
__device__ __forceinline__ void screen_unit(const Params &p, const Draw &draw, int unit, float (&scores)[4]) {
	const int64_t C = (int64_t)p.units * UNIT;
	const uint16_t *const z = values_of(p, (const uint16_t *)p.z16, unit);
	float sums[2][4] = {};
#pragma unroll
	for (int j = 0; j < S; j++) {
		const uint2 pairs = *(const uint2 *)(z + draw.axes[j] * C);
		const uint16_t four[4] = {(uint16_t)pairs.x, (uint16_t)(pairs.x >> 16), (uint16_t)pairs.y, (uint16_t)(pairs.y >> 16)};
#pragma unroll
		for (int i = 0; i < 4; i++) sums[j / (S / 2)][i] = fmaf(draw.v[j], half_value(four[i]), sums[j / (S / 2)][i]);
	}
	const float scale = (float)power_of_two(p.v_exponent);
#pragma unroll
	for (int i = 0; i < 4; i++)
		scores[i] = score_of(screened(p, level_of(p, cell_of(unit) + i)), sums[0][i] * scale, sums[1][i] * scale, draw.sign);
}

// Offers the cells of a unit that may be among a draw's best, those of screened scores from `cut` on.
__device__ __forceinline__ void offer_unit(const Params &p, const Draw &draw, int unit, float cut, Scored &best) {
	const int64_t C = (int64_t)p.units * UNIT;
	const float *const z = values_of(p, (const float *)p.z, unit);
	const int32_t first = cell_of(unit);
	float near[4], high = minus_infinity();
	int32_t cell = 0x7fffffff;
	screen_unit(p, draw, unit, near);
	uint32_t left = 0;  // a bit for each of the four
#pragma unroll
	for (int i = 0; i < 4; i++)
		if (first + i < p.N && near[i] >= cut) left |= 1u << i;
#pragma unroll 1
	for (; ballot(left != 0) != 0; left &= left - 1) {
		const int i = left != 0 ? __ffs((int)left) - 1 : 0;
		float score = minus_infinity();
		if (left != 0) {
			float sums[2][1];
			sums_of(z + i, C, draw.axes, draw.v, sums);
			score = score_of(level_of(p, first + i), sums[0][0], sums[1][0], draw.sign);
		}
		if (p.k > 1) top_offer(best, left != 0 ? Scored{(double)score, first + i} : no_cell(), p.k);
		else if (score > high) high = score, cell = first + i;
	}
	if (p.k > 1 || ballot(cell < p.N) == 0) return;
	float highest = high;
#pragma unroll
	for (int mask = 16; mask > 0; mask /= 2) highest = fmaxf(highest, shuffle_xor(highest, mask));
	int32_t lowest = high == highest ? cell : 0x7fffffff;
#pragma unroll
	for (int mask = 16; mask > 0; mask /= 2) lowest = min(lowest, shuffle_xor(lowest, mask));
	const Scored found = {(double)highest, lowest};
	if (precedes(found, best)) best = found;
}

// The maxima of a thread's units, PARTS apart, some at a time: f takes a unit and its maximum.
template <class F>
__device__ __forceinline__ void each_maximum(const float *maxima, int64_t columns, int units, F f) {
	enum { AT_ONCE = 8 };
#pragma unroll 1
	for (int first = threadIdx.x / DRAWS; first < units; first += AT_ONCE * PARTS) {
		float values[AT_ONCE];
#pragma unroll
		for (int i = 0; i < AT_ONCE; i++) {
			const int unit = first + i * PARTS;
			values[i] = unit < units ? maxima[unit * columns] : minus_infinity();
		}
#pragma unroll
		for (int i = 0; i < AT_ONCE; i++) f(first + i * PARTS, values[i]);
	}
}

// The k-th largest of PARTS numbers, values [PARTS][DRAWS] at this draw.
__device__ __forceinline__ float kth_largest(const float *values, int k) {
	float found = minus_infinity();
	if (k == 1) {
#pragma unroll
		for (int i = 0; i < PARTS; i++) found = fmaxf(found, values[i * DRAWS]);
		return found;
	}
#pragma unroll 1
	for (int i = 0; i < PARTS; i++) {
		const float at = values[i * DRAWS];
		int before = 0;
		for (int j = 0; j < PARTS; j++) before += values[j * DRAWS] > at || (values[j * DRAWS] == at && j < i);
		if (before == k - 1) found = at;
	}
	return found;
}

}  // namespace
}  // namespace rotated

BRENIER_KERNEL(brenier_cuda_rotated_finish, brenier_rotated_search_params, BRENIER_ROTATED_FINISH_THREADS, 3) {
	using namespace rotated;
	__shared__ float tops[PARTS][DRAWS];
	__shared__ float cuts[DRAWS];
	__shared__ uint32_t count[DRAWS];
	__shared__ int32_t list[DRAWS][LISTED];
	launch_dependents();
	wait_for_prerequisites();
	const int own = threadIdx.x % DRAWS, part = threadIdx.x / DRAWS;
	const int row = p.skip + min((int)blockIdx.x * DRAWS + own, p.draws - 1);
	const int units = p.tiles * p.units;
	const int64_t columns = (int64_t)p.sets * SET;
	const float *const maxima = p.maxima + row;

	const float bound = screen_bound(p, p.v + (int64_t)(row / FAMILY) * S);
	float high = minus_infinity();
	each_maximum(maxima, columns, units, [&](int, float value) { high = fmaxf(high, value); });
	tops[part][own] = high;
	if (part == 0) count[own] = 0;
	sync_threads();
	const float t = kth_largest(&tops[0][own], p.k);
	// Where fewer than k units have a score that matters nothing is ruled out.
	const float cut = t > 0 ? t - 2.0f * bound : minus_infinity();
	if (part == 0) cuts[own] = cut;
	each_maximum(maxima, columns, units, [&](int unit, float value) {
		if (unit >= units || !(value >= cut)) return;
		const uint32_t at = atomic_add(&count[own], 1u);
		if (at < LISTED) list[own][at] = unit;
	});
	sync_threads();

	const int lane = (int)lane_id(), warp = threadIdx.x / 32;
#pragma unroll 1
	for (int i = warp; i < DRAWS && (int)blockIdx.x * DRAWS + i < p.draws; i += WARPS) {
		const int of = p.skip + blockIdx.x * DRAWS + i;
		const int listed = (int)count[i];
		const Draw draw = draw_of(p, of);
		Scored best = no_cell();
		const bool all = listed > LISTED;  // of these the units are looked for again
#pragma unroll 1
		for (int j = 0; j < (all ? units : listed); j++) {
			if (all && !(p.maxima[j * columns + of] >= cuts[i])) continue;
			offer_unit(p, draw, all ? j : list[i][j], cuts[i], best);
		}
		if (lane == 0 && p.counts) atomic_add(&p.counts[best.cell], 1u);
		if (lane >= p.k) continue;
		const int64_t to = ((int64_t)blockIdx.x * DRAWS + i) * p.k + lane;
		p.cells[to] = best.cell;
		p.scores[to] = *p.highest + best.score;
	}
}

// A warp for a set and a unit.
BRENIER_KERNEL(brenier_cuda_rotated_plain, brenier_rotated_search_params, BRENIER_ROTATED_PLAIN_THREADS, 4) {
	using namespace rotated;
	launch_dependents();
	wait_for_prerequisites();
	const int64_t at = ((int64_t)blockIdx.x * BRENIER_ROTATED_PLAIN_THREADS + threadIdx.x) / 32;
	const int unit = (int)(at / p.sets), set = (int)(at % p.sets);
	if (unit >= p.tiles * p.units) return;
#pragma unroll 1
	for (int family = 0; family < FAMILIES; family++) {
		float sums[2][4], high[FAMILY];
		sums_of(values_of(p, (const float *)p.z, unit), (int64_t)p.units * UNIT, p.axes + (int64_t)set * S,
		        p.v + ((int64_t)set * FAMILIES + family) * S, sums);
#pragma unroll
		for (int sign = 0; sign < FAMILY; sign++) high[sign] = minus_infinity();
#pragma unroll
		for (int i = 0; i < 4; i++) {
			const float level = level_of(p, cell_of(unit) + i);
#pragma unroll
			for (int sign = 0; sign < FAMILY; sign++) high[sign] = fmaxf(high[sign], score_of(level, sums[0][i], sums[1][i], sign));
		}
#pragma unroll
		for (int sign = 0; sign < FAMILY; sign++) {
#pragma unroll
			for (int mask = 16; mask > 0; mask /= 2) high[sign] = fmaxf(high[sign], shuffle_xor(high[sign], mask));
			if (lane_id() == 0)
				p.maxima[((int64_t)unit * p.sets + set) * SET + family * FAMILY + sign] = screened(p, high[sign]);
		}
	}
}

}  // namespace brenier
