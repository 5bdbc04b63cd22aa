// Package lower turns a decoder's or an encoder's graph into the few steps that a device runs.
//
// BatchNormalization and per-channel tensors are folded into the convolution before them, the
// activation and a residual sum into the step that makes their input, nearest upsampling into the
// convolution after it, and every convolution is brought to phase form (conv.go). The result
// knows no device: the CPU and the CUDA backend pack and run the same steps.
//
// An activation [C,H,W] lies in memory as [H,W,C], a vector [K] as [1,1,K].
package lower

// Program is a lowered decoder or encoder. Step s reads values made before it and makes one value. A code
// of d elements has the shape [d,1,1] and ONNX's order at both ends, an image lies as activations do.
type Program struct {
	Values []int // elements of each value, per image; value 0 is the input
	Steps  []Step
	Output int   // the value that is the output
	Input  Shape // of the input
	Shape  Shape // of the output
}

// Shape is an activation's [C,H,W]; a vector [K] is K channels of one pixel and [C,L] one row.
type Shape struct{ C, H, W int }

// Size is the number of elements.
func (s Shape) Size() int { return s.C * s.H * s.W }

// Pixels is H*W.
func (s Shape) Pixels() int { return s.H * s.W }

// Step computes one value: Activation(Op(In...)).
type Step struct {
	Name       string // of the node that it began with
	Op         Op
	In         []int // values
	Out        int
	Activation Activation
}

// Op is one of *Conv, *Pointwise, *Binary, *GroupNorm, *Concat, *Resize, *Reorder.
type Op interface {
	// MACs is the number of multiply-adds per image, those of convolutions only.
	MACs() int64
}

// Pointwise is y = x Scale + Shift, element by element; without both it is only an activation.
type Pointwise struct {
	Size         int
	Scale, Shift []float32 // both [period], repeated along [H,W,C]: [C] or [H,W,C]; or both nil
}

// Binary is x + y, or x y, of two activations of one shape.
type Binary struct {
	Size     int
	Multiply bool
}

// GroupNorm is ONNX's GroupNormalization.
type GroupNorm struct {
	Shape        Shape
	Groups       int
	Epsilon      float64
	Scale, Shift []float32 // [C]
}

// Concat joins its inputs: for each of Outer rows, Runs[i] elements of input i in turn.
type Concat struct {
	Outer int
	Runs  []int
}

// Resize repeats or drops pixels: y[oy,ox,:] = x[Rows[oy],Cols[ox],:].
type Resize struct {
	In         Shape
	Rows, Cols []int32
	Factor     [2]int // the scales where both are whole numbers, else 0
}

// Reorder is a Reshape that moves elements in memory: y[i] = x[Source[i]]. It remains only where
// neither neighbour could take the new order into its weights.
type Reorder struct{ Source []int32 }

func (*Pointwise) MACs() int64 { return 0 }
func (*Binary) MACs() int64    { return 0 }
func (*GroupNorm) MACs() int64 { return 0 }
func (*Concat) MACs() int64    { return 0 }
func (*Resize) MACs() int64    { return 0 }
func (*Reorder) MACs() int64   { return 0 }

// MACs is the number of multiply-adds per image in phase form, positions outside included.
func (p *Program) MACs() int64 {
	var sum int64
	for _, s := range p.Steps {
		sum += s.Op.MACs()
	}
	return sum
}

// ActivationKind names the function of an Activation.
type ActivationKind int

// The activations: alpha is the slope below 0 of LeakyRelu, low and high bound Clip.
const (
	None ActivationKind = iota
	Relu
	LeakyRelu
	Silu
	Tanh
	Sigmoid
	Clip
)

// Activation is a function applied to each element.
type Activation struct {
	Kind             ActivationKind
	Alpha, Low, High float32
}
