package engine

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"syscall"
	"testing"
	"time"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/cpu"
	"brenier/engine/internal/fit"
	"brenier/engine/internal/realdata"
	"brenier/engine/internal/sgd"
)

// spent is what something took: on a machine that others use too, the processor's seconds tell more.
type spent struct{ wall, processor float64 }

func now() spent {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return spent{
		wall:      float64(time.Now().UnixNano()) / 1e9,
		processor: float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9,
	}
}

func since(start spent) spent {
	end := now()
	return spent{end.wall - start.wall, end.processor - start.processor}
}

func (s spent) plus(more spent) spent { return spent{s.wall + more.wall, s.processor + more.processor} }

// watched is a device that knows when its heights were last set: in a fit that met its tolerance
// that is when they were found, and the certificate began.
type watched struct {
	fit.Device
	found spent
	draws int
	again backend.Workspace // locates every batch once more; nil: does not
	alone spent             // on that
	apart spent             // on that and on bringing the samples there: no part of the fit
}

func (w *watched) SetHeights(h []float32) error { w.found = now(); return w.Device.SetHeights(h) }

func (w *watched) Draw(n int, seed, first uint64, k int, cells []int64, scores []float64, x []float32) error {
	w.draws += n
	if err := w.Device.Draw(n, seed, first, k, cells, scores, x); err != nil || w.again == nil {
		return err
	}
	return w.locate(n, k, x)
}

func (w *watched) Count(n int, seed, first uint64, rotated bool) error {
	w.draws += n
	if err := w.Device.(fit.Counter).Count(n, seed, first, rotated); err != nil || w.again == nil {
		return err
	}
	return w.locate(n, 1, nil)
}

func (w *watched) TakeCounts(counts []int32) error { return w.Device.(fit.Counter).TakeCounts(counts) }

func (w *watched) NewMap(points []float32) (fit.Map, error) {
	return w.Device.(fit.Mapper).NewMap(points)
}

func (w *watched) NewSums(m []float64, exponent, most int) (backend.Sums, error) {
	if w.again != nil { // which is to have the samples
		return nil, nil
	}
	sums, err := w.Device.(fit.Summer).NewSums(m, exponent, most)
	if err != nil || sums == nil {
		return nil, err
	}
	return watchedSums{sums, w}, nil
}

// watchedSums are the sums of a watched device.
type watchedSums struct {
	backend.Sums
	w *watched
}

func (s watchedSums) Draw(n int, seed, first uint64, rotated bool) error {
	s.w.draws += n
	return s.Sums.Draw(n, seed, first, rotated)
}

// locate locates the samples of a draw once more: x, or those of the workspace where it is nil.
func (w *watched) locate(n, k int, x []float32) error {
	begun := now()
	if x != nil {
		if err := w.again.PutNoise(x); err != nil {
			return err
		}
	}
	start := now()
	err := w.again.Locate(n, k)
	w.alone = w.alone.plus(since(start))
	w.apart = w.apart.plus(since(begun))
	return err
}

// watchedRotated is the same of a device whose draws share frames.
type watchedRotated struct {
	*watched
	rotated fit.RotatedDrawer
}

func (w watchedRotated) Group() int { return w.rotated.Group() }

func (w watchedRotated) DrawRotated(n int, seed, first uint64, k int, cells []int64, scores []float64, x []float32) error {
	w.draws += n
	return w.rotated.DrawRotated(n, seed, first, k, cells, scores, x)
}

// watchedDescending is the same of a device that takes the steps of a descent itself.
type watchedDescending struct {
	watchedRotated
	sgd.Descender
}

// farClusters are n points in ten clusters of deviation 1, their centres of deviation 10.
func farClusters(n, d int) []float32 {
	random := rand.New(rand.NewPCG(5, 1))
	centres := gaussians(random, 10*d, 10)
	points := gaussians(random, n*d, 1)
	for i := range n {
		c := random.IntN(10)
		for k := range d {
			points[i*d+k] += centres[c*d+k]
		}
	}
	return points
}

// benchDevice is what fits are timed on.
func benchDevice() string { return cmp.Or(os.Getenv("BRENIER_DEVICE"), "cpu") }

