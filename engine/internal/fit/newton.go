package fit

import (
	"cmp"
	"math"
	"slices"
)

const (
	newtonShare    = 0.25 // of the samples, those of least gap, that are edges of the graph
	newtonTies     = 4    // of a cell, at least
	newtonDamping  = 0.5  // of the random-energy model's curvature, added to the Hessian's diagonal
	newtonReach    = 0.5  // the most that a step changes the logarithm of a mass by, says the model
	newtonHits     = 16   // samples a cell of a set, at least
	newtonLeast    = 8192 // and at least so many
	newtonRefusals = 6    // steps taken back in a row that end it
)

// graph is the Hessian of the energy from the samples near a boundary: the Laplacian
//
//	H = sum_{i<j} w_ij (e_i - e_j)(e_i - e_j)^T,  w_ij = #{best two = {i,j}, gap < delta}/(2 delta B),
//
// and a positive diagonal that makes it regular where no such sample was seen.
type graph struct {
	start  []int32   // of cell i's edges [N+1]
	to     []int32   // other end
	weight []float64 // w
	diag   []float64 // of H, with the damping [N]
}

// newGraph makes the graph of the ties within the nearest share of the samples.
func newGraph(t *target, at *ties, share float64) *graph {
	g := &graph{start: make([]int32, t.n+1), diag: make([]float64, t.n)}
	for i, nu := range t.mass {
		if nu == 0 {
			g.diag[i] = 1
			continue
		}
		g.diag[i] = float64(float64(newtonDamping*nu)*t.quantile[i]) / t.scale[i]
	}
	// Each cell has a delta of its own, for cells differ in width: of its samples, sorted by gap, the
	// nearest lie within it.
	order := make([]int32, len(at.gap))
	for b := range order {
		order[b] = int32(b)
	}
	slices.SortFunc(order, func(a, b int32) int {
		return cmp.Or(cmp.Compare(at.best[a], at.best[b]), cmp.Compare(at.gap[a], at.gap[b]), cmp.Compare(a, b))
	})
	type edge struct {
		from, to int32
		weight   float64
	}
	var edges []edge
	for first := 0; first < len(order); {
		cell := at.best[order[first]]
		end := first + int(at.counts[cell])
		near := min(end-first, max(newtonTies, int(share*float64(end-first))))
		delta := at.gap[order[first+near-1]]
		for _, b := range order[first : first+near] {
			if delta > 0 && at.best[b] != at.next[b] {
				w := 1 / (2 * delta * float64(len(at.gap)))
				edges = append(edges, edge{at.best[b], at.next[b], w}, edge{at.next[b], at.best[b], w})
			}
		}
		first = end
	}
	slices.SortStableFunc(edges, func(a, b edge) int { return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to)) })
	for e := 0; e < len(edges); {
		same := e
		w := 0.0
		for same < len(edges) && edges[same].from == edges[e].from && edges[same].to == edges[e].to {
			w += edges[same].weight
			same++
		}
		g.to, g.weight = append(g.to, edges[e].to), append(g.weight, w)
		g.diag[edges[e].from] += w
		g.start[edges[e].from+1]++
		e = same
	}
	for i := range t.n {
		g.start[i+1] += g.start[i]
	}
	return g
}

// times sets dst to H v.
func (g *graph) times(dst, v []float64) {
	for i := range dst {
		sum := float64(g.diag[i] * v[i])
		for e := g.start[i]; e < g.start[i+1]; e++ {
			sum -= float64(g.weight[e] * v[g.to[e]])
		}
		dst[i] = sum
	}
}

// solve finds H x = b by conjugate gradients with the diagonal as preconditioner (Hestenes and
// Stiefel 1952), to a thousandth of b.
func (g *graph) solve(b []float64) []float64 {
	n := len(b)
	x, r, z, p, hp := make([]float64, n), slices.Clone(b), make([]float64, n), make([]float64, n), make([]float64, n)
	precondition := func() (rz float64) {
		for i := range z {
			z[i] = r[i] / g.diag[i]
			rz += float64(r[i] * z[i])
		}
		return rz
	}
	rz := precondition()
	copy(p, z)
	enough := float64(1e-6 * rz)
	for range 500 {
		if rz <= enough {
			break
		}
		g.times(hp, p)
		curvature := 0.0
		for i := range p {
			curvature += float64(p[i] * hp[i])
		}
		alpha := rz / curvature
		for i := range x {
			x[i] += float64(alpha * p[i])
			r[i] -= float64(alpha * hp[i])
		}
		before := rz
		rz = precondition()
		for i := range p {
			p[i] = z[i] + float64(rz/before*p[i])
		}
	}
	return x
}

