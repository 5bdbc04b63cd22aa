package cpu

import (
	"math"
	"slices"
	"testing"

	"gonum.org/v1/gonum/stat/distuv"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/reference"
	kernels "brenier/kernels/cpu"
)

var sources = map[string]backend.Source{"gaussian": backend.Gaussian, "uniform": backend.Uniform}

// Every path gives the oracle's bits, for dimensions around a block of four, for indices and seeds
// beyond 32 bits, and on another stream.
func TestNoise_same_bits_as_the_oracle(t *testing.T) {
	for name, source := range sources {
		for _, d := range []int{1, 2, 3, 4, 5, 17, 64} {
			for _, at := range []struct {
				seed, first uint64
				stream      uint32
			}{{0, 0, 0}, {7, 1<<32 - 3, 0}, {math.MaxUint64, math.MaxUint64 - 5, 3}} {
				want := make([]float32, 301*d)
				reference.Noise(source, want, d, at.seed, at.first, at.stream)
				for _, path := range kernels.Paths() {
					got := make([]float32, len(want))
					kernels.Noise(path, map[backend.Source]int{
						backend.Gaussian: kernels.Gaussian, backend.Uniform: kernels.Uniform,
					}[source], got, d, at.seed, at.first, at.stream)
					if !slices.Equal(got, want) {
						t.Errorf("%s, d=%d, %+v: %v differs from the oracle", name, d, at, path)
					}
				}
			}
		}
	}
}

// A sample is the same in any batch and on any number of threads.
func TestNoise_any_batch_and_threads(t *testing.T) {
	const d, n = 13, 2000
	whole := make([]float32, n*d)
	reference.Noise(backend.Gaussian, whole, d, 42, 0, 0)
	for _, threads := range []int{1, 2, 5} {
		pool := NewPool(threads)
		got := make([]float32, n*d)
		for first, batch := 0, 1; first < n; first, batch = first+batch, batch*3 {
			stop := min(first+batch, n)
			Noise(pool, kernels.Best(), backend.Gaussian, got[first*d:stop*d], d, 42, uint64(first), 0)
		}
		pool.Close()
		if !slices.Equal(got, whole) {
			t.Errorf("%d threads in batches differ from all samples at once", threads)
		}
	}
}

// The quantile against gonum's, from the smallest u there is through the middle to the largest.
func TestNoise_quantile_against_gonum(t *testing.T) {
	check := func(r uint32) {
		u := (float64(r) + 0.5) * 0x1p-32
		got := reference.NormalQuantile(u)
		// Near 1 the argument itself is what limits gonum's accuracy; 1-u is exact.
		want := distuv.UnitNormal.Quantile(u)
		if u > 0.5 {
			want = -distuv.UnitNormal.Quantile(1 - u)
		}
		if math.Abs(got-want) > 2e-14*math.Abs(want) {
			t.Errorf("quantile of (%d + 1/2) / 2^32 is %.17g, gonum says %.17g", r, got, want)
		}
	}
	for r := range uint32(2000) {
		check(r)
		check(math.MaxUint32 - r)
		check(1<<31 - 1000 + r)
		check(r * 2147483)
	}
	for _, edge := range []float64{0.075, 0.925} { // where the two intervals of AS 241 meet
		middle := uint32(edge * 0x1p32)
		for r := middle - 500; r < middle+500; r++ {
			check(r)
		}
	}
}

// Moments and a chi-squared over 200 cells of equal probability: 2^20 draws on the default stream.
func TestNoise_distribution(t *testing.T) {
	const n, bins = 1 << 20, 200
	pool := NewPool(2)
	defer pool.Close()
	x := make([]float32, n)
	for name, source := range sources {
		Noise(pool, kernels.Best(), source, x, 64, 2024, 0, 0)
		var counts [bins]int
		var mean, second, third, fourth float64
		for _, v := range x {
			value := float64(v)
			u := value + 0.5
			if source == backend.Gaussian {
				u = distuv.UnitNormal.CDF(value)
			} else {
				value *= math.Sqrt(12) // variance 1
			}
			counts[min(int(u*bins), bins-1)]++
			mean += value / n
			second += value * value / n
			third += value * value * value / n
			fourth += value * value * value * value / n
		}
		kurtosis, deviation4 := 3.0, math.Sqrt(96.0)
		if source == backend.Uniform {
			kurtosis, deviation4 = 1.8, math.Sqrt(9-1.8*1.8)
		}
		for _, m := range []struct {
			name            string
			got, want, size float64
		}{
			{"mean", mean, 0, 1}, {"variance", second, 1, math.Sqrt(kurtosis - 1)},
			{"third moment", third, 0, math.Sqrt(15)}, {"fourth moment", fourth, kurtosis, deviation4},
		} {
			if sigma := m.size / math.Sqrt(n); math.Abs(m.got-m.want) > 4.5*sigma {
				t.Errorf("%s: %s %v, want %v within %v", name, m.name, m.got, m.want, 4.5*sigma)
			}
		}
		chi := 0.0
		for _, count := range counts {
			gap := float64(count) - float64(n)/bins
			chi += gap * gap / (float64(n) / bins)
		}
		tail := distuv.ChiSquared{K: bins - 1}.Survival(chi)
		if tail < 1e-4 || tail > 1-1e-4 {
			t.Errorf("%s: chi-squared %.1f over %d bins has tail probability %.2g", name, chi, bins, tail)
		}
	}
}

// Dimensions of a sample, neighbouring samples and neighbouring seeds are uncorrelated.
func TestNoise_streams_are_uncorrelated(t *testing.T) {
	const n = 1 << 16
	draw := func(seed, first uint64, stream uint32) []float32 {
		x := make([]float32, n)
		kernels.Noise(kernels.Best(), kernels.Gaussian, x, 1, seed, first, stream)
		return x
	}
	base := draw(1, 0, 0)
	for name, other := range map[string][]float32{
		"next sample": draw(1, 1, 0), "next seed": draw(2, 0, 0), "next stream": draw(1, 0, 1),
		"sample 2^32": draw(1, 1<<32, 0), "seed 2^32": draw(1<<32, 0, 0),
	} {
		sum := 0.0
		for i := range base {
			sum += float64(base[i]) * float64(other[i])
		}
		if r := sum / n; math.Abs(r) > 4.5/math.Sqrt(n) {
			t.Errorf("correlation with the %s is %v", name, r)
		}
	}
}
