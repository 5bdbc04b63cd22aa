package cpu

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"
	"unsafe"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/decodertest"
	"brenier/engine/internal/graph"
	kernels "brenier/kernels/cpu"
)

// TestDecodeTrained holds trained decoders against their outputs in float64.
func TestDecodeTrained(t *testing.T) {
	for _, trained := range decodertest.TrainedDecoders {
		t.Run(trained.Name, func(t *testing.T) {
			g, tensors := trained.Load(t)
			z, want := trained.Golden(t)
			onEveryPath(t, func(t *testing.T, pool *Pool, path kernels.Path) {
				d, err := NewDecoder(pool, path, g, tensors)
				if err != nil {
					t.Fatal(err)
				}
				n := len(z) / g.Input.Shape[0]
				got := decodeF32(t, d, d.NewScratch(n), z, n)
				worst := 0.0
				for i := range want {
					worst = max(worst, math.Abs(float64(got[i])-float64(want[i])))
				}
				if !(worst <= trained.Tolerance) {
					t.Errorf("off by %g from the float64 output, want at most %g", worst, trained.Tolerance)
				}
				t.Logf("off by %.2g at most", worst)
			})
		})
	}
}

// BenchmarkDecode states the speed as a share of the fma peak measured in the same run, counting
// the multiply-adds of the phase form.
func BenchmarkDecode(b *testing.B) {
	for _, trained := range decodertest.TrainedDecoders {
		b.Run("model="+trained.Name, func(b *testing.B) {
			g, tensors := trained.Load(b)
			for _, batch := range []int{1, 64} {
				for _, path := range slices.Backward(kernels.Paths()) {
					b.Run(fmt.Sprintf("batch=%d/path=%s", batch, path), func(b *testing.B) {
						pool := NewPool(0)
						defer pool.Close()
						benchmarkDecode(b, pool, path, g, tensors, batch)
					})
				}
			}
		})
	}
}

func benchmarkDecode(b *testing.B, pool *Pool, path kernels.Path, g *graph.Graph, tensors map[string]backend.Tensor, batch int) {
	d, err := NewDecoder(pool, path, g, tensors)
	if err != nil {
		b.Fatal(err)
	}
	c, h, w := d.OutputShape()
	s := d.NewScratch(batch)
	z := decodertest.Uniform(rand.New(rand.NewPCG(3, 4)), batch*g.Input.Shape[0])
	x := make([]float32, batch*c*h*w)
	image := backend.Image{Data: unsafe.Pointer(&x[0])}
	best := time.Duration(math.MaxInt64)
	for b.Loop() {
		start := time.Now()
		if err := d.Decode(s, z, batch, image); err != nil {
			b.Fatal(err)
		}
		best = min(best, time.Since(start))
	}
	b.StopTimer()
	flop := 2 * float64(d.MACs()) * float64(batch)
	peak := 0.0
	for range 5 { // the best of a few, each long enough to reach the full clock
		peak = max(peak, kernels.MeasureFMA(path, 1<<19))
	}
	peak *= float64(pool.Threads())
	b.ReportMetric(best.Seconds()*1e3, "best-ms")
	b.ReportMetric(flop/best.Seconds()/1e9, "GFLOP/s")
	b.ReportMetric(100*flop/best.Seconds()/peak, "%peak")
	runtime.KeepAlive(x)
}

// BenchmarkNewDecoder is the time from weights in memory to a decoder ready to run.
func BenchmarkNewDecoder(b *testing.B) {
	for _, trained := range decodertest.TrainedDecoders {
		b.Run("model="+trained.Name, func(b *testing.B) {
			g, tensors := trained.Load(b)
			pool := NewPool(0)
			defer pool.Close()
			for b.Loop() {
				if _, err := NewDecoder(pool, kernels.Best(), g, tensors); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
