// Decides rows from the maxima of their groups: a block of 128 threads a row. Dynamic shared memory:
// d float64 where p.lifted says so.
#include "locate_select.cuh"
#include "ptx/dependent.cuh"

namespace brenier {

BRENIER_KERNEL(brenier_cuda_locate_select, brenier_locate_decide_params, 128, 8) {
	__shared__ LocateSelection<128> s;
	launch_dependents();
	wait_for_prerequisites();
	const int64_t row = blockIdx.x;
	const float margin = p.rows[row].margin;
	if (margin < 0) return;
	double *const lifted_x = p.lifted ? (double *)dynamic_shared() : nullptr;
	if (p.lifted) locate_lift<128>(lifted_x, p.x + row * p.dim, p.dim);
	const LocateGroups<128> groups = {p.maxima, row, p.tiles};
	const int listed = locate_list_groups(s, groups, p.k, margin);
	if (listed >= 0)
		locate_decide(s, p, row, lifted_x, listed);
	else if (threadIdx.x == 0)
		p.exact_rows[atomic_add(p.exact_count, 1u)] = (int32_t)row;
}

}  // namespace brenier
