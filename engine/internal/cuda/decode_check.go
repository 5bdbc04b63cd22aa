//go:build cuda

package cuda

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"unsafe"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/cuda/driver"
	"brenier/engine/internal/graph"
	"brenier/engine/internal/reference"
)

// checks asks every kernel that the network uses: each runs a small graph of its own, whose
// numbers are small integers, so that the answer is known bit for bit. Group normalisation alone is
// compared within the tolerance of its elements.
func (d *network) checks() []check {
	var list []check
	var asked []string
	for _, s := range d.steps {
		name := s.kernel()
		if slices.Contains(asked, name) {
			continue
		}
		asked = append(asked, name)
		c := check{kernel: name, run: func(q *driver.Stream) error { return d.ask(q, name) }}
		if strings.HasPrefix(name, "conv_mma") && d.program != nil {
			c.plainer = func() error { return d.build(true) }
		}
		list = append(list, c)
	}
	return list
}

// question is a graph that one kernel serves.
type question struct {
	graph   *graph.Graph
	tensors map[string]backend.Tensor
	within  float64 // 0: the same bits
	encodes bool    // the graph is an encoder's
}

// questionOf is the question to a kernel, as a step's kernel() names it.
func questionOf(kernel string) question {
	named := func(part string) bool { return strings.Contains(kernel, part) }
	pad := graph.Attributes{Pads: []int{1, 1, 1, 1}}
	switch {
	case named("conv_mma") && named("few"):
		return newQuestion(176, 2, 3, graph.Conv, pad, []int{5, 176, 3, 3}, []int{5})
	case named("conv_mma"): // sums of four chunks, rows that fill no tile
		return newQuestion(176, 2, 3, graph.Conv, pad, []int{72, 176, 3, 3}, []int{72})
	case named("conv_plain"):
		return newQuestion(12, 3, 4, graph.ConvTranspose, graph.Attributes{Strides: []int{2, 1}, Group: 2}, []int{12, 5, 3, 2}, []int{10})
	case named("affine"):
		return newQuestion(11, 2, 3, graph.Mul, graph.Attributes{}, []int{11, 1, 1})
	case named("binary"):
		q := newQuestion(11, 2, 3, graph.Add, graph.Attributes{})
		q.graph.Nodes[1].Inputs = []string{"x", "x"}
		return q
	case named("group_norm"):
		q := newQuestion(12, 4, 5, graph.GroupNormalization, graph.Attributes{NumGroups: 3}, []int{12}, []int{12})
		q.within = 0.05 // of values up to 10, rounded to 8 bits or more
		return q
	case named("pixels"):
		q := newQuestion(11, 2, 3, graph.Relu, graph.Attributes{})
		q.graph.Input, q.graph.Nodes, q.encodes = graph.Value{Name: "x", Shape: []int{11, 2, 3}}, q.graph.Nodes[1:], true
		return q
	case named("gather"):
		return newQuestion(11, 2, 3, graph.Resize, graph.Attributes{Scales: []float64{2, 3}})
	}
	return newQuestion(11, 2, 3, graph.Relu, graph.Attributes{}) // code and image
}

// newQuestion is one node over [channels,height,width], its tensors filled with -1, 0 and 1.
func newQuestion(channels, height, width int, op string, a graph.Attributes, tensors ...[]int) question {
	q := question{tensors: map[string]backend.Tensor{}}
	n := graph.Node{Name: "question", Op: op, Inputs: []string{"x"}, Output: "y", Attributes: a}
	for k, shape := range tensors {
		size := 1
		for _, extent := range shape {
			size *= extent
		}
		name := fmt.Sprint("t", k)
		q.tensors[name] = backend.Tensor{Shape: shape, Data: smallIntegers(size, 3, 1+k)}
		n.Inputs = append(n.Inputs, name)
	}
	q.graph = &graph.Graph{
		Input:  graph.Value{Name: "z", Shape: []int{channels * height * width}},
		Output: "y",
		Nodes: []graph.Node{
			{Name: "unflatten", Op: graph.Reshape, Inputs: []string{"z"}, Output: "x",
				Attributes: graph.Attributes{Shape: []int{0, channels, height, width}}},
			n,
		},
	}
	return q
}

// smallIntegers are n integers of an odd number of values around 0, in an order without a pattern
// that a wrong index would keep.
func smallIntegers(n, values, seed int) []float32 {
	x := make([]float32, n)
	state := uint32(seed)
	for i := range x {
		state = state*1664525 + 1013904223 // Numerical Recipes' generator
		x[i] = float32(int(state>>16)%values - values/2)
	}
	return x
}

// ask has a kernel answer its question and compares the answer, for the tensor cores once with every
// shape of tile. It runs inside do.
func (d *network) ask(q *driver.Stream, kernel string) error {
	const n = 2
	asked := questionOf(kernel)
	build := newDecoderOf
	if asked.encodes {
		build = newEncoderOf
	}
	other, err := build(d.v, d.element, strings.Contains(kernel, "plain"), asked.graph, asked.tensors)
	if err != nil {
		return err
	}
	defer other.close()
	dim := other.in.Size()
	z := smallIntegers(n*dim, 5, 9)
	var want []float64
	for i := range n {
		code := make([]float64, dim)
		for k := range code {
			code[k] = float64(z[i*dim+k])
		}
		y, err := reference.Decode(asked.graph, asked.tensors, code)
		if err != nil {
			return err
		}
		want = append(want, y.Data...)
	}

	var p plan
	scratch := other.newScratch(&p, n)
	codes, answer := p.reserve(4*len(z)), p.reserve(4*len(want))
	base, err := d.v.alloc(p.bytes)
	if err != nil {
		return err
	}
	defer d.v.free(base)
	if err := d.v.ctx.ToDevice(codes.at(base), unsafe.Pointer(&z[0]), 4*len(z)); err != nil {
		return err
	}
	return other.eachTile(func(tile string) error {
		if err := q.Clear(answer.at(base), answer.bytes); err != nil {
			return err
		}
		if err := other.launch(q, scratch, base, codesAt(codes.at(base)), n, target{address: answer.at(base)}); err != nil {
			return err
		}
		if err := q.Synchronize(); err != nil {
			return err
		}
		got := make([]float32, len(want))
		if err := d.v.ctx.ToHost(unsafe.Pointer(&got[0]), answer.at(base), 4*len(got)); err != nil {
			return err
		}
		for i, w := range want {
			if e := math.Abs(float64(got[i]) - w); !(e <= asked.within) {
				return fmt.Errorf("element %d%s is %v, want %v", i, tile, got[i], w)
			}
		}
		return nil
	})
}

// eachTile calls f with every convolution on the tensor cores confined to one shape of tile, for all
// shapes in turn; tile says which. It calls f once where there is no such convolution.
func (d *network) eachTile(f func(tile string) error) error {
	chosen := false
	for _, s := range d.steps {
		switch c := s.operation.(type) {
		case *convMMA:
			chosen = true
			all := c.tiles
			for i := range all {
				c.tiles = all[i : i+1]
				if err := f(" by tiles of " + all[i].name); err != nil {
					c.tiles = all
					return err
				}
			}
			c.tiles = all
		case *convFew:
			chosen = true
			all := c.shapes
			for i := range all {
				c.shapes = all[i : i+1]
				if err := f(" by rectangles of " + all[i].String()); err != nil {
					c.shapes = all
					return err
				}
			}
			c.shapes = all
		}
	}
	if chosen {
		return nil
	}
	return f("")
}
