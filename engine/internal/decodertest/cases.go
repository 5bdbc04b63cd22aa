// Package decodertest has decoders to hold a backend's decode against the float64 reference with: every
// operator, a table of convolutions, one with every kind of step, and trained ones. Only tests use it.
package decodertest

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/graph"
	"brenier/engine/internal/reference"
)

// Case is a graph, its weights and a batch of codes.
type Case struct {
	Name    string
	Graph   *graph.Graph
	Tensors map[string]backend.Tensor
	N       int
	Z       []float32 // [N,dim]
}

// Operators are the graphs that the reference is held against ONNX Runtime with.
func Operators(t *testing.T) []Case {
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
	var cases []Case
	for _, c := range read {
		if len(c.Shape) == 1 { // an image, as a decoder makes
			c.Graph.Nodes = append(c.Graph.Nodes, graph.Node{Name: "image", Op: graph.Reshape, Inputs: []string{c.Graph.Output},
				Output: "image", Attributes: graph.Attributes{Shape: []int{0, -1, 1, 1}}})
			c.Graph.Output = "image"
		}
		cases = append(cases, Case{c.Name, &c.Graph, c.Tensors, 1, c.Z})
	}
	return cases
}

// Convolution is one convolution over [channels,height,width].
type Convolution struct {
	Op                      string
	Channels, Height, Width int
	Outs, KH, KW            int
	Attributes              graph.Attributes
	N                       int
}

// Convolutions straddle the sizes of tiles (6 and 12 pixels), vectors (4, 8, 16) and panels (two
// vectors), and take every attribute to more than its default.
func Convolutions() []Case {
	same := func(k int) graph.Attributes { return graph.Attributes{Pads: []int{k / 2, k / 2, k / 2, k / 2}} }
	cases := []Convolution{
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
	var list []Case
	for i, c := range cases {
		list = append(list, c.Build(fmt.Sprintf("%02d %s", i, c.Op), random))
	}
	for i, factor := range [][2]float64{{2, 2}, {3, 2}, {4, 4}, {5, 5}, {1.5, 2}} {
		c := Convolution{graph.Conv, 18, 4, 5, 20, 3, 3, same(3), 2}
		if i == 1 {
			c.Attributes = graph.Attributes{Strides: []int{2, 3}, Dilations: []int{1, 2}, Pads: []int{0, 2, 2, 1}}
		}
		list = append(list, c.upsampled(fmt.Sprintf("resize %v then Conv", factor), factor, random))
	}
	for len(list) < 150 {
		c := randomConvolution(random)
		d := c.Build(fmt.Sprintf("random %d %s", len(list), c.Op), random)
		if random.IntN(4) == 0 {
			d = c.upsampled(d.Name+" resized", [2]float64{float64(1 + random.IntN(4)), float64(1 + random.IntN(4))}, random)
		}
		shapes := map[string][]int{"weight": d.Tensors["weight"].Shape, "bias": d.Tensors["bias"].Shape}
		if _, err := d.Graph.Shapes(shapes); err == nil { // the rest have no pixel to make
			list = append(list, d)
		}
	}
	return list
}

// randomConvolution draws every attribute, small enough that the reference is quick.
func randomConvolution(random *rand.Rand) Convolution {
	pair := func(most int) []int { return []int{1 + random.IntN(most), 1 + random.IntN(most)} }
	group := 1
	if random.IntN(3) == 0 {
		group = 1 + random.IntN(9)
	}
	c := Convolution{
		Op: graph.Conv, Channels: group * (1 + random.IntN(40/group)), Outs: group * (1 + random.IntN(40/group)),
		Height: 1 + random.IntN(7), Width: 1 + random.IntN(7), KH: 1 + random.IntN(4), KW: 1 + random.IntN(4),
		N: 1 + random.IntN(3),
		Attributes: graph.Attributes{
			Group: group, Strides: pair(3), Dilations: pair(3),
			Pads: []int{random.IntN(3), random.IntN(3), random.IntN(3), random.IntN(3)},
		},
	}
	if random.IntN(2) == 0 {
		c.Op = graph.ConvTranspose
		c.Attributes.OutputPadding = []int{random.IntN(c.Attributes.Strides[0]), random.IntN(c.Attributes.Strides[1])}
	}
	return c
}

// Build makes a case of it with drawn weights and codes.
func (c Convolution) Build(name string, random *rand.Rand) Case {
	shape := []int{c.Outs, c.Channels / max(c.Attributes.Group, 1), c.KH, c.KW}
	if c.Op == graph.ConvTranspose {
		shape = []int{c.Channels, c.Outs / max(c.Attributes.Group, 1), c.KH, c.KW}
	}
	dim := c.Channels * c.Height * c.Width
	return Case{
		Name: name,
		N:    c.N,
		Z:    Uniform(random, c.N*dim),
		Tensors: map[string]backend.Tensor{
			"weight": {Shape: shape, Data: Uniform(random, shape[0]*shape[1]*shape[2]*shape[3])},
			"bias":   {Shape: []int{c.Outs}, Data: Uniform(random, c.Outs)},
		},
		Graph: &graph.Graph{
			Input:  graph.Value{Name: "z", Shape: []int{dim}},
			Output: "y",
			Nodes: []graph.Node{
				{Name: "reshape", Op: graph.Reshape, Inputs: []string{"z"}, Output: "x",
					Attributes: graph.Attributes{Shape: []int{0, c.Channels, c.Height, c.Width}}},
				{Name: "conv", Op: c.Op, Inputs: []string{"x", "weight", "bias"}, Output: "y", Attributes: c.Attributes},
			},
		},
	}
}

func (c Convolution) upsampled(name string, scales [2]float64, random *rand.Rand) Case {
	d := c.Build(name, random)
	nodes := d.Graph.Nodes
	nodes[1].Inputs[0] = "u"
	d.Graph.Nodes = []graph.Node{nodes[0],
		{Name: "resize", Op: graph.Resize, Inputs: []string{"x"}, Output: "u", Attributes: graph.Attributes{Scales: scales[:]}},
		nodes[1]}
	return d
}

// Uniform returns n numbers of [-1,1].
func Uniform(random *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = 2*random.Float32() - 1
	}
	return x
}

