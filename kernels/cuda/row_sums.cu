// Statistics of rows. A warp adds a row to its cell's sums, which lie side by side; four threads make its
// products, each one of the four sums over the dimensions that kernels/cpu/rows.h asks for.
#include "row_sums.h"

#include "device.cuh"
#include "ptx/dependent.cuh"
#include "ptx/half.cuh"
#include "ptx/memory.cuh"
#include "ptx/warp.cuh"

namespace brenier {
namespace {

enum { WARPS = BRENIER_ROW_SUMS_THREADS / 32, PARTS = BRENIER_ROW_SUMS_THREADS / BRENIER_ROW_SUMS_ROWS };
static_assert(PARTS == 4, "sums of a row");

}  // namespace

BRENIER_KERNEL(brenier_cuda_row_sums, brenier_row_sums_params, BRENIER_ROW_SUMS_THREADS, 1) {
	launch_dependents();
	wait_for_prerequisites();
	const uint32_t first = blockIdx.x * BRENIER_ROW_SUMS_ROWS;
	const uint32_t end = p.n - first < BRENIER_ROW_SUMS_ROWS ? p.n : first + BRENIER_ROW_SUMS_ROWS;
	for (uint32_t row = first + threadIdx.x / 32; row < end; row += WARPS) {
		const float *const x = p.x + (uint64_t)row * p.d;
		unsigned long long *const sums = (unsigned long long *)p.sums + (uint64_t)p.cells[row] * p.d;
		for (uint32_t k = lane_id(); k < p.d; k += 32)
			atomic_add(&sums[k], (unsigned long long)(double_bits((double)x[k] + p.whole) - double_bits(p.whole)));
	}

	const uint32_t row = first + threadIdx.x / PARTS, part = threadIdx.x % PARTS;
	const bool exists = row < end;
	double along = 0.0, square = 0.0;
	if (exists) {
		const float *const x = p.x + (uint64_t)row * p.d;
		const uint32_t whole = p.d / PARTS * PARTS;
#pragma unroll 4
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
