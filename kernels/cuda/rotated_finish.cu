// The cells of rotated draws, from float32 scores in the order of kernels/cpu/rotated.h, of the units that a
// screen has not ruled out. And the screen of cards without the instructions of rotated_screen.cu, which is
// those scores themselves.
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
	KEPT = 32,                // maxima that a thread keeps from one look at them to the next
	AT_ONCE = 8,              // that it loads
	LISTED = 24               // units of a draw that have room; more, which are rare, are looked for again
};
static_assert(PARTS >= BRENIER_ROTATED_K, "units in as many parts as cells are asked for");

struct Draw {
	const int4 *axes;  // [16]
	const float4 *v;   // [16], of the first draw of the family
	int sign;          // which of the family it is
};
__device__ __forceinline__ Draw draw_of(const Params &p, int row) {
	return {(const int4 *)(p.axes + (int64_t)(row / SET) * S), (const float4 *)(p.v + (int64_t)(row / FAMILY) * S), row % FAMILY};
}

// The sums over both halves of v, and of the axes, for four cells, z at the first of them.
__device__ __forceinline__ void sums_of(const float *z, int C, const Draw &draw, float (&sums)[2][4]) {
#pragma unroll
	for (int j = 0; j < S; j += 4) {
		const int4 axes = draw.axes[j / 4];
		const float4 factors = draw.v[j / 4];
		const int axis[4] = {axes.x, axes.y, axes.z, axes.w};
		const float v[4] = {factors.x, factors.y, factors.z, factors.w};
		float(&half)[4] = sums[j / (S / 2)];
#pragma unroll
		for (int k = 0; k < 4; k++) {
			const float4 four = *(const float4 *)(z + axis[k] * C);
			const float y[4] = {four.x, four.y, four.z, four.w};
#pragma unroll
			for (int i = 0; i < 4; i++) half[i] = (j + k) % (S / 2) == 0 ? v[k] * y[i] : fmaf(v[k], y[i], half[i]);
		}
	}
}

// The score that a family's draw gives a cell with these sums.
__device__ __forceinline__ float score_of(float level, float first, float second, int sign) {
	const float all = sign < 2 ? first + second : first - second;
	return sign % 2 == 0 ? level + all : level - all;
}

static_assert(UNIT == 32 * 4, "a lane has four cells of a unit");

// The first of this lane's four cells of a unit, and where it lies in z along the first axis.
__device__ __forceinline__ int32_t cell_of(int unit) { return unit * UNIT + 4 * (int)lane_id(); }
__device__ __forceinline__ const float *values_of(const Params &p, int unit) {
	const int64_t C = (int64_t)p.units * UNIT;
	return p.z + (int64_t)(unit / p.units) * p.d * C + unit % p.units * UNIT + 4 * (int)lane_id();
}

// Offers a draw the cells of a unit; where it wants several best ones, those of scores that are screened from
// `cut` on.
__device__ __forceinline__ void offer_unit(const Params &p, const Draw &draw, int unit, float cut, Scored &best) {
	const int32_t first = cell_of(unit);
	float sums[2][4], scores[4];
	sums_of(values_of(p, unit), p.units * UNIT, draw, sums);
#pragma unroll
	for (int i = 0; i < 4; i++) scores[i] = score_of(level_of(p, first + i), sums[0][i], sums[1][i], draw.sign);
	if (p.k > 1) {
		uint32_t left = 0;  // a bit for each of the four
#pragma unroll
		for (int i = 0; i < 4; i++)
			if (first + i < p.N && screened(p, scores[i]) >= cut) left |= 1u << i;
#pragma unroll 1
		for (; ballot(left != 0) != 0; left &= left - 1) {
			const int i = __ffs((int)left) - 1;
			const float score = i == 0 ? scores[0] : i == 1 ? scores[1] : i == 2 ? scores[2] : scores[3];
			top_offer(best, left != 0 ? Scored{(double)score, first + i} : no_cell(), p.k);
		}
		return;
	}
	float high = minus_infinity();
	int32_t cell = 0x7fffffff;
#pragma unroll
	for (int i = 0; i < 4; i++)
		if (scores[i] > high) high = scores[i], cell = first + i;
	if (ballot(cell < p.N) == 0) return;
	float highest = high;
#pragma unroll
	for (int mask = 16; mask > 0; mask /= 2) highest = fmaxf(highest, shuffle_xor(highest, mask));
	int32_t lowest = high == highest ? cell : 0x7fffffff;
#pragma unroll
	for (int mask = 16; mask > 0; mask /= 2) lowest = min(lowest, shuffle_xor(lowest, mask));
	const Scored found = {(double)highest, lowest};
	if (precedes(found, best)) best = found;
}

