package cpu

// #include "rows.h"
import "C"

// RowProducts writes <x_r, m> and <x_r, x_r> of the rows of x [n,d], in float64, to along [n] and
// square [n]; d = len(m). See rows.h.
func RowProducts(p Path, x []float32, m, along, square []float64) {
	if len(x) == 0 {
		return
	}
	C.brenier_row_products(C.int(p), floats(x), C.int64_t(len(x)/len(m)), C.int64_t(len(m)), doubles(m), doubles(along),
		doubles(square))
}

// RowSums adds the rows of x [n,d] whose cells [n] are in [first,end) to sums [N,d], by cell, in units of
// 2^-exponent. See rows.h.
func RowSums(p Path, x []float32, cells []int32, d, first, end, exponent int, sums []int64) {
	if len(x) == 0 {
		return
	}
	C.brenier_row_sums(C.int(p), floats(x), ints(cells), C.int64_t(len(cells)), C.int64_t(d), C.int64_t(first),
		C.int64_t(end), C.int(exponent), (*C.int64_t)(&sums[0]))
}
