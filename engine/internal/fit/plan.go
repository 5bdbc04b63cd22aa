package fit

import (
	"cmp"
	"math"
	"slices"

	"brenier/engine/internal/threads"
)

const (
	planFloats = 1 << 24 // values of the samples that a plan holds
	planMost   = 1 << 18
	planLeast  = 8192
	planGroups = 4    // of samples that depend on one another; fewer could not tell an error, and none depend then
	planRivals = 256  // cells that a sample without a neighbour in need is offered
	planRound  = 1024 // of these samples, whose offers are made at once
	planParts  = 64   // that its moves are sought in
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
	block  int       // samples that may depend on one another lie in one
	cells  []int32   // [n,k]
	scores []float64 // [n,k]
	x      []float32 // [n,d]
}

// newPlan is one without samples. Its memory is written to, so that it is there: a system may take longer to
// hand out 100 MB page by page than a GPU to fill them.
func newPlan(t *target) *plan {
	d := t.problem.Dim
	n, k := planSamples(t.cells, d), min(neighbours+1, t.n)
	p := &plan{target: t, k: k, cells: make([]int32, n*k), scores: make([]float64, n*k), x: make([]float32, n*d)}
	touch(p.cells)
	touch(p.scores)
	touch(p.x)
	return p
}

// touch writes to every page of fresh memory, in steps between which the runtime may stop it.
func touch[T any](values []T) {
	const step = 1 << 14
	for first := 0; first < len(values); first += step {
		clear(values[first:min(first+step, len(values))])
	}
}

// plan draws the samples of a plan, which is valid until the next call.
func (s *sampler) plan() (*plan, error) {
	p := s.planned()
	n, k := p.samples(), p.k
	draw, atOnce := s.drawInto, s.atOnce
	p.block = blockOf(s.group)
	if s.group > 1 && n < planGroups*s.group {
		draw, atOnce = s.drawIndependent, func(_ uint64, n int) int { return min(n, BatchFor(p.target.n, s.d)) }
		p.block = blockOf(1)
	}
	s.align(anglesStream)
	for drawn := 0; drawn < n; {
		first := s.next[anglesStream]
		b := p.part(drawn, atOnce(first, n-drawn), s.cells)
		if err := draw(b, anglesStream, first, k); err != nil {
			return nil, err
		}
		s.next[anglesStream] += uint64(b.n)
		cells := p.cells[drawn*k:]
		for i, c := range b.cells {
			cells[i] = int32(c)
		}
		drawn += b.n
	}
	return p, nil
}

// part is where n samples from `first` on are to be drawn, their cells elsewhere.
func (p *plan) part(first, n int, cells []int64) drawn {
	k, d := p.k, p.target.problem.Dim
	return drawn{
		n: n, cells: cells[:n*k], scores: p.scores[first*k : (first+n)*k], x: p.x[first*d : (first+n)*d],
	}
}

func (p *plan) samples() int { return len(p.scores) / p.k }

// rebalance moves mass until every cell has its own and returns the mean score that each sample then
// has [n]. The cost of a plan with the right masses is E|x|^2 + sum_i nu_i (|y_i|^2 + 2 h_i) less
// twice the mean score, so that what a move costs is the gap of the scores. Moves are greedy: the
// smallest gaps to cells in need first, and what then is left over goes to the best of a few cells
// that still are.
func (p *plan) rebalance(parallel threads.Share, h []float64) []float64 {
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
	parts := make([][]move, planParts)
	parallel(planParts, func(first, end int) {
		for part := first; part < end; part++ {
			for b := part * n / planParts; b < (part+1)*n/planParts; b++ {
				if over[t.owner[p.cells[b*p.k]]] <= 0 {
					continue
				}
				for j := 1; j < p.k; j++ {
					to := t.owner[p.cells[b*p.k+j]]
					if over[to] < 0 {
						parts[part] = append(parts[part], move{int32(b), int32(to), p.scores[b*p.k] - p.scores[b*p.k+j]})
					}
				}
			}
		}
	})
	moves := slices.Concat(parts...)
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
	p.moveRest(parallel, h, over, left, shift)
	return mean
}

// moveRest offers samples that are left over to some cells in need, a round of samples after another: each
// goes to the best of its own that still are when it is its turn, and waits for a later round with what it
// has left then.
func (p *plan) moveRest(parallel threads.Share, h, over, left []float64, shift func(b int, to int, gap float64)) {
	const dust = 1e-9 // of a sample, from rounding
	t, d := p.target, p.target.problem.Dim
	inNeed := func(i int) bool { return over[i] < -dust }
	leftOver := func(b int) bool { return left[b] > 0 && over[t.owner[p.cells[b*p.k]]] > dust }
	var waiting, needy []int
	for b := range left {
		waiting = append(waiting, b)
	}
	for i := range over {
		needy = append(needy, i)
	}
	round := make([]int, 0, planRound)
	scores := make([]float64, planRound*planRivals)
	type offer struct {
		cell  int // -1: none
		score float64
	}
	offers := make([]offer, planRound)
	for rounds := 0; ; rounds++ {
		needy = slices.DeleteFunc(needy, func(i int) bool { return !inNeed(i) })
		round = round[:0]
		for len(round) < planRound && len(waiting) > 0 {
			if b := waiting[0]; leftOver(b) {
				round = append(round, b)
			}
			waiting = waiting[1:]
		}
		if len(round) == 0 || len(needy) == 0 {
			return
		}
		some := min(len(needy), planRivals)
		from := func(b int) int { return int(uint32(b+rounds)*2654435769) % len(needy) } // others each time
		rival := func(from, j int) int {
			if from+j >= len(needy) {
				from -= len(needy)
			}
			return needy[from+j]
		}
		best := func(at int) offer { // of the rivals still in need
			best, from := offer{-1, math.Inf(-1)}, from(round[at])
			for j, score := range scores[at*some : (at+1)*some] {
				if score > best.score {
					if i := rival(from, j); inNeed(i) {
						best = offer{i, score}
					}
				}
			}
			return best
		}
		parallel(len(round), func(begin, end int) {
			for at := begin; at < end; at++ {
				b := round[at]
				x, from := p.x[b*d:(b+1)*d], from(b)
				for j := range some {
					i := rival(from, j)
					scores[at*some+j] = h[i] + inner(x, t.point(i))
				}
				offers[at] = best(at)
			}
		})
		for at, b := range round {
			if !leftOver(b) {
				continue
			}
			if !inNeed(offers[at].cell) { // any more
				offers[at] = best(at)
			}
			if best := offers[at]; best.cell >= 0 {
				shift(b, best.cell, p.scores[b*p.k]-best.score)
			}
			waiting = append(waiting, b)
		}
	}
}
