package lower

import (
	"fmt"
	"strings"
	"testing"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/graph"
)

// layer is a node: its operator, the shapes of its tensors, and its attributes.
type layer struct {
	op         string
	tensors    [][]int
	attributes graph.Attributes
}

// sequence is the graph of layers one after another over a code of dim elements.
func sequence(dim int, layers ...layer) (*graph.Graph, map[string]backend.Tensor) {
	g := &graph.Graph{Input: graph.Value{Name: "z", Shape: []int{dim}}, Output: "z"}
	tensors := map[string]backend.Tensor{}
	for i, l := range layers {
		n := graph.Node{Name: fmt.Sprint(l.op, i), Op: l.op, Inputs: []string{g.Output}, Output: fmt.Sprint("v", i), Attributes: l.attributes}
		for k, shape := range l.tensors {
			name := fmt.Sprintf("t%d.%d", i, k)
			size := 1
			for _, extent := range shape {
				size *= extent
			}
			tensors[name] = backend.Tensor{Shape: shape, Data: make([]float32, size)}
			n.Inputs = append(n.Inputs, name)
		}
		g.Nodes = append(g.Nodes, n)
		g.Output = n.Output
	}
	return g, tensors
}

func convolution(op string, weight []int, a graph.Attributes) layer {
	return layer{op, [][]int{weight}, a}
}

func batchNorm(c int) layer {
	return layer{graph.BatchNormalization, [][]int{{c}, {c}, {c}, {c}}, graph.Attributes{}}
}

func reshape(shape ...int) layer {
	return layer{graph.Reshape, nil, graph.Attributes{Shape: shape}}
}

// TestLower says what a graph becomes: one word a step, and its multiply-adds.
func TestLower(t *testing.T) {
	up := graph.Attributes{Strides: []int{2, 2}, Pads: []int{1, 1, 1, 1}}
	pad := graph.Attributes{Pads: []int{1, 1, 1, 1}}
	twice := layer{graph.Resize, nil, graph.Attributes{Scales: []float64{2, 2}}}
	leaky := layer{op: graph.LeakyRelu}
	cases := []struct {
		name   string
		dim    int
		layers []layer
		want   string
		macs   int64
	}{
		{
			// 64 256 7^2 + 4 phases of 4 taps: 7^2 256 128 16 + 14^2 128 16.
			"transposed convolutions with their normalisation and activation are one step each", 64,
			[]layer{reshape(0, 64, 1, 1),
				convolution(graph.ConvTranspose, []int{64, 256, 7, 7}, graph.Attributes{}), batchNorm(256), {op: graph.Relu},
				convolution(graph.ConvTranspose, []int{256, 128, 4, 4}, up), batchNorm(128), {op: graph.Relu},
				convolution(graph.ConvTranspose, []int{128, 1, 4, 4}, up), {op: graph.Sigmoid}},
			"conv 1 phases, act 1; conv 4 phases, act 1; conv 4 phases, act 5", 64*256*49 + 49*256*128*16 + 196*128*16,
		},
		{
			// Upsampling by 2 and a 3x3 kernel: 4 phases of 2x2 taps.
			"upsampling goes into the convolution after it", 128,
			[]layer{reshape(0, 128, 1, 1),
				convolution(graph.ConvTranspose, []int{128, 512, 4, 4}, graph.Attributes{}), batchNorm(512), leaky,
				twice, convolution(graph.Conv, []int{256, 512, 3, 3}, pad), batchNorm(256), leaky,
				convolution(graph.Conv, []int{1, 256, 3, 3}, pad), {op: graph.Tanh}},
			"conv 1 phases, act 2; conv 4 phases, act 2; conv 1 phases, act 4", 128*512*16 + 16*512*256*16 + 64*256*9,
		},
		{
			"a matrix product takes over the order of the image after it and before it", 10,
			[]layer{{graph.Gemm, [][]int{{10, 24}, {24}}, graph.Attributes{}}, {op: graph.Relu}, reshape(0, 6, 2, 2), batchNorm(6),
				convolution(graph.Conv, []int{6, 6, 3, 3}, pad), {op: graph.Flatten},
				{graph.Gemm, [][]int{{24, 8}}, graph.Attributes{}}, reshape(0, 2, 2, 2)},
			"conv 1 phases, act 1; pointwise, act 0; conv 1 phases, act 0; conv 1 phases, act 0", 10*24 + 4*36*9 + 24*8,
		},
		{
			"the normalisation of an unflattened product is folded into it", 10,
			[]layer{{graph.Gemm, [][]int{{10, 24}, {24}}, graph.Attributes{}}, reshape(0, 6, 2, 2), batchNorm(6), {op: graph.Relu}},
			"conv 1 phases, act 1", 240,
		},
		{
			"what cannot be folded stays a step", 24,
			[]layer{reshape(0, 6, 2, 2), batchNorm(6), {op: graph.Tanh}, {op: graph.Sigmoid},
				{graph.GroupNormalization, [][]int{{6}, {6}}, graph.Attributes{NumGroups: 2}}, {op: graph.Silu}, twice},
			"reorder, act 0; pointwise, act 4; pointwise, act 5; group norm, act 3; resize, act 0", 0,
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			g, tensors := sequence(c.dim, c.layers...)
			p, err := Lower(g, tensors)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, s := range p.Steps {
				got = append(got, fmt.Sprintf("%s, act %d", describe(s.Op), s.Activation.Kind))
			}
			if joined := strings.Join(got, "; "); joined != c.want {
				t.Errorf("steps\n  %s\nwant\n  %s", joined, c.want)
			}
			if p.MACs() != c.macs {
				t.Errorf("%d multiply-adds, want %d", p.MACs(), c.macs)
			}
		})
	}
}

func describe(op Op) string {
	switch op := op.(type) {
	case *Conv:
		return fmt.Sprintf("conv %d phases", len(op.Phases))
	case *Pointwise:
		return "pointwise"
	case *Binary:
		return "binary"
	case *GroupNorm:
		return "group norm"
	case *Concat:
		return "concat"
	case *Resize:
		return "resize"
	}
	return "reorder"
}

// TestLowerPhasesCoverTheOutput counts how often the phases of many convolutions make each pixel.
func TestLowerPhasesCoverTheOutput(t *testing.T) {
	for _, op := range []string{graph.Conv, graph.ConvTranspose} {
		for stride := 1; stride <= 4; stride++ {
			for dilation := 1; dilation <= 3; dilation++ {
				for factor := 1; factor <= 4; factor++ {
					a := graph.Attributes{Strides: []int{stride, 5 - stride}, Dilations: []int{dilation, 4 - dilation}, Pads: []int{1, 0, 2, 1}}
					layers := []layer{reshape(0, 1, 5, 6), {graph.Resize, nil, graph.Attributes{Scales: []float64{float64(factor), 2}}},
						convolution(op, []int{1, 1, 3, 2}, a)}
					g, tensors := sequence(30, layers...)
					p, err := Lower(g, tensors)
					if err != nil {
						t.Fatal(err)
					}
					c := p.Steps[len(p.Steps)-1].Op.(*Conv)
					made := make([]int, p.Shape.Pixels())
					for _, f := range c.Phases {
						for i := range f.Rows {
							for j := range f.Cols {
								made[(f.OutY+i*f.OutStepY)*p.Shape.W+f.OutX+j*f.OutStepX]++
							}
						}
					}
					for pixel, times := range made {
						if times != 1 {
							t.Fatalf("%s stride %d dilation %d factor %d: pixel %d is made %d times", op, stride, dilation, factor, pixel, times)
						}
					}
				}
			}
		}
	}
}
