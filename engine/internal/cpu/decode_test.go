package cpu

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/decodertest"
	"brenier/engine/internal/fault"
	"brenier/engine/internal/graph"
	kernels "brenier/kernels/cpu"
)

// onEveryPath runs f with a pool for each instruction set that this processor has.
func onEveryPath(t *testing.T, f func(t *testing.T, pool *Pool, path kernels.Path)) {
	for _, path := range kernels.Paths() {
		t.Run(path.String(), func(t *testing.T) {
			pool := NewPool(2)
			defer pool.Close()
			f(t, pool, path)
		})
	}
}

// decodeF32 decodes to [n,C,H,W] float32.
func decodeF32(t testing.TB, d *Network, s *NetworkScratch, z []float32, n int) []float32 {
	c, h, w := d.OutputShape()
	x := make([]float32, n*c*h*w)
	if err := d.Decode(s, z, n, backend.Image{Data: unsafe.Pointer(&x[0])}); err != nil {
		t.Fatal(err)
	}
	return x
}

// TestDecodeOperators holds the kernels against the float64 reference: 1e-5 of the range.
func TestDecodeOperators(t *testing.T) {
	cases := append(decodertest.Operators(t), decodertest.Convolutions()...)
	onEveryPath(t, func(t *testing.T, pool *Pool, path kernels.Path) {
		for _, c := range cases {
			t.Run(c.Name, func(t *testing.T) {
				d, err := NewDecoder(pool, path, c.Graph, c.Tensors)
				if err != nil {
					t.Fatal(err)
				}
				got, want := decodeF32(t, d, d.NewScratch(c.N), c.Z, c.N), c.Want(t)
				if len(got) != len(want) {
					t.Fatalf("%d elements, want %d", len(got), len(want))
				}
				low, high := 0.0, 0.0
				for _, v := range want {
					low, high = min(low, v), max(high, v)
				}
				for i, v := range want {
					if e := math.Abs(float64(got[i]) - v); !(e <= 1e-5*(high-low)) {
						t.Fatalf("element %d is %v, want %v", i, got[i], v)
					}
				}
			})
		}
	})
}

// TestDecodeSameBits decodes one batch in every way: the bits of an image depend on nothing else.
func TestDecodeSameBits(t *testing.T) {
	c := decodertest.EveryStep(rand.New(rand.NewPCG(5, 6)))
	dim := len(c.Z) / c.N
	onEveryPath(t, func(t *testing.T, pool *Pool, path kernels.Path) {
		d, err := NewDecoder(pool, path, c.Graph, c.Tensors)
		if err != nil {
			t.Fatal(err)
		}
		want := decodeF32(t, d, d.NewScratch(c.N), c.Z, c.N)
		size := len(want) / c.N
		for i, v := range c.Want(t) {
			if e := math.Abs(float64(want[i]) - v); !(e <= 1e-5) {
				t.Fatalf("element %d is %v, want %v", i, want[i], v)
			}
		}
		for _, threads := range []int{1, 2, 3, 8} {
			other := NewPool(threads)
			d, err := NewDecoder(other, path, c.Graph, c.Tensors)
			if err != nil {
				t.Fatal(err)
			}
			for _, batch := range []int{1, 2, 7, 64} {
				s := d.NewScratch(batch)
				for first := 0; first < c.N; first += batch {
					n := min(batch, c.N-first)
					got := decodeF32(t, d, s, c.Z[first*dim:(first+n)*dim], n)
					if !slices.Equal(got, want[first*size:(first+n)*size]) {
						t.Fatalf("%d threads: images %d to %d in a batch of %d have other bits", threads, first, first+n-1, batch)
					}
				}
			}
			small := d.NewScratch(5) // chunks within one call
			if !slices.Equal(decodeF32(t, d, small, c.Z, c.N), want) {
				t.Fatalf("%d threads: chunks of 5 images have other bits", threads)
			}
			other.Close()
		}
	})
}

// TestDecodeAllocatesNothing covers each output form, for they take different ways.
func TestDecodeAllocatesNothing(t *testing.T) {
	c := decodertest.EveryStep(rand.New(rand.NewPCG(5, 6)))
	pool := NewPool(2)
	defer pool.Close()
	d, err := NewDecoder(pool, kernels.Best(), c.Graph, c.Tensors)
	if err != nil {
		t.Fatal(err)
	}
	s := d.NewScratch(c.N)
	channels, height, width := d.OutputShape()
	out := make([]float32, c.N*channels*height*width)
	for _, dtype := range []backend.DType{backend.F32, backend.F16, backend.U8} {
		for _, layout := range []backend.Layout{backend.NCHW, backend.NHWC} {
			image := backend.Image{Data: unsafe.Pointer(&out[0]), DType: dtype, Layout: layout, High: 1}
			allocated := testing.AllocsPerRun(20, func() {
				if err := d.Decode(s, c.Z, c.N, image); err != nil {
					t.Fatal(err)
				}
			})
			if allocated != 0 {
				t.Errorf("element type %d, layout %d: %v allocations a call", dtype, layout, allocated)
			}
		}
	}
}

