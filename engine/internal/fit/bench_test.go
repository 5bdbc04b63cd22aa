package fit

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/cpu"
	"brenier/engine/internal/realdata"
	kernels "brenier/kernels/cpu"
)

// onCPU is the CPU's noise and locate as a Device, for benchmarks on real codes.
type onCPU struct {
	pool   *cpu.Pool
	path   kernels.Path
	m      *cpu.Map
	s      *cpu.LocateScratch
	source backend.Source
	d      int
	x      []float32
	cells  []int32
	scores []float64
}

func newOnCPU(p Problem, threads int) *onCPU {
	pool := cpu.NewPool(threads)
	path := kernels.Best()
	n := len(p.Points) / p.Dim
	m, err := cpu.NewMap(pool, path, p.Points, make([]float32, n), nil, n, p.Dim)
	if err != nil {
		panic(err)
	}
	source := backend.Gaussian
	if p.Uniform {
		source = backend.Uniform
	}
	batch := BatchFor(n, p.Dim)
	return &onCPU{pool: pool, path: path, m: m, s: m.NewScratch(batch), source: source, d: p.Dim,
		x: make([]float32, batch*p.Dim), cells: make([]int32, batch*MaxCells), scores: make([]float64, batch*MaxCells)}
}

func (v *onCPU) SetHeights(h []float32) error { v.m.SetHeights(h); return nil }

func (v *onCPU) Draw(n int, seed, first uint64, k int, cells []int64, scores []float64, x []float32) error {
	xs := v.x[:n*v.d]
	cpu.Noise(v.pool, v.path, v.source, xs, v.d, seed, first, 0)
	v.m.Locate(v.s, xs, n, k, v.cells[:n*k], v.scores[:n*k])
	for i, c := range v.cells[:n*k] {
		cells[i] = int64(c)
	}
	if scores != nil {
		copy(scores, v.scores[:n*k])
	}
	if x != nil {
		copy(x, xs)
	}
	return nil
}

// codes are n codes of real data, or all for 0.
func codes(t testing.TB, file string, n int) Problem {
	t.Helper()
	y, d := realdata.Codes(t, file, n)
	return Problem{Points: y, Dim: d}
}

// clusters are n points in far clusters: centres of deviation `far`, points of deviation 1 about them.
func clusters(n, d, count int, far float64, seed uint64) Problem {
	random := rand.New(rand.NewPCG(seed, 1))
	centres := make([]float64, count*d)
	for i := range centres {
		centres[i] = far * random.NormFloat64()
	}
	y := make([]float32, n*d)
	for i := range n {
		c := random.IntN(count)
		for k := range d {
			y[i*d+k] = float32(centres[c*d+k] + random.NormFloat64())
		}
	}
	return Problem{Points: y, Dim: d}
}

// mixture is n points in eight clusters that differ in width and overlap.
func mixture(n, d int) Problem {
	random := rand.New(rand.NewPCG(1, 2))
	centres := make([]float64, 8*d)
	for i := range centres {
		centres[i] = 3 * random.NormFloat64()
	}
	y := make([]float32, n*d)
	for i := range n {
		c, width := random.IntN(8), 0.3+random.Float64()
		for k := range d {
			y[i*d+k] = float32(centres[c*d+k] + width*random.NormFloat64())
		}
	}
	return Problem{Points: y, Dim: d}
}

// zipf gives the points masses proportional to 1/(10+rank).
func zipf(p Problem) Problem {
	n := len(p.Points) / p.Dim
	sum := 0.0
	for i := range n {
		p.Masses = append(p.Masses, 1/float64(10+i))
		sum += p.Masses[i]
	}
	for i := range p.Masses {
		p.Masses[i] /= sum
	}
	return p
}

