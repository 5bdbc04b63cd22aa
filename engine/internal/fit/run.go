package fit

import (
	"math"
	"time"

	"brenier/engine/internal/threads"
)

const (
	// coarseAbove is the chi-squared of the start from which the coarse steps pay: they cost some
	// 25,000 draws, in which the descent alone brings 0.5 below 0.05.
	coarseAbove = 0.5
	startCheck  = 8192 // samples that judge the start
)

// run is a fit in progress.
type run struct {
	target  *target
	options Options
	sampler *sampler
	method  string

	start, told, saved time.Time
	before             float64 // seconds of the runs that this one resumes
	measuring          bool    // the heights are given
	energy             float64 // of the latest trial
	certificate        *tally  // that is being drawn; nil: none
	certified          *tally  // of the latest certificate
	toTest             uint64  // samples that it takes
	settle             func()  // waits for what is still at work meanwhile
	trials             []Trial

	progressState
	descent *descent
	lent    bool    // the device has the state of the descent; see lend
	newton  *newton // nil: first order
}

// progressState is what a checkpoint keeps besides the engines' own states.
type progressState struct {
	until      uint64  // samples when heights are judged next
	begun      uint64  // samples before the first step
	chiSquared float64 // of the latest trial
	dependence float64 // of its draws; see [moments]
	preferred  int     // the average of the descent that it chose
	forecast   forecast
	steepness  float64
	restless   bool      // the second-order engine has been given up
	empty      int       // of the latest trial
	lifting    []float32 // heights whose cells are being lifted; nil: none
	lifts      lifts
}