// TestDecodeActivations takes each function through the whole range of float32.
func TestDecodeActivations(t *testing.T) {
	values := []float32{0, float32(math.Copysign(0, -1)), 1e-45, -1e-45, 1e-38, 1e-7, -1e-7, 0.3, 0.62, 0.63, -0.63, 5,
		9.1, -9.1, 20, -20, 43, -44, 86, -87, 88, -89, 104, -104, 1e4, -1e4, 3.4e38, -3.4e38, positiveInfinity, negativeInfinity}
	random := rand.New(rand.NewPCG(7, 8))
	for range 5000 {
		values = append(values, float32(random.NormFloat64()*math.Exp(4*random.NormFloat64())))
	}
	for _, op := range []string{graph.Relu, graph.LeakyRelu, graph.Silu, graph.Tanh, graph.Sigmoid, graph.Clip} {
		t.Run(op, func(t *testing.T) {
			alpha, low, high := 0.2, -0.5, 7.0
			a := graph.Attributes{}
			switch op {
			case graph.LeakyRelu:
				a.Alpha = &alpha
			case graph.Clip:
				a.Min, a.Max = &low, &high
			}
			c := decodertest.Case{N: 1, Z: values, Graph: &graph.Graph{
				Input: graph.Value{Name: "z", Shape: []int{1, 1, len(values)}}, Output: "y",
				Nodes: []graph.Node{{Name: "f", Op: op, Inputs: []string{"z"}, Output: "y", Attributes: a}},
			}}
			want := c.Want(t)
			onEveryPath(t, func(t *testing.T, pool *Pool, path kernels.Path) {
				d, err := NewDecoder(pool, path, c.Graph, nil)
				if err != nil {
					t.Fatal(err)
				}
				got := decodeF32(t, d, d.NewScratch(1), values, 1)
				for i, v := range want {
					if op == graph.Silu && values[i] == negativeInfinity {
						v = 0 // the limit; -inf * 0 has none
					}
					if float64(got[i]) == v {
						continue
					}
					if e := math.Abs(float64(got[i]) - v); !(e <= 4e-7*math.Abs(v)+1e-34) {
						t.Errorf("%s(%v) is %v, want %v", op, values[i], got[i], v)
					}
				}
				nan := float32(math.NaN())
				if x := decodeF32(t, d, d.NewScratch(1), slices.Repeat([]float32{nan}, len(values)), 1); x[0] == x[0] {
					t.Errorf("%s(NaN) is %v", op, x[0])
				}
			})
		})
	}
}

// TestDecodeRefuses what is no image, and calls that do not fit.
func TestDecodeRefuses(t *testing.T) {
	pool := NewPool(1)
	defer pool.Close()
	vector := &graph.Graph{Input: graph.Value{Name: "z", Shape: []int{4}}, Output: "y",
		Nodes: []graph.Node{{Name: "f", Op: graph.Relu, Inputs: []string{"z"}, Output: "y"}}}
	if _, err := NewDecoder(pool, kernels.Portable, vector, nil); !errors.Is(err, fault.ErrBadModel) {
		t.Errorf("a decoder whose output is [4]: %v", err)
	}
	wide := decodertest.Convolution{Op: graph.ConvTranspose, Channels: 1, Height: 2, Width: 2, Outs: 1, KH: 1, KW: 1,
		Attributes: graph.Attributes{Strides: []int{1000, 1000}}, N: 1}
	c := wide.Build("", rand.New(rand.NewPCG(1, 1)))
	if _, err := NewDecoder(pool, kernels.Portable, c.Graph, c.Tensors); !errors.Is(err, fault.ErrUnsupported) {
		t.Errorf("a stride of 1000: %v", err)
	}
	c = decodertest.EveryStep(rand.New(rand.NewPCG(1, 1)))
	d, err := NewDecoder(pool, kernels.Portable, c.Graph, c.Tensors)
	if err != nil {
		t.Fatal(err)
	}
	s, out := d.NewScratch(1), make([]float32, 3*24*24)
	good := backend.Image{Data: unsafe.Pointer(&out[0]), High: 1}
	for name, change := range map[string]func(i *backend.Image){
		"no memory":          func(i *backend.Image) { i.Data = nil },
		"an unknown element": func(i *backend.Image) { i.DType = 9 },
		"an unknown layout":  func(i *backend.Image) { i.Layout = 9 },
		"an empty range":     func(i *backend.Image) { i.DType, i.High = backend.U8, 0 },
	} {
		image := good
		change(&image)
		if err := d.Decode(s, c.Z, 1, image); !errors.Is(err, fault.ErrInvalidArgument) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := d.Decode(s, c.Z[:5], 1, good); !errors.Is(err, fault.ErrInvalidArgument) {
		t.Errorf("a short code: %v", err)
	}
	if err := d.Decode(s, nil, 0, backend.Image{}); err != nil {
		t.Errorf("no images: %v", err)
	}
}

// A short file can ask for activations beyond any machine's memory.
func TestDecodeRefusesActivationsThatNoMachineHolds(t *testing.T) {
	grow := graph.Attributes{Scales: []float64{8192, 8192}}
	g := &graph.Graph{Input: graph.Value{Name: "z", Shape: []int{1, 1, 1}}, Output: "sum"}
	terms := []string{}
	for i := range 40 { // all alive until the last node
		name := fmt.Sprintf("t%d", i)
		g.Nodes = append(g.Nodes, graph.Node{Name: name, Op: graph.Resize, Inputs: []string{"z"}, Output: name, Attributes: grow})
		terms = append(terms, name)
	}
	last := terms[0]
	for i, term := range terms[1:] {
		name := fmt.Sprintf("sum%d", i)
		g.Nodes = append(g.Nodes, graph.Node{Name: name, Op: graph.Add, Inputs: []string{last, term}, Output: name})
		last = name
	}
	g.Output = last
	pool := NewPool(1)
	defer pool.Close()
	if _, err := NewDecoder(pool, kernels.Best(), g, nil); !errors.Is(err, fault.ErrOutOfMemory) {
		t.Errorf("got %v, want %v", err, fault.ErrOutOfMemory)
	}
}
