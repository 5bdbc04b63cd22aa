package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"gonum.org/v1/gonum/stat/distuv"

	"brenier/engine/internal/graph"
	"brenier/engine/internal/modelfile"
	kernels "brenier/kernels/cpu"
)

// tensor is a tensor of a test model.
func tensor(data []float32, shape ...int) *modelfile.Tensor {
	return &modelfile.Tensor{DType: modelfile.F32, Shape: shape, Data: data}
}

func gaussians(r *rand.Rand, n int, scale float64) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(scale * r.NormFloat64())
	}
	return v
}

// smallModel is a map of n points in R^d and a decoder to 2x6x6 images, all random.
func smallModel(n, d int) *modelfile.Model {
	r := rand.New(rand.NewPCG(1, 2))
	points := gaussians(r, n*d, 1)
	heights := make([]float32, n)
	for i := range heights {
		for _, v := range points[i*d : (i+1)*d] {
			heights[i] -= v * v / 2
		}
	}
	cosines := make([]float64, 101)
	for i := range cosines {
		cosines[i] = math.Cos(0.2 + 1.4*float64(i)/100)
	}
	slope := 0.2
	return &modelfile.Model{
		Points: tensor(points, n, d), Heights: tensor(heights, n),
		Centroids: tensor(gaussians(r, n*d, 1), n, d),
		Extension: &modelfile.Extension{Mode: "simplex", K: 8, Quantile: 0.25, Cosines: cosines},
		Graph: &graph.Graph{
			Input: graph.Value{Name: "z", Shape: []int{d}}, Output: "image",
			Nodes: []graph.Node{
				{Name: "in", Op: graph.Reshape, Inputs: []string{"z"}, Output: "z4", Attributes: graph.Attributes{Shape: []int{0, d, 1, 1}}},
				{Name: "up", Op: graph.ConvTranspose, Inputs: []string{"z4", "decoder.0.weight"}, Output: "a", Attributes: graph.Attributes{KernelShape: []int{3, 3}}},
				{Name: "relu", Op: graph.LeakyRelu, Inputs: []string{"a"}, Output: "b", Attributes: graph.Attributes{Alpha: &slope}},
				{Name: "out", Op: graph.ConvTranspose, Inputs: []string{"b", "decoder.1.weight", "decoder.1.bias"}, Output: "c", Attributes: graph.Attributes{KernelShape: []int{4, 4}, Strides: []int{2, 2}, Pads: []int{1, 1, 1, 1}}},
				{Name: "tanh", Op: graph.Tanh, Inputs: []string{"c"}, Output: "image"},
			},
		},
		Weights: map[string]*modelfile.Tensor{
			"decoder.0.weight": tensor(gaussians(r, d*7*9, 0.3), d, 7, 3, 3),
			"decoder.1.weight": tensor(gaussians(r, 7*2*16, 0.3), 7, 2, 4, 4),
			"decoder.1.bias":   tensor(gaussians(r, 2, 0.3), 2),
		},
		Output: &modelfile.Output{Range: [2]float64{-1, 1}, Channels: 2, Height: 6, Width: 6},
	}
}

