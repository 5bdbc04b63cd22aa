package fit

import "slices"

const (
	liftSamples = 8       // a cell, that a lift looks at
	liftWork    = 1 << 30 // and the multiply-adds that it may cost
	liftShare   = 0.5     // of its mass that a lifted cell is given
	fillRounds  = 3
	fillHits    = 8 // samples that a cell expects of a round
	// Share of the cells that must be without a sample for a round to pay: the descent fills fewer as
	// fast, and chance alone misses 2 % where a cell expects four.
	fillFrom = 0.15
)

// lift finds, for each of some cells that no sample falls into, the height at which liftShare of its
// mass nu_i would, over the mean of all heights: with u(x) the best score, cell i wins x where
// h_i > u(x) - <x,y_i>, so that the height is a quantile of that difference over the samples. It is
// the exact minimiser of the energy along one coordinate, whatever the dimension, where a gradient of
// -nu_i says only that the cell is too low. One cell after another, u being raised by those before,
// and to half the mass, for cells that are lifted together are often rivals. It draws `most` samples at
// most, or four batches; where that is less than one for a cell's mass, the best of them counts.
func (s *sampler) lift(t *target, h []float64, cells []int, most int) ([]float64, error) {
	n := min(most, liftSamples*t.cells, liftWork/(s.d*len(cells)), planFloats/s.d)
	n = max(n/s.batch, 4) * s.batch
	stored := make([]float32, t.n)
	t.stored(stored, h)
	t.hide(stored)
	if err := s.device.SetHeights(stored); err != nil {
		return nil, err
	}
	x, u := make([]float32, 0, n*s.d), make([]float64, 0, n)
	s.reserve(0)
	for len(u) < n {
		b, err := s.draw(curvatureStream, n-len(u), 1, true)
		if err != nil {
			return nil, err
		}
		x, u = append(x, b.x...), append(u, b.scores...)
	}
	mean := t.meanHeight(h)
	lifted := make([]float64, len(cells))
	dots := make([]float64, n)
	for j, i := range cells {
		wanted := 1 + int(float64(liftShare*t.mass[i])*float64(n)) // rank of the quantile
		var least []float64                                        // the smallest differences, ascending
		for b := range n {
			dot := inner(x[b*s.d:(b+1)*s.d], t.point(i))
			dots[b] = dot
			below := u[b] - dot
			if len(least) == wanted && below >= least[wanted-1] {
				continue
			}
			place, _ := slices.BinarySearch(least, below)
			least = slices.Insert(least, place, below)
			least = least[:min(len(least), wanted)]
		}
		lifted[j] = max(h[i]-mean, least[len(least)-1])
		for b, dot := range dots {
			u[b] = max(u[b], dot+lifted[j])
		}
	}
	return lifted, nil
}

// unhit is the share of the cells without a sample.
func (t *target) unhit(at *ties) float64 {
	empty := 0
	for i, nu := range t.mass {
		if nu > 0 && at.counts[i] == 0 {
			empty++
		}
	}
	return float64(empty) / float64(t.cells)
}

// fill lifts the cells that are empty at h, a few rounds, for those that are lifted take from their
// neighbours.
func (s *sampler) fill(t *target, h []float64) error {
	n := max(fillHits*t.cells, 2*s.batch)
	for range fillRounds {
		at, err := s.evaluate(t, h, s.reserve(n), n)
		if err != nil {
			return err
		}
		var empty []int
		for i, nu := range t.mass {
			if nu > 0 && at.counts[i] == 0 && float64(nu*float64(n)) >= fillHits/2 {
				empty = append(empty, i)
			}
		}
		if t.unhit(at) < fillFrom || len(empty) == 0 {
			return nil
		}
		lifted, err := s.lift(t, h, empty, n)
		if err != nil {
			return err
		}
		mean := t.meanHeight(h)
		for j, i := range empty {
			h[i] = lifted[j] + mean
		}
	}
	return nil
}
