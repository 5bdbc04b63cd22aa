// Prepares samples for the screens: float16, and for each row its margin (locate.h). One warp a row,
// rows up to whole tiles.
#include "locate_pack.cuh"
#include "ptx/dependent.cuh"
#include "ptx/memory.cuh"

namespace brenier {

BRENIER_KERNEL(brenier_cuda_locate_samples, brenier_locate_samples_params, 256, 1) {
	launch_dependents();
	wait_for_prerequisites();
	const int row = blockIdx.x * 8 + threadIdx.x / 32;
	const LocateTileRow place = {
		p.packed + (int64_t)(row / BRENIER_LOCATE_TILE) * p.slices * BRENIER_LOCATE_SLICE_BYTES, row % BRENIER_LOCATE_TILE};
	if (row >= p.row_count) {
		locate_pack_row(nullptr, p.dim, 1, p.slices, place);
		if (lane_id() == 0) p.rows[row] = {1, -locate_infinity()};
		return;
	}
	const brenier_locate_row r = locate_pack_sample(p.x + (int64_t)row * p.dim, p.dim, *p.map, p.slices, place);
	if (lane_id() != 0) return;
	p.rows[row] = r;
	if (r.margin < 0 && p.exact_count) p.exact_rows[atomic_add(p.exact_count, 1u)] = row;
}

}  // namespace brenier