func newRun(p Problem, device Device, o Options) *run {
	if o.Parallel == nil {
		o.Parallel = threads.Alone
	}
	t := newTarget(p, o.Parallel)
	if o.SamplesMax == 0 {
		o.SamplesMax = DefaultSamples(t.cells, o.Tolerance)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Every == 0 {
		o.Every = 20 * time.Second
	}
	r := &run{
		target: t, options: o, sampler: newSampler(device, t, o.Seed),
		start: o.Now(), energy: math.NaN(), settle: func() {},
	}
	r.saved = r.start
	r.chiSquared, r.dependence, r.empty = math.NaN(), 1, -1
	r.forecast = newForecast(r.dependence, 1)
	r.sampler.tick, r.sampler.parallel = r.tick, o.Parallel
	return r
}

// solve goes down in stretches and judges the heights after each.
func (r *run) solve() (*Result, error) {
	if err := r.begin(); err != nil {
		return nil, err
	}
	for {
		heights, done := r.lifting, true // of a run that is taken up
		if heights == nil {
			var err error
			if heights, done, err = r.search(); err != nil {
				return nil, err
			}
		}
		if done {
			polished, err := r.polish(heights)
			if err != nil {
				return nil, err
			}
			result, mended, err := r.certifyAndMend(polished)
			if err != nil || result != nil {
				return result, err
			}
			heights, r.lifting, r.lifts = mended, nil, lifts{}
		}
		r.choose(heights)
		r.until = r.nextJudgement()
		r.descent.recentre()
	}
}

// search goes down for a stretch, to heights that are done: likely to be met, or the best of the samples that there are.
func (r *run) search() (heights []float32, done bool, err error) {
	if err := r.descend(); err != nil {
		return nil, false, err
	}
	candidates := r.candidates()
	if r.foreseen() {
		return candidates[min(r.preferred, len(candidates)-1)], true, nil
	}
	heights, passed, err := r.try(candidates)
	return heights, passed || r.spent(), err
}

// begin makes the heights that the engines start from, or takes up a checkpoint.
func (r *run) begin() error {
	t, s := r.target, r.sampler
	if s.summer != nil { // a device leaves the host time for it
		go func() {
			s.planned()
			s.summed()
		}()
	}
	if r.options.Resume != nil {
		return r.resume(r.options.Resume)
	}
	h := t.start()
	credit := uint64(0)
	if r.options.Start != nil {
		h = wide(r.options.Start)
	}
	r.steepness = 1
	if t.cells > 1 {
		chi, err := r.judge(h)
		if err != nil {
			return err
		}
		if r.options.Start != nil {
			credit = uint64(min(float64(t.cells)/max(chi, 1e-9), 1<<40))
			if credit < startCheck { // not worth more than a start of our own
				credit = 0
			}
		}
		if chi > coarseAbove {
			if err := r.approach(h); err != nil {
				return err
			}
		}
		if r.steepness, err = s.steepness(t, h); err != nil {
			return err
		}
		r.forecast = newForecast(r.dependence, r.steepness)
	}
	r.descent = newDescent(t, h, credit, s.batch)
	if t.cells > 1 {
		r.begun = r.samples()
		r.until = r.nextJudgement()
	}
	r.setMethod()
	return nil
}

// approach brings heights near that are far off.
func (r *run) approach(h []float64) error {
	t, s := r.target, r.sampler
	if s.mapper != nil && t.cells >= multiscaleFrom {
		if done, err := r.multiscale(h); done || err != nil {
			return err
		}
	}
	at, err := s.coarse(t, h)
	if err != nil {
		return err
	}
	if at != nil && t.unhit(at.counts) > fillFrom {
		return s.fill(t, h)
	}
	return nil
}

func (r *run) setMethod() {
	r.method = "averaged stochastic gradient descent"
	if r.newton != nil {
		r.method += ", then newton on the graph of runner-up cells"
	}
}

// judge measures the start.
func (r *run) judge(h []float64) (chi float64, err error) {
	stored := make([]float32, r.target.n)
	r.target.stored(stored, h)
	n := uint64(startCheck)
	if r.options.Start != nil {
		n = max(n, uint64(4*r.target.cells))
	}
	t := newTally(r.target)
	if err := r.measure(t, stored, n); err != nil {
		return 0, err
	}
	chi, sd := t.estimate()
	r.chiSquared, r.empty = chi, t.emptyBeyondChance()
	return max(chi, sd), nil
}

// samples is how many were drawn to find the heights; while given heights are measured, for that.
func (r *run) samples() uint64 {
	if r.measuring {
		return r.sampler.next[testStream]
	}
	n := r.sampler.evaluated
	if r.descent != nil {
		n += r.descent.samples
	}
	return n
}

// spent reports whether the search has had its samples.
func (r *run) spent() bool { return r.samples() >= r.options.SamplesMax }

// descend takes steps until the samples of the next trial are used.
func (r *run) descend() (err error) {
	if r.target.cells < 2 {
		return nil
	}
	for r.samples() < r.until {
		if r.newton != nil {
			if err := r.newton.step(r.sampler, r.target, r.descent.H); err != nil {
				return err
			}
		} else if err := r.firstOrder(); err != nil {
			return err
		}
		if err := r.checkpoint(); err != nil {
			return err
		}
	}
	if err := r.recall(); err != nil {
		return err
	}
	return r.liftStuck()
}

// firstOrder is a step of the descent: a batch, and later, when single batches bring little news,
// some. A step is some passes over all heights, on one thread a quarter of the time for 1024 samples
// of 2000 cells; a device may take it itself. Where the energy is steep, in low dimension, the steps are
// short and their number is what counts.
func (r *run) firstOrder() error {
	d, s := r.descent, r.sampler
	d.steepness = max(1, r.steepness/steepnessFree)
	batches := 1
	if !r.steep() {
		batches = s.toGroupEnd(trainStream, d.batches())
	}
	there, err := r.lend()
	if err != nil {
		return err
	}
	if there {
		if err := s.countThere(trainStream, batches*s.batch); err != nil {
			return err
		}
		return s.descender.StepDescent(d.evenStep(batches))
	}
	if err := s.device.SetHeights(d.current()); err != nil {
		return err
	}
	counts, err := s.count(r.target, trainStream, batches*s.batch)
	if err != nil {
		return err
	}
	d.step(counts, batches)
	return nil
}

// measure adds fresh samples of heights h to a tally until it has n.
func (r *run) measure(t *tally, h []float32, n uint64) error {
	if err := r.sampler.device.SetHeights(h); err != nil {
		return err
	}
	return r.sampler.test(t, n)
}

func (r *run) seconds() float64 { return r.before + r.options.Now().Sub(r.start).Seconds() }

// tick tells the caller how the fit stands, four times a second at most.
func (r *run) tick() error {
	now := r.options.Now()
	if r.options.Progress == nil || now.Sub(r.told) < 250*time.Millisecond {
		return nil
	}
	r.told = now
	seconds := r.before + now.Sub(r.start).Seconds()
	p := Progress{
		Samples: r.samples(), SamplesMax: r.options.SamplesMax, ChiSquared: r.chiSquared, Empty: r.empty,
		Seconds: seconds, Energy: r.energy, SecondsLeft: math.NaN(),
	}
	need, have := min(r.samplesFor(r.options.Tolerance), r.options.SamplesMax)+r.toPolish()+r.certificateSamples(), p.Samples
	if r.descent == nil && !r.measuring { // at the start, which nothing foretells, there is at least the way to go
		need += uint64(min(float64(r.target.cells)/r.options.Tolerance, float64(r.options.SamplesMax)))
	}
	if r.certificate != nil {
		p.Tested, p.ToTest = r.certificate.samples, r.toTest
		need, have = p.ToTest, p.Tested
	}
	if drawn := r.sampler.total(); drawn > 0 {
		p.SecondsLeft = seconds * float64(need-min(have, need)) / float64(drawn)
	}
	if !r.options.Progress(p) {
		return Stopped{}
	}
	return nil
}