// fitBench is a problem on the device that BRENIER_DEVICE names, or the CPU.
type fitBench struct {
	problem fit.Problem
	n       int
	device  *fitDevice
	pool    *cpu.Pool
}

func newFitBench(b testing.TB, points []float32, d int, masses []float64) *fitBench {
	b.Helper()
	e, err := New(Config{Device: benchDevice()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { e.Close() })
	f := &fitBench{problem: fit.Problem{Points: points, Dim: d, Masses: masses}, n: len(points) / d}
	f.problem.Centre()
	f.pool, _ = e.hostPool()
	if f.device, err = newFitDevice(e.device, backend.Gaussian, f.problem.Points, f.problem.Dim, fit.MaxCells); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { f.device.Close() })
	return f
}

// solve runs a fit; found is when its heights were, from its start on.
func (f *fitBench) solve(b testing.TB, o fit.Options) (r *fit.Result, found, total spent) {
	b.Helper()
	w := &watched{Device: f.device}
	device, drawer := fit.Device(w), f.device.drawer()
	o.Parallel = f.pool.Share
	if rotated, ok := drawer.(fit.RotatedDrawer); ok {
		device = watchedRotated{w, rotated}
		if descender, ok := drawer.(sgd.Descender); ok {
			device = watchedDescending{watchedRotated{w, rotated}, descender}
		}
	}
	start := now()
	r, err := fit.Solve(f.problem, device, o)
	if err != nil {
		b.Fatal(err)
	}
	total = since(start)
	return r, spent{w.found.wall - start.wall, w.found.processor - start.processor}, total
}

// locate is what locate takes for the k best cells of a draw, noise made beforehand, with the heights
// at hand.
func (f *fitBench) locate(b *testing.B, k int) spent {
	b.Helper()
	batch := fit.BatchFor(f.n, f.problem.Dim)
	if err := f.device.workspace.Noise(batch, 77, 0); err != nil {
		b.Fatal(err)
	}
	start, draws := now(), 0
	for since(start).wall < 1 {
		if err := f.device.workspace.Locate(batch, k); err != nil {
			b.Fatal(err)
		}
		draws += batch
	}
	s := since(start)
	return spent{s.wall / float64(draws), s.processor / float64(draws)}
}

// judge is chi-squared of heights, its standard error and the empty cells, from fresh independent
// draws.
func (f *fitBench) judge(b *testing.B, heights []float32, draws int) (chi, sd float64, empty int) {
	b.Helper()
	if err := f.device.SetHeights(heights); err != nil {
		b.Fatal(err)
	}
	counts := make([]float64, f.n)
	cells := make([]int64, fit.BatchFor(f.n, f.problem.Dim))
	scores := make([]float64, len(cells))
	done := 0
	for ; done < draws; done += len(cells) {
		if err := f.device.Draw(len(cells), 20240229, uint64(done), 1, cells, scores, nil); err != nil {
			b.Fatal(err)
		}
		for _, c := range cells {
			counts[c]++
		}
	}
	total := float64(done)
	for i, c := range counts {
		nu := 1 / float64(f.n)
		if f.problem.Masses != nil {
			nu = f.problem.Masses[i]
		}
		chi += c * (c - 1) / nu / (total * (total - 1))
		if c == 0 {
			empty++
		}
	}
	return chi - 1, math.Sqrt(2*float64(f.n)) / total, empty
}

