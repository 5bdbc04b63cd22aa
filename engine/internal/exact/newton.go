package exact

import (
	"math"
)

// stepLeast is the damping at which Newton's method gives up: with no decrease for steps that short,
// only rounding is left to be minimised.
const stepLeast = 0x1p-30

// newton goes down the energy from heights h [n], with the diagram d, to masses nu [n], by the rule of
// Kitagawa, Merigot and Thibert ("Convergence of a Newton algorithm for semi-discrete optimal
// transport", JEMS 21, 2019, algorithm 1): the Newton step is halved until no mass is below least, half
// of the lowest mass wanted or there at the start, and the error's norm has fallen by the factor
// 1 - step/2. With no cell empty at the start it converges globally, at last quadratically.
//
// h becomes the heights reached; path is chi-squared before each step and after the last. It ends when
// every mass is within the tolerance, which for masses below the mean one shrinks with them, or within
// what rounding the heights does to it, or no step is found. Within the tolerance one more step is
// taken, as it doubles the digits.
func (s *solver) newton(h, nu []float64, d *diagram, tolerance float64) (path []float64, err error) {
	n := len(h)
	least := math.Inf(1)
	for i, m := range d.mass {
		least = min(least, m, nu[i])
	}
	least /= 2
	g, v, trial := make([]float64, n), make([]float64, n), make([]float64, n)
	var hessian laplacian
	for last := false; ; {
		worst := d.errors(g, nu)
		chi := chiSquared(g, nu)
		s.at = Progress{Steps: len(path), MaxError: worst, ChiSquared: chi}
		path = append(path, chi)
		if !s.goOn() {
			return nil, errStopped
		}
		if last || d.within(g, h, nu, 0) {
			return path, nil
		}
		shortest := stepLeast
		if last = d.within(g, h, nu, tolerance); last {
			shortest = 1
		}
		hessian.set(s.tree, d, s.parallel)
		hessian.solve(v, g)
		centre(v, nu)
		next := s.step(trial, h, v, nu, norm(g), least, shortest)
		switch {
		case s.stopped:
			return nil, errStopped
		case next == nil:
			return path, nil
		}
		d = next
		copy(h, trial)
	}
}

// step finds a step from h along -v, not below the shortest: trial [n] becomes the heights there. It
// returns nil if there is none, or the caller stops it.
func (s *solver) step(trial, h, v, nu []float64, before, least, shortest float64) *diagram {
	g := make([]float64, len(h))
	for length := 1.0; length >= shortest && !s.stopped; length /= 2 {
		for i := range trial {
			trial[i] = h[i] - length*v[i]
		}
		d := s.diagram(trial, least)
		if d == nil {
			continue
		}
		if d.errors(g, nu); norm(g) <= (1-length/2)*before {
			return d
		}
	}
	return nil
}

// errors writes m - nu to g [n] and returns the largest.
func (d *diagram) errors(g, nu []float64) float64 {
	worst := 0.0
	for i := range g {
		g[i] = d.mass[i] - nu[i]
		worst = max(worst, math.Abs(g[i]))
	}
	return worst
}

// chiSquared is sum_i g_i^2 / nu_i of the errors g [n].
func chiSquared(g, nu []float64) float64 {
	total := 0.0
	for i, e := range g {
		total += e * e / nu[i]
	}
	return total
}

// within reports whether every error in g [n] is within the tolerance, or within what the rounding of
// the heights explains.
func (d *diagram) within(g, h, nu []float64, tolerance float64) bool {
	for i, e := range g {
		allowed := tolerance * min(1, float64(len(nu))*nu[i])
		if e = math.Abs(e); e > allowed && e > d.rounding(i, h) {
			return false
		}
	}
	return true
}

// rounding is how far half a unit in the last place of all heights can move the mass of cell i.
func (d *diagram) rounding(i int, h []float64) float64 {
	total := 0.0
	for k := d.starts[i]; k < d.starts[i+1]; k++ {
		total += d.weights[k] * (math.Abs(h[i]) + math.Abs(h[d.neighbours[k]]))
	}
	return total * 0x1p-53
}

func norm(v []float64) float64 {
	total := 0.0
	for _, x := range v {
		total += x * x
	}
	return math.Sqrt(total)
}
