package fit

import "sort"

// ties are what a run of samples says of the energy near its heights: each sample's best cell, its
// runner-up, and the gap between their scores.
type ties struct {
	best, next []int32   // [n], owners
	gap        []float64 // [n]; not negative
	energy     float64   // mean best score - sum_i nu_i h_i
	counts     []int32   // samples by cell [N]
}

// evaluate draws n samples of the curvature stream from first, with heights h. The same samples can
// be had again with other heights, so that energies are compared without most of their noise.
func (s *sampler) evaluate(t *target, h []float64, first uint64, n int) (*ties, error) {
	stored, err := s.setHeights(t, h)
	if err != nil {
		return nil, err
	}
	out := &ties{best: make([]int32, 0, n), next: make([]int32, 0, n), gap: make([]float64, 0, n), counts: make([]int32, t.n)}
	sum := 0.0
	for at := 0; at < n; {
		count := s.atOnce(first+uint64(at), n-at)
		b, err := s.redraw(curvatureStream, first+uint64(at), count, 2, false)
		if err != nil {
			return nil, err
		}
		for i := range count {
			best, next := int32(t.owner[b.cells[2*i]]), int32(t.owner[b.cells[2*i+1]])
			out.best, out.next = append(out.best, best), append(out.next, next)
			out.gap = append(out.gap, b.scores[2*i]-b.scores[2*i+1])
			out.counts[best]++
			sum += b.scores[2*i]
		}
		at += count
	}
	out.energy = sum / float64(n)
	for i, nu := range t.mass {
		out.energy -= float64(nu * float64(stored[i]))
	}
	return out, nil
}

// reserve takes the next n samples of the curvature stream for evaluate.
func (s *sampler) reserve(n int) (first uint64) {
	s.align(curvatureStream)
	first = s.next[curvatureStream]
	s.next[curvatureStream] += uint64(n)
	return first
}

// nearest is the gap below which a share of the samples lie, and their number; the gap is 0 where
// that is not positive.
func (t *ties) nearest(share float64) (delta float64, near int) {
	gaps := append([]float64(nil), t.gap...)
	sort.Float64s(gaps)
	near = int(share * float64(len(gaps)))
	if near < 1 {
		return 0, 0
	}
	return gaps[near-1], near
}