// BenchmarkFitToTolerance runs fits of 2,000 points, certificates included, and compares their time
// with that of 1.5 N/chi2 (1e-2) and 1.2 N/chi2 (1e-3) independent draws at locate's own speed, which
// is about what a first-order method on independent draws takes at best. A ratio below 1 is less time
// than those. `found` is when the heights were; the rest is the certificate, mass centres and angles.
//
//	go test ./engine -run '^$' -bench FitToTolerance -benchtime 1x
func BenchmarkFitToTolerance(b *testing.B) {
	const n = 2000
	for _, set := range []struct {
		name string
		make func(b *testing.B) ([]float32, int)
	}{
		{"mnist_d64", func(b *testing.B) ([]float32, int) { return realdata.Codes(b, "mnist_latents", n) }},
		{"terrain_d128", func(b *testing.B) ([]float32, int) { return realdata.Codes(b, "terrain_latents_fp16", n) }},
		{"clusters_d32", func(*testing.B) ([]float32, int) { return farClusters(n, 32), 32 }},
	} {
		for _, goal := range []struct{ tolerance, times float64 }{{1e-2, 1.5}, {1e-3, 1.2}} {
			b.Run(fmt.Sprintf("%s/chi2=%g", set.name, goal.tolerance), func(b *testing.B) {
				points, d := set.make(b)
				f := newFitBench(b, points, d, nil)
				for range b.N {
					r, found, total := f.solve(b, fit.Options{Tolerance: goal.tolerance, Seed: 1})
					chi, _, empty := f.judge(b, r.Heights, 1_000_000)
					one := f.locate(b, 1)
					draws := goal.times * n / goal.tolerance
					b.ReportMetric(float64(r.Report.Samples), "samples")
					b.ReportMetric(float64(r.Report.TestSamples), "certificate")
					b.ReportMetric(1e3*chi, "judged_chi2/1e-3")
					b.ReportMetric(float64(empty), "empty")
					b.ReportMetric(found.processor, "found_cpu_s")
					b.ReportMetric(total.processor, "fit_cpu_s")
					b.ReportMetric(total.wall, "fit_wall_s")
					b.ReportMetric(draws*one.processor, "dense_cpu_s")
					b.ReportMetric(found.processor/(draws*one.processor), "found/dense")
					b.ReportMetric(total.processor/(draws*one.processor), "fit/dense")
					if !r.Report.Met {
						b.Errorf("the tolerance was not met: %+v", r.Report)
					}
				}
			})
		}
	}
}

// BenchmarkFitDense compares the time of whole fits by independent draws, certificate, mass centres and
// angles included, with that of locate alone: every batch of a fit is located once more right after it,
// in the same milliseconds, for the speed of many a machine wanders.
//
//	go test ./engine -run '^$' -bench FitDense -benchtime 5x
func BenchmarkFitDense(b *testing.B) {
	for _, set := range []struct {
		file      string
		n         int
		tolerance float64
	}{{"mnist_latents", 2000, 1e-2}, {"terrain_latents_fp16", 2000, 1e-2}, {"mnist_latents", 20000, 1e-1}} {
		b.Run(fmt.Sprintf("%s/N=%d", set.file, set.n), func(b *testing.B) {
			points, d := realdata.Codes(b, set.file, set.n)
			f := newFitBench(b, points, d, nil)
			w := &watched{Device: f.device, again: f.device.workspace}
			start := now()
			for range b.N {
				o := fit.Options{Tolerance: set.tolerance, Seed: 1, Parallel: f.pool.Share}
				if _, err := fit.Solve(f.problem, w, o); err != nil {
					b.Fatal(err)
				}
			}
			all := since(start)
			all.wall -= w.apart.wall
			all.processor -= w.apart.processor
			b.ReportMetric(float64(w.draws)/all.wall, "fit_draws/s")
			b.ReportMetric(float64(w.draws)/w.alone.wall, "locate_draws/s")
			b.ReportMetric(w.alone.wall/all.wall, "of_locate")
			b.ReportMetric(w.alone.processor/all.processor, "of_locate_cpu")
		})
	}
}

// BenchmarkFitManyCells fits 100,000 points in space with 5 million samples, on a device that makes other maps and
// on one that does not, so that the start is by features and cells are lifted one by one.
//
//	go test ./engine -run '^$' -bench FitManyCells -benchtime 1x
func BenchmarkFitManyCells(b *testing.B) {
	f := newFitBench(b, torus(rand.New(rand.NewPCG(1, 2)), 100_000), 3, nil)
	for name, device := range map[string]fit.Device{
		"multiscale": f.device.drawer(),
		"features":   struct{ fit.Device }{f.device.drawer()},
	} {
		b.Run(name, func(b *testing.B) {
			for range b.N {
				r, err := fit.Solve(f.problem, device, fit.Options{
					Tolerance: 0.05, SamplesMax: 5_000_000, Seed: 1, Parallel: f.pool.Share,
				})
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(r.Report.ChiSquared, "chi2")
				b.ReportMetric(float64(r.Report.Empty), "empty")
				b.ReportMetric(float64(r.Report.Samples), "samples")
			}
		})
	}
}

