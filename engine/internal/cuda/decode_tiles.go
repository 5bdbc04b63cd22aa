//go:build cuda

package cuda

/*
#include "conv.h"
#include "conv_tiles.h"

typedef struct {
	const char *name;
	int bm, bn, wm, wn, wk, threads, resident;
	int shared, sums;  // bytes; sums: those that only several chunks need
} conv_tile;

#define TILE(bm, bn, wm, wn, wk, stages, resident)                                          \
	{#bm "x" #bn, bm, bn, wm, wn, wk, BRENIER_CUDA_CONV_THREADS(bm, bn, wm, wn, wk), resident, \
	 BRENIER_CUDA_CONV_SUMS_AT(bm, bn, wk, stages) +                                            \
	     (BRENIER_CUDA_CONV_SUMS_ALWAYS(bm, bn, wk, stages) ? BRENIER_CUDA_CONV_SUMS_BYTES(bm, bn, wm, wn, wk) : 0), \
	 BRENIER_CUDA_CONV_SUMS_ALWAYS(bm, bn, wk, stages) ? 0 : BRENIER_CUDA_CONV_SUMS_BYTES(bm, bn, wm, wn, wk)},
static const conv_tile tiles[] = {BRENIER_CUDA_CONV_TILES(TILE)};
enum { conv_tile_count = sizeof tiles / sizeof *tiles };
static const conv_tile *conv_tiles(void) { return tiles; }
*/
import "C"

import (
	"unsafe"

	"brenier/engine/internal/cuda/driver"
)

// convTile is a shape of conv_mma's tiles: bm pixels by bn rows a block. See conv_tiles.h. All of
// them give the same bits.
type convTile struct {
	f            *driver.Function
	name         string
	bm, bn       int
	wm, wn, wk   int // of a warp, and the groups of warps along k
	threads      int
	resident     int // blocks on a multiprocessor, if memory allows
	shared, sums int // bytes of shared memory; sums of chunks on top, where there are several
}

// leastMMA is the compute capability that conv_mma needs.
const leastMMA = 80

// mmaModule is where the kernels on the tensor cores are.
func (d *network) mmaModule() string {
	if d.element == bf16 {
		return "conv_mma_bf16"
	}
	return "conv_mma"
}

// tiles are the shapes that this device has room for, loaded.
func (d *network) tiles() ([]convTile, error) {
	shipped := unsafe.Slice(C.conv_tiles(), C.conv_tile_count)
	var list []convTile
	for i := range shipped {
		s := &shipped[i]
		t := convTile{
			name: C.GoString(s.name), bm: int(s.bm), bn: int(s.bn), wm: int(s.wm), wn: int(s.wn), wk: int(s.wk),
			threads: int(s.threads), resident: int(s.resident), shared: int(s.shared), sums: int(s.sums),
		}
		if t.shared+t.sums > d.v.info.SharedPerBlock {
			continue
		}
		f, err := d.v.kernel(d.mmaModule(), "brenier_cuda_conv_"+d.element.String()+"_"+t.name, t.shared+t.sums)
		if err != nil {
			return nil, err
		}
		t.f = f
		list = append(list, t)
	}
	return list, nil
}

// bytes is the dynamic shared memory of a launch.
func (t *convTile) bytes(chunks int) int {
	if chunks > 1 {
		return t.shared + t.sums
	}
	return t.shared
}

// convShape is a launch as the choice of its tile sees it.
type convShape struct {
	pixels int // of the largest phase, over all images
	phases int
	rows   int // packed, of a group
	groups int
	steps  int // along k, of the longest phase
}

func (s convShape) chunks() int { return ceil(s.steps, C.BRENIER_CUDA_CONV_CHUNK) }

// blocks is how many blocks a tile makes of the launch.
func (s convShape) blocks(t *convTile) int {
	return ceil(s.pixels, t.bm) * s.phases * ceil(s.rows, t.bn) * s.groups
}

// Of a multiprocessor, per clock: multiply-adds through mma.sync (on Hopper; others have fewer, which
// changes the choice little), bytes from the second-level cache, and bytes to and from shared memory.
// And clocks: of a block's begin and end, of a step's barrier, copies and addresses in a warp, and of
// a product until the next one may add to it.
const (
	convProducts    = 1270
	convCacheBytes  = 36
	convSharedBytes = 128
	convBlock       = 1800
	convStep        = 110
	convProduct     = 33
)

// clocks estimates a launch: the larger of what the busiest unit needs for all blocks of a
// multiprocessor, and of the blocks' latencies, one set of resident ones after another.
func (s convShape) clocks(t *convTile, v *driver.Device) int {
	const length, row = C.BRENIER_CUDA_CONV_STEP, 2 * C.BRENIER_CUDA_CONV_STEP // of a step: k, bytes
	warps := t.threads / 32 / t.wk
	products := t.wm * t.wn / (16 * 8) * (length / 16) // of a warp
	issue := convStep + 3*products/2
	step := max(
		t.bm*t.bn*length/convProducts,
		(t.bm/2+t.bn)*row/convCacheBytes, // half of the pixels are found in the first-level cache
		(warps*(t.wm+t.wn)+t.bm+t.bn)*row/convSharedBytes,
		warps*issue/4,
	)
	blocks := ceil(s.blocks(t), max(v.Multiprocessors, 1))
	resident := max(1, min(t.resident, v.SharedPerMultiprocessor/(t.bytes(s.chunks())+1024)))
	serial := min(s.steps, ceil(s.chunks(), t.wk)*C.BRENIER_CUDA_CONV_CHUNK)
	latency := convBlock + serial*(issue+length/16*convProduct)
	return max(blocks*s.steps*step, ceil(blocks, resident)*latency)
}

// fastest is the tile that the estimate prefers.
func (s convShape) fastest(tiles []convTile, v *driver.Device) *convTile {
	best := &tiles[0]
	for i := range tiles {
		if s.clocks(&tiles[i], v) < s.clocks(best, v) {
			best = &tiles[i]
		}
	}
	return best
}
