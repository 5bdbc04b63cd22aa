package exact

import "brenier/engine/internal/backend"

// source is the distribution of the noise: the same on every axis, and axes independent. Masses and
// moments are integrals of its density, so their unit is probability (times length).
type source interface {
	// quantile is the number that a coordinate is below with probability below and above with
	// probability above. Both are given because the smaller one is the one that is known well.
	quantile(below, above float64) float64
	// interval integrates 1 and x over a <= x <= b in one dimension; ends may be infinite.
	interval(a, b float64) (mass, moment float64)
	// density is that of one coordinate.
	density(x float64) float64
	// domain is half the side of the square around the origin that holds the whole mass, to rounding.
	domain() float64
	// polygon integrates 1 and x over a convex polygon within the domain, corners counter-clockwise.
	polygon(p polygon) (mass float64, moment vector)
	// segment integrates the density over a segment with respect to its length.
	segment(a, b vector) float64
	// square is E[x_k^2].
	square() float64
}

func newSource(s backend.Source) source {
	if s == backend.Uniform {
		return uniform{}
	}
	return gaussian{}
}
