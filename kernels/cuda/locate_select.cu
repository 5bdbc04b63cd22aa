// Decides rows from the maxima of their groups: a block a row. Dynamic shared memory: d float64 where
// p.lifted says so.
#include "locate_select.cuh"
#include "ptx/dependent.cuh"

namespace brenier {
namespace {

template <int threads, bool again, int ahead>
__device__ __forceinline__ void select(const brenier_locate_decide_params &p) {
	__shared__ LocateSelection<threads> s;
	launch_dependents();
	wait_for_prerequisites();
	locate_select<threads, again, ahead>(p, s);
}

}  // namespace

BRENIER_KERNEL(brenier_cuda_locate_select, brenier_locate_decide_params, 128, 6) { select<128, true, 4>(p); }

// The same for few rows, where a row has a multiprocessor to itself.
BRENIER_KERNEL(brenier_cuda_locate_select_wide, brenier_locate_decide_params, 512, 1) { select<512, false, 16>(p); }

}  // namespace brenier
