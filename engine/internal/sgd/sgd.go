// Package sgd is a step of averaged stochastic gradient descent on the heights of a map, in one order of
// float64 operations: whatever device takes it leaves the same bits. What the steps are for, and how many
// draws each is of, package fit says.
//
// After n samples a batch of B with hits_i in cell i moves
//
//	h_i -= (scale_i/quantile_i) s_i (hits_i - B nu_i),  s_i = s_0 (1 + min(n nu_i, H_i)/k)^(-2/3)
//
// with s_i bounded, then divided by the steepness, and H_i the hits of cell i so far: a cell that has had
// fewer than its share, an empty one above all, keeps its long step. An average of the iterates then goes
// a part of the way to them.
package sgd

import (
	"math"
	"sync"
)

// The step, found on the codes of real auto-encoders, clusters and heavy tails (N = 2000 .. 60,000,
// d = 8 .. 128) and the same for all of them.
const (
	step0     = 0.1 // s_0
	stepDecay = 30. // k: hits after which a cell's step begins to shrink
	// maxShare bounds the step of a heavy cell: the expected hits of one batch may move the logarithm
	// of its mass by this much at most. Above 2 the descent would swing up instead of settling.
	maxShare = 0.5
)

// Averages is how many averages of the iterates a descent keeps.
const Averages = 2

// State is what a step changes.
type State struct {
	Rates    []float64 // scale_i/quantile_i [N]; not changed
	Hits     []int64   // H, so far [N]
	H        []float64 // iterate [N]
	Averages [Averages][]float64
}

// Pace is how a batch moves cells of one mass.
type Pace struct {
	Share     float64 // n nu
	Expected  float64 // B nu
	Shared    float64 // s_i of a cell that has had its share
	Bound     float64 // on s_i
	Steepness float64
}

// PaceOf is the pace of a batch after so many samples, for cells of a mass.
func PaceOf(samples, batch, mass, steepness float64) Pace {
	share, expected := float64(samples*mass), float64(batch*mass)
	return Pace{Share: share, Expected: expected, Shared: After(share), Bound: maxShare / expected, Steepness: steepness}
}

// Step is a step of all cells, of equal masses, and what follows from it.
type Step struct {
	Pace
	Weights [Averages]float64 // of the iterate in each average, of 1
	Centre  float64           // taken off the iterate, it leaves the heights for the next draws
}

// Descender is a device that counts draws and takes the steps of equal masses itself, so that nothing of
// the size of the heights passes between it and the host at a step. From StartDescent to FetchDescent it is
// asked for counts and steps alone.
type Descender interface {
	// StartDescent copies the state to the device, which has its heights already.
	StartDescent(s *State) error
	// StepDescent takes a step with the draws counted since the last one, or since the counts were taken,
	// and sets the heights to float32(h - centre). Its share is at most Known. It may return before the
	// step is done, but stays only a few steps ahead.
	StepDescent(s Step) error
	// FetchDescent waits for the steps and copies the state back. fault.ErrUnsupported where heights were
	// beyond what the draws can use.
	FetchDescent(s *State) error
}

// After is s_i after as many hits, its bound left out.
func After(hits float64) float64 {
	root := math.Cbrt(1 + hits/stepDecay)
	return step0 / float64(root*root)
}

// Known is how many of s_i are kept: cells have the same numbers of hits again and again.
const Known = 1 << 16

// Steps are s_i after 0, 1, ... Known-1 hits.
var Steps = sync.OnceValue(func() []float64 {
	steps := make([]float64, Known)
	for hits := range steps {
		steps[hits] = After(float64(hits))
	}
	return steps
})

// Move moves cells first .. end-1, which have one mass, after a batch of counts [N].
func (s *State) Move(first, end int, p Pace, counts []int32) {
	known := Steps()
	for i := first; i < end; i++ {
		step := p.Shared
		if hits := s.Hits[i]; float64(hits) < p.Share {
			if hits < Known {
				step = known[hits]
			} else {
				step = After(float64(hits))
			}
		}
		gain := min(step, p.Bound) / p.Steepness
		s.Hits[i] += int64(counts[i])
		s.H[i] -= float64(float64(s.Rates[i]*gain) * (float64(counts[i]) - p.Expected))
	}
}

// Average takes the iterate into the averages.
func (s *State) Average(weights [Averages]float64) {
	for a, weight := range weights {
		mean := s.Averages[a][:len(s.H)]
		for i, v := range s.H {
			mean[i] += float64(weight * (v - mean[i]))
		}
	}
}

// Take is a whole step, of cells of equal masses.
func (s *State) Take(step Step, counts []int32) {
	s.Move(0, len(s.H), step.Pace, counts)
	s.Average(step.Weights)
}
