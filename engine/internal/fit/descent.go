package fit

import (
	"math"

	"brenier/engine/internal/sgd"
)

// A step of more than one batch is of stepBatches at most, of a stepShare-th of the samples so far, and moves
// no cell's mass by more than longShare, as [sgd.PaceOf] bounds that of a batch.
const (
	stepBatches = 9 // of which three are often a group
	stepShare   = 64
	longShare   = 0.1
)

// descent is averaged stochastic gradient descent: [sgd] has its step. The heights wanted are an average of
// the iterates, which depends little on the step (Polyak and Juditsky 1992).
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
	averages [sgd.Averages]average
	rounded  []float32 // [N]
}

// descentState is what a checkpoint keeps of a descent besides the totals of its averages.
type descentState struct {
	samples   uint64  // n, drawn
	credit    uint64  // samples that the start is worth
	steps     int     // batches, those that the start is worth included
	steepness float64 // from [steepness]
	centre    float64 // what the iterate is given to a device less: its mean, when the stretch began
	sgd.State
}

// average is a weighted mean of the iterates. No weighting is the best everywhere: log^2 of the
// step's number (Mokkadem and Pelletier 2011) keeps nearly all of the iterates and has the least
// noise, but also keeps the first ones, far off where the descent is slow, as in low dimension; the
// square of the number forgets those and has 9/5 of the noise. So both are kept, and a trial
// chooses.
type average struct {
	weight func(step float64) float64
	total  float64
}

// newDescent starts at heights h, which are worth `credit` samples: the step is as short, and the
// start weighs as much in the averages, as if a descent had used them to get there.
func newDescent(t *target, h []float64, credit uint64, batch int) *descent {
	s := &descent{target: t, batch: batch, rounded: make([]float32, t.n)}
	s.descentState = descentState{steepness: 1, credit: credit, State: sgd.State{Rates: t.rate, Hits: make([]int64, t.n), H: h}}
	for i, nu := range t.mass {
		s.Hits[i] = int64(float64(credit) * nu)
	}
	s.averages = [sgd.Averages]average{
		{weight: func(step float64) float64 { log := math.Log(step + 1); return float64(log * log) }},
		{weight: func(step float64) float64 { return float64(step * step) }},
	}
	s.steps = int(credit / uint64(batch))
	for i := range s.averages {
		a := &s.averages[i]
		s.Averages[i] = append([]float64(nil), s.H...)
		for step := range s.steps {
			a.total += a.weight(float64(step + 1))
		}
	}
	s.recentre()
	return s
}

// recentre begins a stretch of steps.
func (s *descent) recentre() { s.centre = s.target.meanHeight(s.H) }

// step takes the counts [N] of some batches, drawn with the current heights.
func (s *descent) step(counts []int32, batches int) {
	mass := s.target.mass
	for first := 0; first < len(mass); {
		end := first + 1
		for end < len(mass) && mass[end] == mass[first] {
			end++
		}
		if mass[first] > 0 { // no duplicate
			s.Move(first, end, s.pace(mass[first], batches), counts)
		}
		first = end
	}
	s.Average(s.advance(batches))
}

// evenStep is the next step, of some batches, as a device takes it that has the state.
func (s *descent) evenStep(batches int) sgd.Step {
	return sgd.Step{Pace: s.pace(s.target.heaviest, batches), Weights: s.advance(batches), Centre: s.centre}
}

// even reports whether the next step is one that a device can take.
func (s *descent) even() bool {
	t := s.target
	return t.even && float64(float64(s.samples+s.credit)*t.heaviest) <= sgd.Known
}

// pace is that of the next step, of some batches.
func (s *descent) pace(mass float64, batches int) sgd.Pace {
	return sgd.PaceOf(float64(s.samples+s.credit), float64(batches*s.batch), mass, s.steepness)
}

// advance counts a step of some batches, and is what its iterate weighs in the averages.
func (s *descent) advance(batches int) (weights [sgd.Averages]float64) {
	s.samples += uint64(batches * s.batch)
	s.steps += batches
	for i := range s.averages {
		a := &s.averages[i]
		weight := float64(batches) * a.weight(float64(s.steps))
		a.total += weight
		weights[i] = weight / a.total
	}
	return weights
}

// batches is how many the next step may be of.
func (s *descent) batches() int {
	so := float64(s.samples + s.credit)
	moved := float64(float64(s.batch)*s.target.heaviest) * sgd.After(float64(so*s.target.heaviest))
	return int(max(1, min(stepBatches, so/float64(stepShare*s.batch), longShare/moved)))
}

// set puts some cells at heights, given over the mean by mass of all: the iterate and the averages,
// which forget what the cells had before.
func (s *descent) set(cells []int, heights []float64) {
	for _, h := range [][]float64{s.H, s.Averages[0], s.Averages[1]} {
		mean := s.target.meanHeight(h)
		for j, i := range cells {
			h[i] = heights[j] + mean
		}
	}
}

// current is the iterate as a device takes it. It is valid until the next call.
func (s *descent) current() []float32 {
	s.target.storedOver(s.rounded, s.H, s.centre)
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
	all := make([][]float32, len(s.Averages))
	for i, mean := range s.Averages {
		all[i] = make([]float32, s.target.n)
		s.target.stored(all[i], mean)
	}
	so := float64(s.samples + s.credit)
	h := append([]float64(nil), s.Averages[0]...)
	late := s.Averages[1]
	over := s.target.meanHeight(h) - s.target.meanHeight(late)
	for i, nu := range s.target.mass {
		share := float64(so * nu)
		if float64(s.Hits[i]) < share-float64(behind*math.Sqrt(share)) {
			h[i] = max(h[i], late[i]+over)
		}
	}
	s.target.stored(all[0], h)
	return all
}
