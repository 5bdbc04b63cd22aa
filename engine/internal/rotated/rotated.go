// Package rotated has what draws that share a frame depend on and no device may change: how they share
// it, for which maps there are such draws, and what may be asked of them. kernels/cpu/rotated.h says
// what they are.
package rotated

import (
	"math"

	"brenier/engine/internal/fault"
	"brenier/kernels/cpu"
)

// Shape is how draws share: Axes of the d coordinates for a choice, one frame for Group draws. The zero
// value is none: dense draws cost less.
type Shape struct {
	Axes  int // s: 8 or 16
	Group int // P, a multiple of a set's draws
}

// ShapeFor is the shape for N points of dimension d; the same on every machine, as draws depend on it.
//
// Measured on two cores of a Zen 3 with AVX2, fitted heights. Worth is what a draw counts for in
// independent ones (BenchmarkRotatedWorth of the CPU backend); products are d^2/P + s/4 for a point and
// draw, over the worth, where a dense draw takes d.
//
//	worth (products)            s=8, P=3072   s=16, P=3072  P=6144        P=12288       P=24576
//	MNIST codes d=64, N=200     0.55 (6.0)    0.86 (6.2)    0.75 (6.2)    0.63 (6.9)    0.45 (9.3)
//	                  N=2000    0.57 (5.9)    0.86 (6.2)    0.78 (6.0)    0.65 (6.7)    0.48 (8.7)
//	                  N=60000   0.79 (4.2)    0.96 (5.6)    0.93 (5.0)    0.88 (4.9)    0.79 (5.2)
//	terrain codes d=128, N=200  0.67 (10.9)   0.88 (10.6)   0.82 (8.2)    0.72 (7.4)    0.56 (8.3)
//	                    N=2000  0.66 (11.1)   0.88 (10.6)   0.82 (8.1)    0.72 (7.4)    0.58 (8.0)
//	                    N=46800 0.79 (9.2)    0.95 (9.8)    0.93 (7.2)    0.88 (6.1)    0.80 (5.9)
//
// With s=8 a search takes two thirds of the time of s=16, not half, as what is not products stays:
// the same per worth. So s is 16, which leaves draws closer to independent, and P is the smallest
// of 3072 2^i for which rotating the points is at most 8/3 products a draw, and four times that P, 24,576
// at most, from N = 16,384 on: draws of many points depend less on one another, and a GPU has less to rotate.
// Below 16 dimensions there are no 16 axes to share, and dense draws are cheap; from as many
// dimensions as a group has draws, rotating the points alone takes what dense draws take.
func ShapeFor(n, d int) Shape {
	const axes, smallest, largest = 16, 3072, 24576
	if d < axes || d >= largest {
		return Shape{}
	}
	size := smallest
	for size < largest && 3*d*d > 8*size {
		size *= 2
	}
	if n >= 16384 {
		size = min(4*size, largest)
	}
	return Shape{Axes: axes, Group: size}
}

// Map is what of a transport map these draws depend on.
type Map struct {
	N, Dim int
	Norm   float64 // at least the largest |y_i|
	Reach  float64 // at least the largest |h_i|
}

// MaxRadius is more than the norm of any gaussian draw of dimension d, dense ones too: of 32-bit words, a
// normal's square is at most 41 and what two degrees add to the norm's at most 2 ln 2^33 = 46.
func MaxRadius(d int) float64 { return math.Sqrt(46 * float64(d+1)) }

// Rotatable reports whether no product of a draw with a point overflows float32.
func (m Map) Rotatable() bool { return m.Norm*MaxRadius(m.Dim) < math.MaxFloat32/16 }

// CheckMap says in one sentence why a workspace has no such draws: group is what its Group says.
func CheckMap(group int) error {
	if group == 0 {
		return fault.New(fault.ErrUnsupported, "rotated draws: there are none for this source, map or dimension; draw noise and locate it")
	}
	return nil
}

// Check checks a call of DrawRotated for groups of a size.
func (m Map) Check(group, n int, first uint64, k int, cells []int64, scores []float64, x []float32) error {
	if err := m.CheckDraws(group, n, first, k); err != nil {
		return err
	}
	if len(cells) != n*k || scores != nil && len(scores) != n*k || x != nil && len(x) != n*m.Dim {
		return fault.Invalid("rotated draws: want cells and scores [%d,%d] and x [%d,%d], got %d, %d and %d values",
			n, k, n, m.Dim, len(cells), len(scores), len(x))
	}
	return nil
}

// CheckDraws checks which draws, and how many cells of each, are asked for.
func (m Map) CheckDraws(group, n int, first uint64, k int) error {
	size := uint64(group)
	if n < 0 || first%size+uint64(n) > size {
		return fault.Invalid("rotated draws: want at most %d from draw %d on, to the end of its group of %d, got %d",
			size-first%size, first, size, n)
	}
	if most := min(m.N, cpu.RotatedK); k < 1 || k > most {
		return fault.Invalid("rotated draws: want 1 to %d cells for each, got %d", most, k)
	}
	if !m.Rotatable() || 2*m.Reach > math.MaxFloat32/4 {
		return fault.New(fault.ErrUnsupported, "rotated draws: points of norm %.3g and heights up to %.3g are beyond float32 scores; scale them down", m.Norm, m.Reach)
	}
	return nil
}
