package fit

import "slices"

const (
	liftSamples = 8            // a cell, that a lift looks at
	liftLeast   = 2            // a cell, where many cells are lifted
	liftFloats  = 1 << 26      // values of these samples, at most
	liftWork    = 1 << 30      // multiply-adds of a lift one by one; more are lifted together,
	keptWork    = 1 << 25      // and so are these where the map of the samples is made once for many lifts
	liftShare   = 0.5          // of its mass that a lifted cell is given
	liftRank    = MapCells / 2 // the most samples that many lifted cells are given, each
	liftRounds  = 32           // that many cells are lifted in, where these are half of all or more, and
	leastRounds = 2            // where they are few
	fillRounds  = 3
	fillHits    = 8 // samples that a cell expects of a round
	// Share of the cells that must be without a sample for a round to pay: the descent fills fewer as
	// fast, and chance alone misses 2 % where a cell expects four.
	fillFrom = 0.15
)

// stock is samples with the best scores that they have at some heights.
type stock struct {
	x      []float32 // [n,d]
	scores []float64 // [n]
	cells  []int32   // [n], owners

	keeps  bool // the map of the samples, for lifts to come; close must follow
	device Map  // nil: not made yet
}

func (s *stock) close() (err error) {
	if s.device != nil {
		err = s.device.Close()
	}
	return err
}

// counts is the samples by cell [N].
func (s *stock) counts(t *target) []int32 {
	counts := make([]int32, t.n)
	for _, c := range s.cells {
		counts[c]++
	}
	return counts
}

// give gives sample b to a cell that has this score there, if that is more than it has.
func (s *stock) give(b, cell int, score float64) {
	if score > s.scores[b] {
		s.scores[b], s.cells[b] = score, int32(cell)
	}
}

// stock draws n samples of the curvature stream with heights h.
func (s *sampler) stock(t *target, h []float64, n int) (*stock, error) {
	if _, err := s.setHeights(t, h); err != nil {
		return nil, err
	}
	out := &stock{x: make([]float32, 0, n*s.d), scores: make([]float64, 0, n), cells: make([]int32, 0, n)}
	s.reserve(0)
	for len(out.scores) < n {
		b, err := s.draw(curvatureStream, n-len(out.scores), 1, true)
		if err != nil {
			return nil, err
		}
		out.x, out.scores = append(out.x, b.x...), append(out.scores, b.scores...)
		for _, c := range b.cells {
			out.cells = append(out.cells, int32(t.owner[c]))
		}
	}
	return out, nil
}

// lift finds, for each of some cells that no sample falls into, the height at which liftShare of its
// mass nu_i would, over the mean of all heights: with u(x) the best score, cell i wins x where
// h_i > u(x) - <x,y_i>, so that the height is a quantile of that difference over the samples. It is
// the exact minimiser of the energy along one coordinate, whatever the dimension, where a gradient of
// -nu_i says only that the cell is too low. One cell after another, u being raised by those before,
// and to half the mass, for cells that are lifted together are often rivals. It draws `most` samples at
// most, or four batches; where that is less than one for a cell's mass, the best of them counts.
func (s *sampler) lift(t *target, h []float64, cells []int, most int) ([]float64, error) {
	n := min(most, liftSamples*t.cells, planFloats/s.d)
	if s.mapper != nil && s.d*len(cells) > liftWork/max(n, 4*s.batch) {
		n = max(n, min(liftLeast*t.cells, liftFloats/s.d))
	}
	n = max(n/s.batch, 4) * s.batch
	samples, err := s.stock(t, h, n)
	if err != nil {
		return nil, err
	}
	return s.liftOver(t, t.overMean(h, cells), cells, samples, t.samplesOf(liftShare))
}

// overMean is the heights of some cells over the mean by mass of all.
func (t *target) overMean(h []float64, cells []int) []float64 {
	return heightsOver(t.meanHeight(h), h, cells)
}

// heightsOver is the heights h of some cells over mean.
func heightsOver(mean float64, h []float64, cells []int) []float64 {
	over := make([]float64, len(cells))
	for j, i := range cells {
		over[j] = h[i] - mean
	}
	return over
}

