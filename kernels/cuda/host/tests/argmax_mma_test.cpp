// A fused argmax with cp.async, ldmatrix and mma.sync, double-buffered: right under every schedule; and
// with each of its synchronisations left out, or an address wrong, wrong or refused under at least one.
#include "../../device.cuh"
#include "../../ptx/block.cuh"
#include "../../ptx/cp_async.cuh"
#include "../../ptx/ldmatrix.cuh"
#include "../../ptx/memory.cuh"
#include "../../ptx/mma.cuh"
#include "../../ptx/warp.cuh"
#include "argmax_problem.h"
#include "check.h"
#include "schedules.h"

namespace {

enum Fault {
	none,
	no_wait_for_copies,
	no_barrier_after_wait,
	no_barrier_before_reuse,
	wrong_stage,
	wrong_swizzle,
	misaligned_row,
	k_step_forgotten,
	divergent_barrier,
	lane_leaves_early,
	group_not_committed,
	too_few_cells_copied,
	outside_shared,
	faults
};
const char *const fault_names[faults] = {
	"none", "no_wait_for_copies", "no_barrier_after_wait", "no_barrier_before_reuse", "wrong_stage", "wrong_swizzle",
	"misaligned_row", "k_step_forgotten", "divergent_barrier", "lane_leaves_early", "group_not_committed",
	"too_few_cells_copied", "outside_shared"};

struct Params {
	const uint16_t *x, *y;  // [n,64], [cells,64] float16
	const float *heights;   // [cells]
	int32_t *best;          // [n]
	int cells;              // a multiple of 64
	int fault;
};

constexpr int threads = 128, rows = 64, tile_cells = 64, row_bytes = 128, tile_bytes = 64 * row_bytes;

__device__ int chunk_offset(int row, int chunk) { return row * row_bytes + ((chunk ^ row % 8) * 16); }

// [64,64] float16 from global memory into a swizzled tile.
__device__ void copy_tile(unsigned char *tile, const uint16_t *from, int fault) {
	const int count = fault == too_few_cells_copied ? 63 : 64;
	for (int i = (int)threadIdx.x; i < count * 8; i += threads) {
		int to = chunk_offset(i / 8, i % 8);
		if (fault == wrong_swizzle) to = i / 8 * row_bytes + i % 8 * 16;
		brenier::cp_async_16(tile + to, from + i * 8);
	}
}

}  // namespace

BRENIER_KERNEL(brenier_cuda_test_argmax_mma, Params, threads, 1) {
	using namespace brenier;
	unsigned char *samples = dynamic_shared();
	unsigned char *stages = samples + tile_bytes;
	const int warp = (int)threadIdx.x / 32, lane = (int)lane_id(), g = lane / 4, t = lane % 4;
	const int tiles = p.cells / tile_cells;

	copy_tile(samples, p.x + (size_t)blockIdx.x * rows * 64, none);
	copy_tile(stages, p.y, p.fault);
	if (p.fault != group_not_committed) cp_async_commit();

	float best[2] = {-INFINITY, -INFINITY};
	int32_t cell[2] = {0, 0};
	for (int tile = 0; tile < tiles; tile++) {
		unsigned char *stage = stages + (tile + (p.fault == wrong_stage)) % 2 * tile_bytes;
		if (tile + 1 < tiles)
			copy_tile(stages + (tile + 1) % 2 * tile_bytes, p.y + (size_t)(tile + 1) * tile_cells * 64, p.fault);
		cp_async_commit();
		if (p.fault != no_wait_for_copies) cp_async_wait<1>();
		if (p.fault != no_barrier_after_wait && (p.fault != divergent_barrier || warp != 2)) sync_threads();
		if (p.fault == lane_leaves_early && threadIdx.x == 77) return;

		for (int n = 0; n < tile_cells / 8; n++) {
			float d[4];
			for (int i = 0; i < 4; i++) d[i] = p.heights[tile * tile_cells + 8 * n + 2 * t + (i & 1)];
			for (int k = 0; k < 4; k++) {
				if (p.fault == k_step_forgotten && k == 3) continue;
				uint32_t a[4], b[2];
				const int row = 16 * warp + lane % 16, column = 2 * k + lane / 16;
				const unsigned char *from = samples + chunk_offset(row, column);
				if (p.fault == misaligned_row && lane == 9) from += 8;
				if (p.fault == outside_shared && lane == 31) from += 3 * tile_bytes;
				ldmatrix_x4(a, from);
				ldmatrix_x2(b, stage + chunk_offset(8 * n + lane % 8, 2 * k + lane / 8 % 2));
				mma_f16(d, a, b);
			}
			for (int i = 0; i < 4; i++)
				if (d[i] > best[i / 2]) best[i / 2] = d[i], cell[i / 2] = tile * tile_cells + 8 * n + 2 * t + (i & 1);
		}
		if (p.fault != no_barrier_before_reuse) sync_threads();
	}
	cp_async_wait<0>();
	for (int half = 0; half < 2; half++) {
		for (int mask = 1; mask < 4; mask *= 2) {
			const float other = shuffle_xor(best[half], mask);
			const int32_t other_cell = shuffle_xor(cell[half], mask);
			if (other > best[half] || (other == best[half] && other_cell < cell[half]))
				best[half] = other, cell[half] = other_cell;
		}
		if (t == 0) p.best[(size_t)blockIdx.x * rows + 16 * warp + g + 8 * half] = cell[half];
	}
}

int main() {
	using namespace brenier;
	const ArgmaxProblem problem(128, 5 * tile_cells);
	const host::Kernel &kernel = *host::find_kernel("argmax_mma_test", "brenier_cuda_test_argmax_mma");
	for (int fault = 0; fault < faults; fault++) {
		bool caught = false;
		std::string how;
		for (int capability : {80, 90})
			for (const std::string &schedule : all_schedules()) {
				std::vector<int32_t> best(problem.best.size(), -1);
				const Params params{problem.x.data(), problem.y.data(), problem.heights.data(), best.data(), problem.cells, fault};
				const host::Outcome outcome = host::launch(kernel, (unsigned)problem.n / rows, threads, 3 * tile_bytes, &params,
				                                           options_of(schedule, capability));
				const bool right = outcome.ok() && best == problem.best;
				if (fault == none) check::that(right, "right under " + schedule + ": " + outcome.message);
				if (!right && !caught) how = schedule + ": " + (outcome.ok() ? "wrong rows" : outcome.message);
				caught |= !right;
			}
		if (fault == none) continue;
		check::that(caught, std::string("caught: ") + fault_names[fault]);
		printf("%s: %s\n", fault_names[fault], how.c_str());
	}
	return check::summary();
}
