package fit

import (
	"cmp"
	"slices"
	"sync"

	"brenier/engine/internal/sgd"
	"brenier/engine/internal/threads"
)

// The seed's streams. None of them is the noise of the same seed that a model's user sees.
const (
	trainStream     = iota // samples of the descent
	testStream             // of trials and of the certificate, one after another
	anglesStream           // of the angles and of the rebalanced plan
	curvatureStream        // of the steepness and of Newton's steps, one after another
	streams
)

// streamSeed derives the seed of a stream by SplitMix64's finaliser (Steele, Lea and Flood 2014),
// a bijection: streams of one seed differ, and so do seeds of one stream.
func streamSeed(seed, stream uint64) uint64 {
	z := seed + (stream+1)*0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// mostValues bounds the values of a call's samples.
const mostValues = 1 << 22

// sampler draws from the streams of a seed, a batch at a time.
type sampler struct {
	device    Device
	rotated   RotatedDrawer // nil: every draw is independent
	counter   Counter       // nil: draws are counted here
	summer    Summer        // nil: samples are summed here
	descender sgd.Descender // nil: steps are taken here
	mapper    Mapper        // nil: cells are lifted one by one
	tick      func() error  // called after every batch
	parallel  threads.Share
	seed      uint64
	d         int
	batch     int // draws of a step at least
	most      int // draws of a call
	group     int // draws that depend on one another; 1: independent

	next      [streams]uint64 // the first draw of each stream that has not been used
	evaluated uint64          // draws of the curvature stream, those made again included

	cells  []int64   // [most,MaxCells]
	scores []float64 // [most,MaxCells]
	x      []float32 // [most,d]

	// What certificates need much memory for, one after another; who asks first makes it.
	planned func() *plan
	summed  func() []int64 // [N,d], of a device
}

func newSampler(device Device, t *target, seed uint64) *sampler {
	p := t.problem
	batch := BatchFor(t.n, p.Dim)
	s := &sampler{
		device: device, seed: seed, d: p.Dim, batch: batch, group: 1, tick: func() error { return nil }, parallel: threads.Alone,
	}
	if s.counter, _ = device.(Counter); s.counter != nil {
		s.descender, _ = device.(sgd.Descender)
	}
	s.summer, _ = device.(Summer)
	s.mapper, _ = device.(Mapper)
	if r, ok := device.(RotatedDrawer); ok && !p.Uniform && r.Group() > 1 {
		s.rotated, s.group = r, r.Group()
		s.batch = evenly(batch, s.group)
	}
	s.most = s.batch
	if s.group > s.batch && s.group*p.Dim <= mostValues {
		s.most = s.group
	}
	s.cells, s.scores = make([]int64, s.most*MaxCells), make([]float64, s.most*MaxCells)
	s.x = make([]float32, s.most*p.Dim)
	s.planned = sync.OnceValue(func() *plan { return newPlan(t) })
	s.summed = sync.OnceValue(func() []int64 {
		sums := make([]int64, t.n*p.Dim)
		touch(sums)
		return sums
	})
	return s
}

// evenly is about as many draws as a batch, twice as many at most, such that batches are whole groups or
// equal parts of one: a device's work on a group is then in few pieces.
func evenly(batch, group int) int {
	if group <= 2*batch {
		return max(1, batch/group) * group
	}
	parts := (group + batch - 1) / batch
	for group%parts != 0 {
		parts++
	}
	return group / parts
}

// setHeights has the device draw with heights h, and returns what of them it has: rounded, duplicates hidden.
func (s *sampler) setHeights(t *target, h []float64) ([]float32, error) {
	stored := make([]float32, t.n)
	t.stored(stored, h)
	t.hide(stored)
	return stored, s.device.SetHeights(stored)
}

// drawn is a batch of draws with the k best cells of each. It is valid until the next call.
type drawn struct {
	n      int
	cells  []int64   // [n,k], best first
	scores []float64 // [n,k]
	x      []float32 // [n,d], or nil

	along, squares []float64 // <x, mean of the points> and |x|^2 [n], of samples that are summed by cell
}

// draw makes the next draws of a stream: n of them, or fewer where the call or their group ends.
func (s *sampler) draw(stream, n, k int, x bool) (drawn, error) {
	first := s.next[stream]
	n = s.atOnce(first, n)
	b, err := s.redraw(stream, first, n, k, x)
	if err == nil {
		s.next[stream] += uint64(n)
	}
	return b, err
}

// toGroupEnd is some batches from the next draw of a stream on, or fewer where a group then ends: a device's work
// on a group is in the fewest pieces.
func (s *sampler) toGroupEnd(stream, batches int) int {
	parts := max(1, s.group/s.batch)
	if over := (int(s.next[stream]/uint64(s.batch)%uint64(parts)) + batches) % parts; over < batches {
		return batches - over
	}
	return batches
}

// atOnce is how many of n draws lie in one call and one group.
func (s *sampler) atOnce(first uint64, n int) int {
	n = min(n, s.most)
	if s.group > 1 {
		n = min(n, s.group-int(first%uint64(s.group)))
	}
	return n
}

// count makes the next n draws of a stream and counts them by cell, a duplicate's for its owner [N].
func (s *sampler) count(t *target, stream, n int) ([]int32, error) {
	counts := make([]int32, t.n)
	if s.counter == nil {
		for drawn := 0; drawn < n; {
			b, err := s.draw(stream, n-drawn, 1, false)
			if err != nil {
				return nil, err
			}
			for _, c := range b.cells {
				counts[t.owner[c]]++
			}
			drawn += b.n
		}
		return counts, nil
	}
	if err := s.countThere(stream, n); err != nil {
		return nil, err
	}
	if err := s.counter.TakeCounts(counts); err != nil {
		return nil, err
	}
	for i, owner := range t.owner {
		if owner != i {
			counts[owner] += counts[i]
			counts[i] = 0
		}
	}
	return counts, nil
}

// countThere has the device make the next n draws of a stream and count them.
func (s *sampler) countThere(stream, n int) error {
	for drawn := 0; drawn < n; {
		first := s.next[stream]
		some := s.atOnce(first, n-drawn)
		if err := s.counter.Count(some, streamSeed(s.seed, uint64(stream)), first, s.rotated != nil); err != nil {
			return err
		}
		s.next[stream] += uint64(some)
		drawn += some
		if err := s.tick(); err != nil {
			return err
		}
	}
	return nil
}

// redraw makes draws first .. first+n-1 of a stream, which lie in one call and one group.
func (s *sampler) redraw(stream int, first uint64, n, k int, x bool) (drawn, error) {
	b := drawn{n: n, cells: s.cells[:n*k], scores: s.scores[:n*k]}
	if x {
		b.x = s.x[:n*s.d]
	}
	return b, s.drawInto(b, stream, first, k)
}

// drawInto makes draws of a stream, which lie in one call and one group, from draw `first` on.
func (s *sampler) drawInto(b drawn, stream int, first uint64, k int) error {
	if s.rotated != nil {
		return s.drawBy(s.rotated.DrawRotated, b, stream, first, k)
	}
	return s.drawIndependent(b, stream, first, k)
}

// drawIndependent makes draws of a stream, a batch at most, of which none depends on another.
func (s *sampler) drawIndependent(b drawn, stream int, first uint64, k int) error {
	return s.drawBy(s.device.Draw, b, stream, first, k)
}

type drawFunc func(n int, seed, first uint64, k int, cells []int64, scores []float64, x []float32) error

func (s *sampler) drawBy(draw drawFunc, b drawn, stream int, first uint64, k int) error {
	if err := draw(b.n, streamSeed(s.seed, uint64(stream)), first, k, b.cells, b.scores, b.x); err != nil {
		return err
	}
	if stream == curvatureStream {
		s.evaluated += uint64(b.n)
	}
	return s.tick()
}

// blockOf is how many samples lie together where an error is told from blocks of them: those of a group, or as many
// as tell it well where none depend on another.
func blockOf(group int) int {
	if group == 1 {
		return 256
	}
	return group
}

// total is how many draws have been made for all streams.
func (s *sampler) total() uint64 {
	return s.next[trainStream] + s.next[testStream] + s.next[anglesStream] + s.evaluated
}

// align lets the next draw of a stream begin a group of its own.
func (s *sampler) align(stream int) {
	if over := s.next[stream] % uint64(s.group); over > 0 {
		s.next[stream] += uint64(s.group) - over
	}
}

// test adds fresh samples to a tally until it has n of them, and to the end of the last group.
func (s *sampler) test(t *tally, n uint64) (err error) {
	draw := func(left int) (drawn, error) { return s.draw(testStream, left, 1, false) }
	ahead, err := s.newAhead(nil, 0)
	if err != nil {
		return err
	}
	if ahead != nil {
		draw = ahead.draw
		defer func() { err = cmp.Or(err, ahead.sums.Close()) }()
	}
	return s.testEach(t, n, draw, func(b drawn) {
		for _, score := range b.scores {
			t.scores += score
		}
	})
}

// testEach does the same with the draws of a function, which makes the next ones of those that are left,
// and hands every batch on, at the same time.
func (s *sampler) testEach(t *tally, n uint64, draw func(left int) (drawn, error), visits ...func(drawn)) error {
	if t.samples == 0 {
		s.align(testStream)
		t.group, t.parallel = s.group, s.parallel
	}
	n = (n + uint64(s.group) - 1) / uint64(s.group) * uint64(s.group)
	if s.group > 1 {
		t.cells = slices.Grow(t.cells, int(n)-len(t.cells))
	}
	for t.samples < n {
		b, err := draw(int(n - t.samples))
		if err != nil {
			return err
		}
		things := []func(){func() { t.add(b.cells) }}
		for _, visit := range visits {
			things = append(things, func() { visit(b) })
		}
		s.parallel.Together(things...)
	}
	return nil
}
