package exact

import (
	"cmp"
	"math"
	"slices"

	"brenier/engine/internal/fault"
)

// maxCoordinate keeps squares of distances finite.
const maxCoordinate = 1e150

// massSlack is how far the sum of masses may be from 1: the rounding of a million of them as float32.
const massSlack = 1e-4

// target is the points and masses of a problem, checked, without duplicates, and scaled so that they
// fit a square of side 2. Scaling points scales the heights; the scale is a power of two, so neither
// way rounds them. Moving points changes no height: it is left alone, as only differences of points
// are made use of.
type target struct {
	source source
	dim    int
	n      int // N, duplicates counted

	// A point equal to an earlier one can never win against it: ties go to the lowest index. Its
	// mass is therefore added to that of the earlier one, and its own is 0.
	first  []bool   // no earlier point is equal to this one [N]
	place  []int32  // where it, or the one equal to it, is in points [N]
	points []vector // y/scale, in ascending order; y is 0 on the line [cells]
	mass   []float64
	scale  float64
}

func newTarget(p Problem) (*target, error) {
	n, err := p.check()
	if err != nil {
		return nil, err
	}
	t := &target{source: newSource(p.Source), dim: p.Dim, n: n, scale: p.scale(n), first: make([]bool, n), place: make([]int32, n)}
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		u, v := p.at(a), p.at(b)
		return cmp.Or(cmp.Compare(u.x, v.x), cmp.Compare(u.y, v.y), cmp.Compare(a, b))
	})
	total := p.total()
	for at, i := range order {
		if at == 0 || p.at(order[at-1]) != p.at(i) {
			t.first[i] = true
			t.points = append(t.points, p.at(i).times(1/t.scale))
			t.mass = append(t.mass, 0)
		}
		t.place[i] = int32(len(t.points) - 1)
		t.mass[t.place[i]] += p.mass(i) / total
	}
	return t, nil
}

// scale is the power of two just above half the side of the square that the points fit.
func (p Problem) scale(n int) float64 {
	low, high := p.at(0), p.at(0)
	for i := range n {
		v := p.at(i)
		low = vector{min(low.x, v.x), min(low.y, v.y)}
		high = vector{max(high.x, v.x), max(high.y, v.y)}
	}
	half := max(high.x-low.x, high.y-low.y) / 2
	if half == 0 {
		return 1
	}
	_, exponent := math.Frexp(half)
	return math.Ldexp(1, max(exponent, -1000))
}

// reorder puts the points where order says: order[k] is the place that place k had before.
func (t *target) reorder(order []int) {
	points, mass := make([]vector, len(order)), make([]float64, len(order))
	to := make([]int32, len(order))
	for k, before := range order {
		points[k], mass[k], to[before] = t.points[before], t.mass[before], int32(k)
	}
	t.points, t.mass = points, mass
	for i, before := range t.place {
		t.place[i] = to[before]
	}
}

// indices are the caller's index of each point, the first one of equal points.
func (t *target) indices() []int {
	index := make([]int, len(t.points))
	for i, place := range t.place {
		if t.first[i] {
			index[place] = i
		}
	}
	return index
}

// centre moves heights so that sum_i nu_i h_i = 0.
func centre(h, nu []float64) {
	var mean sum
	for i, v := range h {
		mean.add(nu[i] * v)
	}
	for i := range h {
		h[i] -= mean.value()
	}
}

// at is point i.
func (p Problem) at(i int) vector {
	if p.Dim == 1 {
		return vector{x: p.Points[i]}
	}
	return vector{p.Points[2*i], p.Points[2*i+1]}
}

func (p Problem) mass(i int) float64 {
	if p.Masses == nil {
		return 1
	}
	return p.Masses[i]
}

func (p Problem) total() float64 {
	if p.Masses == nil {
		return float64(len(p.Points) / p.Dim)
	}
	var total sum
	for _, v := range p.Masses {
		total.add(v)
	}
	return total.value()
}

// check returns N.
func (p Problem) check() (int, error) {
	if p.Dim != 1 && p.Dim != 2 {
		return 0, fault.Invalid("dimension: the exact solver works in 1 and 2, got %d; fit by samples instead", p.Dim)
	}
	n := len(p.Points) / p.Dim
	switch {
	case len(p.Points) == 0:
		return 0, fault.Invalid("points: want 1 or more, got none")
	case n*p.Dim != len(p.Points):
		return 0, fault.Invalid("points: want rows of %d numbers, got %d numbers in all", p.Dim, len(p.Points))
	case n > math.MaxInt32/2:
		return 0, fault.Invalid("points: want at most %d, got %d", math.MaxInt32/2, n)
	}
	for i, v := range p.Points {
		if !(math.Abs(v) <= maxCoordinate) {
			return 0, fault.Invalid("points: row %d, column %d is %v; want finite numbers up to %g", i/p.Dim, i%p.Dim, v, maxCoordinate)
		}
	}
	if p.Masses == nil {
		return n, nil
	}
	if len(p.Masses) != n {
		return 0, fault.Invalid("masses: want [%d], one for each point, got %d", n, len(p.Masses))
	}
	for i, v := range p.Masses {
		if !(v > 0) || math.IsInf(v, 0) {
			return 0, fault.Invalid("masses: row %d is %v; want finite masses above 0: leave such a point out", i, v)
		}
	}
	if total := p.total(); math.Abs(total-1) > massSlack {
		return 0, fault.Invalid("masses: want a sum of 1, got %v; divide them by it", total)
	}
	return n, nil
}

// checkHeights are those of a caller.
func (p Problem) checkHeights(h []float64) error {
	if n := len(p.Points) / p.Dim; len(h) != n {
		return fault.Invalid("heights: want [%d], one for each point, got %d", n, len(h))
	}
	for i, v := range h {
		if !(math.Abs(v) <= math.MaxFloat64) {
			return fault.Invalid("heights: row %d is %v; want finite numbers", i, v)
		}
	}
	return nil
}