// liftOver lifts cells until each has as many of some samples as it is to have, over their scores, which it raises. No
// cell comes to lie below where it is (over the mean); nil: none is anywhere yet.
func (s *sampler) liftOver(t *target, from []float64, cells []int, over *stock, wanted samplesOf) ([]float64, error) {
	samplesFor := func(work int) int { return max(work/(s.d*len(cells)), 4*s.batch) }
	work := liftWork
	if over.keeps {
		work = keptWork
	}
	if s.mapper != nil && len(over.scores) > samplesFor(work) {
		lifted, err := s.liftMany(t, from, cells, over, wanted)
		if lifted != nil || err != nil {
			return lifted, err
		}
	}
	if most := samplesFor(liftWork); len(over.scores) > most {
		over = &stock{x: over.x[:most*s.d], scores: over.scores[:most], cells: over.cells[:most]}
	}
	lifted := make([]float64, len(cells))
	x, u := over.x, over.scores
	dots := make([]float64, len(u))
	for j, i := range cells {
		rank := wanted(i, len(u))
		var least []float64 // the smallest differences, ascending
		for b := range u {
			dot := inner(x[b*s.d:(b+1)*s.d], t.point(i))
			dots[b] = dot
			below := u[b] - dot
			if len(least) == rank && below >= least[rank-1] {
				continue
			}
			place, _ := slices.BinarySearch(least, below)
			least = slices.Insert(least, place, below)
			least = least[:min(len(least), rank)]
		}
		lifted[j] = least[len(least)-1]
		if from != nil {
			lifted[j] = max(lifted[j], from[j])
		}
		for b, dot := range dots {
			over.give(b, i, dot+lifted[j])
		}
	}
	return lifted, nil
}

// samplesOf is how many of n samples a cell is to have, one at least.
type samplesOf func(cell, n int) int

// samplesOf is those of a share of its mass.
func (t *target) samplesOf(share float64) samplesOf {
	return func(i, n int) int { return 1 + int(float64(share*t.mass[i])*float64(n)) }
}

// liftMany lifts many cells by searches. The samples x_b are themselves the points of a map, with heights
// -u(x_b): its best cells at y_i are those samples that cell i wins first. Rounds of cells that are spread
// over all search at the same time, then each takes the best of what it has found as they are when it is its
// turn. nil: the device has no room for that map.
func (s *sampler) liftMany(t *target, from []float64, cells []int, over *stock, wanted samplesOf) ([]float64, error) {
	d, x, u := s.d, over.x, over.scores
	below := make([]float32, len(u))
	samples := over.device
	if samples == nil {
		var err error
		if samples, err = s.mapper.NewMap(x); samples == nil || err != nil {
			return nil, err
		}
		if over.keeps {
			over.device = samples
		} else {
			defer samples.Close()
		}
	}
	lifted := make([]float64, len(cells))
	rounds := max(leastRounds, min(liftRounds, 2*liftRounds*len(cells)/t.cells))
	most := (len(cells) + rounds - 1) / rounds
	points, found := make([]float32, 0, most*d), make([]int64, 0)
	for round := range rounds {
		points = points[:0]
		rank := 1
		for j := round; j < len(cells); j += rounds {
			points = append(points, t.point(cells[j])...)
			rank = max(rank, min(wanted(cells[j], len(u)), liftRank))
		}
		if len(points) == 0 {
			break
		}
		for b, v := range u {
			below[b] = float32(-v)
		}
		if err := samples.SetHeights(below); err != nil {
			return nil, err
		}
		k := 2 * rank
		found = slices.Grow(found[:0], len(points)/d*k)[:len(points)/d*k]
		if err := samples.Locate(points, k, found); err != nil {
			return nil, err
		}
		if err := s.tick(); err != nil {
			return nil, err
		}
		dots, differences := make([]float64, k), make([]float64, k)
		for j, at := round, found; j < len(cells); j, at = j+rounds, at[k:] {
			i := cells[j]
			for a, b := range at[:k] {
				dots[a] = inner(x[int(b)*d:(int(b)+1)*d], t.point(i))
				differences[a] = u[b] - dots[a]
			}
			slices.Sort(differences)
			lifted[j] = differences[min(wanted(i, len(u)), liftRank)-1]
			if from != nil {
				lifted[j] = max(lifted[j], from[j])
			}
			for a, b := range at[:k] {
				over.give(int(b), i, dots[a]+lifted[j])
			}
		}
	}
	return lifted, nil
}

// unhit is the share of the cells without a sample.
func (t *target) unhit(counts []int32) float64 {
	empty := 0
	for i, nu := range t.mass {
		if nu > 0 && counts[i] == 0 {
			empty++
		}
	}
	return float64(empty) / float64(t.cells)
}

// fill lifts the cells that are empty at h, a few rounds, for those that are lifted take from their
// neighbours.
func (s *sampler) fill(t *target, h []float64) error {
	n := max(min(fillHits*t.cells, liftFloats/s.d), 2*s.batch)
	for range fillRounds {
		samples, err := s.stock(t, h, n)
		if err != nil {
			return err
		}
		counts := samples.counts(t)
		var empty []int
		for i, nu := range t.mass {
			if nu > 0 && counts[i] == 0 && float64(nu*float64(n)) >= fillHits/2 {
				empty = append(empty, i)
			}
		}
		if t.unhit(counts) < fillFrom || len(empty) == 0 {
			return nil
		}
		lifted, err := s.liftOver(t, t.overMean(h, empty), empty, samples, t.samplesOf(liftShare))
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
