// A fused argmax by warpgroups: one producer thread with bulk copies, two consumer warpgroups with wgmma,
// a ring of stages with full and empty mbarriers. Right under every schedule; and with each of its
// synchronisations left out or miscounted, wrong or refused under at least one.
#include "../../device.cuh"
#include "../../ptx/block.cuh"
#include "../../ptx/bulk_copy.cuh"
#include "../../ptx/mbarrier.cuh"
#include "../../ptx/registers.cuh"
#include "../../ptx/warp.cuh"
#include "../../ptx/wgmma.cuh"
#include "argmax_problem.h"
#include "check.h"
#include "schedules.h"

namespace {

enum Fault {
	none,
	empty_not_waited_for,
	full_not_waited_for,
	wrong_full_parity,
	wrong_empty_parity,
	released_before_read,
	read_before_wait,
	wait_leaves_one,
	k_step_forgotten,
	half_the_bytes_expected,
	too_many_bytes_expected,
	too_few_arrivals,
	too_many_arrivals,
	no_init_fence,
	no_block_barrier,
	not_committed,
	no_wgmma_fence,
	accumulator_written_under_way,
	unswizzled,
	misaligned_tile,
	wrong_advance,
	misaligned_copy,
	odd_bytes,
	data_over_barrier,
	too_many_registers,
	producer_skips_barrier,
	wrong_barrier_count,
	faults
};
const char *const fault_names[faults] = {
	"none", "empty_not_waited_for", "full_not_waited_for", "wrong_full_parity", "wrong_empty_parity",
	"released_before_read", "read_before_wait", "wait_leaves_one", "k_step_forgotten", "half_the_bytes_expected",
	"too_many_bytes_expected", "too_few_arrivals", "too_many_arrivals", "no_init_fence", "no_block_barrier",
	"not_committed", "no_wgmma_fence", "accumulator_written_under_way", "unswizzled", "misaligned_tile",
	"wrong_advance", "misaligned_copy", "odd_bytes", "data_over_barrier", "too_many_registers",
	"producer_skips_barrier", "wrong_barrier_count"};

struct Params {
	const uint16_t *x, *y;  // [n,64], [cells,64] float16 in swizzled tiles
	const float *heights;   // [cells]
	int32_t *best;          // [n]
	int cells;              // a multiple of 128
	int fault;
};

constexpr int threads = 3 * 128, rows = 128, tile_cells = 128, stages = 3;
constexpr int tile_bytes = 128 * 128;
constexpr int shared_bytes = (1 + stages) * tile_bytes + 128;

}  // namespace

