//go:build cuda

package cuda

// #include "noise.h"
import "C"

import (
	"fmt"
	"math"
	"slices"
	"unsafe"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/cuda/driver"
	"brenier/engine/internal/fault"
	"brenier/kernels/cpu"
)

// noiseStage makes samples of a source in R^d on the device, the same bits as the CPU's.
type noiseStage struct {
	v        *device
	source   backend.Source
	d        int
	function *driver.Function
}

func newNoise(v *device, source backend.Source, d int) (*noiseStage, error) {
	name := "brenier_cuda_noise_gaussian"
	if source == backend.Uniform {
		name = "brenier_cuda_noise_uniform"
	}
	f, err := v.kernel("noise", name, 0)
	if err != nil {
		return nil, err
	}
	return &noiseStage{v, source, d, f}, nil
}

// launch writes samples first .. first+n-1 of seed to x [n,d] float32, aligned to 16 bytes.
func (s *noiseStage) launch(q *driver.Stream, x driver.Address, n int, seed, first uint64) error {
	return s.launchOn(q, x, n, seed, first, 0)
}

// launchOn is launch for one of the generator's independent streams; 0 is what users see.
func (s *noiseStage) launchOn(q *driver.Stream, x driver.Address, n int, seed, first uint64, stream uint32) error {
	if n == 0 {
		return nil
	}
	blocks := (s.d + 3) / 4
	if n < 0 || n > math.MaxUint32/blocks {
		return fault.Invalid("noise: want at most %d samples of dimension %d in a batch, got %d", math.MaxUint32/blocks, s.d, n)
	}
	p := C.brenier_noise_params{
		x: C.uint64_t(x), seed: C.uint64_t(seed), first: C.uint64_t(first),
		n: C.uint32_t(n), d: C.uint32_t(s.d), stream: C.uint32_t(stream),
	}
	grid := driver.Dim{X: (n*blocks + C.BRENIER_NOISE_THREADS - 1) / C.BRENIER_NOISE_THREADS}
	return q.LaunchDependent(s.function, grid, driver.Dim{X: C.BRENIER_NOISE_THREADS}, 0, unsafe.Pointer(&p))
}

// checks asks for samples in both ways that they are stored: d a multiple of 4, and not.
func (s *noiseStage) checks() []check {
	return []check{{kernel: s.function.Name, run: func(q *driver.Stream) error {
		for _, d := range []int{8, 7} {
			if err := s.ask(q, d); err != nil {
				return err
			}
		}
		return nil
	}}}
}

func (s *noiseStage) ask(q *driver.Stream, d int) error {
	const n, seed, first, stream = 40, 0x9e3779b97f4a7c15, 1<<32 - 20, 1
	x, err := s.v.alloc(4 * n * d)
	if err != nil {
		return err
	}
	defer s.v.free(x)
	asked := *s
	asked.d = d
	if err := asked.launchOn(q, x, n, seed, first, stream); err != nil {
		return err
	}
	got, err := downloadValues[float32](s.v, q, x, n*d)
	if err != nil {
		return err
	}
	source := cpu.Gaussian
	if s.source == backend.Uniform {
		source = cpu.Uniform
	}
	want := make([]float32, n*d)
	cpu.Noise(cpu.Portable, source, want, d, seed, first, stream)
	if !slices.Equal(got, want) {
		return fmt.Errorf("samples of dimension %d differ from the CPU's", d)
	}
	return nil
}
