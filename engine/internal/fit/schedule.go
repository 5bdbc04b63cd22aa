package fit

import "math"

const (
	// A stretch before heights are judged again, in samples so far: after a certificate that failed, and
	// where cells are empty, which fill slowly.
	leastStretch, fillingStretch = 0.05, 0.25
	// A stretch to a trial that cannot pass but shows progress, at least: in samples of the trial, and so
	// far; and at most in parts of the way to the goal.
	progressTrials, progressStretch, progressBefore = 16, 0.5, 0.8
	// plainlyAbove is how many times the floor of its samples the average with the least noise must be
	// above for another to be tried too, and for a trial to come before a certificate.
	plainlyAbove = 1.5
	// The second-order engine takes over from a descent that should be within newtonFrom but above
	// newtonAbove times N/n, n being its samples.
	newtonFrom    = 0.02
	newtonAbove   = 2.
	newtonTrials  = 3    // in which it must halve chi-squared
	constantError = 0.5  // that a trial tells c to
	wellAfter     = 1.03 // samples taken, in those after which the goal should be reached
)

// goal is the chi-squared with which a certificate is likely to find the tolerance met, the
// tolerance less the standard errors that must lie between, and no cell empty.
func (r *run) goal() float64 {
	samples := float64(r.certificateSamples())
	sd := r.scatter() / samples
	within := max(r.options.Tolerance-float64(confidence*sd), r.options.Tolerance/2)
	return min(within, evenEnough(float64(r.target.cells), samples))
}

// evenEnough is the largest chi-squared, of 10 at most, of equal masses of which samples are expected to miss one
// at most, by the law of [tally.emptyUneven]: 0.1 for 32 million samples of a million cells, 0.3 for 64,000 of 2,000.
func evenEnough(cells, samples float64) float64 {
	low, high := 0., 10.
	for range 50 {
		chi := (low + high) / 2
		if math.Log1p(float64(samples/cells*chi)) >= float64(chi*math.Log(cells)) {
			low = chi
		} else {
			high = chi
		}
	}
	return low
}

// scatter is the standard error of chi-squared, near exact masses, times the samples that measure it.
func (r *run) scatter() float64 {
	return math.Sqrt(float64(2*r.target.cells)) * r.dependence
}

// worth is the samples that the heights at hand are made of.
func (r *run) worth() float64 {
	switch {
	case r.descent == nil: // a single cell
		return 1
	case r.newton != nil:
		return float64(r.samples() - r.begun)
	}
	return float64(max(r.descent.samples+r.descent.credit, 1))
}

// independentFloor is the chi-squared N/n that an average of n independent draws comes down to.
func (r *run) independentFloor() float64 { return float64(r.target.cells) / r.worth() }

// expected is the chi-squared that the heights at hand should have.
func (r *run) expected() float64 {
	if r.newton != nil {
		return r.chiSquared
	}
	return r.forecast.constant * r.independentFloor()
}

// observe takes a test of the heights at hand, a trial or a certificate that failed, into account.
func (r *run) observe(t *tally) {
	chi, sd := t.estimate()
	r.trials = append(r.trials, Trial{r.samples(), chi, sd})
	r.chiSquared, r.empty, r.dependence = chi, t.emptyBeyondChance(), t.moments().dependence
	if len(r.trials) == 1 { // what was expected rested on a dependence that is known now
		r.forecast = newForecast(r.dependence, r.steepness)
	}
	if r.newton == nil {
		r.forecast = r.forecastWith(t)
	}
}

// forecastWith is the forecast that a test of the heights at hand leads to.
func (r *run) forecastWith(t *tally) forecast {
	chi, sd := t.estimate()
	floor := r.independentFloor()
	ahead := math.Log(max(1, r.expected()/r.goal()))
	return r.forecast.with(chi/floor, sd/floor, ahead)
}

// trialSamples is what a trial takes at least: what tells c to a half, for its standard error from B
// samples is sqrt(2/N) n/B, but not above a quarter of the samples so far; and 16 groups, from which
// variances can be told.
func (r *run) trialSamples() uint64 {
	share := min(math.Sqrt(2/float64(r.target.cells))/constantError, 0.25)
	return max(uint64(share*float64(r.samples())), uint64(4*r.sampler.batch), uint64(minGroups*r.sampler.group))
}