// The maxima of a draw in a thread's units, PARTS apart; the first of them it keeps.
struct Maxima {
	const Params &p;
	int row, first;  // the draw's, and the unit
	float kept[KEPT];

	__device__ __forceinline__ Maxima(const Params &p, int row, int first) : p(p), row(row), first(first) {
#pragma unroll
		for (float &value : kept) value = minus_infinity();
	}
	__device__ __forceinline__ int units() const { return p.tiles * p.units; }
	__device__ __forceinline__ const float *at(int unit) const { return p.maxima + unit * ((int64_t)p.sets * SET) + row; }

	// AT_ONCE of them from the i-th on; minus infinity where there is no unit any more.
	__device__ __forceinline__ void load(int i, float *values) const {
		const float *from = at(first + i * PARTS);
#pragma unroll
		for (int j = 0; j < AT_ONCE; j++, from += PARTS * ((int64_t)p.sets * SET))
			values[j] = first + (i + j) * PARTS < units() ? *from : minus_infinity();
	}
	__device__ __forceinline__ float highest() {
#pragma unroll
		for (int i = 0; i < KEPT; i += AT_ONCE) {
			if (i > 0 && i * PARTS >= units()) break;
			load(i, kept + i);
		}
		float high = kept[0];
#pragma unroll
		for (float value : kept) high = fmaxf(high, value);
#pragma unroll 1
		for (int i = KEPT; i * PARTS < units(); i += AT_ONCE) {
			float values[AT_ONCE];
			load(i, values);
#pragma unroll
			for (float value : values) high = fmaxf(high, value);
		}
		return high;
	}
	// f takes every unit whose maximum is no less than a cut.
	template <class F>
	__device__ __forceinline__ void from(float cut, F f) const {
		uint32_t high = 0;
#pragma unroll
		for (int i = 0; i < KEPT; i++) high |= kept[i] >= cut ? 1u << i : 0;
		const int more = (units() - first + PARTS - 1) / PARTS;  // the thread's
		if (more < KEPT) high &= (1u << more) - 1;
#pragma unroll 1
		for (; high != 0; high &= high - 1) f(first + (__ffs((int)high) - 1) * PARTS);
#pragma unroll 1
		for (int unit = first + KEPT * PARTS; unit < units(); unit += PARTS)
			if (*at(unit) >= cut) f(unit);
	}
};
static_assert(KEPT == 32, "a bit for each");

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
	const float bound = screen_bound(p, p.v + (int64_t)(row / FAMILY) * S);
	Maxima maxima(p, row, part);
	tops[part][own] = maxima.highest();
	if (part == 0) count[own] = 0;
	sync_threads();
	const float t = kth_largest(&tops[0][own], p.k);
	// Where fewer than k units have a score that matters nothing is ruled out.
	const float cut = t > 0 ? t - 2.0f * bound : minus_infinity();
	if (part == 0) cuts[own] = cut;
	maxima.from(cut, [&](int unit) {
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
			if (all && !(*Maxima(p, of, 0).at(j) >= cuts[i])) continue;
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
		sums_of(values_of(p, unit), p.units * UNIT, draw_of(p, set * SET + family * FAMILY), sums);
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
