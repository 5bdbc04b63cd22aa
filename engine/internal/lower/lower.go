package lower

import (
	"math"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/fault"
	"brenier/engine/internal/graph"
)

// Lower checks a decoder's graph against its tensors and brings it to steps. The graph may be
// normalized or not; it is not changed. Errors are those of [graph.Graph.Shapes], and
// fault.ErrUnsupported.
func Lower(g *graph.Graph, tensors map[string]backend.Tensor) (*Program, error) {
	return lower(g, tensors, g.Shapes, false)
}

// LowerEncoder is Lower for an encoder, whose graph [graph.Graph.EncoderShapes] checks.
func LowerEncoder(g *graph.Graph, tensors map[string]backend.Tensor) (*Program, error) {
	return lower(g, tensors, g.EncoderShapes, true)
}

func lower(g *graph.Graph, tensors map[string]backend.Tensor,
	check func(tensors map[string][]int) (map[string][]int, error), encoder bool) (*Program, error) {
	shapes := make(map[string][]int, len(tensors))
	for name, t := range tensors {
		shapes[name] = t.Shape
	}
	values, err := check(shapes)
	if err != nil {
		return nil, err
	}
	normal := &graph.Graph{Input: g.Input, Output: g.Output, Nodes: append([]graph.Node(nil), g.Nodes...)}
	normal.Normalize(shapes)

	l := &lowering{
		tensors: tensors,
		shapes:  values,
		uses:    map[string]int{g.Output: 1},
		values:  map[string]*value{},
	}
	for _, n := range normal.Nodes {
		for _, name := range n.Inputs {
			l.uses[name]++
		}
	}
	input := shapeOf(g.Input.Shape)
	in := &value{id: l.newValue(input.Size()), shape: input, uses: l.uses[g.Input.Name], step: -1}
	if !encoder && !plain(input) { // a code is in ONNX's order; see reorder
		in = l.reordered("input", in, flattened(input), input)
	}
	l.values[g.Input.Name] = in
	for i := range normal.Nodes {
		if err := l.node(&normal.Nodes[i]); err != nil {
			return nil, err
		}
	}
	out := l.values[g.Output]
	if encoder {
		out = l.reordered("output", out, out.shape, flattened(out.shape))
	} else {
		input = flattened(input)
	}
	p := &Program{Values: l.sizes, Steps: l.steps, Output: out.id, Input: input, Shape: out.shape}
	p.dropUnused()
	return p, nil
}

// lowering is the state between nodes.
type lowering struct {
	tensors map[string]backend.Tensor
	shapes  map[string][]int // every activation's, by name
	uses    map[string]int   // how many inputs, and the graph's output, an activation is
	values  map[string]*value
	sizes   []int // of Program.Values
	steps   []Step
}

// value is where an activation is.
type value struct {
	id    int
	shape Shape
	uses  int // of this name; a step may be changed to make something else only if that is the sole one
	step  int // that makes it; -1 for the input
}

func (l *lowering) newValue(size int) int {
	l.sizes = append(l.sizes, size)
	return len(l.sizes) - 1
}

// shapeOf is a shape without the batch as the steps see it.
func shapeOf(shape []int) Shape {
	switch len(shape) {
	case 1:
		return Shape{shape[0], 1, 1}
	case 2:
		return Shape{shape[0], 1, shape[1]}
	}
	return Shape{shape[0], shape[1], shape[2]}
}

// flattened is the vector of the same elements in ONNX's order.
func flattened(s Shape) Shape { return Shape{s.Size(), 1, 1} }

func (l *lowering) node(n *graph.Node) error {
	a := n.Attributes
	switch n.Op {
	case graph.Gemm:
		l.gemm(n)
	case graph.Conv:
		l.conv(n)
	case graph.ConvTranspose:
		return l.convTranspose(n)
	case graph.BatchNormalization:
		l.batchNormalization(n)
	case graph.GroupNormalization:
		x := l.values[n.Inputs[0]]
		l.emit(n, &GroupNorm{x.shape, a.NumGroups, *a.Epsilon, l.tensors[n.Inputs[1]].Data, l.tensors[n.Inputs[2]].Data}, x)
	case graph.Relu:
		l.activation(n, Activation{Kind: Relu})
	case graph.LeakyRelu:
		l.activation(n, Activation{Kind: LeakyRelu, Alpha: float32(*a.Alpha)})
	case graph.Silu:
		l.activation(n, Activation{Kind: Silu})
	case graph.Tanh:
		l.activation(n, Activation{Kind: Tanh})
	case graph.Sigmoid:
		l.activation(n, Activation{Kind: Sigmoid})
	case graph.Clip:
		l.activation(n, clip(a))
	case graph.Add, graph.Mul:
		l.arithmetic(n)
	case graph.Concat:
		l.concat(n)
	case graph.Resize:
		l.resize(n)
	case graph.Reshape, graph.Flatten:
		l.reorder(n)
	case graph.Transpose:
		l.transpose(n)
	default:
		return fault.New(fault.ErrUnsupported, "node %q: no step for operator %q", n.Name, n.Op)
	}
	return nil
}

// emit adds a step that makes n's output from in.
func (l *lowering) emit(n *graph.Node, op Op, in ...*value) {
	l.values[n.Output] = l.add(n.Name, op, shapeOf(l.shapes[n.Output]), l.uses[n.Output], in...)
}

func (l *lowering) add(name string, op Op, shape Shape, uses int, in ...*value) *value {
	s := Step{Name: name, Op: op, Out: l.newValue(shape.Size())}
	for _, v := range in {
		s.In = append(s.In, v.id)
	}
	l.steps = append(l.steps, s)
	return &value{id: s.Out, shape: shape, uses: uses, step: len(l.steps) - 1}
}

