//go:build cuda

package workload

/*
#include "conv_tiles.h"

typedef struct {
	const char *name;
	int wk;
} conv_tile;

#define TILE(bm, bn, wm, wn, wk, stages, resident) {#bm "x" #bn, wk},
static const conv_tile shipped[] = {BRENIER_CUDA_CONV_TILES(TILE)};
enum { conv_tile_count = sizeof shipped / sizeof *shipped };
static const conv_tile *conv_tiles(void) { return shipped; }
*/
import "C"

import "unsafe"

// groups are the groups of warps along k of the shapes that conv ships, by name, as "128x64".
var groups = func() map[string]int {
	shapes := map[string]int{}
	for _, t := range unsafe.Slice(C.conv_tiles(), C.conv_tile_count) {
		shapes[C.GoString(t.name)] = int(t.wk)
	}
	return shapes
}()
