package fit

import (
	"cmp"
	"math"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"

	"brenier/engine/internal/threads"
)

// target is the problem and the scales that its points set.
//
// The scores of different points at one sample are taken for independent Gaussians, of deviation
// scale_i = deviation * |y_i - mean y| for point i (a random-energy model). Point i then passes a
// level L with probability nu_i where h_i = L - quantile_i scale_i, and its share changes with its
// height at the rate d log m_i / d h_i = quantile_i / scale_i. That gives both the start and the
// step. Shifting the points changes nothing, and scaling them scales the heights.
type target struct {
	problem Problem
	n       int // N
	cells   int // N less the duplicates

	// A point equal to an earlier one can never win against it: ties go to the lowest index. Its
	// mass is therefore added to that of the earlier one, its owner, and its own is 0.
	owner []int     // [N]
	mass  []float64 // nu [N]

	mean     []float64 // of the points, weighted by mass [d]
	scale    []float64 // deviation of <x, y_i - mean> [N], positive
	quantile []float64 // q_i = PHI^-1(1 - nu_i), at least minQuantile [N]
	rate     []float64 // scale_i/quantile_i, by which a step moves h_i [N]; 0 of duplicates
	heaviest float64   // nu_i
	even     bool      // all nu_i are equal: there are no duplicates either
}

// minQuantile stands in for q_i of points that hold a third of the mass or more, where the model
// gives 0 or less.
const minQuantile = 0.5

// minScale is the least scale of a point, in units of the root mean square: a point at the mean has
// none of its own, and its step would be 0.
const minScale = 0.1

func newTarget(p Problem, parallel threads.Share) *target {
	n := len(p.Points) / p.Dim
	t := &target{
		problem: p, n: n, owner: make([]int, n), mass: make([]float64, n),
		mean: make([]float64, p.Dim), scale: make([]float64, n), quantile: make([]float64, n),
		rate: make([]float64, n),
	}
	t.merge(parallel)
	parallel(p.Dim, func(first, end int) {
		mean := t.mean[first:end]
		for i := range n {
			for k, v := range t.point(i)[first:end] {
				mean[k] += float64(t.mass[i] * float64(v))
			}
		}
	})
	parallel(n, func(first, end int) {
		for i := first; i < end; i++ {
			t.scale[i] = p.deviation() * math.Sqrt(squared(t.point(i), t.mean))
		}
	})
	square := 0.0
	for i, scale := range t.scale {
		square += float64(t.mass[i] * float64(scale*scale))
	}
	least := minScale * math.Sqrt(square)
	if least == 0 { // a single point
		least = 1
	}
	t.even = true
	mass, quantile := math.NaN(), 0.0 // the latest, for masses are mostly equal
	for i := range n {
		t.scale[i] = max(t.scale[i], least)
		t.even = t.even && t.mass[i] == t.mass[0]
		if t.mass[i] == 0 {
			continue
		}
		if t.mass[i] != mass {
			mass = t.mass[i]
			quantile = max(-distuv.UnitNormal.Quantile(mass), minQuantile)
		}
		t.quantile[i] = quantile
		t.rate[i] = t.scale[i] / quantile
		t.heaviest = max(t.heaviest, mass)
	}
	return t
}

func (t *target) point(i int) []float32 {
	return t.problem.Points[i*t.problem.Dim : (i+1)*t.problem.Dim]
}

// merge finds the duplicates, as neighbours in the points' order, and gives their mass to their
// owners.
func (t *target) merge(parallel threads.Share) {
	order := make([]int, t.n)
	for i := range order {
		order[i] = i
	}
	first := func(i int) float64 { return float64(t.point(i)[0]) }
	order = sortByKey(parallel, order, first, func(a, b int) int {
		return cmp.Or(slices.Compare(t.point(a), t.point(b)), cmp.Compare(a, b))
	})
	for at, i := range order {
		t.owner[i] = i
		if at > 0 && slices.Equal(t.point(order[at-1]), t.point(i)) {
			t.owner[i] = t.owner[order[at-1]]
		} else {
			t.cells++
		}
	}
	for i, owner := range t.owner {
		if t.problem.Masses == nil {
			t.mass[owner] += 1 / float64(t.n)
		} else {
			t.mass[owner] += t.problem.Masses[i]
		}
	}
}

// ownerOf is the cell that a sample of cell c counts for.
func (t *target) ownerOf(c int64) int64 {
	if t.cells == t.n {
		return c
	}
	return int64(t.owner[c])
}

// start is the heights of the random-energy model: every point passes a common level (0 here)
// with the probability that is its mass.
func (t *target) start() []float64 {
	h := make([]float64, t.n)
	for i := range h {
		h[i] = float64(-t.quantile[i] * t.scale[i])
	}
	return h
}

// stored rounds heights to what the model file holds: sum_i nu_i h_i = 0, and a duplicate's height
// is its owner's.
func (t *target) stored(dst []float32, h []float64) {
	t.storedOver(dst, h, t.meanHeight(h))
}

// storedOver is stored with a constant in the place of the mean by mass.
func (t *target) storedOver(dst []float32, h []float64, centre float64) {
	for i := range dst {
		dst[i] = float32(h[t.owner[i]] - centre)
	}
}

// meanHeight is sum_i nu_i h_i.
func (t *target) meanHeight(h []float64) float64 { return inner(t.mass, h) }

// hide lowers the duplicates among stored heights so far that they are not even a sample's
// runner-up, which they would be wherever their owner wins.
func (t *target) hide(stored []float32) {
	if t.cells == t.n {
		return
	}
	depth := 0.0
	for i := range t.n {
		depth = max(depth, float64(16*t.scale[i]))
	}
	for i, owner := range t.owner {
		if i != owner {
			stored[i] -= float32(depth)
		}
	}
}

// wide widens stored heights.
func wide(stored []float32) []float64 {
	h := make([]float64, len(stored))
	for i, v := range stored {
		h[i] = float64(v)
	}
	return h
}
