// Statistics of rows. Four warps of a block add rows to their cells' sums, which lie side by side. The
// fifth makes the products, four threads a row, each one of the four sums over the dimensions that
// kernels/cpu/rows.h asks for. Blocks are small, for it is latency that counts: a few thousand rows come at
// once.
#include "row_sums.h"

#include "device.cuh"
#include "ptx/dependent.cuh"
#include "ptx/half.cuh"
#include "ptx/memory.cuh"
#include "ptx/warp.cuh"

namespace brenier {
namespace {

enum { PARTS = 4, ADDING = BRENIER_ROW_SUMS_THREADS / 32 - 1 };
static_assert(PARTS * BRENIER_ROW_SUMS_ROWS == 32, "one warp makes the products");

// Adds row x [d] to sums [d]. A sum with `whole` is rounded to whole units, which are its last bits.
__device__ __forceinline__ void add_row(const brenier_row_sums_params &p, uint32_t row) {
	const float *const x = p.x + (uint64_t)row * p.d;
	unsigned long long *const sums = (unsigned long long *)p.sums + (uint64_t)p.cells[row] * p.d;
	for (uint32_t k = lane_id(); k < p.d; k += 32)
		atomic_add(&sums[k], (unsigned long long)(double_bits((double)x[k] + p.whole) - double_bits(p.whole)));
}

}  // namespace

BRENIER_KERNEL(brenier_cuda_row_sums, brenier_row_sums_params, BRENIER_ROW_SUMS_THREADS, 1) {
	launch_dependents();
	wait_for_prerequisites();
	const uint32_t first = blockIdx.x * BRENIER_ROW_SUMS_ROWS;
	const uint32_t end = p.n - first < BRENIER_ROW_SUMS_ROWS ? p.n : first + BRENIER_ROW_SUMS_ROWS;
	if (threadIdx.x < 32 * ADDING) {
		for (uint32_t row = first + threadIdx.x / 32; row < end; row += ADDING) add_row(p, row);
		return;
	}
	const uint32_t row = first + lane_id() / PARTS, part = lane_id() % PARTS;
	const bool exists = row < end;
	double along = 0.0, square = 0.0;
	if (exists) {
		const float *const x = p.x + (uint64_t)row * p.d;
		const uint32_t whole = p.d / PARTS * PARTS;
#pragma unroll 8
		for (uint32_t k = part; k < whole; k += PARTS) {
			const double v = (double)x[k];
			along = along + v * p.m[k];
			square = square + v * v;
		}
		for (uint32_t k = whole; k < p.d && part == 0; k++) {
			const double v = (double)x[k];
			along = along + v * p.m[k];
			square = square + v * v;
		}
	}
#pragma unroll
	for (int mask = 1; mask < PARTS; mask *= 2) {
		along = along + shuffle_xor(along, mask);
		square = square + shuffle_xor(square, mask);
	}
	if (!exists || part != 0) return;
	p.along[row] = along;
	p.squares[row] = square;
	p.scores_out[row] = p.scores[row];
	p.cells_out[row] = p.cells[row];
}

}  // namespace brenier
