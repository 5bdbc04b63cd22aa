//go:build cuda

package cuda

import (
	"math"
	"testing"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/cuda/driver"
	"brenier/engine/internal/reference"
	"brenier/kernels/cpu"
)

var sources = map[string]backend.Source{"gaussian": backend.Gaussian, "uniform": backend.Uniform}

// noiseOf makes samples [n,d] on the device.
func noiseOf(t testing.TB, v *device, source backend.Source, n, d int, seed, first uint64, stream uint32) []float32 {
	t.Helper()
	s, err := newNoise(v, source, d)
	if err != nil {
		t.Fatal(err)
	}
	x := scratchOn(t, v, 4*n*d)
	onStream(t, v, func(q *driver.Stream) error { return s.launchOn(q, x, n, seed, first, stream) })
	return fromDevice[float32](t, v, x, n*d)
}

// The oracle's bits, for dimensions around a block of four, for batches around a warp and a block,
// for indices and seeds beyond 32 bits, and on another stream.
func TestNoise_same_bits_as_the_oracle(t *testing.T) {
	v := newTestDevice(t)
	for name, source := range sources {
		for _, d := range []int{1, 2, 3, 4, 5, 17, 64} {
			for _, at := range []struct {
				n           int
				seed, first uint64
				stream      uint32
			}{{1, 0, 0, 0}, {33, 7, 1<<32 - 3, 0}, {70, math.MaxUint64, math.MaxUint64 - 5, 3}} {
				got := noiseOf(t, v, source, at.n, d, at.seed, at.first, at.stream)
				want := make([]float32, at.n*d)
				reference.Noise(source, want, d, at.seed, at.first, at.stream)
				if !sameBits(got, want) {
					t.Errorf("%s, d=%d, %+v: differs from the oracle", name, d, at)
				}
			}
		}
	}
}

// Many samples, against the CPU's kernels: a million on a GPU, fewer on the double.
func TestNoise_same_bits_as_the_cpu(t *testing.T) {
	v := newTestDevice(t)
	n := 1_000_000
	if v.info.Double {
		n = 5000
		t.Logf("on the double: %d samples instead of a million", n)
	}
	const d, seed, first = 64, 20, 1<<32 - 2500
	for name, source := range sources {
		got := noiseOf(t, v, source, n, d, seed, first, 0)
		want := make([]float32, n*d)
		cpu.Noise(cpu.Best(), map[backend.Source]int{backend.Gaussian: cpu.Gaussian, backend.Uniform: cpu.Uniform}[source],
			want, d, seed, first, 0)
		if !sameBits(got, want) {
			t.Errorf("%s: %d samples differ from the CPU's", name, n)
		}
	}
}

// A sample is the same in any batch.
func TestNoise_any_batch(t *testing.T) {
	v := newTestDevice(t)
	const n, d, seed, first = 150, 6, 3, 1 << 40
	whole := noiseOf(t, v, backend.Gaussian, n, d, seed, first, 0)
	var parts []float32
	for at, batch := 0, 1; at < n; at, batch = at+batch, 3*batch {
		parts = append(parts, noiseOf(t, v, backend.Gaussian, min(batch, n-at), d, seed, first+uint64(at), 0)...)
	}
	if !sameBits(parts, whole) {
		t.Error("samples in batches differ from all at once")
	}
}

// Writes nothing beside its samples, also where the last block of threads is not full.
func TestNoise_writes_its_samples_alone(t *testing.T) {
	v := newTestDevice(t)
	for _, d := range []int{3, 4} {
		const n, beside = 37, 8
		guarded := make([]float32, n*d+2*beside)
		for i := range guarded {
			guarded[i] = -1000
		}
		x := onDevice(t, v, guarded)
		s, err := newNoise(v, backend.Gaussian, d)
		if err != nil {
			t.Fatal(err)
		}
		onStream(t, v, func(q *driver.Stream) error { return s.launch(q, x+4*beside, n, 1, 0) })
		got := fromDevice[float32](t, v, x, len(guarded))
		for i, value := range got {
			if inside := i >= beside && i < beside+n*d; inside == (value == -1000) {
				t.Fatalf("d=%d: value %d of the memory is %v", d, i-beside, value)
			}
		}
	}
}

func TestNoise_refuses_more_samples_than_a_launch_has(t *testing.T) {
	v := newTestDevice(t)
	s, err := newNoise(v, backend.Gaussian, 64)
	if err != nil {
		t.Fatal(err)
	}
	onStream(t, v, func(q *driver.Stream) error {
		if err := s.launch(q, 0, 1<<29, 0, 0); err == nil {
			t.Error("2^29 samples of dimension 64: want an error")
		}
		return s.launch(q, 0, 0, 0, 0) // none: nothing to do
	})
}
