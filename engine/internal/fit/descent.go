package fit

import "math"

// The step, found on the codes of real auto-encoders, clusters and heavy tails (N = 2000 .. 60,000,
// d = 8 .. 128) and the same for all of them.
const (
	step0     = 0.1 // s_0
	stepDecay = 30. // k: hits after which a cell's step begins to shrink
	// maxShare bounds the step of a heavy cell: the expected hits of one batch may move the logarithm
	// of its mass by this much at most. Above 2 the descent would swing up instead of settling.
	maxShare = 0.5
	// A step of more than one batch is of stepBatches at most, of a stepShare-th of the samples so far,
	// and moves no cell's mass by more than longShare in the sense of maxShare.
	stepBatches = 8
	stepShare   = 64
	longShare   = 0.1
)

// descent is averaged stochastic gradient descent. After n samples a batch of B with hits_i in cell
// i moves
//
//	h_i -= (scale_i/quantile_i) s_i (hits_i - B nu_i),  s_i = s_0 (1 + min(n nu_i, H_i)/k)^(-2/3)
//
// with s_i divided by steepness, and H_i the hits of cell i so far: a cell that has had fewer than
// its share, an empty one above all, keeps its long step. The heights wanted are an average of the
// iterates, which depends little on the step (Polyak and Juditsky 1992).
//
// Measured at N = 2000 on independent draws (BenchmarkSamples), chi-squared over N/n, below which no
// method on n independent draws can be, at n = 300,000 and 2,400,000, the start's samples counted:
// codes of MNIST (d = 64) 1.10 and 0.98, of terrain (d = 128) 1.05 and 1.00, ten clusters (d = 32)
// 1.23 and 1.10, the same further apart 1.40 and 1.13, MNIST with Zipf masses 1.02 and 0.95; the last
// are to 0.1. No cell was empty.
type descent struct {
	target *target
	batch  int // samples
	descentState
	averages [averages]average
	rounded  []float32 // [N]
	known    []float64 // stepAfter 0, 1, ... hits, as far as they have been asked for
}

// descentState is what a checkpoint keeps of a descent besides its averages.
type descentState struct {
	samples   uint64    // n, drawn
	credit    uint64    // samples that the start is worth
	steps     int       // batches, those that the start is worth included
	steepness float64   // from [steepness]
	hits      []int64   // H, so far [N]
	h         []float64 // iterate [N]
}

// averages of a descent: see [average].
const averages = 2

// average is a weighted mean of the iterates. No weighting is the best everywhere: log^2 of the
// step's number (Mokkadem and Pelletier 2011) keeps nearly all of the iterates and has the least
// noise, but also keeps the first ones, far off where the descent is slow, as in low dimension; the
// square of the number forgets those and has 9/5 of the noise. So both are kept, and a trial
// chooses.
type average struct {
	weight func(step float64) float64
	total  float64
	h      []float64 // [N]
}

// newDescent starts at heights h, which are worth `credit` samples: the step is as short, and the
// start weighs as much in the averages, as if a descent had used them to get there.
func newDescent(t *target, h []float64, credit uint64, batch int) *descent {
	s := &descent{target: t, batch: batch, rounded: make([]float32, t.n)}
	s.descentState = descentState{steepness: 1, credit: credit, hits: make([]int64, t.n), h: h}
	for i, nu := range t.mass {
		s.hits[i] = int64(float64(credit) * nu)
	}
	s.averages = [averages]average{
		{weight: func(step float64) float64 { log := math.Log(step + 1); return float64(log * log) }},
		{weight: func(step float64) float64 { return float64(step * step) }},
	}
	s.steps = int(credit / uint64(batch))
	for i := range s.averages {
		a := &s.averages[i]
		a.h = append([]float64(nil), s.h...)
		for step := range s.steps {
			a.total += a.weight(float64(step + 1))
		}
	}
	return s
}

