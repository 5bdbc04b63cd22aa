package exact

import (
	"math"
	"math/rand/v2"
	"sync"
	"testing"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/threads"
)

var sources = map[string]backend.Source{"gaussian": backend.Gaussian, "uniform": backend.Uniform}

func random() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }

// draw makes n points of the plane [n,2].
func draw(n int, point func(r *rand.Rand, i int) (x, y float64)) []float64 {
	r := random()
	y := make([]float64, 2*n)
	for i := range n {
		y[2*i], y[2*i+1] = point(r, i)
	}
	return y
}

func eightGaussians(r *rand.Rand, _ int) (x, y float64) {
	angle := float64(r.IntN(8)) * math.Pi / 4
	return 2*math.Cos(angle) + 0.05*r.NormFloat64(), 2*math.Sin(angle) + 0.05*r.NormFloat64()
}

func gridOfGaussians(r *rand.Rand, _ int) (x, y float64) {
	return float64(r.IntN(5)-2) + 0.03*r.NormFloat64(), float64(r.IntN(5)-2) + 0.03*r.NormFloat64()
}

func swissRoll(r *rand.Rand, _ int) (x, y float64) {
	t := 1.5 * math.Pi * (1 + 2*r.Float64())
	return t*math.Cos(t)/5 + 0.02*r.NormFloat64(), t*math.Sin(t)/5 + 0.02*r.NormFloat64()
}

func farClusters(r *rand.Rand, _ int) (x, y float64) {
	angle := float64(r.IntN(10))
	return 1000*math.Cos(angle*angle) + r.NormFloat64(), 1000*math.Sin(3*angle) + r.NormFloat64()
}

func heavyTails(r *rand.Rand, _ int) (x, y float64) {
	s := math.Exp(2 * r.NormFloat64())
	return s * r.NormFloat64(), s * r.NormFloat64()
}

func normal(r *rand.Rand, _ int) (x, y float64) { return r.NormFloat64(), r.NormFloat64() }

func onALine(r *rand.Rand, _ int) (x, y float64) {
	t := r.Float64()
	return t, 3 - 2*t
}

func onACircle(_ *rand.Rand, i int) (x, y float64) {
	return math.Cos(float64(i)), math.Sin(float64(i))
}

func onALattice(r *rand.Rand, _ int) (x, y float64) { // with duplicates
	return float64(r.IntN(12)), float64(r.IntN(12))
}

func nested(r *rand.Rand, i int) (x, y float64) {
	s := math.Pow(10, -float64(i%5))
	return s * r.NormFloat64(), s * r.NormFloat64()
}

var targets = map[string]func(r *rand.Rand, i int) (x, y float64){
	"eight_gaussians": eightGaussians, "grid_of_gaussians": gridOfGaussians, "swiss_roll": swissRoll,
	"far_clusters": farClusters, "heavy_tails": heavyTails, "normal": normal, "line": onALine,
	"circle": onACircle, "lattice": onALattice, "nested": nested,
}

// zipf is masses in proportion to 1/(i+1) [n].
func zipf(n int) []float64 {
	nu := make([]float64, n)
	total := 0.0
	for i := range nu {
		nu[i] = 1 / float64(i+1)
		total += nu[i]
	}
	for i := range nu {
		nu[i] /= total
	}
	return nu
}

// split does work in four stretches at the same time.
func split(n int, work func(first, end int)) { splitIn(4)(n, work) }

func splitIn(parts int) threads.Share {
	return func(n int, work func(first, end int)) {
		var all sync.WaitGroup
		for k := range min(parts, n) {
			all.Go(func() { work(k*n/min(parts, n), (k+1)*n/min(parts, n)) })
		}
		all.Wait()
	}
}

func solve(t testing.TB, p Problem) *Result {
	t.Helper()
	return solveWith(t, p, Options{})
}

func solveWith(t testing.TB, p Problem, o Options) *Result {
	t.Helper()
	if o.Parallel == nil {
		o.Parallel = split
	}
	r, err := Solve(p, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func measure(t testing.TB, p Problem, h []float64) *Result {
	t.Helper()
	r, err := Measure(p, h, split)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// near fails the test unless every number is within the tolerance of that wanted.
func near(t testing.TB, what string, got, want []float64, tolerance float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: got %d numbers, want %d", what, len(got), len(want))
	}
	worst, at := -1.0, 0
	for i := range got {
		if e := math.Abs(got[i] - want[i]); !(e <= worst) {
			worst, at = e, i
		}
	}
	if !(worst <= tolerance) {
		t.Errorf("%s: number %d is %.17g, want %.17g: %.2g off, allowed %.2g", what, at, got[at], want[at], worst, tolerance)
	}
}

// centredBy is h less its mean by mass.
func centredBy(h, nu []float64) []float64 {
	c := append([]float64(nil), h...)
	centre(c, nu)
	return c
}

func equal(n int) []float64 {
	nu := make([]float64, n)
	for i := range nu {
		nu[i] = 1 / float64(n)
	}
	return nu
}

func total(v []float64) float64 {
	var s sum
	for _, x := range v {
		s.add(x)
	}
	return s.value()
}