// openModel makes an engine of a configuration and opens the model on it; both close with the test.
func openModel(t testing.TB, c Config, content *modelfile.Model) *Model {
	t.Helper()
	data, err := modelfile.Encode(content)
	if err != nil {
		t.Fatal(err)
	}
	c.Device = "cpu"
	e, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	m, err := e.OpenBytes(data)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func equalBits(a, b []float32) error {
	if len(a) != len(b) {
		return fmt.Errorf("%d values against %d", len(a), len(b))
	}
	for i := range a {
		if math.Float32bits(a[i]) != math.Float32bits(b[i]) {
			return fmt.Errorf("value %d: %x against %x", i, a[i], b[i])
		}
	}
	return nil
}

const pixels = 2 * 6 * 6

func TestGenerate(t *testing.T) {
	const n, d, samples = 700, 19, 4200
	content := smallModel(n, d)
	m := openModel(t, Config{}, content)
	all := make([]float32, samples*pixels)
	codes := make([]float32, samples*d)
	if err := m.Generate(samples, 7, 3, Extension{}, Float32Image(all, NCHW)); err != nil {
		t.Fatal(err)
	}
	if err := m.Codes(codes, 7, 3, Extension{}); err != nil {
		t.Fatal(err)
	}

	t.Run("is the stages one after another", func(t *testing.T) {
		x, z := make([]float32, samples*d), make([]float32, samples*d)
		cells := make([]int64, samples*8)
		images := make([]float32, samples*pixels)
		for _, err := range []error{
			m.Noise(x, 7, 3),
			m.Locate(x, 8, cells, nil),
			m.Extend(x, cells, 8, Extension{}, z),
			m.Decode(z, Float32Image(images, NCHW)),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := equalBits(z, codes); err != nil {
			t.Errorf("codes: %v", err)
		}
		if err := equalBits(images, all); err != nil {
			t.Errorf("images: %v", err)
		}
	})

	for _, step := range []int{1, 7, 32, 33, 2000} {
		t.Run(fmt.Sprintf("does not depend on the batch/%d", step), func(t *testing.T) {
			last := samples - samples%step
			for at := last - step; at >= max(0, last-40*step); at -= step { // backwards: nor on the order
				part := make([]float32, step*pixels)
				if err := m.Generate(step, 7, 3+uint64(at), Extension{}, Float32Image(part, NCHW)); err != nil {
					t.Fatal(err)
				}
				if err := equalBits(part, all[at*pixels:(at+step)*pixels]); err != nil {
					t.Fatalf("samples from %d: %v", at, err)
				}
			}
		})
	}

	for _, path := range kernels.Paths() {
		for _, threads := range []int{1, 2, 5} {
			t.Run(fmt.Sprintf("codes are the same bits/%s/threads=%d", path, threads), func(t *testing.T) {
				other := openModel(t, Config{Threads: threads, Path: path.String()}, content)
				z := make([]float32, len(codes))
				if err := other.Codes(z, 7, 3, Extension{}); err != nil {
					t.Fatal(err)
				}
				if err := equalBits(z, codes); err != nil {
					t.Error(err)
				}
			})
		}
	}

	t.Run("serves many threads at once", func(t *testing.T) {
		var wg sync.WaitGroup
		for g := range 16 {
			wg.Go(func() {
				for i := range 20 {
					at := (g*37 + i*11) % (samples - 30)
					part := make([]float32, 30*pixels)
					if err := m.Generate(30, 7, 3+uint64(at), Extension{}, Float32Image(part, NCHW)); err != nil {
						t.Error(err)
						return
					}
					if err := equalBits(part, all[at*pixels:(at+30)*pixels]); err != nil {
						t.Errorf("goroutine %d, samples from %d: %v", g, at, err)
						return
					}
				}
			})
		}
		wg.Wait()
	})
}

func TestNothingIsAllocatedAfterTheFirstCall(t *testing.T) {
	const d, n = 19, 33
	m := openModel(t, Config{}, smallModel(300, d))
	x, z := make([]float32, n*d), make([]float32, n*d)
	cells, scores := make([]int64, n*8), make([]float64, n*8)
	images := make([]float32, n*pixels)
	for _, c := range []struct {
		name string
		call func() error
	}{
		{"noise", func() error { return m.Noise(x, 1, 0) }},
		{"locate", func() error { return m.Locate(x, 8, cells, scores) }},
		{"extend", func() error { return m.Extend(x, cells, 8, Extension{}, z) }},
		{"codes", func() error { return m.Codes(z, 1, 0, Extension{}) }},
		{"decode", func() error { return m.Decode(z, Float32Image(images, NHWC)) }},
		{"generate", func() error { return m.Generate(n, 1, 0, Extension{}, Float32Image(images, NCHW)) }},
		{"potential", func() error { return m.Potential(x, scores[:n], nil) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			if allocations := testing.AllocsPerRun(50, func() {
				if err := c.call(); err != nil {
					t.Fatal(err)
				}
			}); allocations != 0 {
				t.Errorf("%v allocations a call", allocations)
			}
		})
	}
}

// In one dimension the map of N(0,1) to points in order is known: the cells are the intervals
// between the quantiles of the masses' sums, and heights follow from equal scores at the ends.
func TestFrequenciesOfCellsAreTheMasses(t *testing.T) {
	const n, samples = 40, 1_000_000
	points, masses := make([]float32, n), make([]float64, n)
	total := 0.0
	for i := range n {
		points[i] = float32(i*i)/64 - 7 // exact, so that the breaks are where the masses say
		masses[i] = 1 + float64(i%5)
		total += masses[i]
	}
	heights := make([]float32, n)
	h, sum := 0.0, 0.0
	for i := 1; i < n; i++ {
		sum += masses[i-1] / total
		h -= distuv.UnitNormal.Quantile(sum) * float64(points[i]-points[i-1])
		heights[i] = float32(h)
	}
	m := openModel(t, Config{}, &modelfile.Model{Points: tensor(points, n, 1), Heights: tensor(heights, n)})

	x, cells := make([]float32, samples), make([]int64, samples)
	if err := m.Noise(x, 11, 0); err != nil {
		t.Fatal(err)
	}
	if err := m.Locate(x, 1, cells, nil); err != nil {
		t.Fatal(err)
	}
	counts := make([]float64, n)
	for _, c := range cells {
		counts[c]++
	}
	statistic := 0.0
	for i := range n {
		want := samples * masses[i] / total
		statistic += (counts[i] - want) * (counts[i] - want) / want
	}
	if limit := (distuv.ChiSquared{K: n - 1}).Quantile(0.9999); statistic > limit {
		t.Errorf("chi-squared of %d counts with %d degrees of freedom: %.1f, above %.1f", samples, n-1, statistic, limit)
	}
}

func TestPotential(t *testing.T) {
	const n, d, rows = 90, 5, 40
	content := smallModel(n, d)
	m := openModel(t, Config{}, content)
	x := gaussians(rand.New(rand.NewPCG(3, 4)), rows*d, 2)
	u, phi := make([]float64, rows), make([]float64, rows)
	if err := m.Potential(x, u, phi); err != nil {
		t.Fatal(err)
	}
	alone := make([]float64, rows)
	if err := m.Potential(x, nil, alone); err != nil {
		t.Fatal(err)
	}
	for r := range rows {
		if alone[r] != phi[r] {
			t.Errorf("row %d: phi = %v alone, %v beside u", r, alone[r], phi[r])
		}
		want, square := math.Inf(-1), 0.0
		for i := range n {
			s := float64(content.Heights.Data[i])
			for k := range d {
				s += float64(x[r*d+k]) * float64(content.Points.Data[i*d+k])
			}
			want = max(want, s)
		}
		for k := range d {
			square += float64(x[r*d+k]) * float64(x[r*d+k])
		}
		if math.Abs(u[r]-want) > 1e-12*(1+math.Abs(want)) {
			t.Errorf("row %d: u = %v, want %v", r, u[r], want)
		}
		if got, want := phi[r], square/2-want; math.Abs(got-want) > 1e-12*(1+math.Abs(want)) {
			t.Errorf("row %d: phi = %v, want %v", r, got, want)
		}
	}
}

func TestExtension(t *testing.T) {
	const n, d, samples = 400, 6, 300
	content := smallModel(n, d)
	m := openModel(t, Config{}, content)
	codes := func(e Extension) []float32 {
		z := make([]float32, samples*d)
		if err := m.Codes(z, 5, 0, e); err != nil {
			t.Fatal(err)
		}
		return z
	}
	x, cells := make([]float32, samples*d), make([]int64, samples)
	if err := m.Noise(x, 5, 0); err != nil {
		t.Fatal(err)
	}
	if err := m.Locate(x, 1, cells, nil); err != nil {
		t.Fatal(err)
	}
	own := make([]float32, 0, samples*d)
	for _, c := range cells {
		own = append(own, content.Points.Data[c*d:(c+1)*d]...)
	}

	for _, c := range []struct {
		name string
		a, b []float32
	}{
		{"cell is the cell's point", codes(Extension{Mode: Cell}), own},
		{"theta 0 leaves the cell's point", codes(Extension{Mode: Simplex, Angle: Radians, Theta: 0}), own},
		{"one cell is the cell's point", codes(Extension{Mode: Simplex, K: 1}), own},
		{"blend 0 is the cell's point", codes(Extension{Mode: Pair, Angle: Quantile, Theta: 1}), own},
		{"pi keeps all, as quantile 1 does", codes(Extension{Angle: Radians, Theta: math.Pi}), codes(Extension{Angle: Quantile, Theta: 1})},
		{"a quantile is the angle of the table", codes(Extension{Angle: Quantile, Theta: 0.5}), codes(Extension{Angle: Radians, Theta: 0.9})},
		{"the default is the model's own", codes(Extension{}), codes(Extension{Mode: Simplex, K: 8, Angle: Quantile, Theta: 0.25})},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := equalBits(c.a, c.b); err != nil {
				t.Error(err)
			}
		})
	}
	if equalBits(codes(Extension{Angle: Quantile, Theta: 1}), codes(Extension{})) == nil {
		t.Error("the filter changes no code")
	}
}

