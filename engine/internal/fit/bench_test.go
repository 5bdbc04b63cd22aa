package fit

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/x448/float16"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/cpu"
	"brenier/engine/internal/safetensors"
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
	return &onCPU{pool: pool, path: path, m: m, s: m.NewScratch(leastBatch), source: source, d: p.Dim,
		x: make([]float32, leastBatch*p.Dim), cells: make([]int32, leastBatch*MaxCells), scores: make([]float64, leastBatch*MaxCells)}
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

// codes are n of the codes that lie beside the repository, evenly spaced, or a skip.
func codes(t testing.TB, file string, n int) Problem {
	t.Helper()
	f, err := safetensors.Open(filepath.Join("..", "..", "..", "..", "shared", "models", file+".safetensors"))
	if os.IsNotExist(err) {
		t.Skipf("no real codes beside the repository: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	tensor := f.Tensor("latents")
	all, d := tensor.Shape[0], tensor.Shape[1]
	if n == 0 {
		n = all
	}
	y := make([]float32, n*d)
	for i := range n {
		for k := range d {
			at := i*(all/n)*d + k
			if tensor.DType == safetensors.F16 {
				y[i*d+k] = float16.Frombits(binary.LittleEndian.Uint16(tensor.Data[2*at:])).Float32()
			} else {
				y[i*d+k] = math.Float32frombits(binary.LittleEndian.Uint32(tensor.Data[4*at:]))
			}
		}
	}
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
