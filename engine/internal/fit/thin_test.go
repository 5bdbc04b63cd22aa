package fit

import (
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/stat/distuv"
)

// Of cells that have their mass none is called thin, however few samples chance gives it; of cells that lack it most
// are, and few others with them.
func TestThin(t *testing.T) {
	const cells, hits = 5000, 16
	mass := make([]float64, cells)
	for i := range mass {
		mass[i] = (1 + float64(i%2)) / (1.5 * cells)
	}
	for _, c := range []struct {
		name        string
		lack        int // one of so many cells has a hundredth of its mass; 0: none
		least, most int
	}{
		{"all_even", 0, 0, 2},
		{"a_few_light", 500, 8, 23},
		{"many_light", 5, 950, 1500},
	} {
		t.Run(c.name, func(t *testing.T) {
			source := rand.NewPCG(1, 2)
			counts := make([]int32, cells)
			light := map[int]bool{}
			for i, nu := range mass {
				if c.lack > 0 && i%c.lack == 0 {
					nu /= 100
					light[i] = true
				}
				counts[i] = int32(distuv.Poisson{Lambda: hits * cells * nu, Src: source}.Rand())
			}
			target := bareTarget(mass)
			target.cells = cells
			thin, found := tallyOf(target, counts).thin(0.5), 0
			for _, i := range thin {
				if light[i] {
					found++
				}
			}
			if len(thin) < c.least || len(thin) > c.most || found < 3*len(light)/4 {
				t.Errorf("%d cells are called thin, want %d to %d; %d of %d light ones", len(thin), c.least, c.most, found, len(light))
			}
		})
	}
}
