package fit

import (
	"math"

	"brenier/engine/internal/cholesky"
)

const (
	coarseMost     = 8192 // samples that the energy is minimised over
	coarseHits     = 32   // or so many a cell, where that is less
	coarseClusters = 24   // at most
	coarseSteps    = 8    // that are tried, of each stage
	coarseShare    = 0.2  // of the samples, those of least gap, that count as near-ties
	clusterHits    = 64.  // samples that a cluster expects, or it is no feature
	coarseReach    = 2.   // the most that a step moves a height, in scales of its point
)

// features are functions of the cells that the coarse steps move the heights along: the scale rho_i
// of a point over the root mean square, rho_i^2/2, and for every cluster c of the points its
// indicator and rho within it.
type features struct {
	rho   []float64 // [N]
	label []int     // cluster [N], -1: none; nil: radii only
	count int       // clusters
}

func (f *features) size() int { return 2 + 2*f.count }

// row writes the indices and values of feature row i; there are at most 4.
func (f *features) row(i int, index *[4]int, value *[4]float64) int {
	r := f.rho[i]
	*index, *value = [4]int{0, 1}, [4]float64{r, float64(r*r) / 2}
	if f.label == nil || f.label[i] < 0 {
		return 2
	}
	index[2], value[2] = 2+2*f.label[i], 1
	index[3], value[3] = 3+2*f.label[i], r
	return 4
}

// coarse removes the large-scale error of heights: it minimises the energy over h + span(features)
// by Newton's method on one set of samples.
//
// With D the rows phi_i - phi_j of the samples whose best two cells i, j are within delta, the
// Hessian is D^T D/(2 delta B) (the share of samples within delta of a boundary is 2 delta times the
// density there). Levenberg and Marquardt's damping bears features that coincide and clusters that
// no sample hits: lambda times the curvature that the random-energy model gives each feature is
// added to the diagonal, more of it after a step that does not lower the energy. Clusters of little
// mass are no feature at all.
//
// The set is the same for all steps: with p features and B samples it leaves a chi-squared of about
// p/B, 0.006. Stages end when a step promises less than what the sampling noise of the gradient gives.
// It returns the samples at the new heights, nil for few cells. Measured, chi-squared before and after,
// cells lifted (lift.go) included: clusters of N = 2000 in
// d = 32, 2.0 and 0.57; mixtures of N = 1000, 16 and 2.6 in d = 8, 279 and 4.8 in d = 3.
func (s *sampler) coarse(t *target, h []float64) (at *ties, err error) {
	if t.cells < 16 {
		return nil, nil
	}
	f := &features{rho: make([]float64, t.n)}
	square := 0.0
	for i, nu := range t.mass {
		square += float64(nu * float64(t.scale[i]*t.scale[i]))
	}
	for i := range f.rho {
		f.rho[i] = t.scale[i] / math.Sqrt(square)
	}
	n := min(coarseMost, max(coarseHits*t.cells, coarseMost/4))
	first := s.reserve(n)
	if at, err = s.coarseStage(t, f, h, first, n); err != nil {
		return nil, err
	}
	k := min(coarseClusters, t.cells/32)
	if k < 2 {
		return at, nil
	}
	f.label, f.count = t.kmeans(k, s.seed), k
	mass := make([]float64, k)
	for i, nu := range t.mass {
		mass[f.label[i]] += nu
	}
	for i, c := range f.label {
		if float64(mass[c]*float64(n)) < clusterHits {
			f.label[i] = -1
		}
	}
	return s.coarseStage(t, f, h, first, n)
}

