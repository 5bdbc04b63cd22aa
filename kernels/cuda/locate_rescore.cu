// Decides rows from the candidates of their splits, for k = 1: a warp a row, blocks of 256 threads.
#include "exact_score.cuh"
#include "locate_bound.cuh"
#include "ptx/dependent.cuh"
#include "ptx/memory.cuh"

namespace brenier {

BRENIER_KERNEL(brenier_cuda_locate_rescore, brenier_locate_decide_params, 256, 1) {
	launch_dependents();
	wait_for_prerequisites();
	const int64_t row = (int64_t)blockIdx.x * 8 + threadIdx.x / 32;
	const int lane = lane_id();
	if (row >= p.row_count) return;
	const float margin = p.rows[row].margin;
	if (margin < 0) return;

	float best = -locate_infinity();
	bool room = true;
	for (int split = lane; split < p.splits; split += 32) {
		best = fmaxf(best, p.best[row * p.splits + split]);
		room = room && p.counts[row * p.splits + split] <= (uint32_t)p.capacity;
	}
#pragma unroll
	for (int mask = 16; mask > 0; mask /= 2) best = fmaxf(best, shuffle_xor(best, mask));
	if (!all(room)) {
		if (lane == 0) p.exact_rows[atomic_add(p.exact_count, 1u)] = (int32_t)row;
		return;
	}

	const float cut = locate_cut(best, margin);
	const float *const x = p.x + row * p.dim;
	Scored mine = no_cell();
	for (int split = 0; split < p.splits; split++) {
		const int count = (int)p.counts[row * p.splits + split];
		for (int i = lane; i < count; i += 32) {
			const brenier_locate_candidate c = p.candidates[(row * p.splits + split) * p.capacity + i];
			if (!(c.screened >= cut) || c.cell >= p.cells) continue;
			const Scored scored = {exact_score(x, p.points + (int64_t)c.cell * p.dim, p.dim, p.heights[c.cell]), c.cell};
			if (precedes(scored, mine)) mine = scored;
		}
	}
	mine = warp_best(mine);
	if (lane == 0) {
		p.best_cells[row] = mine.cell;
		p.best_scores[row] = mine.score;
	}
}

}  // namespace brenier
