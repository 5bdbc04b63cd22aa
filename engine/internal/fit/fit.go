// Package fit finds the heights of a semi-discrete optimal transport map: those for which the mass
// of every power cell is what was asked for.
//
// With the source mu and the wanted masses nu, the heights minimise the convex energy
//
//	E(h) = E_mu[max_i <x,y_i> + h_i] - sum_i nu_i h_i,    dE/dh_i = m_i - nu_i
//
// (Gu, Luo, Sun and Yau 2016), which is known in high dimension only through samples: m_i is the
// share of the samples that fall into cell i. The method is averaged stochastic gradient descent
// on samples that are drawn afresh for every step (descent.go), from a start and with a step that
// the points themselves set (target.go), judged on samples that the descent never saw
// (chisquared.go). What extension needs comes after it: mass centres (centroids.go) and the angles
// between neighbours (angles.go).
//
// Everything is a function of the points, the masses, the options and the seed: counts are
// integers, and sums are made in one fixed order, so the heights have the same bits for any number
// of threads.
package fit

import (
	"math"
	"time"
)

// Device draws samples from the source and finds their cells. One goroutine at a time.
type Device interface {
	// SetHeights replaces the heights h [N].
	SetHeights(h []float32) error
	// Draw makes samples first .. first+n-1 of seed, n <= Batch, and finds the k best cells of each,
	// best first: cells [n,k]. scores [n,k] and x [n,d] receive the scores and the samples unless
	// they are nil.
	Draw(n int, seed, first uint64, k int, cells []int64, scores []float64, x []float32) error
}

const (
	Batch    = 1024           // samples of a step, and the most that a [Device] is asked for at once
	MaxCells = neighbours + 1 // the most cells a sample that it is asked for
)

// firstStretch is the samples of the descent before the first trial of its heights.
const firstStretch = 16 * Batch

// Problem is what the heights are wanted for.
type Problem struct {
	Points    []float32 // y [N,Dim]; finite
	Dim       int       // d
	Masses    []float64 // nu [N], positive, of sum 1; nil: all 1/N
	Deviation float64   // of one coordinate of the source
}

// Options say how long to go on.
type Options struct {
	Tolerance  float64 // stop at this chi-squared
	SamplesMax uint64  // give up after this many samples; 0: see DefaultSamples
	Seed       uint64
	Progress   func(Progress) (goOn bool) // called a few times a second; may be nil
	Now        func() time.Time           // nil: time.Now
}

// Progress is where a fit stands.
type Progress struct {
	Samples, SamplesMax uint64
	ChiSquared          float64 // NaN: not measured yet
	Empty               int     // cells that the samples of that measurement missed; -1: not yet
	Seconds             float64
}

// Result is a finished fit.
type Result struct {
	Heights   []float32 // h [N]; sum_i nu_i h_i = 0
	Centroids []float32 // c [N,d]
	Cosines   []float64 // entry i: the cosine of the angle at quantile i/100; nil for a single cell
	Report    Report
}

// Report is the certificate of a fit. The chi-squared in it is that of the heights as stored, on
// TestSamples samples that had no part in finding them nor in the decision to stop.
type Report struct {
	ChiSquared        float64
	ChiSquaredError   float64 // one standard error
	Met               bool    // chi-squared within the tolerance, and no cell empty but by chance
	Samples           uint64  // drawn by the descent
	TestSamples       uint64
	Empty             int     // cells that no test sample fell into, duplicates left out
	EmptyExpected     float64 // such cells if every mass were exact
	Duplicates        int     // points equal to an earlier one, which takes their mass
	CentroidFallbacks int     // empty cells, whose mass centre is a guess
	Seconds           float64
}

// Stopped is the error of a fit whose progress function said no.
type Stopped struct{}

func (Stopped) Error() string { return "the fit was stopped" }

// DefaultSamples is when a fit of n points gives up: 10 times the n/tolerance samples below which
// no method on independent samples can be within the tolerance, and 4 million at least, which low
// dimensions may need and where they cost little.
func DefaultSamples(n int, tolerance float64) uint64 {
	return max(1<<22, uint64(min(10*float64(n)/tolerance, 1<<53)))
}

// Solve finds the heights.
func Solve(p Problem, device Device, o Options) (*Result, error) {
	return newRun(p, device, o).solve()
}

// Certify measures heights that are known already, and finds what else a result holds. The samples
// of its progress are those of the measurement.
func Certify(p Problem, heights []float32, device Device, o Options) (*Result, error) {
	r := newRun(p, device, o)
	r.used, r.options.SamplesMax = &r.sampler.tested, r.certificateSamples()
	return r.finish(heights)
}