// nextJudgement is the number of samples after which heights are judged again: when chi-squared is
// expected to be within the goal, or before, to show progress and to learn, where that costs little.
func (r *run) nextJudgement() uint64 {
	worth := r.worth()
	stretch := float64(worth * (float64(wellAfter*r.expected())/r.goal() - 1)) // chi-squared falls like 1/n
	switch progress := max(float64(progressTrials*float64(r.trialSamples())), float64(progressStretch*worth)); {
	case progress < float64(progressBefore*stretch):
		stretch = progress
	case r.empty > 0 && len(r.trials) > 0:
		stretch = max(stretch, float64(fillingStretch*worth))
	case len(r.trials) > 0:
		stretch = max(stretch, float64(leastStretch*worth))
	}
	return min(r.samples()+uint64(max(stretch, float64(4*r.sampler.batch))), r.options.SamplesMax)
}

// samplesFor is how many samples a chi-squared should take, at least as many as were used.
func (r *run) samplesFor(chi float64) uint64 {
	more := float64(r.worth() * (r.expected()/max(chi, 1e-12) - 1))
	return r.samples() + uint64(min(max(more, 0), 1<<62))
}

// foreseen reports whether heights need no trial before the certificate: a descent is where it should
// be within the goal, and has gone as expected so far. Where nothing has been judged yet that holds if
// the certificate hardly takes more than a trial would.
func (r *run) foreseen() bool {
	switch {
	case r.target.cells < 2:
		return true
	case r.newton != nil || r.expected() > r.goal():
		return false
	case len(r.trials) == 0:
		return r.certificateSamples() <= 2*r.trialSamples()
	}
	return r.empty == 0 && r.forecast.constant <= float64(plainlyAbove*r.dependence)
}

// candidates are the heights that a trial chooses from.
func (r *run) candidates() [][]float32 {
	if r.newton == nil {
		return r.descent.candidates()
	}
	h := make([]float32, r.target.n)
	r.target.stored(h, r.descent.H)
	return [][]float32{h}
}

// try chooses the first candidate, or one that is plainly better on a few fresh samples where the
// first is plainly above N/n, and measures it; where chi-squared should be within the goal, with as
// many samples as it takes to tell, but not above a fifth of what the search used.
func (r *run) try(candidates [][]float32) (best []float32, passed bool, err error) {
	few, goal := r.trialSamples(), r.goal()
	var t *tally
	for i, h := range candidates {
		trial := newTally(r.target)
		if err := r.measure(trial, h, few); err != nil {
			return nil, false, err
		}
		chi, sd := trial.estimate()
		if t == nil || chi < t.chiSquared()-float64(2*sd) { // the first has the least noise, and is mostly it
			best, t, r.preferred = h, trial, i
		}
		floor := r.independentFloor() * t.moments().dependence
		if chi-float64(2*sd) <= float64(plainlyAbove*floor) {
			break
		}
	}
	limit := max(r.samples()/5, 1<<16)
	for {
		chi, sd := t.estimate()
		if r.newton == nil {
			f, floor := r.forecastWith(t), r.independentFloor()
			chi, sd = f.constant*floor, f.error*floor
		}
		decided := 5*sd < r.options.Tolerance || chi-3*sd > r.options.Tolerance || chi+3*sd < goal
		if r.newton == nil && chi > goal { // for the progress alone
			decided = true
		}
		if decided || 2*t.samples > limit {
			break
		}
		if err := r.measure(t, best, 2*t.samples); err != nil {
			return nil, false, err
		}
	}
	r.observe(t)
	r.energy = t.scores / float64(t.samples)
	for i, nu := range r.target.mass {
		r.energy -= float64(nu * float64(best[i]))
	}
	return best, r.expected() <= goal && !t.missesTooMany(), r.liftEmpty(t, best)
}

// choose decides which engine goes on, after a trial of heights. The second-order one takes over
// where the descent is far above the floor N/n though not far off; where that does not bring
// chi-squared down, the descent goes on as it was, for good.
func (r *run) choose(heights []float32) {
	cells := float64(r.target.cells)
	if r.newton == nil {
		if chi := r.expected(); !r.restless && chi < newtonFrom && chi > float64(newtonAbove*r.independentFloor()) {
			copy(r.descent.H, wide(heights))
			r.newton = &newton{newtonState: newtonState{worth: uint64(cells / chi), error: chi, began: chi}}
		}
	} else if r.newton.trials++; r.newton.trials%newtonTrials == 0 {
		if r.newton.restless || r.chiSquared > r.newton.began/2 {
			r.restless, r.newton = true, nil
			copy(r.descent.H, r.descent.Averages[1])
		} else {
			r.newton.began = r.chiSquared
		}
	}
	r.setMethod()
}
