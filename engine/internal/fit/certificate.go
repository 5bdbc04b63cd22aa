package fit

import (
	"math"
	"sync"

	kernels "brenier/kernels/cpu"
)

// risk is the probability with which a bound of the certificate may fail.
const risk = 0.05

// confidence is how many standard errors chi-squared must be within the tolerance. A fit that
// fails goes on and is judged again on new samples, so that it has several tries: 2.3% each, and
// again for a second look.
const confidence = 2

// Report is the certificate of a fit. All but the first three and Seconds is measured on samples
// that had no part in finding the heights nor in the decision to stop, and holds for the heights as
// stored.
type Report struct {
	Method      string
	Samples     uint64 // drawn to find the heights
	TestSamples uint64
	Group       int // samples that share a rotation; 1: all independent

	ChiSquared      float64
	ChiSquaredError float64 // one standard error
	Met             bool    // within the tolerance by two standard errors, and no cell empty but by chance

	TotalVariation      float64 // sum_i |m_i - nu_i| / 2 as seen
	TotalVariationFloor float64 // what exact masses would show

	Empty         int     // cells that no test sample fell into, duplicates left out
	EmptyExpected float64 // such cells if every mass were exact
	EmptyMass     float64 // upper bound on their mass together, 95 %

	LargestError        float64 // the largest |m_i/nu_i - 1| as seen
	LargestErrorFloor   float64 // what exact masses would show
	LargestErrorCertain float64 // a lower bound on it, 95 %; 0: the samples resolve none

	Energy, EnergyError   float64 // E(h) of the points less their mean, and one standard error
	W2Lower, W2LowerError float64 // of W2^2 for the cost |x-y|^2, by weak duality
	W2Upper, W2UpperError float64 // of the cost of a plan with the right masses

	SamplesToHalve    uint64  // more samples that half this chi-squared would cost
	Duplicates        int     // points equal to an earlier one, which takes their mass
	CentroidFallbacks int     // empty cells, whose mass centre is a guess
	CentroidError     float64 // root mean square of the standard errors of the mass centres
	AngleError        float64 // the largest standard error of the angles' quantiles 0.05 .. 0.95, in radians
	Seconds           float64
}

// certificateSamples is enough for the mass centres, and that with which the fit, which must come so
// far below the tolerance that the certificate can tell, and the certificate take the fewest samples
// together: with the standard error a/B of chi-squared (a: scatter), the sum of c N/(tolerance - 2a/B)
// and B is the least for B = (2a + sqrt(2 a c N))/tolerance.
func (r *run) certificateSamples() uint64 {
	cells, scatter := float64(r.target.cells), r.scatter()
	constant := max(1, r.forecast.constant)
	fine := (confidence*scatter + math.Sqrt(confidence*scatter*constant*cells)) / r.options.Tolerance
	fine = min(fine, float64(max(r.samples(), 1<<17))) // never many more than the fit itself took
	n := max(samplesPerCell*uint64(r.target.cells), uint64(fine), 1<<16)
	return max(n, uint64(minGroups*r.sampler.group))
}

// looks are how often a certificate is looked at: one that just fails to tell that the tolerance is met, or that
// missed a few cells which it may have missed by chance, is made of twice the samples, which is cheaper than to go on
// and to begin another. Of a million cells, of chi-squared 0.1, 32 samples a cell are expected to miss 0.6 that have a
// mass, 64 hardly any ([tally.emptyUneven]).
const looks = 2

// hopeless is how many cells more samples must be expected to miss still for them not to be drawn.
const hopeless = 2

// missesForGood reports whether so many cells are empty that n samples in all are not likely to hit them.
func (t *tally) missesForGood(n uint64) bool {
	return t.missesTooMany() && t.willMiss(float64(n)) >= hopeless
}