// newton is the second-order engine: every set of B fresh samples moves the heights by
//
//	h -= w H^-1 (m - nu),  w = B/(n+B)
//
// with m and H from that set and n the samples that the heights are worth so far. On a quadratic
// energy that is the mean of all samples' minimisers, with the error N/n that no method can go
// below, where full steps would have the error of the last set alone.
//
// The next set judges the step, as Kitagawa, Merigot and Thibert (2019, algorithm 1) judge theirs:
// where it does not show a smaller error, or shows cells lost, the step is taken back and half of it
// tried.
//
// It takes over from the descent where that is plainly above N/n (schedule.go), which is in low
// dimension. Measured on mixtures of N = 1000 (BenchmarkSecondOrder), chi-squared times n/N after two
// million samples, by the descent alone, with this engine from a chi-squared of 0.02 on, and with
// L-BFGS on growing sets in its place: 2.5, 1.2 and 349 in d = 3; 39, 20 and 155 in d = 5, where one
// cell is slow to fill; 2.2, 1.3 and 4.2 in d = 8; 1.2, 1.1 and 3.8 in d = 10. L-BFGS comes down to N/B
// for the last set's B alone, and takes many passes over it. From further off (chi-squared 0.1) this
// engine went wrong more often than right.
type newton struct {
	newtonState
	from []float64 // heights before the last step [N]; nil: no step is on trial
	move []float64 // the last step [N]
}

// newtonState is what a checkpoint keeps besides a step on trial.
type newtonState struct {
	worth    uint64  // n
	size     int     // samples of the next set
	error    float64 // chi-squared before the last step
	refused  int     // steps in a row that were taken back
	restless bool    // too many were: the descent goes on
	began    float64 // chi-squared at the trial that it is judged from
	trials   int     // since it took over
}

func newtonSize(t *target) int { return max(newtonHits*t.cells, newtonLeast) }

// gradient is m - nu of a set, and sum_i (m_i - nu_i)^2/nu_i as it is.
func (t *target) gradient(at *ties) (g []float64, chi float64) {
	g = make([]float64, t.n)
	n := float64(len(at.gap))
	for i, nu := range t.mass {
		if nu == 0 {
			continue
		}
		g[i] = float64(at.counts[i])/n - nu
		chi += float64(g[i]*g[i]) / nu
	}
	return g, chi
}

// step improves h with one more set.
func (n *newton) step(s *sampler, t *target, h []float64) error {
	n.size = max(newtonSize(t), int(n.worth/4))
	at, err := s.evaluate(t, h, s.reserve(n.size), n.size)
	if err != nil {
		return err
	}
	gradient, plain := t.gradient(at)
	cells, size := float64(t.cells), float64(n.size)
	noise := math.Sqrt(2*cells) / size
	chi := plain - cells/size
	if n.from != nil && chi > max(n.error, 0)+3*noise {
		n.refused++
		n.restless = n.refused >= newtonRefusals
		for i := range h {
			n.move[i] /= 2
			h[i] = n.from[i] - n.move[i]
		}
		return nil
	}
	n.refused = 0
	if chi > 3*noise { // worth less than the samples that went into it
		n.worth = min(n.worth, uint64(cells/(chi-2*noise)))
	}
	n.error = chi
	n.from = slices.Clone(h)
	weight := size / (float64(n.worth) + size)
	n.move = newGraph(t, at, newtonShare).solve(gradient)
	for i := range h {
		most := float64(newtonReach*t.scale[i]) / max(t.quantile[i], minQuantile)
		n.move[i] = float64(weight * max(-most, min(most, n.move[i])))
		h[i] -= n.move[i]
	}
	n.worth += uint64(n.size)
	return nil
}