BRENIER_KERNEL(brenier_cuda_test_argmax_wgmma, Params, threads, 1) {
	using namespace brenier;
	unsigned char *samples = dynamic_shared();
	unsigned char *ring = samples + tile_bytes;
	uint64_t *full = reinterpret_cast<uint64_t *>(ring + stages * tile_bytes), *empty = full + stages,
	         *samples_full = empty + stages;
	const int group = (int)threadIdx.x / 128, thread = (int)threadIdx.x % 128;
	const int tiles = p.cells / tile_cells;

	if (threadIdx.x == 0) {
		for (int s = 0; s < stages; s++) {
			mbarrier_init(full + s, 1);
			mbarrier_init(empty + s, p.fault == too_few_arrivals ? 1 : p.fault == too_many_arrivals ? 3 : 2);
		}
		mbarrier_init(samples_full, 1);
		if (p.fault != no_init_fence) mbarrier_init_fence();
	}
	if (p.fault != no_block_barrier && (p.fault != producer_skips_barrier || group != 0)) sync_threads();

	if (group == 0) {  // producer
		registers_lower<40>();
		if (thread != 0) return;
		mbarrier_arrive_expect(samples_full, tile_bytes);
		bulk_copy(samples, p.x + (size_t)blockIdx.x * rows * 64, tile_bytes, samples_full);
		for (int tile = 0; tile < tiles; tile++) {
			const int s = tile % stages, turn = tile / stages;
			const uint32_t parity = (uint32_t)(turn + 1 + (p.fault == wrong_empty_parity)) % 2;
			if (p.fault != empty_not_waited_for) mbarrier_wait(empty + s, parity);
			const int bytes = p.fault == half_the_bytes_expected ? tile_bytes / 2
			                  : p.fault == too_many_bytes_expected ? tile_bytes + 16
			                                                       : tile_bytes;
			mbarrier_arrive_expect(full + s, (uint32_t)bytes);
			unsigned char *to = ring + s * tile_bytes;
			if (p.fault == data_over_barrier && s == stages - 1) to += 64;
			const unsigned char *from = reinterpret_cast<const unsigned char *>(p.y) + (size_t)tile * tile_bytes;
			// In two, as tiles of several boxes come.
			bulk_copy(to + (p.fault == misaligned_copy ? 8 : 0), from, tile_bytes / 2, full + s);
			bulk_copy(to + tile_bytes / 2, from + tile_bytes / 2, tile_bytes / 2 - (p.fault == odd_bytes ? 8 : 0), full + s);
		}
		return;
	}

	if (p.fault == too_many_registers) registers_raise<240>();
	else registers_raise<232>();
	const int consumer = group - 1, warp = thread / 32, lane = thread % 32;
	float best[2] = {-INFINITY, -INFINITY};
	int32_t cell[2] = {0, 0};
	mbarrier_wait(samples_full, 0);
	for (int tile = 0; tile < tiles; tile++) {
		const int s = tile % stages, turn = tile / stages;
		float d[64];
		if (p.fault != full_not_waited_for) mbarrier_wait(full + s, (uint32_t)(turn + (p.fault == wrong_full_parity)) % 2);
		for (int i = 0; i < 64; i++) d[i] = p.heights[tile * tile_cells + i / 4 * 8 + 2 * (lane % 4) + (i & 1)];

		const uint64_t a = wgmma_descriptor(samples + consumer * 64 * 128);
		const uint64_t b = wgmma_descriptor(ring + s * tile_bytes + (p.fault == misaligned_tile ? 512 : 0));
		if (p.fault != no_wgmma_fence) wgmma_fence();
		for (int k = 0; k < 4; k++) {
			if (p.fault == k_step_forgotten && k == 2) continue;
			const int bytes = p.fault == wrong_advance ? 16 * k : 32 * k;
			if (p.fault == accumulator_written_under_way && k == 2) d[5] = 0;
			wgmma_f16<128>(d, wgmma_advance(a, bytes), wgmma_advance(b, bytes), 1);
		}
		if (p.fault != not_committed) wgmma_commit();
		if (p.fault == released_before_read && thread == 0) mbarrier_arrive(empty + s);
		if (p.fault == wait_leaves_one) wgmma_wait<1>();
		else if (p.fault != read_before_wait) wgmma_wait<0>();
		wgmma_hold(d);
		if (p.fault != released_before_read && thread == 0) mbarrier_arrive(empty + s);

		for (int i = 0; i < 64; i++)
			if (d[i] > best[i >> 1 & 1]) best[i >> 1 & 1] = d[i], cell[i >> 1 & 1] = tile * tile_cells + i / 4 * 8 + 2 * (lane % 4) + (i & 1);
		if (p.fault == read_before_wait) wgmma_wait<0>();
	}
	for (int half = 0; half < 2; half++) {
		for (int mask = 1; mask < 4; mask *= 2) {
			const float other = shuffle_xor(best[half], mask);
			const int32_t other_cell = shuffle_xor(cell[half], mask);
			if (other > best[half] || (other == best[half] && other_cell < cell[half]))
				best[half] = other, cell[half] = other_cell;
		}
		if (lane % 4 == 0)
			p.best[(size_t)blockIdx.x * rows + consumer * 64 + 16 * warp + lane / 4 + 8 * half] = cell[half];
	}
	named_sync(1, p.fault == wrong_barrier_count ? 384 : 256);  // the consumers alone
}

int main() {
	using namespace brenier;
	const ArgmaxProblem problem(256, 7 * tile_cells);
	const host::Kernel &kernel = *host::find_kernel("argmax_wgmma_test", "brenier_cuda_test_argmax_wgmma");
	const std::vector<uint16_t> x = ArgmaxProblem::tiles(problem.x), y = ArgmaxProblem::tiles(problem.y),
	                            y_unswizzled = ArgmaxProblem::tiles(problem.y, false);
	for (int fault = 0; fault < faults; fault++) {
		bool caught = false;
		std::string how;
		for (const std::string &schedule : all_schedules()) {
			std::vector<int32_t> best(problem.best.size(), -1);
			const Params params{x.data(), fault == unswizzled ? y_unswizzled.data() : y.data(), problem.heights.data(), best.data(),
			                    problem.cells, fault};
			const host::Outcome outcome = host::launch(kernel, (unsigned)problem.n / rows, threads, shared_bytes, &params,
			                                           options_of(schedule, 90));
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
