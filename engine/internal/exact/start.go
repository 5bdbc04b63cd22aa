package exact

import (
	"cmp"
	"slices"
)

// startShare is the least mass of a point in the start, in units of the mean one.
const startShare = 0.1

// begin is the heights that Newton's method starts with, and their diagram: those of the caller if
// every cell has a mass that is not much less than in the start, or as much of them as that allows. The
// diagram is nil if the caller stops it.
func (s *solver) begin(nu, wanted []float64) ([]float64, *diagram) {
	h := start(s.tree.points, nu, s.source)
	if wanted != nil {
		centre(wanted, nu)
		share := startShare / float64(len(h))
		mixed := make([]float64, len(h))
		for _, part := range []float64{1, 15. / 16, 3. / 4, 1. / 2} {
			for i := range mixed {
				mixed[i] = part*wanted[i] + (1-part)*h[i]
			}
			if d := s.diagram(mixed, share*share/2); d != nil {
				return mixed, d
			}
		}
	}
	return h, s.diagram(h, 0)
}

// start is heights for which no cell is empty, which Newton's method has to begin with.
//
// Take each axis for itself: its values are those of the points' coordinates, the mass of a value is
// that of its points, and the closed form on the line gives it a height and an interval. With the sums
// of the two heights, the product of the intervals of point i's coordinates belongs to cell i: the
// score is a sum over the axes, and each term is the highest there (derived here). So cell i has the
// product of the two masses at least, 1/N^2 where all masses and no coordinates are equal, wherever
// the points are: far clusters, grids and lines are no exceptions. For a product of two measures,
// such as a grid, the start is the answer.
//
// Very small masses are raised first, or their products would be less than rounding.
func start(points []vector, mass []float64, s source) []float64 {
	n := len(points)
	raised := make([]float64, n)
	total := 0.0
	for i, nu := range mass {
		raised[i] = max(nu, startShare/float64(n))
		total += raised[i]
	}
	for i := range raised {
		raised[i] /= total
	}
	h := make([]float64, n)
	addAxis(h, points, raised, s, func(v vector) float64 { return v.x })
	addAxis(h, points, raised, s, func(v vector) float64 { return v.y })
	centre(h, mass) // heights near 0 are rounded the least
	return h
}

// addAxis adds the heights of one axis's values.
func addAxis(h []float64, points []vector, mass []float64, s source, coordinate func(vector) float64) {
	order := make([]int, len(points))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Compare(coordinate(points[a]), coordinate(points[b]))
	})
	var values, masses []float64
	for _, i := range order {
		if v := coordinate(points[i]); len(values) == 0 || v != values[len(values)-1] {
			values, masses = append(values, v), append(masses, 0)
		}
		masses[len(masses)-1] += mass[i]
	}
	heights := lineHeights(values, masses, s)
	at := 0
	for _, i := range order {
		if coordinate(points[i]) != values[at] {
			at++
		}
		h[i] += heights[at]
	}
}
