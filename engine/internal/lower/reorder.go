package lower

import "brenier/engine/internal/graph"

// reorder is Reshape and Flatten, which keep ONNX's order [C,H,W] while memory holds [H,W,C].
func (l *lowering) reorder(n *graph.Node) {
	x, out := l.values[n.Inputs[0]], shapeOf(l.shapes[n.Output])
	y := l.reordered(n.Name, x, x.shape, out)
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
		pixel, c := i/to.C, i%to.C
		onnx := c*to.Pixels() + pixel
		c, pixel = onnx/from.Pixels(), onnx%from.Pixels()
		source[i] = int32(pixel*from.C + c)
	}
	if x.step >= 0 && x.uses == 1 {
		s := &l.steps[x.step]
		if c, ok := s.Op.(*Conv); ok && c.Out.Pixels() == 1 && len(s.In) == 1 { // write it in the new order
			c.permuteRows(source)
			return &value{id: x.id, shape: to, uses: 1, step: x.step}
		}
	}
	return l.add(name, &Reorder{source}, to, 1, x)
}

// plain tells whether [C,H,W] and [H,W,C] are the same order.
func plain(s Shape) bool { return s.C == 1 || s.Pixels() == 1 }
