// From the maxima of a sample's groups to its code.
#include "select_extend.h"

#include "extend.cuh"
#include "locate_select.cuh"
#include "ptx/dependent.cuh"

namespace brenier {

BRENIER_KERNEL(brenier_cuda_select_extend, brenier_select_extend_params, BRENIER_SELECT_EXTEND_THREADS, 1) {
	__shared__ LocateSelection<BRENIER_SELECT_EXTEND_THREADS> selection;
	__shared__ ExtendTile tile;
	launch_dependents();
	wait_for_prerequisites();
	const Scored best = locate_select<BRENIER_SELECT_EXTEND_THREADS, false, 16>(p.decide, selection);
	if (threadIdx.x >= 32) return;
	const int lane = (int)lane_id();
	extend_samples(p.extend, tile, lane < p.extend.k ? best.cell : -1, blockIdx.x, 1);
}

}  // namespace brenier
