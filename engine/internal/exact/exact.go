// Package exact solves semi-discrete optimal transport in one and two dimensions without samples:
// masses, mass centres and the energy are integrals over the power cells themselves, right to rounding.
// It is what the sampled solver (package fit) is tested against, and a way to fit of its own.
//
// Symbols and signs are those of package engine: the score s_i(x) = <x,y_i> + h_i, the cell of i where
// it is the highest, its mass m_i = mu(W_i), and heights that minimise the convex energy
//
//	E(h) = E_mu[max_i s_i(x)] - sum_i nu_i h_i,    dE/dh_i = m_i - nu_i
//
// On the line there is a closed form (line.go). In the plane, damped Newton steps (newton.go) lead from
// heights that leave no cell empty (start.go), which always exist and are written down, to the
// solution. A step takes the power diagram (diagram.go), the cells' integrals for either source
// (uniform.go, gaussian.go) and the solution of a sparse system (laplacian.go). The diagram is cut cell
// by cell, and a tree over the points (tree.go) says which cuts matter: slower than a triangulation by
// a constant, but with no degenerate cases.
//
// All is float64, and the result has the same bits for any number of threads. Neither the place nor the
// scale of the points matters (target.go). What limits the accuracy is that heights are float64: where two
// points are much closer to each other than to the others, the last place of a height moves mass between
// them. [Result.Rounding] says how much.
package exact

import (
	"math"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/fault"
	"brenier/engine/internal/threads"
)

// DefaultTolerance is the error of the masses at which Newton's method stops unless told otherwise.
const DefaultTolerance = 1e-10

// Problem is what the heights are wanted for.
type Problem struct {
	Points []float64 // y [N,Dim]; up to 1e150
	Dim    int       // d, 1 or 2
	Masses []float64 // nu [N], positive, of sum 1 to 1e-4, which is made exact; nil: all 1/N
	Source backend.Source
}

// Options say how to solve. The zero value takes every default.
type Options struct {
	// Tolerance is what every |m_i - nu_i| shall be within, times N nu_i where that is below 1.
	// 0: DefaultTolerance.
	Tolerance float64
	Heights   []float64                  // h [N] to begin with, as far as they leave no cell empty; may be nil
	Parallel  threads.Share              // the threads to share work out to; nil: the caller's alone
	Progress  func(Progress) (goOn bool) // called before every step, and every few thousand cells; may be nil
}

// Progress is where Newton's method stands.
type Progress struct {
	Steps      int
	MaxError   float64 // max_i |m_i - nu_i|; NaN before the first diagram
	ChiSquared float64 // sum_i (m_i - nu_i)^2 / nu_i; NaN as well
}

var errStopped = fault.New(fault.ErrCancelled, "the fit was stopped by its progress function")

// Result is a map and its measures. Of equal points the first has the mass and the cell; the others
// have mass 0, and its height and mass centre.
type Result struct {
	Heights   []float64 // h [N]; sum_i nu_i h_i = 0
	Masses    []float64 // m [N]
	Centroids []float64 // c [N,d], the mass centres; NaN where a cell is empty
	Edges     []Edge    // the cells that touch

	Energy float64 // E(h)
	// W2Squared is E|x|^2 + sum_i nu_i |y_i|^2 - 2 E(h): the squared Wasserstein distance for heights
	// that solve the problem, and less than it for all others (weak duality; Villani, "Topics in
	// Optimal Transportation", 2003, theorem 1.3).
	W2Squared float64

	MaxError         float64 // max_i |m_i - nu_i|
	MaxRelativeError float64 // max_i |m_i - nu_i| / nu_i, duplicates left out
	ChiSquared       float64 // sum_i (m_i - nu_i)^2 / nu_i, duplicates left out
	Rounding         float64 // the most that half a unit in the last place of the heights moves a mass
	Met              bool    // MaxError is within the tolerance
	Steps            int     // of Newton's method; 0 on the line
	Empty            int     // cells of mass 0, duplicates left out
	Duplicates       int     // points equal to an earlier one

	Path []float64 // chi-squared before each step and after the last; nil where nothing was solved by steps
}

// Edge is a side that two cells share.
type Edge struct {
	I, J int // I < J
	// Weight is the integral of the source's density over the side, divided by |y_I - y_J|: how fast
	// mass moves from J to I as h_I rises, that is minus the entry of the energy's Hessian.
	Weight float64
}

