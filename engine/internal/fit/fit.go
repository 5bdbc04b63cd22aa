// Package fit finds the heights of a semi-discrete optimal transport map: those for which the mass
// of every power cell is what was asked for.
//
// With the source mu and the wanted masses nu, the heights minimise the convex energy
//
//	E(h) = E_mu[max_i <x,y_i> + h_i] - sum_i nu_i h_i,    dE/dh_i = m_i - nu_i
//
// (Gu, Luo, Sun and Yau 2016), which is known in high dimension only through samples: m_i is the
// share of the samples that fall into cell i. The way of a fit (run.go):
//
//	start        heights that the points' distances and masses suggest     target.go
//	coarse       Newton on a few features, where the start is far off      coarse.go
//	multiscale   or a fit of some of the points, where there are many      multiscale.go
//	descent      averaged stochastic gradient descent on fresh samples     descent.go
//	newton       in low dimension instead: Newton on the cells' graph      newton.go
//	lift         cells that are empty or thin, put where they are hit      lift.go, mend.go, thin.go
//	certificate  on samples that nothing before has seen                   certificate.go
//
// and what extension needs comes out of the last: mass centres (centroids.go) and the angles between
// neighbours (angles.go).
//
// Measured with draws that share frames, on two cores, in seconds of the processor, certificate, mass
// centres and angles included (BenchmarkFitToTolerance, BenchmarkFitAll in engine). `dense` is
// 1.5 N/chi2 (1e-2) or 1.2 N/chi2 (1e-3) independent draws at locate's own speed; `found`, when the
// heights were, at the chi-squared of the last column, which is below the tolerance so that a
// certificate can tell; certificates that failed before are part of it. No cell was empty.
//
//	codes, N, d, tolerance          samples    found  all    dense  chi-squared
//	MNIST    2000   64  1e-2        296,000    0.42   0.68   1.4    0.0076
//	                    1e-3        2,840,000  2.7    4.4    12.7   0.00073
//	terrain  2000  128  1e-2        262,000    0.33   0.65   2.8    0.0089
//	                    1e-3        2,700,000  3.2    5.5    23.1   0.00092
//	ten far clusters 2000 32  1e-2  398,000    0.50   0.73   0.92   0.0067
//	                    1e-3        2,900,000  2.8    4.3    7.8    0.00080
//	MNIST   60,000  64  5e-2        1,700,000  41     74            0.048
//	terrain 46,800 128  5e-2        2,600,000  70     96            0.028
//
// With independent draws, N = 2000 and certificate, centres and angles included, a fit takes 1/0.9 of the
// time that locate alone takes for as many samples (BenchmarkFitDense in engine).
//
// Everything is a function of the points, the masses, the options and the seed: counts are
// integers, and sums are made in one fixed order, so the heights have the same bits for any number
// of threads.
package fit

import (
	"math"
	"time"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/threads"
)

// Device draws samples from the source and finds their cells. One goroutine at a time.
type Device interface {
	// SetHeights replaces the heights h [N].
	SetHeights(h []float32) error
	// Draw makes samples first .. first+n-1 of seed, n <= BatchFor(N, d), and finds the k best cells
	// of each, best first: cells [n,k]. scores [n,k] and x [n,d] receive the scores and the samples
	// unless they are nil.
	Draw(n int, seed, first uint64, k int, cells []int64, scores []float64, x []float32) error
}

// RotatedDrawer is a Device whose gaussian draws may share a frame.
type RotatedDrawer interface {
	Device
	backend.RotatedDrawer
}

// Counter is a Device that counts draws itself, so that a step of the descent brings N counts from it
// instead of every draw's cell. Count is Draw, or where rotated is true DrawRotated, for the best cell of
// each; TakeCounts writes how many draws fell into every cell since the last call. One that is an
// [sgd.Descender] too may take the steps.
type Counter interface {
	Device
	Count(n int, seed, first uint64, rotated bool) error
	TakeCounts(counts []int32) error
}

// Summer is a Device that can leave samples where it makes them, and make the next ones while the caller is at
// work on those before: what a certificate needs of them is a few values each, and their sums by cell.
type Summer interface {
	Device
	// NewSums begins sums of none, in units of 2^-exponent, of values below 2^31 units, for products with m
	// [d] and at most `most` draws at once; nothing is added up where m is nil. The device's other draws are
	// asked for when none of these is on its way, and its heights stay until they are closed. nil: there is no
	// room for them, or no way.
	NewSums(m []float64, exponent, most int) (backend.Sums, error)
}

// Mapper is a Device that finds cells of other maps too.
type Mapper interface {
	Device
	// NewMap makes a device of the same source for other points y [M,d], of the same dimension, M >= MapCells.
	// nil: there is no room for it.
	NewMap(points []float32) (Map, error)
}

// MapCells is the most cells a sample that a [Map] is asked for.
const MapCells = 32

// Map is a Device that a [Mapper] makes. It can be a [RotatedDrawer], a [Counter] and the like.
type Map interface {
	Device
	// Locate finds the k best cells of samples x [n,d], k <= MapCells, best first: cells [n,k].
	Locate(x []float32, k int, cells []int64) error
	Close() error
}

// MaxCells is the most cells a sample that a [Device] is asked for.
const MaxCells = neighbours + 1

// The samples of a step.
const (
	leastBatch = 1024
	mostBatch  = 1 << 17
)

