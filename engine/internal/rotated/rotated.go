// Package rotated has what draws that share a frame depend on and no device may change: how they share
// it, for which maps there are such draws, and what may be asked of them. kernels/cpu/rotated.h says
// what they are.
package rotated

import (
	"math"

	"brenier/engine/internal/fault"
	"brenier/kernels/cpu"
)

// GroupFor is how many draws share a frame for N points of dimension d, whole sets; 0: dense draws cost
// less. It is the same on every machine, as draws depend on it.
//
// Measured with fitted heights: what a draw counts for in independent ones (BenchmarkRotatedWorth of the CPU
// backend), and the products for a point and draw, d^2/P + 4, where a dense draw takes d.
//
//	worth                       P=3072  P=6144  P=12288  P=24576  P=49152
//	MNIST codes d=64, N=200     1.22    1.18    1.15     1.12     1.04
//	                  N=2000    1.02    1.02    1.00     0.98     0.93
//	                  N=60000   1.00    1.00    1.00     0.99     0.98
//	products d=64               5.3     4.7     4.3      4.2      4.1
//	terrain codes d=128, N=200  1.19    1.18    1.18     1.17     1.08
//	                    N=2000  1.03    1.03    1.01     0.98     0.94
//	                    N=46800 1.00    1.00    0.99     0.99     0.97
//	products d=128              9.3     6.7     5.3      4.7      4.3
//
// Random points of equal length, N = 2000, P = 3072: 0.71 at d = 16, 0.76 at 20, 0.95 at 24, 1.01 at 32; at 16 a
// draw takes a third of the time of a dense one.
//
// Few draws of a group lie near one another, hence 1 and more. With normal coefficients it was 0.86 at d = 64,
// N = 2000, P = 3072 and 0.65 at P = 12288; with these but axes shuffled in pairs 0.98 and 0.86.
//
// So large groups cost nothing but that a fit wants 16 of them for every test. P is the smallest of 3072 2^i
// for which rotating the points is at most 8/3 products a draw, and eight times that, 24,576 at most, from
// N = 16,384 on, where tests take more draws. Below 16 dimensions there are no 16 axes to share, and dense draws
// are cheap; from as many dimensions as a group has draws, rotating the points alone takes what dense draws take.
func GroupFor(n, d int) int {
	const axes, smallest, largest = cpu.RotatedAxes, 3072, 24576
	if d < axes || d >= largest {
		return 0
	}
	size := smallest
	for size < largest && 3*d*d > 8*size {
		size *= 2
	}
	if n >= 16384 {
		size = min(8*size, largest)
	}
	return size
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
