package cpu

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"unsafe"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/fault"
	"brenier/engine/internal/graph"
	"brenier/engine/internal/reference"
	kernels "brenier/kernels/cpu"
)

// decoderCase is a graph, its weights and a batch of codes.
type decoderCase struct {
	name    string
	graph   *graph.Graph
	tensors map[string]backend.Tensor
	n       int
	z       []float32 // [n,dim]
}

// onnxCases are the graphs that the reference is held against ONNX Runtime with.
func onnxCases(t *testing.T) []decoderCase {
	text, err := os.ReadFile("../reference/testdata/operators.json")
	if err != nil {
		t.Fatal(err)
	}
	var read []struct {
		Name    string
		Graph   graph.Graph
		Tensors map[string]backend.Tensor
		Z       []float32
		Shape   []int
	}
	if err := json.Unmarshal(text, &read); err != nil {
		t.Fatal(err)
	}
	var cases []decoderCase
	for _, c := range read {
		if len(c.Shape) == 1 { // an image, as a decoder makes
			c.Graph.Nodes = append(c.Graph.Nodes, graph.Node{Name: "image", Op: graph.Reshape, Inputs: []string{c.Graph.Output},
				Output: "image", Attributes: graph.Attributes{Shape: []int{0, -1, 1, 1}}})
			c.Graph.Output = "image"
		}
		cases = append(cases, decoderCase{c.Name, &c.Graph, c.Tensors, 1, c.Z})
	}
	return cases
}

// convCase is one convolution over [channels,height,width].
type convCase struct {
	op                      string
	channels, height, width int
	outs, kh, kw            int
	attributes              graph.Attributes
	n                       int
}

// convCases straddle the sizes of tiles (6 and 12 pixels), vectors (4, 8, 16) and panels (two
// vectors), and take every attribute to more than its default.
func convCases() []decoderCase {
	same := func(k int) graph.Attributes { return graph.Attributes{Pads: []int{k / 2, k / 2, k / 2, k / 2}} }
	cases := []convCase{
		{graph.Conv, 70, 5, 5, 70, 3, 3, same(3), 3},
		{graph.Conv, 16, 7, 7, 33, 1, 1, graph.Attributes{}, 2},
		{graph.Conv, 3, 9, 8, 31, 5, 4, graph.Attributes{Strides: []int{3, 2}, Pads: []int{0, 2, 1, 3}}, 2},
		{graph.Conv, 8, 9, 9, 17, 3, 3, graph.Attributes{Dilations: []int{2, 3}, Pads: []int{1, 3, 2, 0}}, 1},
		{graph.Conv, 32, 6, 6, 48, 3, 3, graph.Attributes{Group: 2, Pads: []int{1, 1, 1, 1}}, 2},
		{graph.Conv, 24, 6, 5, 24, 3, 3, graph.Attributes{Group: 24, Pads: []int{1, 1, 1, 1}}, 2},
		{graph.Conv, 30, 4, 4, 45, 3, 3, graph.Attributes{Group: 15, Pads: []int{1, 1, 1, 1}}, 2},
		{graph.Conv, 70, 5, 5, 1, 3, 3, same(3), 3},
		{graph.Conv, 33, 5, 5, 3, 3, 3, same(3), 2},
		{graph.Conv, 16, 7, 3, 4, 3, 3, same(3), 5},
		{graph.Conv, 2, 5, 5, 2, 5, 5, same(5), 1},
		{graph.Conv, 1, 6, 6, 1, 2, 2, graph.Attributes{Pads: []int{5, 0, 0, 5}}, 1},
		{graph.ConvTranspose, 40, 7, 7, 65, 4, 4, graph.Attributes{Strides: []int{2, 2}, Pads: []int{1, 1, 1, 1}}, 3},
		{graph.ConvTranspose, 64, 7, 7, 1, 4, 4, graph.Attributes{Strides: []int{2, 2}, Pads: []int{1, 1, 1, 1}}, 2},
		{graph.ConvTranspose, 33, 1, 1, 20, 4, 4, graph.Attributes{}, 13},
		{graph.ConvTranspose, 9, 1, 1, 5, 3, 5, graph.Attributes{Pads: []int{1, 0, 0, 2}, Dilations: []int{2, 1}}, 2},
		{graph.ConvTranspose, 9, 1, 1, 6, 3, 3, graph.Attributes{Group: 3, Strides: []int{2, 2}, OutputPadding: []int{1, 1}}, 2},
		{graph.ConvTranspose, 12, 4, 3, 18, 3, 3, graph.Attributes{Strides: []int{3, 2}, OutputPadding: []int{2, 1}, Pads: []int{0, 1, 1, 0}}, 2},
		{graph.ConvTranspose, 12, 4, 3, 18, 2, 2, graph.Attributes{Strides: []int{3, 3}, OutputPadding: []int{1, 2}}, 2},
		{graph.ConvTranspose, 6, 4, 4, 8, 3, 3, graph.Attributes{Strides: []int{4, 2}, Dilations: []int{2, 3}, Pads: []int{2, 0, 1, 3}}, 2},
		{graph.ConvTranspose, 20, 3, 5, 12, 3, 3, graph.Attributes{Group: 4, Strides: []int{2, 1}, Pads: []int{1, 1, 1, 1}}, 2},
		{graph.ConvTranspose, 16, 5, 5, 16, 3, 3, graph.Attributes{Group: 16, Strides: []int{2, 2}}, 1},
	}
	random := rand.New(rand.NewPCG(1, 2))
	var list []decoderCase
	for i, c := range cases {
		list = append(list, c.build(fmt.Sprintf("%02d %s", i, c.op), random))
	}
	for i, factor := range [][2]float64{{2, 2}, {3, 2}, {4, 4}, {5, 5}, {1.5, 2}} {
		c := convCase{graph.Conv, 18, 4, 5, 20, 3, 3, same(3), 2}
		if i == 1 {
			c.attributes = graph.Attributes{Strides: []int{2, 3}, Dilations: []int{1, 2}, Pads: []int{0, 2, 2, 1}}
		}
		list = append(list, c.upsampled(fmt.Sprintf("resize %v then Conv", factor), factor, random))
	}
	for len(list) < 150 {
		c := randomConv(random)
		d := c.build(fmt.Sprintf("random %d %s", len(list), c.op), random)
		if random.IntN(4) == 0 {
			d = c.upsampled(d.name+" resized", [2]float64{float64(1 + random.IntN(4)), float64(1 + random.IntN(4))}, random)
		}
		shapes := map[string][]int{"weight": d.tensors["weight"].Shape, "bias": d.tensors["bias"].Shape}
		if _, err := d.graph.Shapes(shapes); err == nil { // the rest have no pixel to make
			list = append(list, d)
		}
	}
	return list
}