// benchmarked are the data sets of the benchmarks, with n points; 0: all that there are.
var benchmarked = []struct {
	name string
	make func(b *testing.B, n int) Problem
}{
	{"mnist", func(b *testing.B, n int) Problem { return codes(b, "mnist_latents", n) }},
	{"terrain", func(b *testing.B, n int) Problem { return codes(b, "terrain_latents_fp16", n) }},
	{"clusters", func(b *testing.B, n int) Problem { return clusters(n, 32, 10, 3, 5) }},
	{"far_clusters", func(b *testing.B, n int) Problem { return clusters(n, 32, 10, 10, 5) }},
	{"mnist_zipf", func(b *testing.B, n int) Problem { return zipf(codes(b, "mnist_latents", n)) }},
	{"mixture_d8", func(b *testing.B, n int) Problem { return mixture(n, 8) }},
	{"mixture_d3", func(b *testing.B, n int) Problem { return mixture(n, 3) }},
}

// BenchmarkSamples measures chi-squared after 1.5 N/0.01 and 1.2 N/0.001 samples, all that were
// drawn to find the heights counted, on a million fresh independent samples. over_floor is
// chi-squared over N/n, below which no method on n independent samples can be.
func BenchmarkSamples(b *testing.B) {
	const n = 2000
	for _, set := range benchmarked {
		p := set.make(b, n)
		for _, goal := range []struct{ tolerance, times float64 }{{1e-2, 1.5}, {1e-3, 1.2}} {
			b.Run(fmt.Sprintf("%s/N=%d/chi2=%g", set.name, n, goal.tolerance), func(b *testing.B) {
				for range b.N {
					device := newOnCPU(p, runtime.GOMAXPROCS(0))
					r := newRun(p, device, Options{Tolerance: goal.tolerance, SamplesMax: uint64(goal.times * n / goal.tolerance), Seed: 1})
					var heights []float32
					err := r.begin()
					for err == nil {
						if err = r.descend(); err != nil {
							break
						}
						if heights, _, err = r.try(r.candidates()); r.samples() >= r.options.SamplesMax {
							break
						}
						r.choose(heights)
						r.until = r.nextJudgement()
					}
					if err != nil {
						b.Fatal(err)
					}
					fresh := newTally(r.target)
					if err := device.SetHeights(heights); err != nil {
						b.Fatal(err)
					}
					if err := newSampler(device, fresh.target, 987654).test(fresh, 1_000_000); err != nil {
						b.Fatal(err)
					}
					chi, sd := fresh.estimate()
					used := float64(r.samples())
					b.ReportMetric(used, "samples")
					b.ReportMetric(chi, "chi2")
					b.ReportMetric(sd, "chi2_error")
					b.ReportMetric(chi*used/n, "over_floor")
					b.ReportMetric(float64(fresh.empty()), "empty")
					device.pool.Close()
				}
			})
		}
	}
}

// BenchmarkSolve runs whole fits, certificate and all: N=2000 to 1e-3, and all codes to 5e-2.
func BenchmarkSolve(b *testing.B) {
	for _, size := range []struct {
		n         int
		tolerance float64
	}{{2000, 1e-3}, {0, 5e-2}} {
		for _, set := range benchmarked[:2] {
			p := set.make(b, size.n)
			b.Run(fmt.Sprintf("%s/N=%d/chi2=%g", set.name, len(p.Points)/p.Dim, size.tolerance), func(b *testing.B) {
				for range b.N {
					device := newOnCPU(p, runtime.GOMAXPROCS(0))
					result, err := Solve(p, device, Options{Tolerance: size.tolerance, Seed: 1})
					if err != nil {
						b.Fatal(err)
					}
					r := result.Report
					b.Logf("%+v", r)
					b.ReportMetric(float64(r.Samples), "samples")
					b.ReportMetric(float64(r.TestSamples), "certificate")
					b.ReportMetric(r.ChiSquared, "chi2")
					b.ReportMetric(r.ChiSquaredError, "chi2_error")
					b.ReportMetric(float64(r.Empty), "empty")
					device.pool.Close()
				}
			})
		}
	}
}

