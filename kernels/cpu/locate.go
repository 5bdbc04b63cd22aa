package cpu

// #include "locate.h"
import "C"

import "unsafe"

// MaxK is the most cells that locate keeps for a sample.
const MaxK = C.BRENIER_MAX_K

// LocatePack packs cells first to end-1 of points [N,d] into panels. See locate.h.
func LocatePack(p Path, points []float32, first, end, d, group int, panels []float32) {
	C.brenier_locate_pack(C.int(p), floats(points), C.int64_t(first), C.int64_t(end), C.int64_t(d),
		C.int64_t(group), floats(panels))
}

// LocateLevels packs heights [N] into levels [P][W] and returns the highest and the lowest of them.
func LocateLevels(p Path, heights []float32, group int, levels []float32) (highest, lowest float64) {
	var ends [2]C.float
	C.brenier_locate_levels(C.int(p), floats(heights), C.int64_t(len(heights)), C.int64_t(group),
		C.int64_t(len(levels)/(2*p.Lanes())), floats(levels), &ends[0], &ends[1])
	return float64(ends[0]), float64(ends[1])
}

// LocateTileRows returns the samples of a full tile. Scratch has room for whole tiles.
func LocateTileRows(p Path) int { return int(C.brenier_locate_tile_rows(C.int(p))) }

// LocatePackSamples packs x [rows,d] as LocateScreen reads it.
func LocatePackSamples(p Path, x []float32, d int, packed []float32) {
	C.brenier_locate_pack_samples(C.int(p), floats(x), C.int64_t(len(x)/d), C.int64_t(d), floats(packed))
}

// LocateScreen screens packed samples against panels first to end-1. See locate.h.
func LocateScreen(p Path, packed []float32, rows, d int, panels, levels []float32, first, end, group int,
	maxima []float32, stride int) {
	C.brenier_locate_screen(C.int(p), floats(packed), C.int64_t(rows), C.int64_t(d), floats(panels),
		floats(levels), C.int64_t(first), C.int64_t(end), C.int64_t(group), floats(maxima),
		C.int64_t(stride))
}

// LocateSelect writes the k best cells of x [rows,d] and their exact scores from the
// screen's maxima. See locate.h.
func LocateSelect(p Path, x []float32, d int, points, heights []float32, norm, reach float64,
	maxima []float32, stride, group, groups, k int, kept []int32, reached []float32,
	cells []int32, scores []float64) {
	C.brenier_locate_select(C.int(p), floats(x), C.int64_t(len(x)/d), C.int64_t(d), floats(points),
		floats(heights), C.int64_t(len(heights)), C.double(norm), C.double(reach),
		floats(maxima), C.int64_t(stride), C.int64_t(group), C.int64_t(groups), C.int(k),
		ints(kept), floats(reached), ints(cells), doubles(scores))
}

func floats(s []float32) *C.float { return (*C.float)(unsafe.Pointer(&s[0])) }
