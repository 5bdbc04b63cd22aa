package decodertest

import (
	"fmt"
	"math/rand/v2"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/graph"
)

// encoderCase is an encoder with drawn weights and images of [-1,1], made node after node.
type encoderCase struct {
	Case
	random *rand.Rand
}

func newEncoderCase(name string, n int, shape []int, random *rand.Rand) *encoderCase {
	return &encoderCase{
		Case: Case{
			Name: name, N: n, Z: Uniform(random, n*shape[0]*shape[1]*shape[2]), Tensors: map[string]backend.Tensor{},
			Graph: &graph.Graph{Input: graph.Value{Name: "x", Shape: shape}, Output: "x"},
		},
		random: random,
	}
}

// node appends an operator over the output so far and tensors of the given shapes. Its output is its name.
func (c *encoderCase) node(op string, a graph.Attributes, tensors ...[]int) *encoderCase {
	n := graph.Node{Name: fmt.Sprintf("n%d", len(c.Graph.Nodes)), Op: op, Inputs: []string{c.Graph.Output}, Attributes: a}
	n.Output = n.Name
	for k, shape := range tensors {
		size := 1
		for _, extent := range shape {
			size *= extent
		}
		t := backend.Tensor{Shape: shape, Data: Uniform(c.random, size)}
		if op == graph.BatchNormalization && k == 3 { // the variance
			for i, v := range t.Data {
				t.Data[i] = 0.5 + v*v
			}
		}
		name := fmt.Sprintf("%s.%d", n.Name, k)
		c.Tensors[name] = t
		n.Inputs = append(n.Inputs, name)
	}
	c.Graph.Nodes, c.Graph.Output = append(c.Graph.Nodes, n), n.Output
	return c
}

// withImage appends an operator of the output so far and the image.
func (c *encoderCase) withImage(op string) *encoderCase {
	c.node(op, graph.Attributes{})
	n := &c.Graph.Nodes[len(c.Graph.Nodes)-1]
	n.Inputs = append(n.Inputs, "x")
	return c
}

// Encoders are networks from images, Z [N,C,H,W], to codes: with strides of every phase, codes from a
// convolution, a matrix product, of several pixels, and the image itself, read once and twice.
func Encoders() []Case {
	random := rand.New(rand.NewPCG(11, 12))
	slope := 0.2
	leaky := graph.Attributes{Alpha: &slope}
	half := graph.Attributes{Strides: []int{2, 2}, Pads: []int{1, 1, 1, 1}}
	same := graph.Attributes{Pads: []int{1, 1, 1, 1}}
	none := graph.Attributes{}
	per := func(channels, count int) (shapes [][]int) {
		for range count {
			shapes = append(shapes, []int{channels})
		}
		return shapes
	}
	cases := []*encoderCase{
		newEncoderCase("grey digits", 5, []int{1, 12, 12}, random).
			node(graph.Conv, half, []int{9, 1, 4, 4}, []int{9}).node(graph.LeakyRelu, leaky).
			node(graph.Conv, half, []int{20, 9, 4, 4}, []int{20}).node(graph.BatchNormalization, none, per(20, 4)...).node(graph.LeakyRelu, leaky).
			node(graph.Conv, none, []int{33, 20, 3, 3}, []int{33}),
		newEncoderCase("colours and uneven strides", 3, []int{3, 11, 8}, random).
			node(graph.Conv, graph.Attributes{Strides: []int{3, 2}, Pads: []int{0, 2, 1, 1}}, []int{16, 3, 4, 3}, []int{16}).node(graph.Silu, none).
			node(graph.GroupNormalization, graph.Attributes{NumGroups: 4}, per(16, 2)...).
			node(graph.Conv, graph.Attributes{Strides: []int{2, 3}, Group: 2}, []int{24, 8, 3, 5}, []int{24}).node(graph.Flatten, none),
		newEncoderCase("convolution, then a matrix product", 4, []int{3, 6, 6}, random).
			node(graph.Conv, half, []int{16, 3, 4, 4}).node(graph.Relu, none).
			node(graph.Flatten, none).node(graph.Gemm, graph.Attributes{TransB: 1}, []int{10, 144}, []int{10}),
		newEncoderCase("matrix product of colours", 4, []int{3, 5, 4}, random).
			node(graph.Flatten, none).node(graph.Gemm, none, []int{60, 17}, []int{17}).node(graph.Tanh, none),
		newEncoderCase("matrix product of grey", 4, []int{1, 5, 4}, random).
			node(graph.Flatten, none).node(graph.Gemm, none, []int{20, 7}, []int{7}),
		newEncoderCase("code of several pixels", 3, []int{3, 8, 6}, random).
			node(graph.Conv, half, []int{8, 3, 4, 4}, []int{8}).node(graph.Relu, none).node(graph.Conv, same, []int{4, 8, 3, 3}, []int{4}),
		newEncoderCase("image read twice", 3, []int{3, 5, 4}, random).
			node(graph.Conv, same, []int{3, 3, 3, 3}, []int{3}).withImage(graph.Add).node(graph.Relu, none).withImage(graph.Concat),
		newEncoderCase("the image itself", 3, []int{3, 5, 4}, random).node(graph.Flatten, none),
		newEncoderCase("one pixel", 3, []int{20, 1, 1}, random).node(graph.Conv, none, []int{6, 20, 1, 1}, []int{6}),
	}
	for len(cases) < 40 {
		c := randomConvolution(random)
		if c.Op != graph.Conv {
			continue
		}
		e := newEncoderCase(fmt.Sprint("random ", len(cases)), c.N, []int{c.Channels, c.Height, c.Width}, random).
			node(graph.Conv, c.Attributes, []int{c.Outs, c.Channels / c.Attributes.Group, c.KH, c.KW}, []int{c.Outs})
		shapes := map[string][]int{}
		for name, t := range e.Tensors {
			shapes[name] = t.Shape
		}
		if _, err := e.Graph.EncoderShapes(shapes); err == nil { // the rest have no pixel to make
			cases = append(cases, e)
		}
	}
	list := make([]Case, len(cases))
	for i, c := range cases {
		list[i] = c.Case
	}
	return list
}