// free is a Device that draws and counts at no cost: cells are drawn beforehand, evenly.
type free struct {
	cells  []int64
	scores []float64 // falling, so that those of every sample are
	counts []int32   // of a step
	group  int
}

func newFree(n, group, step int) *free {
	random := rand.New(rand.NewPCG(3, 3))
	v := &free{cells: make([]int64, 1<<20), scores: make([]float64, 1<<20), counts: make([]int32, n), group: group}
	for i := range v.cells {
		v.cells[i] = int64(random.IntN(n))
		v.scores[i] = v.scores[max(i, 1)-1] - random.Float64()
	}
	for _, c := range v.cells[:step] {
		v.counts[c]++
	}
	return v
}

func (v *free) Count(int, uint64, uint64, bool) error { return nil }

func (v *free) TakeCounts(counts []int32) error {
	copy(counts, v.counts)
	return nil
}

func (v *free) NewSums([]float64, int, int) (backend.Sums, error) { return &freeSums{device: v}, nil }

// freeSums are sums of draws that cost nothing: all are 0.
type freeSums struct {
	device *free
	at     uint64
}

func (s *freeSums) Ahead() int                             { return 1 }
func (s *freeSums) Draw(_ int, _, at uint64, _ bool) error { s.at = at; return nil }
func (s *freeSums) Total([]int64) error                    { return nil }
func (s *freeSums) Close() error                           { return nil }

func (s *freeSums) Take(cells []int64, scores, _, _ []float64) error {
	return s.device.Draw(len(cells), 0, s.at, 1, cells, scores, nil)
}

func (v *free) Group() int                 { return v.group }
func (v *free) SetHeights([]float32) error { return nil }

func (v *free) Draw(n int, _, first uint64, k int, cells []int64, scores []float64, _ []float32) error {
	at := first % uint64(len(v.cells)-n*k)
	copy(cells, v.cells[at:])
	copy(scores, v.scores[at:])
	return nil
}

func (v *free) DrawRotated(n int, seed, first uint64, k int, cells []int64, scores []float64, x []float32) error {
	return v.Draw(n, seed, first, k, cells, scores, x)
}

// BenchmarkHost is what is left of the longest fits where draws cost nothing: the processor's part of a
// fit on a GPU, per million samples of the descent, and for a whole certificate; cells that have nothing
// to do with the samples leave the certificate's plan more to repair than a fit does.
//
//	go test ./engine/internal/fit -run '^$' -bench Host -benchtime 1x
func BenchmarkHost(b *testing.B) {
	for _, set := range []struct {
		name        string
		n, d, group int
		samples     uint64
	}{{"mnist", 60000, 64, 12288, 72_000_000}, {"terrain", 46800, 128, 24576, 56_000_000}} {
		p := Problem{Points: randomPoints(set.n, set.d), Dim: set.d}
		for _, threads := range []int{1, 2} {
			b.Run(fmt.Sprintf("%s/threads=%d", set.name, threads), func(b *testing.B) {
				pool := cpu.NewPool(threads)
				defer pool.Close()
				for range b.N {
					r := newRun(p, newFree(set.n, set.group, stepBatches*BatchFor(set.n, set.d)), Options{Tolerance: 1e-3, Parallel: pool.Share})
					r.descent = newDescent(r.target, r.target.start(), 0, r.sampler.batch)
					r.steepness, r.descent.samples = 1, set.samples/2 // where steps are long
					start := time.Now()
					for r.descent.samples < set.samples/2+10_000_000 {
						if err := r.firstOrder(); err != nil {
							b.Fatal(err)
						}
					}
					b.ReportMetric(1e2*time.Since(start).Seconds(), "descent-ms/M")
					r.descent.samples = set.samples
					start = time.Now()
					result, err := r.certify(r.descent.candidates()[0], false)
					if err != nil {
						b.Fatal(err)
					}
					b.ReportMetric(1e3*time.Since(start).Seconds(), "certificate-ms")
					b.ReportMetric(float64(result.Report.TestSamples), "tested")
				}
			})
		}
	}
}
