package lower

import "brenier/engine/internal/graph"

// reorder is Reshape and Flatten, which keep ONNX's order [C,H,W] while memory holds [H,W,C].
func (l *lowering) reorder(n *graph.Node) {
	x, out := l.values[n.Inputs[0]], shapeOf(l.shapes[n.Output])
	l.moved(n, l.reordered(n.Name, x, x.shape, out))
}

// transpose is Transpose: ONNX's order changes, and memory's with it.
func (l *lowering) transpose(n *graph.Node) {
	x, out := l.values[n.Inputs[0]], shapeOf(l.shapes[n.Output])
	in := l.shapes[n.Inputs[0]]
	steps := make([]int, len(in)) // in ONNX's order, along each axis
	step := 1
	for axis := len(in) - 1; axis >= 0; axis-- {
		steps[axis] = step
		step *= in[axis]
	}
	extents := l.shapes[n.Output]
	source := make([]int32, out.Size())
	for i := range source {
		onnx, from := inONNX(i, out), 0
		for axis := len(extents) - 1; axis >= 0; axis-- {
			from += onnx % extents[axis] * steps[n.Attributes.Perm[axis+1]-1]
			onnx /= extents[axis]
		}
		source[i] = int32(inMemory(from, x.shape))
	}
	l.moved(n, l.permuted(n.Name, x, source, out))
}

// moved says that n's output is y, whose elements are those of n's input.
func (l *lowering) moved(n *graph.Node, y *value) {
	y.uses = max(y.uses, l.uses[n.Output])
	l.values[n.Output] = y
}

// reordered is x, elements of shape from in memory, as shape to. Its uses are x's own where both
// are the same memory.
func (l *lowering) reordered(name string, x *value, from, to Shape) *value {
	if from.C == to.C || plain(from) && plain(to) {
		return &value{id: x.id, shape: to, uses: x.uses, step: x.step}
	}
	source := make([]int32, to.Size())
	for i := range source {
		source[i] = int32(inMemory(inONNX(i, to), from))
	}
	return l.permuted(name, x, source, to)
}

// permuted is y[i] = x[source[i]] of shape to.
func (l *lowering) permuted(name string, x *value, source []int32, to Shape) *value {
	if x.step >= 0 && x.uses == 1 {
		s := &l.steps[x.step]
		if c, ok := s.Op.(*Conv); ok && c.Out.Pixels() == 1 && len(s.In) == 1 { // write it in the new order
			c.permuteRows(source)
			return &value{id: x.id, shape: to, uses: 1, step: x.step}
		}
	}
	return l.add(name, &Reorder{source}, to, 1, x)
}

// inONNX is where element i in memory's order [H,W,C] stands in [C,H,W], and inMemory the other way.
func inONNX(i int, s Shape) int   { return i%s.C*s.Pixels() + i/s.C }
func inMemory(i int, s Shape) int { return i%s.Pixels()*s.C + i/s.Pixels() }

// plain tells whether [C,H,W] and [H,W,C] are the same order.
func plain(s Shape) bool { return s.C == 1 || s.Pixels() == 1 }