// open returns the step that makes x where it may still be changed: nothing else reads x and no
// activation has been applied.
func (l *lowering) open(x *value) *Step {
	if x.step < 0 || x.uses != 1 || l.steps[x.step].Activation.Kind != None {
		return nil
	}
	return &l.steps[x.step]
}

// become says that n's output is what x's step makes now.
func (l *lowering) become(n *graph.Node, x *value) {
	l.values[n.Output] = &value{id: x.id, shape: shapeOf(l.shapes[n.Output]), uses: l.uses[n.Output], step: x.step}
}

func (l *lowering) gemm(n *graph.Node) {
	x := l.values[n.Inputs[0]]
	weight := l.tensors[n.Inputs[1]]
	c := newGemm(n.Attributes, x.shape.C, l.shapes[n.Output][0], weight.Data, l.bias(n, 2))
	if x.step >= 0 {
		s := l.steps[x.step]
		if r, ok := s.Op.(*Reorder); ok && s.Activation.Kind == None { // read the input in the order it has
			cols := make([]int32, len(c.colOffset))
			for to, from := range r.Source {
				cols[from] = c.colOffset[to]
			}
			c.colOffset = cols
			x = &value{id: s.In[0]}
		}
	}
	l.emit(n, c, x)
}

// maxFactorPhases bounds the phases that upsampling may add to a convolution: beyond it the packed
// weights would outgrow what the saved arithmetic is worth.
const maxFactorPhases = 16

func (l *lowering) conv(n *graph.Node) {
	x := l.values[n.Inputs[0]]
	in, factor := x.shape, [2]int{1, 1}
	if x.step >= 0 {
		s := l.steps[x.step]
		if r, ok := s.Op.(*Resize); ok && s.Activation.Kind == None && r.Factor[0] > 0 &&
			r.Factor[0]*r.Factor[1] <= maxFactorPhases {
			in, factor = r.In, r.Factor
			x = &value{id: s.In[0]}
		}
	}
	out := shapeOf(l.shapes[n.Output])
	l.emit(n, newForward(n.Attributes, in, out, factor, l.tensors[n.Inputs[1]].Data, l.bias(n, 2)), x)
}

func (l *lowering) convTranspose(n *graph.Node) error {
	x, out := l.values[n.Inputs[0]], shapeOf(l.shapes[n.Output])
	c, err := newTransposed(n, x.shape, out, l.tensors[n.Inputs[1]].Data, l.bias(n, 2))
	if err != nil {
		return err
	}
	l.emit(n, c, x)
	return nil
}

// bias is input k in float64, or nil without one.
func (l *lowering) bias(n *graph.Node, k int) []float64 {
	if len(n.Inputs) <= k {
		return nil
	}
	return widen(l.tensors[n.Inputs[k]].Data)
}

func clip(a graph.Attributes) Activation {
	c := Activation{Kind: Clip, Low: float32(math.Inf(-1)), High: float32(math.Inf(1))}
	if a.Min != nil {
		c.Low = float32(*a.Min)
	}
	if a.Max != nil {
		c.High = float32(*a.Max)
	}
	return c
}

func (l *lowering) concat(n *graph.Node) {
	axis := *n.Attributes.Axis
	rank := len(l.shapes[n.Inputs[0]])
	if axis < 0 {
		axis += rank + 1
	}
	out := shapeOf(l.shapes[n.Output])
	op := &Concat{}
	in := make([]*value, len(n.Inputs))
	for i, name := range n.Inputs {
		in[i] = l.values[name]
		s := in[i].shape
		switch {
		case axis == 1: // channels
			op.Outer = out.Pixels()
			op.Runs = append(op.Runs, s.C)
		case axis == 2 && rank == 3: // rows
			op.Outer = 1
			op.Runs = append(op.Runs, s.Size())
		default: // columns
			op.Outer = out.H
			op.Runs = append(op.Runs, s.W*s.C)
		}
	}
	l.emit(n, op, in...)
}

func (l *lowering) resize(n *graph.Node) {
	x, out := l.values[n.Inputs[0]], shapeOf(l.shapes[n.Output])
	scales := n.Attributes.Scales
	r := &Resize{In: x.shape, Rows: nearest(out.H, x.shape.H, scales[0]), Cols: nearest(out.W, x.shape.W, scales[1])}
	if scales[0] == math.Trunc(scales[0]) && scales[1] == math.Trunc(scales[1]) {
		r.Factor = [2]int{int(scales[0]), int(scales[1])}
	}
	l.emit(n, r, x)
}

// nearest is floor(o/scale), computed in float32 as ONNX's scales are.
func nearest(out, in int, scale float64) []int32 {
	source := make([]int32, out)
	for o := range source {
		source[o] = int32(min(int(float32(o)/float32(scale)), in-1))
	}
	return source
}

// dropUnused leaves out the steps whose output nothing reads.
func (p *Program) dropUnused() {
	used := make([]bool, len(p.Values))
	used[p.Output] = true
	kept := make([]bool, len(p.Steps))
	for i := len(p.Steps) - 1; i >= 0; i-- {
		s := p.Steps[i]
		if s.Out < 0 || !used[s.Out] {
			continue
		}
		kept[i] = true
		for _, in := range s.In {
			used[in] = true
		}
	}
	steps := p.Steps[:0]
	for i, s := range p.Steps {
		if kept[i] {
			steps = append(steps, s)
		}
	}
	p.Steps = steps
}

func widen(x []float32) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(v)
	}
	return y
}

func narrow(x []float64) []float32 {
	y := make([]float32, len(x))
	for i, v := range x {
		y[i] = float32(v)
	}
	return y
}