// randomConv draws every attribute, small enough that the reference is quick.
func randomConv(random *rand.Rand) convCase {
	pair := func(most int) []int { return []int{1 + random.IntN(most), 1 + random.IntN(most)} }
	group := 1
	if random.IntN(3) == 0 {
		group = 1 + random.IntN(9)
	}
	c := convCase{
		op: graph.Conv, channels: group * (1 + random.IntN(40/group)), outs: group * (1 + random.IntN(40/group)),
		height: 1 + random.IntN(7), width: 1 + random.IntN(7), kh: 1 + random.IntN(4), kw: 1 + random.IntN(4),
		n: 1 + random.IntN(3),
		attributes: graph.Attributes{
			Group: group, Strides: pair(3), Dilations: pair(3),
			Pads: []int{random.IntN(3), random.IntN(3), random.IntN(3), random.IntN(3)},
		},
	}
	if random.IntN(2) == 0 {
		c.op = graph.ConvTranspose
		c.attributes.OutputPadding = []int{random.IntN(c.attributes.Strides[0]), random.IntN(c.attributes.Strides[1])}
	}
	return c
}

func (c convCase) build(name string, random *rand.Rand) decoderCase {
	shape := []int{c.outs, c.channels / max(c.attributes.Group, 1), c.kh, c.kw}
	if c.op == graph.ConvTranspose {
		shape = []int{c.channels, c.outs / max(c.attributes.Group, 1), c.kh, c.kw}
	}
	dim := c.channels * c.height * c.width
	return decoderCase{
		name: name,
		n:    c.n,
		z:    uniform(random, c.n*dim),
		tensors: map[string]backend.Tensor{
			"weight": {Shape: shape, Data: uniform(random, shape[0]*shape[1]*shape[2]*shape[3])},
			"bias":   {Shape: []int{c.outs}, Data: uniform(random, c.outs)},
		},
		graph: &graph.Graph{
			Input:  graph.Value{Name: "z", Shape: []int{dim}},
			Output: "y",
			Nodes: []graph.Node{
				{Name: "reshape", Op: graph.Reshape, Inputs: []string{"z"}, Output: "x",
					Attributes: graph.Attributes{Shape: []int{0, c.channels, c.height, c.width}}},
				{Name: "conv", Op: c.op, Inputs: []string{"x", "weight", "bias"}, Output: "y", Attributes: c.attributes},
			},
		},
	}
}

