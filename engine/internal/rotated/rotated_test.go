package rotated

import (
	"math"
	"testing"
)

func TestGroupFor(t *testing.T) {
	for _, c := range []struct{ n, d, group int }{
		{300, 15, 0}, {300, 16, 3072}, {300, 90, 3072}, {300, 91, 6144}, {16383, 64, 3072}, {16384, 64, 24576},
		{46800, 128, 24576}, {3, 400, 24576}, {1 << 20, 400, 24576}, {300, 24575, 24576}, {300, 24576, 0},
	} {
		if got := GroupFor(c.n, c.d); got != c.group {
			t.Errorf("N=%d, d=%d: groups of %d, want %d", c.n, c.d, got, c.group)
		}
	}
}

// A draw is at most as long as its normals and uniforms allow: where that overflows, there are none.
func TestRotatable(t *testing.T) {
	const d = 99
	edge := math.MaxFloat32 / 16 / math.Sqrt(46*(d+1))
	for norm, want := range map[float64]bool{0: true, 1: true, edge * 0.999: true, edge * 1.001: false, math.Inf(1): false} {
		if got := (Map{N: 1, Dim: d, Norm: norm}).Rotatable(); got != want {
			t.Errorf("points of norm %v: %v", norm, got)
		}
	}
}