// Solve finds the heights for which the cells have the masses that are wanted. A tolerance that is not
// met, because of rounding, is no error.
func Solve(p Problem, o Options) (*Result, error) {
	t, err := newTarget(p)
	if err != nil {
		return nil, err
	}
	if o.Tolerance == 0 {
		o.Tolerance = DefaultTolerance
	}
	if !(o.Tolerance > 0) {
		return nil, fault.Invalid("tolerance: want a number above 0, or 0 for the default, got %v", o.Tolerance)
	}
	if o.Heights != nil {
		if err := p.checkHeights(o.Heights); err != nil {
			return nil, err
		}
	}
	if t.dim == 1 {
		h := lineHeights(coordinates(t.points), t.mass, t.source)
		centre(h, t.mass)
		return t.result(h, lineDiagram(t.points, h, t.source), 0, o.Tolerance), nil
	}
	s := t.newSolver(o.Parallel)
	s.progress, s.at.MaxError, s.at.ChiSquared = o.Progress, math.NaN(), math.NaN()
	h, d := s.begin(t.mass, t.within(o.Heights))
	if d == nil {
		return nil, errStopped
	}
	path, err := s.newton(h, t.mass, d, o.Tolerance)
	if err != nil {
		return nil, err
	}
	centre(h, t.mass)
	if d = s.diagram(h, 0); d == nil {
		return nil, errStopped
	}
	r := t.result(h, d, len(path)-1, o.Tolerance)
	r.Path = path
	return r, nil
}

// Measure is the result for heights h [N] that are known, held to the default tolerance. Those of
// duplicates are not looked at. parallel is the threads to share work out to; nil: the caller's alone.
func Measure(p Problem, heights []float64, parallel threads.Share) (*Result, error) {
	t, err := newTarget(p)
	if err != nil {
		return nil, err
	}
	if err := p.checkHeights(heights); err != nil {
		return nil, err
	}
	var measure func(h []float64) *diagram
	if t.dim == 1 {
		measure = func(h []float64) *diagram { return lineDiagram(t.points, h, t.source) }
	} else {
		s := t.newSolver(parallel)
		measure = func(h []float64) *diagram { return s.diagram(h, 0) }
	}
	h := t.within(heights)
	centre(h, t.mass)
	return t.result(h, measure(h), 0, DefaultTolerance), nil
}

// within is heights of the caller's points for the target's.
func (t *target) within(heights []float64) []float64 {
	if heights == nil {
		return nil
	}
	h := make([]float64, len(t.points))
	for i, place := range t.place {
		if t.first[i] {
			h[place] = heights[i] / t.scale
		}
	}
	return h
}

// result undoes the target's scale, order and merging.
func (t *target) result(h []float64, d *diagram, steps int, tolerance float64) *Result {
	r := &Result{
		Heights: make([]float64, t.n), Masses: make([]float64, t.n), Centroids: make([]float64, t.n*t.dim),
		Steps: steps, Duplicates: t.n - len(t.points),
	}
	for i, place := range t.place {
		r.Heights[i] = h[place] * t.scale
		if t.first[i] {
			r.Masses[i] = d.mass[place]
		}
		c := [2]float64{math.NaN(), math.NaN()}
		if m := d.mass[place]; m > 0 {
			c = [2]float64{d.moment[place].x / m, d.moment[place].y / m}
		}
		copy(r.Centroids[i*t.dim:], c[:t.dim])
	}
	for i, nu := range t.mass {
		e := math.Abs(d.mass[i] - nu)
		r.MaxError = max(r.MaxError, e)
		r.MaxRelativeError = max(r.MaxRelativeError, e/nu)
		r.ChiSquared += e * e / nu
		r.Rounding = max(r.Rounding, d.rounding(i, h))
		if d.mass[i] <= 0 {
			r.Empty++
		}
	}
	r.Met = r.MaxError <= tolerance
	r.Edges = t.edges(d)
	r.Energy, r.W2Squared = t.energy(h, d)
	return r
}

func (t *target) edges(d *diagram) []Edge {
	index := t.indices()
	var edges []Edge
	for i := range d.mass {
		for k := d.starts[i]; k < d.starts[i+1]; k++ {
			if a, b := index[i], index[d.neighbours[k]]; a < b {
				edges = append(edges, Edge{a, b, d.weights[k] / t.scale})
			}
		}
	}
	return edges
}

// energy sums E(h) = sum_i <moment_i, y_i> + h_i (m_i - nu_i). The moments sum to the mean of the
// source, 0, so the points may be taken from their mean, which loses the least in rounding.
func (t *target) energy(h []float64, d *diagram) (energy, squared float64) {
	var x, y, spread, value sum
	for i, nu := range t.mass {
		x.add(nu * t.points[i].x)
		y.add(nu * t.points[i].y)
	}
	mean := vector{x.value(), y.value()}
	for i, nu := range t.mass {
		from := t.points[i].minus(mean)
		spread.add(nu * from.dot(from))
		value.add(d.moment[i].dot(from))
		value.add(h[i] * (d.mass[i] - nu))
	}
	energy = value.value() * t.scale
	mean = mean.times(t.scale)
	var total sum
	total.add(mean.dot(mean))
	total.add(float64(t.dim) * t.source.square())
	total.add(spread.value() * t.scale * t.scale)
	total.add(-2 * energy)
	return energy, total.value()
}
