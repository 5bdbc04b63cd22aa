package cpu

// #include "rotated.h"
import "C"

// Rotated draws, by the numbers of rotated.h.
const (
	RotatedFamily = C.BRENIER_FAMILY
	RotatedChoice = C.BRENIER_CHOICE
	RotatedSet    = C.BRENIER_SET
	RotatedAxes   = C.BRENIER_AXES      // of a set
	RotatedK      = C.BRENIER_ROTATED_K // most cells for a draw
	FrameColumns  = C.BRENIER_FRAME_COLUMNS
	FrameStream   = C.BRENIER_STREAM_FRAME
	DegreeStream  = C.BRENIER_STREAM_DEGREE
)

// FrameReflectors makes rows first to end-1 of normals [ceil(d/2)][d+1] reflectors. See rotated.h.
func FrameReflectors(normals []float32, first, end, d int, reflectors []float64, signs []float32) {
	C.brenier_frame_reflectors(floats(normals), C.int64_t(first), C.int64_t(end), C.int64_t(d),
		doubles(reflectors), floats(signs))
}

// FrameColumnBlock writes one block of columns of the frame [d,d], and of the frame as Rotate reads
// it. See rotated.h.
func FrameColumnBlock(p Path, reflectors []float64, signs []float32, d, block int, scratch []float64,
	frame, packed []float32) {
	C.brenier_frame_columns(C.int(p), doubles(reflectors), floats(signs), C.int64_t(d), C.int64_t(block),
		doubles(scratch), floats(frame), floats(packed))
}

// Rotate writes panels first to end-1 in the frame's axes to z, pass panels together. See rotated.h.
func Rotate(p Path, packed []float32, d int, panels []float32, first, end, pass int, z []float32) {
	C.brenier_rotate(C.int(p), floats(packed), C.int64_t(d), floats(panels), C.int64_t(first),
		C.int64_t(end), C.int64_t(pass), floats(z))
}

// RotatedDraws writes the axes [choices][RotatedAxes] and coefficients v [choices*RotatedChoice][RotatedAxes]
// of choices from first on, of a group of groupChoices. See rotated.h.
func RotatedDraws(p Path, seed, group uint64, groupChoices, first, choices, d int,
	shuffled []int32, normals []float32, axes []int32, v []float32) {
	C.brenier_rotated_draws(C.int(p), C.uint64_t(seed), C.uint64_t(group), C.int64_t(groupChoices),
		C.int64_t(first), C.int64_t(choices), C.int64_t(d),
		ints(shuffled), floats(normals), ints(axes), floats(v))
}

// RotatedNoise writes draws skip, skip+1, ... of the choices given to x [n,d], n = len(x)/d. See
// rotated.h.
func RotatedNoise(p Path, frame []float32, axes []int32, v []float32, skip, d int, x []float32) {
	C.brenier_rotated_noise(C.int(p), floats(frame), ints(axes), floats(v), C.int64_t(skip),
		C.int64_t(len(x)/d), C.int64_t(d), floats(x))
}

// RotatedSearch searches panels first to end-1 for the draws of choices. See rotated.h.
func RotatedSearch(p Path, z, levels []float32, d, pass, block, first, end int,
	axes []int32, v []float32, choices, k int, tops []float32, blocks []int32) {
	C.brenier_rotated_search(C.int(p), floats(z), floats(levels), C.int64_t(d), C.int64_t(pass),
		C.int64_t(block), C.int64_t(first), C.int64_t(end), ints(axes), floats(v), C.int64_t(choices),
		C.int(k), floats(tops), ints(blocks))
}

// RotatedFinish writes cells and scores [draws,k] after a search of all panels. points is N. See
// rotated.h.
func RotatedFinish(p Path, z, levels []float32, points, d, group, pass, block int,
	axes []int32, v []float32, draws, k int, tops []float32, blocks, cells []int32, scores []float64) {
	C.brenier_rotated_finish(C.int(p), floats(z), floats(levels), C.int64_t(points), C.int64_t(d),
		C.int64_t(group), C.int64_t(len(levels)/(2*p.Lanes())), C.int64_t(pass), C.int64_t(block),
		ints(axes), floats(v), C.int64_t(draws), C.int(k), floats(tops), ints(blocks),
		ints(cells), doubles(scores))
}
