package fit

import (
	"cmp"
	"math"
)

const (
	planFloats = 1 << 24 // values of the samples that a plan holds
	planMost   = 1 << 18
	planLeast  = 8192
	planRivals = 256 // cells that a sample without a neighbour in need is offered
)

// planSamples is how many samples the rebalanced plan is made of: 16 a cell, within bounds.
func planSamples(cells, d int) int {
	n := min(max(16*cells, planLeast), planMost, max(planFloats/d, 1024))
	return (n + 1023) / 1024 * 1024
}

// plan is an assignment of samples to their cells, with each sample's next best ones. Moved until
// every cell has its mass, fractions of a sample included, it is a transport plan from the sample to
// the target, so that its cost is at least W2^2 between these two, whose mean over samples is at
// least W2^2 between source and target (W2^2 is convex in its first argument).
type plan struct {
	target *target
	k      int
	cells  []int32   // [n,k]
	scores []float64 // [n,k]
	x      []float32 // [n,d]
}

// newPlan has room for n samples with k cells each.
func newPlan(t *target, n, k int) *plan {
	return &plan{target: t, k: k, cells: make([]int32, 0, n*k), scores: make([]float64, 0, n*k), x: make([]float32, 0, n*t.problem.Dim)}
}

func (p *plan) samples() int { return len(p.scores) / p.k }

func (p *plan) add(b drawn) {
	for _, c := range b.cells {
		p.cells = append(p.cells, int32(c))
	}
	p.scores = append(p.scores, b.scores...)
	p.x = append(p.x, b.x...)
}

// rebalance moves mass until every cell has its own and returns the mean score that each sample then
// has [n]. The cost of a plan with the right masses is E|x|^2 + sum_i nu_i (|y_i|^2 + 2 h_i) less
// twice the mean score, so that what a move costs is the gap of the scores. Moves are greedy: the
// smallest gaps to cells in need first, and what then is left over goes to the best of a few cells
// that still are.
func (p *plan) rebalance(parallel Parallel, h []float64) []float64 {
	t, n := p.target, p.samples()
	over := make([]float64, t.n) // mass beyond nu_i, in samples
	for i, nu := range t.mass {
		over[i] = -float64(float64(n) * nu)
	}
	mean := make([]float64, n)
	left := make([]float64, n) // of the sample, at its own cell
	for b := range n {
		over[t.owner[p.cells[b*p.k]]]++
		mean[b], left[b] = p.scores[b*p.k], 1
	}
	type move struct {
		sample, to int32
		gap        float64
	}
	var moves []move
	for b := range n {
		if over[t.owner[p.cells[b*p.k]]] <= 0 {
			continue
		}
		for j := 1; j < p.k; j++ {
			to := t.owner[p.cells[b*p.k+j]]
			if over[to] < 0 {
				moves = append(moves, move{int32(b), int32(to), p.scores[b*p.k] - p.scores[b*p.k+j]})
			}
		}
	}
	moves = sortByKey(parallel, moves, func(m move) float64 { return m.gap }, func(a, b move) int {
		return cmp.Or(cmp.Compare(a.sample, b.sample), cmp.Compare(a.to, b.to))
	})
	shift := func(b int, to int, gap float64) {
		from := t.owner[p.cells[b*p.k]]
		amount := min(over[from], -over[to], left[b])
		if amount <= 0 {
			return
		}
		over[from] -= amount
		over[to] += amount
		left[b] -= amount
		mean[b] -= float64(amount * gap)
	}
	for _, m := range moves {
		shift(int(m.sample), int(m.to), m.gap)
	}
	var needy []int
	for i := range over {
		if over[i] < 0 {
			needy = append(needy, i)
		}
	}
	d := t.problem.Dim
	for b := range n {
		from := t.owner[p.cells[b*p.k]]
		for over[from] > 1e-9 && left[b] > 0 && len(needy) > 0 {
			x := p.x[b*d : (b+1)*d]
			best, high := -1, math.Inf(-1)
			some := min(len(needy), planRivals)
			for j := range some {
				at := (b*planRivals + j) % len(needy)
				i := needy[at]
				if score := h[i] + inner(x, t.point(i)); score > high {
					best, high = at, score
				}
			}
			shift(b, needy[best], p.scores[b*p.k]-high)
			if over[needy[best]] >= -1e-9 {
				needy[best] = needy[len(needy)-1]
				needy = needy[:len(needy)-1]
			}
		}
	}
	return mean
}