// BatchFor is the samples of a step, and the most that a [Device] is asked for at once, but for draws that
// share a frame, of which it may be a group: about an eighth of the cells, so that a step, which
// costs some passes over all heights, is little beside its samples, and no cell is hit often.
func BatchFor(n, d int) int {
	batch := leastBatch
	for batch < mostBatch && batch < n/8 && batch*d < 1<<20 {
		batch *= 2
	}
	return batch
}

// Problem is what the heights are wanted for.
type Problem struct {
	Points  []float32 // y [N,Dim], as the device has them; finite
	Dim     int       // d
	Masses  []float64 // nu [N], positive, of sum 1; nil: all 1/N
	Uniform bool      // the source is uniform on [-1/2,1/2]^d; else N(0,I)
	Shift   []float64 // [d], taken off the points before; nil: nothing

	shifted []float32 // the points before that
}

// centreFrom is how far from the origin points may lie, in units of their spread, before their mean
// is taken off: scores and the bounds of a screen then lose digits to what all of them share.
const centreFrom = 16

// Centre takes the mean off points that lie far from the origin, in a copy. The heights are the
// same: <x, mean> is common to all scores. What rounding the difference to float32 does to a point is
// a part in 10^7 of its distance from the mean.
func (p *Problem) Centre() {
	n := len(p.Points) / p.Dim
	mean, square := make([]float64, p.Dim), 0.0
	for i, v := range p.Points {
		mean[i%p.Dim] += float64(v) / float64(n)
	}
	norm := 0.0
	for _, v := range mean {
		norm += float64(v * v)
	}
	for i, v := range p.Points {
		e := float64(v) - mean[i%p.Dim]
		square += float64(e*e) / float64(n)
	}
	if norm <= float64(centreFrom*centreFrom)*square {
		return
	}
	centred := make([]float32, len(p.Points))
	for i, v := range p.Points {
		centred[i] = float32(float64(v) - mean[i%p.Dim])
	}
	p.shifted, p.Points, p.Shift = p.Points, centred, mean
}

// given are the points [N,Dim] before anything was taken off.
func (p *Problem) given() []float32 {
	if p.Shift == nil {
		return p.Points
	}
	return p.shifted
}

// deviation is that of one coordinate of the source.
func (p Problem) deviation() float64 {
	if p.Uniform {
		return math.Sqrt(1. / 12)
	}
	return 1
}

// meanSquare is the mean of |x|^2.
func (p Problem) meanSquare() float64 {
	deviation := p.deviation()
	return float64(float64(p.Dim) * float64(deviation*deviation))
}

// Options say how long to go on.
type Options struct {
	Tolerance  float64 // stop at this chi-squared
	SamplesMax uint64  // give up after this many samples; 0: see DefaultSamples
	Seed       uint64
	Parallel   threads.Share              // the threads to share work out to; nil: the caller's alone
	Start      []float32                  // heights to start from [N]; nil: the solver's own
	Rebalance  bool                       // at the end, lift cells that the certificate found empty, and certify anew
	Progress   func(Progress) (goOn bool) // called a few times a second; may be nil
	Now        func() time.Time           // nil: time.Now

	Checkpoint func(state []byte) error // called every CheckpointEvery with what Resume takes; may be nil
	Resume     []byte                   // a checkpoint of the same problem; nil: from the start
	Every      time.Duration            // between checkpoints; 0: 20 s
}

// Progress is where a fit stands.
type Progress struct {
	Samples, SamplesMax uint64
	ChiSquared          float64 // NaN: not measured yet
	Empty               int     // cells that its samples missed beyond what chance misses; -1: not yet
	Seconds             float64
	Energy              float64 // NaN: not measured yet
	SecondsLeft         float64 // a prediction, the certificate included; NaN: none yet
	Tested, ToTest      uint64  // samples of the certificate so far, and that it takes; both 0: not begun
}

// Result is a finished fit.
type Result struct {
	Heights   []float32 // h [N]; sum_i nu_i h_i = 0
	Centroids []float32 // c [N,d]
	Cosines   []float64 // entry i: the cosine of the angle at quantile i/100; nil for a single cell
	Trials    []Trial   // of the heights on the way, in order; none where heights were given
	Masses    *Histogram
	Report    Report
}

// Trial is chi-squared on fresh samples at one time of a fit, and its standard error.
type Trial struct {
	Samples                     uint64 // drawn to find the heights by then
	ChiSquared, ChiSquaredError float64
}

// Stopped is the error of a fit whose progress function said no.
type Stopped struct{}

func (Stopped) Error() string { return "the fit was stopped" }

// DefaultSamples is when a fit of n points gives up: 10 times the n/tolerance samples below which
// no method on independent samples can be within the tolerance, 250 a point where that is more, as cells are
// to be filled too, and 4 million at least, which low dimensions may need and where they cost little.
func DefaultSamples(n int, tolerance float64) uint64 {
	return max(1<<22, uint64(min(10*float64(n)/min(tolerance, 0.04), 1<<53)))
}

// Solve finds the heights.
func Solve(p Problem, device Device, o Options) (*Result, error) {
	r := newRun(p, device, o)
	defer func() { r.settle() }()
	return r.solve()
}

// Certify measures heights that are known already, and finds what else a result holds. The samples
// of its progress are those of the measurement.
func Certify(p Problem, heights []float32, device Device, o Options) (*Result, error) {
	r := newRun(p, device, o)
	r.method = "given"
	r.measuring = true
	r.options.SamplesMax = r.certificateSamples()
	defer func() { r.settle() }()
	return r.certify(heights, false)
}
