package fit

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
)

const (
	lbfgsPairs  = 10   // steps remembered
	lbfgsFitted = 0.5  // of its own noise N/B, the chi-squared on its set that a set is left with
	lbfgsArmijo = 1e-4 // of the decrease that the slope promises, a step must bring
	lbfgsHalves = 6    // of a step, before the set is left
)

// lbfgs minimises the energy over one set of samples after another, each twice the last, by the
// limited-memory quasi-Newton method of Nocedal (1980): the inverse Hessian is the random-energy
// model's, corrected by the last steps and what they did to the gradient. A step that does not lower
// the set's energy enough is halved (Armijo 1966). It is the alternative that [newton] is measured
// against, and not better anywhere.
type lbfgs struct {
	first  uint64 // of the set's samples
	size   int    // of them; 0: no set yet
	pairs  []pair // oldest first
	from   *point // before the step on trial; nil: none is
	move   []float64
	slope  float64 // of the energy along move
	halves int
}

type point struct {
	h, gradient []float64
	energy      float64
}

type pair struct {
	s, y []float64
	rho  float64
}

func dot(a, b []float64) (sum float64) {
	for i, v := range a {
		sum += float64(v * b[i])
	}
	return sum
}

func (q *lbfgs) step(s *sampler, t *target, h []float64) error {
	if q.size == 0 {
		q.size = newtonSize(t)
		q.first = s.reserve(q.size)
	}
	at, err := s.evaluate(t, h, q.first, q.size)
	if err != nil {
		return err
	}
	g, plain := t.gradient(at)
	here := &point{h: slices.Clone(h), gradient: g, energy: at.energy}
	if q.from != nil {
		if at.energy > q.from.energy+float64(lbfgsArmijo*q.slope) {
			if q.halves++; q.halves < lbfgsHalves {
				for i := range h {
					q.move[i] /= 2
					h[i] = q.from.h[i] + q.move[i]
				}
				q.slope /= 2
				return nil
			}
			copy(h, q.from.h)
			q.next(s)
			return nil
		}
		q.remember(here)
	}
	if plain < float64(lbfgsFitted*float64(t.cells))/float64(q.size) {
		q.next(s)
		return nil
	}
	q.move = q.direction(t, g)
	for i := range h {
		most := float64(newtonReach*t.scale[i]) / max(t.quantile[i], minQuantile)
		q.move[i] = max(-most, min(most, q.move[i]))
		h[i] += q.move[i]
	}
	q.from, q.slope, q.halves = here, dot(q.move, g), 0
	return nil
}

func (q *lbfgs) next(s *sampler) {
	q.size *= 2
	q.first = s.reserve(q.size)
	q.from = nil
}

func (q *lbfgs) remember(here *point) {
	p := pair{s: make([]float64, len(here.h)), y: make([]float64, len(here.h))}
	for i := range p.s {
		p.s[i] = here.h[i] - q.from.h[i]
		p.y[i] = here.gradient[i] - q.from.gradient[i]
	}
	if curvature := dot(p.s, p.y); curvature > 0 {
		p.rho = 1 / curvature
		q.pairs = append(q.pairs, p)
		if len(q.pairs) > lbfgsPairs {
			q.pairs = q.pairs[1:]
		}
	}
}

func (q *lbfgs) direction(t *target, g []float64) []float64 {
	r := make([]float64, len(g))
	for i, v := range g {
		r[i] = -v
	}
	alpha := make([]float64, len(q.pairs))
	for k := len(q.pairs) - 1; k >= 0; k-- {
		p := q.pairs[k]
		alpha[k] = p.rho * dot(p.s, r)
		for i := range r {
			r[i] -= float64(alpha[k] * p.y[i])
		}
	}
	gamma := 1.0
	inverse := func(i int) float64 {
		if t.mass[i] == 0 {
			return 0
		}
		return t.scale[i] / (t.quantile[i] * t.mass[i])
	}
	if n := len(q.pairs); n > 0 {
		p := q.pairs[n-1]
		yy := 0.0
		for i, y := range p.y {
			yy += float64(float64(y*y) * inverse(i))
		}
		gamma = 1 / (p.rho * yy)
	}
	for i := range r {
		r[i] *= gamma * inverse(i)
	}
	for k, p := range q.pairs {
		beta := p.rho * dot(p.y, r)
		for i := range r {
			r[i] += float64((alpha[k] - beta) * p.s[i])
		}
	}
	return r
}

// BenchmarkSecondOrder continues a descent that has come to a chi-squared of 0.02 up to two million
// samples by itself, by [newton] and by [lbfgs], on mixtures of 1,000 points. over_floor is
// chi-squared over N/n.
//
//	go test ./engine/internal/fit -run xxx -bench SecondOrder -benchtime 1x
func BenchmarkSecondOrder(b *testing.B) {
	const n, samples, from = 1000, 2_000_000, 0.02
	for _, d := range []int{3, 5, 8, 10} {
		for name, engine := range map[string]interface {
			step(s *sampler, t *target, h []float64) error
		}{
			"descent": nil,
			"newton":  &newton{newtonState: newtonState{worth: n / from, error: from}},
			"lbfgs":   &lbfgs{},
		} {
			b.Run(fmt.Sprintf("d=%d/%s", d, name), func(b *testing.B) {
				for range b.N {
					p := mixture(n, d)
					device := newOnCPU(p, runtime.GOMAXPROCS(0))
					r := newRun(p, device, Options{Tolerance: 1e-9, SamplesMax: samples, Seed: 1})
					err := r.begin()
					heights, over := []float32(nil), false
					for err == nil && r.samples() < samples {
						if over {
							err = engine.step(r.sampler, r.target, r.descent.H)
							continue
						}
						r.until = r.samples() + uint64(64*r.sampler.batch)
						if err = r.descend(); err == nil && engine != nil {
							heights, _, err = r.try(r.candidates())
							if over = r.chiSquared < from; over {
								copy(r.descent.H, wide(heights))
							}
						}
					}
					if err == nil && !over {
						heights, _, err = r.try(r.candidates())
					}
					if err != nil {
						b.Fatal(err)
					}
					if over {
						r.target.stored(heights, r.descent.H)
					}
					fresh := newTally(r.target)
					if err := r.measure(fresh, heights, 1_000_000); err != nil {
						b.Fatal(err)
					}
					b.ReportMetric(fresh.chiSquared()*samples/n, "over_floor")
					b.ReportMetric(float64(fresh.empty()), "empty")
					device.pool.Close()
				}
			})
		}
	}
}