// Want is the reference's images, [n,C,H,W].
func (c *Case) Want(t testing.TB) []float64 {
	dim := len(c.Z) / c.N
	var all []float64
	for i := range c.N {
		z := make([]float64, dim)
		for k := range z {
			z[k] = float64(c.Z[i*dim+k])
		}
		x, err := reference.Decode(c.Graph, c.Tensors, z)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, x.Data...)
	}
	return all
}

// EveryStep is a decoder with every kind of step on the way to a 3-channel image: residual sums,
// group normalisation, both convolution kernels, upsampling, a concatenation.
func EveryStep(random *rand.Rand) Case {
	tensor := func(shape ...int) backend.Tensor {
		size := 1
		for _, extent := range shape {
			size *= extent
		}
		data := Uniform(random, size)
		for i := range data {
			data[i] /= 4
		}
		return backend.Tensor{Shape: shape, Data: data}
	}
	pad := graph.Attributes{Pads: []int{1, 1, 1, 1}}
	twice := graph.Attributes{Scales: []float64{2, 2}}
	up := graph.Attributes{Strides: []int{2, 2}, Pads: []int{1, 1, 1, 1}}
	return Case{
		Name: "every step",
		N:    64,
		Z:    Uniform(random, 64*24),
		Tensors: map[string]backend.Tensor{
			"linear": tensor(24, 20*9), "linear.bias": tensor(20 * 9),
			"first": tensor(20, 20, 3, 3), "scale": tensor(20), "shift": tensor(20),
			"up": tensor(20, 34, 4, 4), "up.bias": tensor(34), "image": tensor(3, 54, 3, 3),
			"full": tensor(3, 24, 24),
		},
		Graph: &graph.Graph{
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