func (c convCase) upsampled(name string, scales [2]float64, random *rand.Rand) decoderCase {
	d := c.build(name, random)
	nodes := d.graph.Nodes
	nodes[1].Inputs[0] = "u"
	d.graph.Nodes = []graph.Node{nodes[0],
		{Name: "resize", Op: graph.Resize, Inputs: []string{"x"}, Output: "u", Attributes: graph.Attributes{Scales: scales[:]}},
		nodes[1]}
	return d
}

func uniform(random *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = 2*random.Float32() - 1
	}
	return x
}

// want is the reference's images, [n,C,H,W].
func (c *decoderCase) want(t testing.TB) []float64 {
	dim := len(c.z) / c.n
	var all []float64
	for i := range c.n {
		z := make([]float64, dim)
		for k := range z {
			z[k] = float64(c.z[i*dim+k])
		}
		x, err := reference.Decode(c.graph, c.tensors, z)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, x.Data...)
	}
	return all
}

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
func decodeF32(t testing.TB, d *Decoder, s *DecodeScratch, z []float32, n int) []float32 {
	c, h, w := d.OutputShape()
	x := make([]float32, n*c*h*w)
	if err := d.Decode(s, z, n, backend.Image{Data: unsafe.Pointer(&x[0])}); err != nil {
		t.Fatal(err)
	}
	return x
}

