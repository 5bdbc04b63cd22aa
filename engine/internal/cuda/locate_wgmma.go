//go:build cuda

package cuda

// #include "locate_wgmma.h"
import "C"

// newWGMMAScreen is the screen by warpgroups, locate_wgmma.cu, for cards of compute capability 9.0. It is
// nil on others, and where the samples of a block, all their dimensions, leave no room in shared memory
// for the cells to stream through: d > 320.
func newWGMMAScreen(v *device, slices int) (*tileScreen, error) {
	if v.capability() != 90 || !wgmmaHasRoom(slices, v.info.SharedPerBlock) {
		return nil, nil
	}
	s := &tileScreen{
		name:       "locate_wgmma",
		threads:    C.BRENIER_LOCATE_WGMMA_THREADS,
		shared:     int(C.brenier_locate_wgmma_shared_bytes(C.int(slices))),
		rowTiles:   C.BRENIER_LOCATE_WGMMA_ROW_TILES,
		persistent: true,
	}
	candidates, maxima := "brenier_cuda_locate_wgmma_candidates", "brenier_cuda_locate_wgmma_maxima"
	if slices > 1 {
		candidates, maxima = candidates+"_sliced", maxima+"_sliced"
	}
	if err := s.load(v, candidates, maxima); err != nil {
		return nil, err
	}
	return s, nil
}

// wgmmaHasRoom says whether a block with samples of so many slices has its stages in `limit` bytes of
// shared memory.
func wgmmaHasRoom(slices, limit int) bool {
	const most = C.BRENIER_LOCATE_WGMMA_SHARED_BYTES / C.BRENIER_LOCATE_SLICE_BYTES // more would not fit, and may overflow
	return slices <= most && C.brenier_locate_wgmma_stages(C.int(slices)) >= C.BRENIER_LOCATE_WGMMA_MIN_STAGES &&
		int(C.brenier_locate_wgmma_shared_bytes(C.int(slices))) <= limit
}
