//go:build cuda

package cuda

// #include "extend.h"
import "C"

import (
	"fmt"
	"slices"
	"unsafe"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/cuda/driver"
	"brenier/engine/internal/fault"
	"brenier/kernels/cpu"
)

// extendStage makes codes of samples and their cells on the device, the same bits as the CPU's.
type extendStage struct {
	v        *device
	t        *transport
	function *driver.Function
}

func newExtend(v *device, t *transport) (*extendStage, error) {
	f, err := v.kernel("extend", "brenier_cuda_extend", 0)
	if err != nil {
		return nil, err
	}
	return &extendStage{v, t, f}, nil
}

// launch writes the codes z [n,d] of samples x [n,d] with cells [n,e.K] int32, best first, and once more
// where the decoder reads them, unless in is empty.
func (s *extendStage) launch(q *driver.Stream, x, cells driver.Address, n int, e backend.Extension, z driver.Address, in decoderInput) error {
	p, err := s.params(x, cells, n, e, z, in)
	if err != nil || n == 0 {
		return err
	}
	samples := C.BRENIER_EXTEND_WARPS * 32 / int(p.group) // of a block
	grid, block := driver.Dim{X: (n + samples - 1) / samples}, driver.Dim{X: 32 * C.BRENIER_EXTEND_WARPS}
	return q.LaunchDependent(s.function, grid, block, 0, unsafe.Pointer(&p))
}

// params are what the kernel is told.
func (s *extendStage) params(x, cells driver.Address, n int, e backend.Extension, z driver.Address, in decoderInput) (p C.brenier_extend_params, err error) {
	if e.K < 1 || e.K > cpu.MaxK {
		return p, fault.Invalid("extend: want 1 .. %d cells of a sample, got %d", cpu.MaxK, e.K)
	}
	if e.Mode == backend.Simplex && s.t.centroids == 0 {
		return p, fault.Invalid("extend: mode simplex needs the centroids of the cells, which this model does not have; fit it again, or use mode cell or pair")
	}
	group := 2 // lanes that a sample takes
	for group < e.K {
		group *= 2
	}
	p = C.brenier_extend_params{
		x: C.uint64_t(x), cells: C.uint64_t(cells), z: C.uint64_t(z),
		points: C.uint64_t(s.t.points), norms: C.uint64_t(s.t.norms), centroids: C.uint64_t(s.t.centroids),
		input: C.brenier_extend_input{
			data: C.uint64_t(in.address), run: C.int32_t(in.run), pitch: C.int32_t(in.pitch()),
		},
		min_cosine: C.double(e.MinCosine), blend: C.double(e.Blend),
		n: C.int32_t(n), d: C.int32_t(s.t.d), k: C.int32_t(e.K), group: C.int32_t(group),
	}
	switch e.Mode {
	case backend.Cell:
		p.mode = C.BRENIER_EXTEND_CELL
	case backend.Simplex:
		p.mode = C.BRENIER_EXTEND_SIMPLEX
	case backend.Pair:
		p.mode = C.BRENIER_EXTEND_PAIR
	default:
		return p, fault.Invalid("extend: unknown mode %d", e.Mode)
	}
	switch {
	case in.address == 0:
		p.input.kind = C.BRENIER_EXTEND_NONE
	case in.element == f16:
		p.input.kind = C.BRENIER_EXTEND_F16
	case in.element == bf16:
		p.input.kind = C.BRENIER_EXTEND_BF16
	default:
		p.input.kind = C.BRENIER_EXTEND_F32
	}
	return p, nil
}

// checks asks for codes of a small map, in every mode.
func (s *extendStage) checks() []check {
	return []check{{kernel: s.function.Name, run: func(q *driver.Stream) error {
		for _, d := range []int{4, 19} {
			if err := askExtend(s.v, q, d); err != nil {
				return err
			}
		}
		return nil
	}}}
}

// askedNormals are n rows of d normal values for a question; other streams are other values.
func askedNormals(stream uint32, n, d int) []float32 {
	const seed = 1
	values := make([]float32, n*d)
	cpu.Noise(cpu.Portable, cpu.Gaussian, values, d, seed, 0, stream)
	return values
}

// askExtend asks for the codes of 7 samples with 5 cells each of a map of 12 cells in R^d.
func askExtend(v *device, q *driver.Stream, d int) error {
	const N, n, k = 12, 7, 5
	points, centroids, x := askedNormals(0, N, d), askedNormals(1, N, d), askedNormals(2, n, d)
	cells := make([]int32, n*k) // five in a row, from another one on for each sample
	for i := range cells {
		cells[i] = int32((i/k*5 + i%k*7) % N)
	}
	norms := make([]float64, N)
	cpu.PlaneNorms(cpu.Portable, points, d, norms)

	t, err := newTransport(v, points, make([]float32, N), centroids, N, d)
	if err != nil {
		return err
	}
	defer t.close()
	s, err := newExtend(v, t)
	if err != nil {
		return err
	}
	measured, err := downloadValues[float64](v, q, t.norms, N)
	if err != nil {
		return err
	}
	if !slices.Equal(measured, norms) {
		return fmt.Errorf("the lengths of normals in dimension %d differ from the CPU's", d+1)
	}
	var p plan
	xs, cs, zs := p.reserve(4*n*d), p.reserve(4*n*k), p.reserve(4*n*d)
	base, err := v.alloc(p.bytes)
	if err != nil {
		return err
	}
	defer v.free(base)
	if err := v.ctx.ToDevice(xs.at(base), unsafe.Pointer(&x[0]), xs.bytes); err != nil {
		return err
	}
	if err := v.ctx.ToDevice(cs.at(base), unsafe.Pointer(&cells[0]), cs.bytes); err != nil {
		return err
	}
	want := make([]float32, n*d)
	for mode, number := range map[backend.Mode]int{backend.Cell: cpu.Cell, backend.Simplex: cpu.Simplex, backend.Pair: cpu.Pair} {
		e := backend.Extension{Mode: mode, K: k, MinCosine: 0.1, Blend: 0.3}
		if err := s.launch(q, xs.at(base), cs.at(base), n, e, zs.at(base), decoderInput{}); err != nil {
			return err
		}
		got, err := downloadValues[float32](v, q, zs.at(base), n*d)
		if err != nil {
			return err
		}
		cpu.Extend(cpu.Portable, x, cells, d, k, points, norms, centroids, number, e.MinCosine, e.Blend, want)
		if !slices.Equal(got, want) {
			return fmt.Errorf("codes of dimension %d in mode %d differ from the CPU's", d, mode)
		}
	}
	return nil
}