// step takes the counts [N] of some batches, drawn with the current heights.
func (s *descent) step(counts []int32, batches int) {
	t := s.target
	batch := batches * s.batch
	so := float64(s.samples + s.credit)
	last, share, expected, bound, shared := math.NaN(), 0., 0., 0., 0. // of many cells the same
	for i, mass := range t.mass {
		if mass == 0 { // a duplicate
			continue
		}
		if mass != last {
			last, share, expected = mass, float64(so*mass), float64(float64(batch)*mass)
			bound, shared = maxShare/expected, stepAfter(share)
		}
		step := shared
		if float64(s.hits[i]) < share {
			step = s.stepAt(s.hits[i])
		}
		gain := min(step, bound) / s.steepness
		s.hits[i] += int64(counts[i])
		s.h[i] -= float64(float64(t.rate[i]*gain) * (float64(counts[i]) - expected))
	}
	s.samples += uint64(batch)
	s.steps += batches
	for i := range s.averages {
		s.averages[i].add(float64(s.steps), batches, s.h)
	}
}

// batches is how many the next step may be of.
func (s *descent) batches() int {
	so := float64(s.samples + s.credit)
	moved := float64(float64(s.batch)*s.target.heaviest) * stepAfter(float64(so*s.target.heaviest))
	return int(max(1, min(stepBatches, so/float64(stepShare*s.batch), longShare/moved)))
}

// stepAfter is s_i after as many hits, its bound left out.
func stepAfter(hits float64) float64 {
	root := math.Cbrt(1 + hits/stepDecay)
	return step0 / float64(root*root)
}

// stepAt is stepAfter, kept for whole numbers of hits: cells have the same ones again and again.
func (s *descent) stepAt(hits int64) float64 {
	if hits >= mostSteps {
		return stepAfter(float64(hits))
	}
	for int64(len(s.known)) <= hits {
		s.known = append(s.known, stepAfter(float64(len(s.known))))
	}
	return s.known[hits]
}

// mostSteps bounds what stepAt keeps.
const mostSteps = 1 << 16

// add counts h for the batches up to a step's number.
func (a *average) add(step float64, batches int, h []float64) {
	weight := float64(batches) * a.weight(step)
	a.total += weight
	share := weight / a.total
	mean := a.h[:len(h)]
	for i, v := range h {
		mean[i] += float64(share * (v - mean[i]))
	}
}

// set puts some cells at heights, given over the mean by mass of all: the iterate and the averages,
// which forget what the cells had before.
func (s *descent) set(cells []int, heights []float64) {
	for _, h := range [][]float64{s.h, s.averages[0].h, s.averages[1].h} {
		mean := s.target.meanHeight(h)
		for j, i := range cells {
			h[i] = heights[j] + mean
		}
	}
}

// current is the iterate as a device takes it. It is valid until the next call.
func (s *descent) current() []float32 {
	s.target.stored(s.rounded, s.h)
	s.target.hide(s.rounded)
	return s.rounded
}

// behind is by how many standard deviations of its hits a cell must have fewer than its share for its
// past to be forgotten.
const behind = 2.

// candidates are the averages as a model file stores them. A cell that has had fewer hits than its
// share was too low for a part of the time, and so is its height in the average that keeps nearly all
// iterates: of the first candidate it is that of the average that forgets. On all codes of terrain, at
// 1.9 million samples, a test of 16 a cell then finds 28 cells empty instead of 90.
func (s *descent) candidates() [][]float32 {
	all := make([][]float32, len(s.averages))
	for i, a := range s.averages {
		all[i] = make([]float32, s.target.n)
		s.target.stored(all[i], a.h)
	}
	so := float64(s.samples + s.credit)
	h := append([]float64(nil), s.averages[0].h...)
	late := s.averages[1].h
	over := s.target.meanHeight(h) - s.target.meanHeight(late)
	for i, nu := range s.target.mass {
		share := float64(so * nu)
		if float64(s.hits[i]) < share-float64(behind*math.Sqrt(share)) {
			h[i] = max(h[i], late[i]+over)
		}
	}
	s.target.stored(all[0], h)
	return all
}