// coarseStage moves h along the features, and returns the samples at the new heights.
func (s *sampler) coarseStage(t *target, f *features, h []float64, first uint64, n int) (*ties, error) {
	at, err := s.evaluate(t, h, first, n)
	if err != nil {
		return nil, err
	}
	lambda := 0.01
	trial := make([]float64, len(h))
	for range coarseSteps {
		system := f.system(t, at)
		step, promised, noise, ok := system.solve(lambda)
		if !ok || promised <= noise {
			return at, nil
		}
		longest := 0.0
		for i := range trial {
			move := f.dot(i, step)
			trial[i] = move
			longest = max(longest, math.Abs(move)/t.scale[i])
		}
		shorten := min(1, coarseReach/longest)
		for i := range trial {
			trial[i] = h[i] + float64(shorten*trial[i])
		}
		there, err := s.evaluate(t, trial, first, n)
		if err != nil {
			return nil, err
		}
		if there.energy < at.energy-float64(0.1*float64(shorten*promised)) {
			copy(h, trial)
			at = there
			lambda = max(lambda/4, 1e-4)
		} else if lambda *= 16; lambda > 1e4 {
			return at, nil
		}
	}
	return at, nil
}

func (f *features) dot(i int, a []float64) float64 {
	var index [4]int
	var value [4]float64
	sum := 0.0
	for j := range f.row(i, &index, &value) {
		sum += float64(value[j] * a[index[j]])
	}
	return sum
}

// system is Newton's: Hessian [p,p], gradient, the model's curvature and the gradient's variance by
// feature [p].
type system struct {
	p        int
	hessian  []float64
	gradient []float64
	model    []float64
	noise    []float64
}

func (f *features) system(t *target, at *ties) *system {
	p := f.size()
	s := &system{p: p, hessian: make([]float64, p*p), gradient: make([]float64, p), model: make([]float64, p), noise: make([]float64, p)}
	n := float64(len(at.gap))
	var index, other [4]int
	var value, less [4]float64
	for i, nu := range t.mass {
		off := float64(at.counts[i])/n - nu
		for j := range f.row(i, &index, &value) {
			v := value[j]
			s.gradient[index[j]] += float64(v * off)
			s.model[index[j]] += float64(float64(v*v)*nu) * t.quantile[i] / t.scale[i]
			s.noise[index[j]] += float64(float64(v*v)*nu) / n
		}
	}
	delta, _ := at.nearest(coarseShare)
	if delta == 0 {
		return s
	}
	weight := 1 / (2 * delta * n)
	for b, gap := range at.gap {
		if gap > delta {
			continue
		}
		count := f.row(int(at.best[b]), &index, &value)
		others := f.row(int(at.next[b]), &other, &less)
		var rows [8]int
		var values [8]float64
		for j := range count {
			rows[j], values[j] = index[j], value[j]
		}
		for j := range others {
			rows[count+j], values[count+j] = other[j], -less[j]
		}
		for j := range count + others {
			for k := range count + others {
				s.hessian[rows[j]*p+rows[k]] += float64(float64(weight*values[j]) * values[k])
			}
		}
	}
	return s
}

// solve is the damped step, the energy that a full step promises to take away, and what the noise
// of the gradient alone would promise.
func (s *system) solve(lambda float64) (step []float64, promised, noise float64, ok bool) {
	p := s.p
	a := append([]float64(nil), s.hessian...)
	var kept []int // features that some cell has
	for i := range p {
		a[i*p+i] += float64(lambda * s.model[i])
		if s.model[i] > 0 {
			kept = append(kept, i)
		} else {
			a[i*p+i] = 1 // alone with a gradient of 0
		}
	}
	if !cholesky.Factor(a, p) {
		return nil, 0, 0, false
	}
	step = append([]float64(nil), s.gradient...)
	cholesky.Solve(a, p, step)
	for i := range step {
		step[i] = -step[i]
		promised -= float64(step[i]*s.gradient[i]) / 2
	}
	for _, i := range kept { // trace of the inverse times the gradient's covariance, its diagonal
		unit := make([]float64, p)
		unit[i] = 1
		cholesky.Solve(a, p, unit)
		noise += float64(unit[i]*s.noise[i]) / 2
	}
	return step, promised, noise, true
}
