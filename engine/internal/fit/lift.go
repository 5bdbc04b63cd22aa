package fit

import "slices"

const (
	liftSamples = 16      // a cell, that a lift looks at
	liftWork    = 1 << 30 // and the multiply-adds that it may cost
	liftShare   = 0.5     // of its mass that a lifted cell is given
	fillRounds  = 3
	fillHits    = 8 // samples that a cell expects of a round
)

// lift finds, for each of some cells that no sample falls into, the height at which liftShare of its
// mass nu_i would, over the mean of all heights, which are what they are: with u(x) the best score, cell i wins x
// where h_i > u(x) - <x,y_i>, so that the height is a quantile of that difference over the samples.
// It is the exact minimiser of the energy along one coordinate, whatever the dimension, where a
// gradient of -nu_i says only that the cell is too low. Half the mass, for cells that are lifted
// together may be rivals.
func (s *sampler) lift(t *target, h []float64, cells []int) ([]float64, error) {
	n := min(liftSamples*t.cells, liftWork/(s.d*len(cells)))
	n = max(n/s.batch, 4) * s.batch
	stored := make([]float32, t.n)
	t.stored(stored, h)
	t.hide(stored)
	if err := s.device.SetHeights(stored); err != nil {
		return nil, err
	}
	wanted := make([]int, len(cells))      // rank of the quantile
	least := make([][]float64, len(cells)) // the smallest differences, ascending
	for j, i := range cells {
		wanted[j] = 1 + int(float64(liftShare*t.mass[i])*float64(n))
	}
	s.reserve(0)
	for drawn := 0; drawn < n; {
		b, err := s.draw(curvatureStream, n-drawn, 1, true)
		if err != nil {
			return nil, err
		}
		drawn += b.n
		for at := range b.n {
			x := b.x[at*s.d : (at+1)*s.d]
			for j, i := range cells {
				dot := 0.0
				for k, y := range t.point(i) {
					dot += float64(float64(x[k]) * float64(y))
				}
				below := b.scores[at] - dot
				held := least[j]
				if len(held) == wanted[j] && below >= held[len(held)-1] {
					continue
				}
				place, _ := slices.BinarySearch(held, below)
				held = slices.Insert(held, place, below)
				least[j] = held[:min(len(held), wanted[j])]
			}
		}
	}
	mean := t.meanHeight(h)
	lifted := make([]float64, len(cells))
	for j, i := range cells {
		lifted[j] = max(h[i]-mean, least[j][len(least[j])-1])
	}
	return lifted, nil
}

// fill lifts the cells that are empty at h, a few rounds, for those that are lifted take from their
// neighbours.
func (s *sampler) fill(t *target, h []float64) error {
	n := max(fillHits*t.cells, 4*s.batch)
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
		if len(empty) == 0 {
			return nil
		}
		lifted, err := s.lift(t, h, empty)
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
