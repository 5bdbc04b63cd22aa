package fit

import (
	"math/rand/v2"
	"slices"
)

const (
	multiscaleFrom = 1 << 12 // cells from which a start by scales pays
	scaleShare     = 8       // cells of a scale for one of the scale above
	scaleHits      = 64      // samples that the cells of a scale above descend for, each
	scaleSteps     = 192     // and the steps that this takes at least
	scaleParts     = 3       // between which cells that are stuck are lifted
)

// multiscale replaces heights h by such as a fit of some of the points leads to, which begins like any other, by
// scales again where these are many (Merigot 2011), with the heights of the finer scale found in any dimension
// and without a neighbourhood. An eighth of the points take the masses of those that are nearest to them, and
// descend for a while. The others are then added as cells that no sample falls into, each lifted until it has half
// of its mass of the samples that these cells had (lift.go). false: the device has no room for it, and h is what it
// was.
//
// Measured on 100,000 points on a torus in space, 5 million samples for the search (BenchmarkFitManyCells in
// engine), certificate included: chi-squared 0.078 and 4 cells empty in 26 s, where the start with features, and
// cells lifted one by one, led to 0.73 and 4,533 in 181 s.
func (r *run) multiscale(h []float64) (done bool, err error) {
	t, s := r.target, r.sampler
	var owners []int
	for i, nu := range t.mass {
		if nu > 0 {
			owners = append(owners, i)
		}
	}
	random := rand.New(rand.NewPCG(s.seed, 0x7363616c6573))
	random.Shuffle(len(owners), func(a, b int) { owners[a], owners[b] = owners[b], owners[a] })
	some, rest := owners[:len(owners)/scaleShare], slices.Clone(owners[len(owners)/scaleShare:])
	points := make([]float32, 0, len(some)*s.d)
	for _, i := range some {
		points = append(points, t.point(i)...)
	}
	device, err := s.mapper.NewMap(points)
	if device == nil || err != nil {
		return false, err
	}
	defer device.Close()
	masses, err := t.gather(device, points, some)
	if err != nil {
		return false, err
	}
	above := newRun(Problem{Points: points, Dim: s.d, Masses: masses, Uniform: t.problem.Uniform}, device, Options{
		Tolerance: 1, SamplesMax: 1 << 62, Seed: s.seed + 1, Parallel: s.parallel, Now: r.options.Now,
	})
	before := s.evaluated
	above.sampler.tick = func() error {
		s.evaluated = before + above.sampler.total()
		return s.tick()
	}
	coarse, err := above.roughly()
	if err != nil {
		return false, err
	}
	samples, err := above.sampler.stock(above.target, coarse, max(min(fillHits*t.cells, liftFloats/s.d), s.batch))
	if err != nil {
		return false, err
	}
	s.evaluated = before + above.sampler.total()
	mean := above.target.meanHeight(coarse)
	for j, c := range samples.counts(above.target) {
		h[some[j]] = coarse[j] - mean
		if c == 0 { // still empty
			rest = append(rest, some[j])
		}
	}
	lifted, err := s.liftOver(t, nil, rest, samples, t.samplesOf(liftShare))
	if err != nil {
		return false, err
	}
	for j, i := range rest {
		h[i] = lifted[j]
	}
	for i, owner := range t.owner {
		h[i] = h[owner]
	}
	return true, nil
}

// roughly is the heights of a short descent.
func (r *run) roughly() ([]float64, error) {
	if err := r.begin(); err != nil {
		return nil, err
	}
	part := uint64(max(scaleHits*r.target.cells, scaleSteps*r.sampler.batch) / scaleParts)
	for range scaleParts {
		r.until = r.samples() + part
		if err := r.descend(); err != nil {
			return nil, err
		}
	}
	return r.descent.Averages[1], nil
}

// gather is the mass of some cells and of those that are nearer to each of them than to the others. The device
// is of their points.
func (t *target) gather(device Map, points []float32, some []int) ([]float64, error) {
	d := t.problem.Dim
	half := make([]float32, len(some)) // the nearest has the highest <x,y> - |y|^2/2
	for j := range half {
		y := points[j*d : (j+1)*d]
		half[j] = float32(-inner(y, y) / 2)
	}
	if err := device.SetHeights(half); err != nil {
		return nil, err
	}
	nearest := make([]int64, t.n)
	if err := device.Locate(t.problem.Points, 1, nearest); err != nil {
		return nil, err
	}
	for j, i := range some { // whatever rounding says
		nearest[i] = int64(j)
	}
	masses := make([]float64, len(some))
	for i, j := range nearest {
		masses[j] += t.mass[i]
	}
	return masses, nil
}
