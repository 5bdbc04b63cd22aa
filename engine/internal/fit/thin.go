package fit

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"
)

// falseShare is the share of the cells called thin that may be so by chance alone, where they are many. Where they are
// few they must be more than chance gives by surplus standard deviations of its number.
const (
	falseShare = 0.55
	surplus    = 4.
)

// thinness tells cells that lack mass from those that chance gives few samples.
type thinness struct {
	share   float64 // of its mass, below which a cell is thin
	chance  float64 // and above which the chance of its count must not be
	samples float64

	mass    float64   // of the latest cell, for masses are mostly equal
	chances []float64 // P(count <= c) of a cell that has its mass, by c
}

// thinOf is such that of the cells below a share of their mass in these samples those are thin whose counts are so
// unlikely that a falseShare of them at most has its mass (the step-up procedure of Benjamini and Hochberg 1995,
// which alone would call a single cell thin in half of all cases where none is).
// Without it a fit to a small chi-squared would have cells lifted for what 16 samples say of them.
func thinOf(t *target, counts []int32, share float64) *thinness {
	k := &thinness{share: share, chance: -1, mass: math.NaN()} // none is
	for _, c := range counts {
		k.samples += float64(c)
	}
	var chances []float64
	for i, c := range counts {
		if nu := t.mass[i]; nu > 0 && k.below(nu, c) {
			chances = append(chances, k.chanceOf(nu, c))
		}
	}
	slices.Sort(chances)
	for j, p := range slices.Backward(chances) {
		seen, expected := float64(j+1), float64(t.cells)*p
		if expected <= float64(falseShare*seen) && expected+float64(surplus*math.Sqrt(expected)) <= seen {
			k.chance = p
			break
		}
	}
	return k
}

// cells are the thin ones.
func (k *thinness) cells(t *target, counts []int32) (cells []int) {
	for i, c := range counts {
		if nu := t.mass[i]; nu > 0 && k.below(nu, c) && k.chanceOf(nu, c) <= k.chance {
			cells = append(cells, i)
		}
	}
	return cells
}

func (k *thinness) below(nu float64, count int32) bool {
	return float64(count) < float64(float64(k.share*nu)*k.samples)
}

// chanceOf is the probability that a cell of mass nu is hit so seldom.
func (k *thinness) chanceOf(nu float64, count int32) float64 {
	if nu != k.mass {
		k.mass, k.chances = nu, k.chances[:0]
	}
	for int(count) >= len(k.chances) {
		k.chances = append(k.chances, math.NaN())
	}
	p := &k.chances[count]
	if math.IsNaN(*p) {
		*p = distuv.Poisson{Lambda: float64(nu * k.samples)}.CDF(float64(count))
	}
	return *p
}
