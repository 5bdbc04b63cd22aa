package cpu

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"testing"
	"unsafe"

	"brenier/engine/internal/backend"
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
	return list
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

// TestDecode/every_operator holds the kernels against the float64 reference: 1e-5 of the range.
func TestDecode(t *testing.T) {
	cases := append(onnxCases(t), convCases()...)
	t.Run("every operator", func(t *testing.T) {
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
	})
}