// TestDecodeOperators holds the kernels against the float64 reference: 1e-5 of the range.
func TestDecodeOperators(t *testing.T) {
	cases := append(onnxCases(t), convCases()...)
	onEveryPath(t, func(t *testing.T, pool *Pool, path kernels.Path) {
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				d, err := NewDecoder(pool, path, c.graph, c.tensors)
				if err != nil {
					t.Fatal(err)
				}
				got, want := decodeF32(t, d, d.NewScratch(c.n), c.z, c.n), c.want(t)
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

// decoderOf is a decoder with every kind of step on the way to a 3-channel image: residual sums,
// group normalisation, both convolution kernels, upsampling, a concatenation.
func decoderOf(random *rand.Rand) decoderCase {
	tensor := func(shape ...int) backend.Tensor {
		size := 1
		for _, extent := range shape {
			size *= extent
		}
		data := uniform(random, size)
		for i := range data {
			data[i] /= 4
		}
		return backend.Tensor{Shape: shape, Data: data}
	}
	pad := graph.Attributes{Pads: []int{1, 1, 1, 1}}
	twice := graph.Attributes{Scales: []float64{2, 2}}
	up := graph.Attributes{Strides: []int{2, 2}, Pads: []int{1, 1, 1, 1}}
	return decoderCase{
		name: "every step",
		n:    64,
		z:    uniform(random, 64*24),
		tensors: map[string]backend.Tensor{
			"linear": tensor(24, 20*9), "linear.bias": tensor(20 * 9),
			"first": tensor(20, 20, 3, 3), "scale": tensor(20), "shift": tensor(20),
			"up": tensor(20, 34, 4, 4), "up.bias": tensor(34), "image": tensor(3, 54, 3, 3),
			"full": tensor(3, 24, 24),
		},
		graph: &graph.Graph{
			Input:  graph.Value{Name: "z", Shape: []int{24}},
			Output: "y",
			Nodes: []graph.Node{
				{Name: "linear", Op: graph.Gemm, Inputs: []string{"z", "linear", "linear.bias"}, Output: "l"},
				{Name: "unflatten", Op: graph.Reshape, Inputs: []string{"l"}, Output: "a",
					Attributes: graph.Attributes{Shape: []int{0, 20, 3, 3}}},
				{Name: "first", Op: graph.Conv, Inputs: []string{"a", "first"}, Output: "b", Attributes: pad},
				{Name: "residual", Op: graph.Add, Inputs: []string{"b", "a"}, Output: "c"},
				{Name: "norm", Op: graph.GroupNormalization, Inputs: []string{"c", "scale", "shift"}, Output: "d",
					Attributes: graph.Attributes{NumGroups: 5}},
				{Name: "silu", Op: graph.Silu, Inputs: []string{"d"}, Output: "e"},
				{Name: "up", Op: graph.ConvTranspose, Inputs: []string{"e", "up", "up.bias"}, Output: "f", Attributes: up},
				{Name: "tanh", Op: graph.Tanh, Inputs: []string{"f"}, Output: "g"},
				{Name: "skip", Op: graph.Resize, Inputs: []string{"e"}, Output: "h", Attributes: twice},
				{Name: "both", Op: graph.Concat, Inputs: []string{"g", "h"}, Output: "i"},
				{Name: "again", Op: graph.Resize, Inputs: []string{"i"}, Output: "j", Attributes: twice},
				{Name: "larger", Op: graph.Resize, Inputs: []string{"j"}, Output: "k", Attributes: twice},
				{Name: "image", Op: graph.Conv, Inputs: []string{"k", "image"}, Output: "m", Attributes: pad},
				{Name: "full", Op: graph.Add, Inputs: []string{"m", "full"}, Output: "n"},
				{Name: "sigmoid", Op: graph.Sigmoid, Inputs: []string{"n"}, Output: "y"},
			},
		},
	}
}

// TestDecodeSameBits decodes one batch in every way: the bits of an image depend on nothing else.
func TestDecodeSameBits(t *testing.T) {
	c := decoderOf(rand.New(rand.NewPCG(5, 6)))
	dim := len(c.z) / c.n
	onEveryPath(t, func(t *testing.T, pool *Pool, path kernels.Path) {
		d, err := NewDecoder(pool, path, c.graph, c.tensors)
		if err != nil {
			t.Fatal(err)
		}
		want := decodeF32(t, d, d.NewScratch(c.n), c.z, c.n)
		size := len(want) / c.n
		for i, v := range c.want(t) {
			if e := math.Abs(float64(want[i]) - v); !(e <= 1e-5) {
				t.Fatalf("element %d is %v, want %v", i, want[i], v)
			}
		}
		for _, threads := range []int{1, 2, 3, 8} {
			other := NewPool(threads)
			d, err := NewDecoder(other, path, c.graph, c.tensors)
			if err != nil {
				t.Fatal(err)
			}
			for _, batch := range []int{1, 2, 7, 64} {
				s := d.NewScratch(batch)
				for first := 0; first < c.n; first += batch {
					n := min(batch, c.n-first)
					got := decodeF32(t, d, s, c.z[first*dim:(first+n)*dim], n)
					if !slices.Equal(got, want[first*size:(first+n)*size]) {
						t.Fatalf("%d threads: images %d to %d in a batch of %d have other bits", threads, first, first+n-1, batch)
					}
				}
			}
			small := d.NewScratch(5) // chunks within one call
			if !slices.Equal(decodeF32(t, d, small, c.z, c.n), want) {
				t.Fatalf("%d threads: chunks of 5 images have other bits", threads)
			}
			other.Close()
		}
	})
}

// TestDecodeAllocatesNothing covers each output form, for they take different ways.
func TestDecodeAllocatesNothing(t *testing.T) {
	c := decoderOf(rand.New(rand.NewPCG(5, 6)))
	pool := NewPool(2)
	defer pool.Close()
	d, err := NewDecoder(pool, kernels.Best(), c.graph, c.tensors)
	if err != nil {
		t.Fatal(err)
	}
	s := d.NewScratch(c.n)
	channels, height, width := d.OutputShape()
	out := make([]float32, c.n*channels*height*width)
	for _, dtype := range []backend.DType{backend.F32, backend.F16, backend.U8} {
		for _, layout := range []backend.Layout{backend.NCHW, backend.NHWC} {
			image := backend.Image{Data: unsafe.Pointer(&out[0]), DType: dtype, Layout: layout, High: 1}
			allocated := testing.AllocsPerRun(20, func() {
				if err := d.Decode(s, c.z, c.n, image); err != nil {
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
			c := decoderCase{n: 1, z: values, graph: &graph.Graph{
				Input: graph.Value{Name: "z", Shape: []int{1, 1, len(values)}}, Output: "y",
				Nodes: []graph.Node{{Name: "f", Op: op, Inputs: []string{"z"}, Output: "y", Attributes: a}},
			}}
			want := c.want(t)
			onEveryPath(t, func(t *testing.T, pool *Pool, path kernels.Path) {
				d, err := NewDecoder(pool, path, c.graph, nil)
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
	wide := convCase{graph.ConvTranspose, 1, 2, 2, 1, 1, 1, graph.Attributes{Strides: []int{1000, 1000}}, 1}
	c := wide.build("", rand.New(rand.NewPCG(1, 1)))
	if _, err := NewDecoder(pool, kernels.Portable, c.graph, c.tensors); !errors.Is(err, fault.ErrUnsupported) {
		t.Errorf("a stride of 1000: %v", err)
	}
	c = decoderOf(rand.New(rand.NewPCG(1, 1)))
	d, err := NewDecoder(pool, kernels.Portable, c.graph, c.tensors)
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
		if err := d.Decode(s, c.z, 1, image); !errors.Is(err, fault.ErrInvalidArgument) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := d.Decode(s, c.z[:5], 1, good); !errors.Is(err, fault.ErrInvalidArgument) {
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
