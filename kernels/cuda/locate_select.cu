// Decides rows from the maxima of their groups: a block a row. Dynamic shared memory: d float64 where
// p.lifted says so.
#include "locate_select.cuh"
#include "ptx/dependent.cuh"

namespace brenier {
namespace {

// again: screen the cells of groups one by one. ahead: quads of a point that a lane asks for at once.
template <int threads, bool again, int ahead>
__device__ __forceinline__ void select(const brenier_locate_decide_params &p) {
	__shared__ LocateSelection<threads> s;
	launch_dependents();
	wait_for_prerequisites();
	const int64_t row = blockIdx.x;
	const float margin = p.rows[row].margin;
	if (margin < 0 && p.exact_count) return;
	double *const lifted_x = p.lifted ? (double *)dynamic_shared() : nullptr;
	if (p.lifted) locate_lift<threads>(lifted_x, p.x + row * p.dim, p.dim);
	sync_threads();

	const LocateGroups<threads> groups = {p.maxima, row, p.tiles};
	float cut = 0;
	const int listed = margin < 0 ? -1 : locate_list_groups(s, groups, p.k, margin, cut);
	if (listed < 0 && p.exact_count) {
		if (threadIdx.x == 0) p.exact_rows[atomic_add(p.exact_count, 1u)] = (int32_t)row;
		return;
	}
	int cells = -1;
	if (again && listed >= 0) {
		cells = locate_list_cells(s, p, row, listed, cut);
		if (cells > LOCATE_CELLS) cells = -1;
	}
	locate_decide<threads, ahead>(s, p, row, lifted_x, listed, cells);
}

}  // namespace

BRENIER_KERNEL(brenier_cuda_locate_select, brenier_locate_decide_params, 128, 6) { select<128, true, 4>(p); }

// The same for few rows, where a row has a multiprocessor to itself.
BRENIER_KERNEL(brenier_cuda_locate_select_wide, brenier_locate_decide_params, 512, 1) { select<512, false, 16>(p); }

}  // namespace brenier