// certify measures heights, and finds the mass centres and the angles with the same samples. Where
// the search may go on, a third of the samples is enough to give up heights that plainly
// miss the tolerance or leave more cells empty than can be mended, which takes to know them; and the result is nil where
// the tolerance is not met.
func (r *run) certify(heights []float32, mayGoOn bool) (*Result, error) {
	if err := r.sampler.device.SetHeights(heights); err != nil {
		return nil, err
	}
	t, s := r.target, r.sampler
	tally := newTally(t)
	u := &meanOf{block: blockOf(s.group), square: t.problem.meanSquare()}
	centres, err := newCentres(t, s, r.options.Parallel)
	if err != nil {
		return nil, err
	}
	defer centres.close() // after a failure, whose error came first
	visits := []func(drawn){
		func(b drawn) { u.add(b.scores, b.along, b.squares) },
		centres.add,
	}
	samples := r.certificateSamples()
	r.certificate, r.certified, r.toTest = tally, tally, samples
	defer func() { r.certificate = nil }()
	anglesFrom := s.next[anglesStream]
	var planned func() planMeasures
	if centres.onDevice != nil { // there is time for the plan while the device draws
		if planned, err = r.measureMeanwhile(heights); err != nil {
			return nil, err
		}
	}
	failed := func() (*Result, error) {
		s.next[anglesStream] = anglesFrom // another certificate has the same plan on every device
		r.observe(tally)
		return nil, nil
	}
	if part := samples / 3; mayGoOn && part >= uint64(minGroups*s.group) {
		if err := s.testEach(tally, part, centres.draw, visits...); err != nil {
			return nil, err
		}
		chi, sd := tally.estimate()
		if chi-3*sd > r.options.Tolerance || tally.missesForGood(looks*samples) && !r.mendable(tally) {
			return failed()
		}
	}
	var chi, sd float64
	within := false
	for look := 1; ; look++ {
		if err := s.testEach(tally, samples, centres.draw, visits...); err != nil {
			return nil, err
		}
		chi, sd = tally.estimate()
		off := float64(confidence * sd)
		within = chi+off <= r.options.Tolerance
		plain := within && len(tally.stuck()) == 0 || chi+off/2 > r.options.Tolerance || tally.missesForGood(2*samples)
		if plain || look == looks || r.measuring {
			break
		}
		samples *= 2
		r.toTest = samples
	}
	met := within && !tally.missesTooMany()
	if mayGoOn && !met {
		return failed()
	}
	if err := centres.total(); err != nil {
		return nil, err
	}
	if planned == nil {
		plan, err := s.plan()
		if err != nil {
			return nil, err
		}
		planned = func() planMeasures { return r.measurePlan(plan, heights) }
	}
	report := Report{
		Method: r.method, Samples: r.found(), TestSamples: tally.samples, Group: tally.group,
		ChiSquared: chi, ChiSquaredError: sd,
		Met: met, Empty: tally.empty(), EmptyExpected: tally.emptyExpected(), EmptyMass: tally.emptyMass(risk),
		Duplicates: t.n - t.cells, CentroidFallbacks: tally.empty(),
		SamplesToHalve: r.toHalve(chi),
	}
	report.TotalVariation, report.TotalVariationFloor = tally.totalVariation()
	report.LargestError, report.LargestErrorFloor, report.LargestErrorCertain = tally.largestError(risk)
	result := &Result{Heights: heights, Trials: r.trials, Masses: tally.relativeMasses()}
	var plan planMeasures
	fixed := 0.0
	r.options.Parallel.Together(
		func() { plan = planned() },
		func() { fixed = r.bounds(&report, wide(heights), u) },
		func() { result.Centroids, report.CentroidError = centres.means(tally.counts) },
	)
	report.W2Upper, report.W2UpperError = fixed-float64(2*plan.score), 2*plan.scoreError
	result.Cosines, report.AngleError = plan.cosines, plan.angleError
	report.Seconds = r.seconds()
	result.Report = report
	r.chiSquared, r.empty, r.energy = chi, report.Empty, report.Energy
	return result, nil
}

// planMeasures are what a certificate has of its plan.
type planMeasures struct {
	score, scoreError float64   // mean of the scores once it is mended, less <x, mean>, and one standard error
	cosines           []float64 // table of the angles
	angleError        float64
}

func (r *run) measurePlan(p *plan, heights []float32) (m planMeasures) {
	d := r.target.problem.Dim
	r.options.Parallel.Together( // each on one thread for the most part
		func() {
			moved := &meanOf{block: p.block, square: r.target.problem.meanSquare()}
			along, square := make([]float64, p.samples()), make([]float64, p.samples())
			r.options.Parallel(p.samples(), func(first, end int) {
				kernels.RowProducts(kernels.Best(), p.x[first*d:end*d], r.target.mean, along[first:end], square[first:end])
			})
			moved.add(p.rebalance(r.options.Parallel, wide(heights)), along, square)
			m.score, m.scoreError = moved.estimate()
		},
		func() {
			cosines := p.cosines(r.options.Parallel)
			m.cosines, m.angleError = angleTable(cosines, p.samples(), r.options.Parallel)
		},
	)
	return m
}

// measureMeanwhile draws a plan and measures it while the caller does other things; who calls what it returns
// waits. One that nobody asked about, as of a certificate that failed, is waited for before the next and at the
// end.
func (r *run) measureMeanwhile(heights []float32) (func() planMeasures, error) {
	r.settle()
	plan, err := r.sampler.plan()
	if err != nil {
		return nil, err
	}
	measures := sync.OnceValue(func() planMeasures { return r.measurePlan(plan, heights) })
	go func() {
		defer func() { _ = recover() }() // who waits gets it too
		measures()
	}()
	r.settle = func() { measures() }
	return measures, nil
}

// bounds are the energy and the lower bound of W2^2. For any heights
//
//	W2^2 >= E|x|^2 + sum_i nu_i |y_i|^2 - 2 E(h)
//
// (weak duality), and the cost of the plan, the upper bound, is that with the scores of the plan in place
// of the best ones: `fixed` is all but their mean. All with the points less their mean, for which both
// sides of W2^2 = W2^2(centred) + |mean|^2 are smaller.
func (r *run) bounds(report *Report, h []float64, u *meanOf) (fixed float64) {
	t := r.target
	centred, heights, mean := 0.0, 0.0, 0.0
	for i, nu := range t.mass {
		centred += float64(nu * squared(t.point(i), t.mean))
		heights += float64(nu * h[i])
	}
	for k, v := range t.mean {
		if t.problem.Shift != nil {
			v += t.problem.Shift[k]
		}
		mean += float64(v * v)
	}
	best, sd := u.estimate()
	report.Energy, report.EnergyError = best-heights, sd
	fixed = u.square + centred + mean + float64(2*heights)
	report.W2Lower, report.W2LowerError = fixed-float64(2*best), 2*sd
	return fixed
}

// toHalve is as many samples as were used, for chi-squared falls like one over them. Given heights are
// taken for worth N/chi-squared samples.
func (r *run) toHalve(chi float64) uint64 {
	if r.measuring {
		return uint64(float64(r.target.cells) / max(chi, 1e-9))
	}
	return r.samples()
}

// found is the samples that the heights were found with.
func (r *run) found() uint64 {
	if r.measuring {
		return 0
	}
	return r.samples()
}