func TestCosine(t *testing.T) {
	for i := 0; i <= 1000; i++ {
		theta := math.Pi * float64(i) / 1000
		if got, want := cosine(theta), math.Cos(theta); math.Abs(got-want) > 4e-15 {
			t.Errorf("cosine(%v) = %v, want %v", theta, got, want)
		}
	}
	if cosine(0) != 1 || cosine(math.Pi) < -1 {
		t.Errorf("cosine of 0 and pi: %v and %v", cosine(0), cosine(math.Pi))
	}
}

func TestErrors(t *testing.T) {
	const n, d = 50, 4
	whole := smallModel(n, d)
	m := openModel(t, Config{}, whole)
	mapOnly := openModel(t, Config{}, &modelfile.Model{Points: whole.Points, Heights: whole.Heights})
	decoderOnly := openModel(t, Config{}, &modelfile.Model{Graph: whole.Graph, Weights: whole.Weights, Output: whole.Output})
	nan := make([]float32, 3*d)
	nan[2*d+1] = float32(math.NaN())
	x, z, cells := make([]float32, 3*d), make([]float32, 3*d), make([]int64, 3)
	image := Float32Image(make([]float32, 3*pixels), NCHW)

	for _, c := range []struct {
		name string
		err  error
		kind error
		text string
	}{
		{"rows", m.Locate(x[:d+1], 1, cells, nil), ErrInvalidArgument, "x: want rows of 4, got 5 values"},
		{"k = 0", m.Locate(x, 0, nil, nil), ErrInvalidArgument, "k: want 1 .. 32"},
		{"k = 33", m.Locate(x, 33, nil, nil), ErrInvalidArgument, "got 33"},
		{"cells", m.Locate(x, 2, cells, nil), ErrInvalidArgument, "cells: want [3,2], got 3 values"},
		{"scores", m.Locate(x, 1, cells, make([]float64, 2)), ErrInvalidArgument, "scores: want [3,1]"},
		{"a NaN in x", m.Locate(nan, 1, cells, nil), ErrInvalidArgument, "x: row 2, column 1 is NaN"},
		{"a NaN in x of potential", m.Potential(nan, nil, nil), ErrInvalidArgument, "row 2"},
		{"a NaN in codes", m.Decode(nan, image), ErrInvalidArgument, "codes: row 2"},
		{"a cell out of range", m.Extend(x, []int64{0, 1, n}, 1, Extension{}, z), ErrInvalidArgument, "cells: row 2, column 0 is 50"},
		{"too few cells", m.Extend(x, cells, 1, Extension{K: 2}, z), ErrInvalidArgument, "locate with k = 2"},
		{"mode", m.Codes(z, 0, 0, Extension{Mode: 9}), ErrInvalidArgument, "mode"},
		{"angle", m.Codes(z, 0, 0, Extension{Angle: 9}), ErrInvalidArgument, "angle"},
		{"quantile", m.Codes(z, 0, 0, Extension{Angle: Quantile, Theta: 1.1}), ErrInvalidArgument, "0 .. 1"},
		{"radians", m.Codes(z, 0, 0, Extension{Angle: Radians, Theta: math.NaN()}), ErrInvalidArgument, "pi"},
		{"blend", m.Codes(z, 0, 0, Extension{Blend: -1}), ErrInvalidArgument, "blend"},
		{"the index's end", m.Noise(x, 0, math.MaxUint64-1), ErrInvalidArgument, "64 bits"},
		{"short image", m.Generate(4, 0, 0, Extension{}, image), ErrShortBuffer, "do not fit"},
		{"dtype", m.Decode(x, Image{Data: image.Data, DType: 7}), ErrInvalidArgument, "dtype"},
		{"layout", m.Decode(x, Image{Data: image.Data, Layout: 7}), ErrInvalidArgument, "layout"},
		{"alignment", m.Decode(x[:d], Image{Data: image.Data[1:]}), ErrInvalidArgument, "aligned"},
		{"no decoder", mapOnly.Decode(x, image), ErrUnsupported, "no decoder"},
		{"no centroids", mapOnly.Codes(z, 0, 0, Extension{Mode: Simplex}), ErrUnsupported, "ot.centroids"},
		{"no table of angles", mapOnly.Codes(z, 0, 0, Extension{Mode: Pair, Angle: Quantile, Theta: 0.5}), ErrUnsupported, "radians"},
		{"no map", decoderOnly.Locate(x, 1, cells, nil), ErrUnsupported, "no map"},
		{"no map to generate with", decoderOnly.Generate(1, 0, 0, Extension{}, image), ErrUnsupported, "no map"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if !errors.Is(c.err, c.kind) || !strings.Contains(c.err.Error(), c.text) {
				t.Errorf("got %v; want %v with %q", c.err, c.kind, c.text)
			}
		})
	}
}

