package cpu

// #include "products.h"
import "C"

// Products writes <x_r, m> and <x_r, x_r> of the rows of x [n,d], in float64, to along [n] and square
// [n]; d = len(m). See products.h.
func Products(p Path, x []float32, m, along, square []float64) {
	if len(x) == 0 {
		return
	}
	C.brenier_products(C.int(p), floats(x), C.int64_t(len(x)/len(m)), C.int64_t(len(m)), doubles(m), doubles(along),
		doubles(square))
}