// BenchmarkFitAll runs the fits of all codes to 5e-2, or to 1e-3 on a device other than the CPU.
//
//	go test ./engine -run '^$' -bench FitAll -benchtime 1x -timeout 1h
func BenchmarkFitAll(b *testing.B) {
	for _, file := range []string{"mnist_latents", "terrain_latents_fp16"} {
		b.Run(file, func(b *testing.B) {
			points, d := realdata.Codes(b, file, 0)
			f := newFitBench(b, points, d, nil)
			tolerance := 5e-2
			if benchDevice() != "cpu" {
				tolerance = 1e-3
			}
			for range b.N {
				start, last := now(), 0.0
				r, found, total := f.solve(b, fit.Options{Tolerance: tolerance, Seed: 1, Progress: func(p fit.Progress) bool {
					if s := since(start); s.wall > last+10 {
						last = s.wall
						fmt.Printf("%6.0f s, %6.0f of the processor: %8d samples, chi2 %.4f, %d empty beyond chance\n",
							s.wall, s.processor, p.Samples, p.ChiSquared, p.Empty)
					}
					return true
				}})
				report := r.Report
				b.ReportMetric(float64(report.Samples), "samples")
				b.ReportMetric(float64(report.TestSamples), "certificate")
				b.ReportMetric(report.ChiSquared, "chi2")
				b.ReportMetric(report.ChiSquared*float64(report.Samples)/float64(f.n), "over_floor")
				b.ReportMetric(float64(report.Empty), "empty")
				b.ReportMetric(report.EmptyExpected, "empty_by_chance")
				b.ReportMetric(found.processor, "found_cpu_s")
				b.ReportMetric(found.wall, "found_wall_s")
				b.ReportMetric(total.processor, "fit_cpu_s")
				b.ReportMetric(total.wall, "fit_wall_s")
				b.ReportMetric(float64(report.SamplesToHalve), "samples_to_halve")
				if !report.Met {
					b.Errorf("the tolerance was not met: %+v", report)
				}
			}
		})
	}
}

// BenchmarkFitChanged fits 2,000 codes to 1e-2 as they are, scaled, shifted and with masses
// proportional to 1/(10+rank): chi-squared and samples should hardly differ.
//
//	go test ./engine -run '^$' -bench FitChanged -benchtime 1x
func BenchmarkFitChanged(b *testing.B) {
	const n = 2000
	zipf, sum := make([]float64, n), 0.0
	for i := range zipf {
		zipf[i] = 1 / float64(10+i)
		sum += zipf[i]
	}
	for i := range zipf {
		zipf[i] /= sum
	}
	for _, file := range []string{"mnist_latents", "terrain_latents_fp16"} {
		for _, c := range []struct {
			name         string
			scale, shift float32
			masses       []float64
		}{
			{"as_they_are", 1, 0, nil}, {"times_0.01", 0.01, 0, nil}, {"times_100", 100, 0, nil},
			{"shifted_by_1000", 1, 1000, nil}, {"zipf", 1, 0, zipf},
		} {
			b.Run(file+"/"+c.name, func(b *testing.B) {
				points, d := realdata.Codes(b, file, n)
				for i := range points {
					points[i] = points[i]*c.scale + c.shift
				}
				f := newFitBench(b, points, d, c.masses)
				for range b.N {
					r, _, _ := f.solve(b, fit.Options{Tolerance: 1e-2, Seed: 1})
					chi, _, empty := f.judge(b, r.Heights, 500_000)
					b.ReportMetric(float64(r.Report.Samples), "samples")
					b.ReportMetric(1e3*chi, "judged_chi2/1e-3")
					b.ReportMetric(float64(empty), "empty")
					if !r.Report.Met {
						b.Errorf("the tolerance was not met: %+v", r.Report)
					}
				}
			})
		}
	}
}