func TestNothingToDo(t *testing.T) {
	m := openModel(t, Config{}, smallModel(50, 4))
	for name, err := range map[string]error{
		"noise": m.Noise(nil, 0, 0), "locate": m.Locate(nil, 1, nil, nil), "codes": m.Codes(nil, 0, 0, Extension{}),
		"decode": m.Decode(nil, Image{}), "generate": m.Generate(0, 0, 0, Extension{}, Image{}),
		"potential": m.Potential(nil, nil, nil), "extend": m.Extend(nil, nil, 8, Extension{}, nil),
	} {
		if err != nil {
			t.Errorf("%s of no samples: %v", name, err)
		}
	}
}

func TestClose(t *testing.T) {
	e, err := New(Config{Device: "cpu"})
	if err != nil {
		t.Fatal(err)
	}
	data, err := modelfile.Encode(smallModel(50, 4))
	if err != nil {
		t.Fatal(err)
	}
	a, err := e.OpenBytes(data)
	if err != nil {
		t.Fatal(err)
	}
	b, err := e.OpenBytes(data)
	if err != nil {
		t.Fatal(err)
	}
	z := make([]float32, 4)
	for range 2 { // closing twice is closing once
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Codes(z, 0, 0, Extension{}); !errors.Is(err, ErrClosed) {
		t.Errorf("codes of a closed model: %v", err)
	}
	if err := b.Codes(z, 0, 0, Extension{}); err != nil {
		t.Errorf("codes of the other model: %v", err)
	}

	var wg sync.WaitGroup // calls in flight end before the engine does, and later ones are refused
	for range 8 {
		wg.Go(func() {
			for {
				if err := b.Codes(make([]float32, 400), 0, 0, Extension{}); err != nil {
					if !errors.Is(err, ErrClosed) {
						t.Error(err)
					}
					return
				}
			}
		})
	}
	for range 2 {
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
	if _, err := e.OpenBytes(data); !errors.Is(err, ErrClosed) {
		t.Errorf("opening on a closed engine: %v", err)
	}
}

func TestConfig(t *testing.T) {
	for _, c := range []struct {
		name, device, threads, path string
		config                      Config
		want                        error
	}{
		{name: "defaults"},
		{name: "the environment names the device", device: "tpu", want: ErrInvalidArgument},
		{name: "the configuration goes before it", device: "tpu", config: Config{Device: "cpu"}},
		{name: "threads", device: "cpu", threads: "3"},
		{name: "threads that are no number", threads: "many", want: ErrInvalidArgument},
		{name: "threads below one", threads: "0", want: ErrInvalidArgument},
		{name: "negative threads", config: Config{Threads: -1}, want: ErrInvalidArgument},
		{name: "path", device: "cpu", path: "portable"},
		{name: "no such path", device: "cpu", path: "mmx", want: ErrInvalidArgument},
		{name: "no such device", config: Config{Device: "cuda:x"}, want: ErrDevice},
		{name: "a precision that the CPU does not need", device: "cpu", config: Config{CUDA: CUDAConfig{Precision: "bf16"}}},
		{name: "no such precision", device: "cpu", config: Config{CUDA: CUDAConfig{Precision: "f64"}}, want: ErrInvalidArgument},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("BRENIER_DEVICE", c.device)
			t.Setenv("BRENIER_THREADS", c.threads)
			t.Setenv("BRENIER_CPU", c.path)
			e, err := New(c.config)
			if !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if err != nil {
				return
			}
			defer e.Close()
			info := e.Info()
			if c.threads != "" && fmt.Sprint(info.Threads) != c.threads {
				t.Errorf("%d threads, want %s", info.Threads, c.threads)
			}
			if c.path != "" && info.Path != c.path {
				t.Errorf("path %s, want %s", info.Path, c.path)
			}
		})
	}
}

func TestInfoAndSave(t *testing.T) {
	content := smallModel(50, 4)
	m := openModel(t, Config{}, content)
	info := m.Info()
	if info.Points != 50 || info.Dimension != 4 || info.Channels != 2 || info.Height != 6 || info.Width != 6 ||
		info.Low != -1 || info.High != 1 || info.Source != "gaussian" || !info.HasCentroids || info.HasMasses {
		t.Errorf("info: %+v", info)
	}
	if !json.Valid([]byte(info.Metadata)) {
		t.Errorf("the metadata is not JSON: %s", info.Metadata)
	}
	path := t.TempDir() + "/copy.safetensors"
	if err := m.Save(path); err != nil {
		t.Fatal(err)
	}
	again, err := m.engine.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ot.points", "ot.heights", "ot.masses", "ot.centroids"} {
		if err := equalBits(again.Tensor(name), m.Tensor(name)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if again.Info() != info {
		t.Errorf("info of the copy: %+v", again.Info())
	}
}
