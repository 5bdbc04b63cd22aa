// How locate_wgmma.cu lays out the shared memory of a block: plain C, for the kernel and, through cgo,
// for the engine that launches it.
#ifndef BRENIER_KERNELS_CUDA_LOCATE_WGMMA_H
#define BRENIER_KERNELS_CUDA_LOCATE_WGMMA_H
#include "locate.h"

#ifdef __CUDACC__
#define BRENIER_LAYOUT static inline __host__ __device__
#else
#define BRENIER_LAYOUT static inline
#endif

enum {
	BRENIER_LOCATE_WGMMA_THREADS = 384,      // a warpgroup that copies, two that multiply
	BRENIER_LOCATE_WGMMA_ROW_TILES = 2,      // row tiles of a block, one a multiplying warpgroup
	BRENIER_LOCATE_WGMMA_MAX_STAGES = 8,
	BRENIER_LOCATE_WGMMA_MIN_STAGES = 3,
	BRENIER_LOCATE_WGMMA_STAGE_BYTES = BRENIER_LOCATE_SLICE_BYTES + 4 * BRENIER_LOCATE_TILE,  // a slice and levels
	BRENIER_LOCATE_WGMMA_STATE_BYTES = 4096 + 256,  // what is found of each row, and the barriers
	BRENIER_LOCATE_WGMMA_SHARED_BYTES = 232448  // what a block may have on sm_90
};

// Bytes of the block's samples.
BRENIER_LAYOUT int brenier_locate_wgmma_sample_bytes(int slices) {
	return BRENIER_LOCATE_WGMMA_ROW_TILES * slices * BRENIER_LOCATE_SLICE_BYTES;
}
// Stages of the ring through which the cells stream; fewer than MIN_STAGES: d is too large for this kernel.
BRENIER_LAYOUT int brenier_locate_wgmma_stages(int slices) {
	const int room = BRENIER_LOCATE_WGMMA_SHARED_BYTES - BRENIER_LOCATE_WGMMA_STATE_BYTES -
	                 brenier_locate_wgmma_sample_bytes(slices);
	const int stages = room / BRENIER_LOCATE_WGMMA_STAGE_BYTES;
	return stages < BRENIER_LOCATE_WGMMA_MAX_STAGES ? stages : BRENIER_LOCATE_WGMMA_MAX_STAGES;
}
// Dynamic shared memory of a block.
BRENIER_LAYOUT int brenier_locate_wgmma_shared_bytes(int slices) {
	return brenier_locate_wgmma_sample_bytes(slices) + BRENIER_LOCATE_WGMMA_STATE_BYTES +
	       brenier_locate_wgmma_stages(slices) * BRENIER_LOCATE_WGMMA_STAGE_BYTES;
}

#endif
