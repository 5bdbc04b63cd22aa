package cpu

// #include "extend.h"
import "C"

import "unsafe"

// Modes of extend, by the numbers of extend.h.
const (
	Cell    = C.BRENIER_CELL
	Simplex = C.BRENIER_SIMPLEX
	Pair    = C.BRENIER_PAIR
)

// PlaneNorms writes |(y_i,-1)| of points [N,d] to norms [N].
func PlaneNorms(p Path, points []float32, d int, norms []float64) {
	C.brenier_plane_norms(C.int(p), floats(points), C.int64_t(len(norms)), C.int64_t(d), doubles(norms))
}

// Cosines writes the cosines between the planes of every sample's first cell and all its k cells,
// cells [n,k], to cosines [n,k].
func Cosines(p Path, cells []int32, d, k int, points []float32, norms, cosines []float64) {
	C.brenier_cosines(C.int(p), ints(cells), C.int64_t(len(cells)/k), C.int64_t(d), C.int64_t(k),
		floats(points), doubles(norms), doubles(cosines))
}

// Extend writes the codes z [n,d] of samples x [n,d] with cells [n,k]. Only Simplex reads
// centroids. See extend.h.
func Extend(p Path, x []float32, cells []int32, d, k int, points []float32, norms []float64,
	centroids []float32, mode int, minCosine, blend float64, z []float32) {
	if centroids == nil {
		centroids = points // any address; it is not read
	}
	C.brenier_cpu_extend(C.int(p), floats(x), ints(cells), C.int64_t(len(x)/d), C.int64_t(d), C.int64_t(k),
		floats(points), doubles(norms), floats(centroids), C.int(mode), C.double(minCosine),
		C.double(blend), floats(z))
}

func doubles(s []float64) *C.double { return (*C.double)(unsafe.Pointer(&s[0])) }
func ints(s []int32) *C.int32_t     { return (*C.int32_t)(unsafe.Pointer(&s[0])) }
