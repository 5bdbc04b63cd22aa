package fit

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/stat/distuv"
)

// Over many simulated samples of exact masses the histograms average to what they call noise.
func TestRelativeMasses(t *testing.T) {
	for name, mass := range map[string]func(i int) float64{
		"equal":   func(int) float64 { return 1 },
		"unequal": func(i int) float64 { return 1 + float64(i%7) },
	} {
		for _, samples := range []int{300, 5000} {
			t.Run(fmt.Sprintf("%s/samples=%d", name, samples), func(t *testing.T) {
				const n, trials = 100, 200
				nu, sum := make([]float64, n), 0.0
				for i := range nu {
					nu[i] = mass(i)
					sum += nu[i]
				}
				floats.Scale(1/sum, nu)
				draw := distuv.NewCategorical(nu, rand.NewPCG(3, 4))
				off, spread := make([]float64, histogramBins), make([]float64, histogramBins)
				for range trials {
					target := bareTarget(nu)
					target.cells = n
					tally := newTally(target)
					cells := make([]int64, samples)
					for i := range cells {
						cells[i] = int64(draw.Rand())
					}
					tally.add(cells)
					h := tally.relativeMasses()
					for what, bins := range map[string][]float64{"cells": h.Cells, "noise": h.Noise} {
						if total := floats.Sum(bins); math.Abs(total-n) > 1e-6 {
							t.Fatalf("%s sum to %v, want %d", what, total, n)
						}
					}
					for k := range off {
						e := h.Cells[k] - h.Noise[k]
						off[k] += e / trials
						spread[k] += e * e / trials
					}
				}
				// The range follows the sample's largest errors, which therefore lie where they always do:
				// only the bins well inside are free of bias.
				for k := histogramBins / 5; k < histogramBins*4/5; k++ {
					if sd := math.Sqrt(spread[k] / trials); math.Abs(off[k]) > 5*sd+0.02 {
						t.Errorf("bin %d: %.3f off on average, %.1f standard errors", k, off[k], off[k]/sd)
					}
				}
			})
		}
	}
	t.Run("single_cell", func(t *testing.T) {
		tally := newTally(bareTarget([]float64{1}))
		tally.add(make([]int64, 100))
		if h := tally.relativeMasses(); h != nil {
			t.Errorf("%+v", h)
		}
	})
}