func newRun(p Problem, device Device, o Options) *run {
	t := newTarget(p)
	if o.SamplesMax == 0 {
		o.SamplesMax = DefaultSamples(t.cells, o.Tolerance)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	r := &run{
		target: t, options: o, sampler: newSampler(device, t.n, p.Dim, o.Seed),
		start: o.Now(), chiSquared: math.NaN(), empty: -1,
	}
	r.descent = newDescent(t)
	r.used = &r.descent.samples
	r.sampler.tick = r.tick
	return r
}

// run is a fit in progress.
type run struct {
	target  *target
	options Options
	sampler *sampler
	descent *descent

	start, told time.Time
	used        *uint64 // samples, as progress counts them
	chiSquared  float64 // of the latest trial
	empty       int     // of the latest trial
	emptyLast   bool    // the latest certificate found cells empty that should not be
}

// solve goes down in stretches and tries the heights after each.
func (r *run) solve() (*Result, error) {
	for {
		last := r.descent.samples >= r.options.SamplesMax
		heights, passed, err := r.try(r.descent.candidates())
		if err != nil {
			return nil, err
		}
		if passed || last {
			result, err := r.finish(heights)
			if err != nil || result.Report.Met || last {
				return result, err
			}
			r.emptyLast = result.Report.ChiSquared <= r.options.Tolerance
		}
		if err := r.descend(r.nextTrial()); err != nil {
			return nil, err
		}
	}
}

// nextTrial is the number of samples after which heights are tried again: when chi-squared, which
// falls like one over the samples at best, would be just within the tolerance, but after half as
// many samples again at most, so that progress is seen, and a tenth at least, so that the trials
// stay cheap. A certificate that failed by empty cells costs more than a trial and says nothing of
// how long they take.
func (r *run) nextTrial() uint64 {
	growth := max(1.1, min(1.5, 1.05*r.chiSquared/r.options.Tolerance))
	if r.emptyLast {
		growth = 1.5
	}
	next := max(uint64(growth*float64(r.descent.samples)), firstStretch)
	return min(next, r.options.SamplesMax)
}

// descend takes steps until so many samples are used.
func (r *run) descend(until uint64) (err error) {
	if r.descent.steepness, err = r.sampler.steepness(r.target); err != nil {
		return err
	}
	for r.descent.samples < until {
		if err := r.sampler.device.SetHeights(r.descent.current()); err != nil {
			return err
		}
		counts, err := r.sampler.train(r.descent.samples)
		if err != nil {
			return err
		}
		r.descent.step(counts, Batch)
	}
	return nil
}

// try chooses the better candidate on a few fresh samples, then measures it with as many as it
// takes to tell whether it is within the tolerance, but not above a fifth of what the descent used.
func (r *run) try(candidates [][]float32) (best []float32, passed bool, err error) {
	few := max(r.descent.samples/40, 4*Batch)
	var t *tally
	for _, h := range candidates {
		trial := newTally(r.target)
		if err := r.measure(trial, h, few); err != nil {
			return nil, false, err
		}
		if t == nil || trial.chiSquared() < t.chiSquared() {
			best, t = h, trial
		}
	}
	limit := max(r.descent.samples/5, 1<<16)
	for {
		chi, sd := t.chiSquared(), t.chiSquaredError()
		r.chiSquared, r.empty = chi, t.empty()
		decided := 10*sd < r.options.Tolerance || chi-3*sd > r.options.Tolerance
		if decided || 2*t.samples > limit {
			return best, chi+sd <= r.options.Tolerance && !t.missesTooMany(), nil
		}
		if err := r.measure(t, best, 2*t.samples); err != nil {
			return nil, false, err
		}
	}
}

// measure adds fresh samples of heights h to a tally until it has n.
func (r *run) measure(t *tally, h []float32, n uint64) error {
	if err := r.sampler.device.SetHeights(h); err != nil {
		return err
	}
	return r.sampler.test(t, n)
}

// finish draws the samples that give the mass centres, which are also the certificate: they are
// more than try takes, and had no part in its decision.
func (r *run) finish(heights []float32) (*Result, error) {
	if err := r.sampler.device.SetHeights(heights); err != nil {
		return nil, err
	}
	t := newTally(r.target)
	sums, err := r.sampler.centroids(t, r.certificateSamples())
	if err != nil {
		return nil, err
	}
	cosines, err := r.sampler.angles(r.target.problem)
	if err != nil {
		return nil, err
	}
	chi := t.chiSquared()
	return &Result{
		Heights: heights, Centroids: r.target.centroids(sums, t.counts), Cosines: cosines,
		Report: Report{
			ChiSquared: chi, ChiSquaredError: t.chiSquaredError(),
			Met:     chi <= r.options.Tolerance && !t.missesTooMany(),
			Samples: r.descent.samples, TestSamples: t.samples,
			Empty: t.empty(), EmptyExpected: t.emptyExpected(),
			Duplicates: r.target.n - r.target.cells, CentroidFallbacks: t.empty(),
			Seconds: r.options.Now().Sub(r.start).Seconds(),
		},
	}, nil
}

func (r *run) certificateSamples() uint64 {
	return max(samplesPerCell*uint64(r.target.cells), 1<<16)
}

// tick tells the caller how the fit stands, four times a second at most.
func (r *run) tick() error {
	now := r.options.Now()
	if r.options.Progress == nil || now.Sub(r.told) < 250*time.Millisecond {
		return nil
	}
	r.told = now
	goOn := r.options.Progress(Progress{
		Samples: *r.used, SamplesMax: r.options.SamplesMax,
		ChiSquared: r.chiSquared, Empty: r.empty, Seconds: now.Sub(r.start).Seconds(),
	})
	if !goOn {
		return Stopped{}
	}
	return nil
}
