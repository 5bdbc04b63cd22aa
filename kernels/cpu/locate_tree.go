package cpu

// #include "locate_tree.h"
import "C"

// TreeWidth is the cells of a leaf and the parts of a block.
const TreeWidth = C.BRENIER_TREE_WIDTH

// TreeMost is the dimensions that a tree has, at most.
const TreeMost = C.BRENIER_TREE_MOST

// TreeRows is the rows of a block for each dimension; the first two are the middle and half the sides of
// the parts' boxes.
const TreeRows = C.BRENIER_TREE_ROWS

// TreeLower takes heights h [N] into the leaves and the blocks first to end-1 of level 1. See
// locate_tree.h.
func TreeLower(p Path, d int, h []float32, top float64, first, end int, blocks, fits, points, heights []float32,
	cells []int32) {
	C.brenier_tree_lower(C.int(p), C.int64_t(len(h)), C.int64_t(d), floats(h), C.double(top),
		C.int64_t(first), C.int64_t(end), floats(blocks), floats(fits), floats(points), floats(heights), ints(cells))
}

// TreeUpper takes the heights of n cells from there into the blocks above.
func TreeUpper(p Path, n, d int, blocks, fits []float32) {
	C.brenier_tree_upper(C.int(p), C.int64_t(n), C.int64_t(d), floats(blocks), floats(fits))
}

// TreeSearch writes the k best cells of x [rows,d] and their exact scores, of the first samples, and
// returns of how many: as many as a budget of leaves and blocks suffices for. beyond: it ended before a sample
// for which the tree's bounds do not hold. See locate_tree.h.
func TreeSearch(p Path, x []float32, d, n int, blocks, points, heights []float32, numbers []int32,
	top, norm, reach, extent float64, k, budget int, cells []int32, scores []float64) (done int, beyond bool) {
	done = int(C.brenier_tree_search(C.int(p), floats(x), C.int64_t(len(x)/d), C.int64_t(d), C.int64_t(n),
		floats(blocks), floats(points), floats(heights), ints(numbers), C.double(top), C.double(norm),
		C.double(reach), C.double(extent), C.int(k), C.int64_t(budget), ints(cells), doubles(scores)))
	if done < 0 {
		return -1 - done, true
	}
	return done, false
}
