package lower

import (
	"math"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/graph"
)

// What the step that makes a value takes over from the nodes that read it: normalisation, constant
// factors and terms, the activation, a residual sum.

// batchNormalization is x*scale + shift with the running statistics:
//
//	scale = s / sqrt(variance + epsilon), shift = b - mean*scale.
func (l *lowering) batchNormalization(n *graph.Node) {
	scale, shift := widen(l.tensors[n.Inputs[1]].Data), widen(l.tensors[n.Inputs[2]].Data)
	mean, variance := l.tensors[n.Inputs[3]].Data, l.tensors[n.Inputs[4]].Data
	for c := range scale {
		scale[c] /= math.Sqrt(float64(variance[c]) + *n.Attributes.Epsilon)
		shift[c] -= float64(mean[c]) * scale[c]
	}
	l.affine(n, l.values[n.Inputs[0]], scale, shift)
}

// affine is x*scale + shift, both [C] or [H,W,C]: folded into x's convolution or normalisation where it
// can be.
func (l *lowering) affine(n *graph.Node, x *value, scale, shift []float64) {
	if s := l.open(x); s != nil && len(s.In) == 1 && len(scale) == x.shape.C {
		folded := false
		switch op := s.Op.(type) {
		case *Conv:
			folded = op.fold(scale, shift)
		case *GroupNorm:
			folded = op.fold(scale, shift)
		}
		if folded {
			l.become(n, x)
			return
		}
	}
	l.emit(n, &Pointwise{x.shape.Size(), narrow(scale), narrow(shift)}, x)
}

// fold applies y*scale + shift to the output by channel; it reports false where the channels are not y's.
func (g *GroupNorm) fold(scale, shift []float64) bool {
	if len(scale) != g.Shape.C {
		return false
	}
	before, offset := widen(g.Scale), widen(g.Shift)
	for c := range before {
		before[c] *= scale[c]
		offset[c] = float64(offset[c]*scale[c]) + shift[c]
	}
	g.Scale, g.Shift = narrow(before), narrow(offset)
	return true
}

func (l *lowering) activation(n *graph.Node, a Activation) {
	x := l.values[n.Inputs[0]]
	if s := l.open(x); s != nil && fusesActivation(s.Op) {
		s.Activation = a
		l.become(n, x)
		return
	}
	l.emit(n, &Pointwise{Size: x.shape.Size()}, x)
	l.steps[len(l.steps)-1].Activation = a
}

// fusesActivation tells whether a step computes its output rather than moves its input.
func fusesActivation(op Op) bool {
	switch op.(type) {
	case *Conv, *Pointwise, *Binary, *GroupNorm:
		return true
	}
	return false
}

// arithmetic is Add and Mul.
func (l *lowering) arithmetic(n *graph.Node) {
	x, y := l.values[n.Inputs[0]], l.values[n.Inputs[1]]
	multiply := n.Op == graph.Mul
	switch {
	case x != nil && y != nil:
		if !multiply && (l.residual(n, x, y) || l.residual(n, y, x)) {
			return
		}
		l.emit(n, &Binary{x.shape.Size(), multiply}, x, y)
	case x != nil:
		l.withTensor(n, x, l.tensors[n.Inputs[1]], multiply)
	default:
		l.withTensor(n, y, l.tensors[n.Inputs[0]], multiply)
	}
}

// residual adds other to what x's convolution sums, before its activation. The step moves to the
// end, where other has been made.
func (l *lowering) residual(n *graph.Node, x, other *value) bool {
	s := l.open(x)
	if s == nil || len(s.In) > 1 || x.id == other.id {
		return false
	}
	if _, ok := s.Op.(*Conv); !ok {
		return false
	}
	moved := *s
	moved.In = append(append([]int(nil), s.In...), other.id)
	s.Op = &Pointwise{} // reads and makes nothing that is used: dropped in the end
	s.In, s.Out = nil, -1
	l.steps = append(l.steps, moved)
	l.values[n.Output] = &value{id: moved.Out, shape: x.shape, uses: l.uses[n.Output], step: len(l.steps) - 1}
	return true
}

// withTensor is x + t or x*t with t broadcast to x as in ONNX.
func (l *lowering) withTensor(n *graph.Node, x *value, t backend.Tensor, multiply bool) {
	tensor := broadcast(t, l.shapes[l.activationOf(n)], x.shape)
	scale, shift := make([]float64, len(tensor)), make([]float64, len(tensor))
	for i, v := range tensor {
		if multiply {
			scale[i] = v
		} else {
			scale[i], shift[i] = 1, v
		}
	}
	l.affine(n, x, scale, shift)
}

// activationOf is the input of a node that is no tensor.
func (l *lowering) activationOf(n *graph.Node) string {
	if _, ok := l.values[n.Inputs[0]]; ok {
		return n.Inputs[0]
	}
	return n.Inputs[1]
}

// broadcast lays t out as [C] where it is the same for every pixel, else as [H,W,C]. shape is the
// activation's, with as many axes as it has.
func broadcast(t backend.Tensor, shape []int, s Shape) []float64 {
	extents := t.Shape // aligned with shape at the end
	if len(extents) > len(shape) {
		extents = extents[len(extents)-len(shape):]
	}
	// The strides of t along C, H and W; 0 where it is repeated.
	var strides [3]int
	step := 1
	for back := 1; back <= len(extents); back++ {
		extent := extents[len(extents)-back]
		axis := 3 - back // of [C,H,W]
		switch len(shape) {
		case 1:
			axis = 0
		case 2:
			axis = [...]int{2, 0}[back-1]
		}
		if extent > 1 {
			strides[axis] = step
		}
		step *= extent
	}
	pixels := s.Pixels()
	if strides[1] == 0 && strides[2] == 0 {
		pixels = 1
	}
	out := make([]float64, pixels*s.C)
	for i := range out {
		pixel, c := i/s.C, i%s.C
		out[i] = float64(t.Data[c*strides[0]+pixel/s.W*strides[1]+pixel%s.W*strides[2]])
	}
	return out
}
