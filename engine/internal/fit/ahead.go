package fit

import "brenier/engine/internal/backend"

// takenAtOnce is how many batches of a device the caller is given at once, which costs it less than one after
// another; a sampler has room for MaxCells of them.
const takenAtOnce = MaxCells / 2

// ahead has a device at work on the next draws of the test stream while the caller is on those before.
type ahead struct {
	sampler *sampler
	sums    backend.Sums
	queue   []int // draws of each call that is on its way

	along, squares []float64 // of what draw returns; nil where nothing is added up
}

// newAhead is nil where the device has no room or no way. mean is what draws are multiplied with; nil: nothing
// is added up.
func (s *sampler) newAhead(mean []float64, exponent int) (*ahead, error) {
	if s.summer == nil {
		return nil, nil
	}
	sums, err := s.summer.NewSums(mean, exponent, s.most)
	if err != nil || sums == nil {
		return nil, err
	}
	a := &ahead{sampler: s, sums: sums}
	if mean != nil {
		a.along, a.squares = make([]float64, takenAtOnce*s.most), make([]float64, takenAtOnce*s.most)
	}
	return a, nil
}

// draw returns the next draws, some of those that are left.
func (a *ahead) draw(left int) (drawn, error) {
	s := a.sampler
	for _, n := range a.queue {
		left -= n
	}
	for left > 0 && len(a.queue) < a.sums.Ahead() {
		first := s.next[testStream]
		n := s.atOnce(first, left)
		if err := a.sums.Draw(n, streamSeed(s.seed, testStream), first, s.rotated != nil); err != nil {
			return drawn{}, err
		}
		s.next[testStream] += uint64(n)
		a.queue = append(a.queue, n)
		left -= n
	}
	calls := min(len(a.queue), takenAtOnce, max(1, a.sums.Ahead()/2)) // the device goes on with the rest
	all := drawn{}
	for _, n := range a.queue[:calls] {
		first := all.n
		all = a.first(first + n)
		b := drawn{cells: all.cells[first:], scores: all.scores[first:]}
		if a.along != nil {
			b.along, b.squares = all.along[first:], all.squares[first:]
		}
		if err := a.sums.Take(b.cells, b.scores, b.along, b.squares); err != nil {
			return drawn{}, err
		}
	}
	a.queue = a.queue[:copy(a.queue, a.queue[calls:])]
	return all, s.tick()
}

// first are the first n draws that there is room for.
func (a *ahead) first(n int) drawn {
	b := drawn{n: n, cells: a.sampler.cells[:n], scores: a.sampler.scores[:n]}
	if a.along != nil {
		b.along, b.squares = a.along[:n], a.squares[:n]
	}
	return b
}
