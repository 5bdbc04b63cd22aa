//go:build cuda

package workload

/*
#include "conv_tiles.h"

typedef struct {
	const char *name;
	int wk, steps;
} conv_tile;

// A tile takes one step an iteration, one for few outputs twice its depth.
#define TILE(bm, bn, wm, wn, wk, stages, resident) {#bm "x" #bn, wk, 1},
#define FEW_TILE(bm, bn, wm, wn, wk, depth, resident) {#bm "x" #bn, wk, 2 * (depth)},
static const conv_tile shipped[] = {BRENIER_CUDA_CONV_TILES(TILE) BRENIER_CUDA_CONV_FEW_TILES(FEW_TILE)};
enum { conv_tile_count = sizeof shipped / sizeof *shipped };
static const conv_tile *conv_tiles(void) { return shipped; }
*/
import "C"

import "unsafe"

// tile is what of the shape of conv's tiles the work depends on.
type tile struct {
	wk    int     // groups of warps along k
	steps float64 // of an iteration
}

// tiles are the shapes that conv ships, by name, as "128x64".
var tiles = func() map[string]tile {
	shapes := map[string]tile{}
	for _, t := range unsafe.Slice(C.conv_tiles(), C.conv_tile_count) {
		shapes[C.GoString(t.name)] = tile{int(t.wk), float64(t.steps)}
	}
	return shapes
}()
