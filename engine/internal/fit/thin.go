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
	surplus    = 8.
)

// thin are the cells below a share of their mass in these samples whose counts are so unlikely that a falseShare of them
// at most has its mass (the step-up procedure of Benjamini and Hochberg 1995, which alone would call a single cell thin
// in half of all cases where none is).
// Without it a fit to a small chi-squared would have cells lifted for what 16 samples say of them.
func (t *tally) thin(share float64) (cells []int) {
	k := &rarity{samples: float64(t.samples), mass: math.NaN()}
	var chances []float64
	for i, c := range t.counts {
		if nu := t.target.mass[i]; nu > 0 && float64(c) < float64(float64(share*nu)*k.samples) {
			cells, chances = append(cells, i), append(chances, k.of(nu, int(c)))
		}
	}
	most := -1. // chance that a thin one's count has
	sorted := slices.Sorted(slices.Values(chances))
	for j, p := range slices.Backward(sorted) {
		seen, expected := float64(j+1), float64(t.target.cells)*p
		if expected <= float64(falseShare*seen) && expected+float64(surplus*math.Sqrt(expected)) <= seen {
			most = p
			break
		}
	}
	thin := cells[:0]
	for j, i := range cells {
		if chances[j] <= most {
			thin = append(thin, i)
		}
	}
	return thin
}

// rarity is the probability that a cell is hit as seldom as it was.
type rarity struct {
	samples float64
	mass    float64   // of the latest cell, for masses are mostly equal
	chances []float64 // by its count; NaN: not asked for yet
}

// of is that of a cell of mass nu.
func (k *rarity) of(nu float64, count int) float64 {
	if nu != k.mass {
		k.mass, k.chances = nu, k.chances[:0]
	}
	for count >= len(k.chances) {
		k.chances = append(k.chances, math.NaN())
	}
	p := &k.chances[count]
	if math.IsNaN(*p) {
		*p = distuv.Poisson{Lambda: float64(nu * k.samples)}.CDF(float64(count))
	}
	return *p
}
