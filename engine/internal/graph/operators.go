package graph

import (
	"slices"
)

// An operator's form: how many inputs it takes (the first ones activations, the rest tensors),
// which attributes it may have, and how it makes its output's shape.
type operator struct {
	activations int // leading inputs that are activations; anyInputs where each may be either
	least, most int // inputs in all
	attributes  []string
	shape       func(n *Node, in [][]int) ([]int, error) // shapes of the inputs, batch left out
}

// anyInputs marks an operator whose inputs are told apart by name: Add and Mul.
const anyInputs = -1

var convAttributes = []string{"kernel_shape", "strides", "pads", "dilations", "group"}

var operators = map[string]operator{
	Gemm:               {1, 2, 3, []string{"alpha", "beta", "transB"}, gemmShape},
	Conv:               {1, 2, 3, convAttributes, convShape},
	ConvTranspose:      {1, 2, 3, append(slices.Clone(convAttributes), "output_padding"), convTransposeShape},
	BatchNormalization: {1, 5, 5, []string{"epsilon"}, normalizationShape},
	GroupNormalization: {1, 3, 3, []string{"epsilon", "num_groups"}, groupNormalizationShape},
	Relu:               {1, 1, 1, nil, sameShape},
	LeakyRelu:          {1, 1, 1, []string{"alpha"}, leakyReluShape},
	Silu:               {1, 1, 1, nil, sameShape},
	Tanh:               {1, 1, 1, nil, sameShape},
	Sigmoid:            {1, 1, 1, nil, sameShape},
	Clip:               {1, 1, 1, []string{"min", "max"}, clipShape},
	Add:                {anyInputs, 2, 2, nil, broadcastShape},
	Mul:                {anyInputs, 2, 2, nil, broadcastShape},
	Concat:             {MaxInputs, 1, MaxInputs, []string{"axis"}, concatShape},
	Resize:             {1, 1, 1, []string{"scales"}, resizeShape},
	Reshape:            {1, 1, 1, []string{"shape"}, reshapeShape},
	Flatten:            {1, 1, 1, []string{"axis"}, flattenShape},
	Transpose:          {1, 1, 1, []string{"perm"}, transposeShape},
}

// Normalize fills in ONNX's default of every attribute that is not set. tensors gives the shapes of
// the weights that kernel_shape is taken from; where it is nil or lacks a weight, kernel_shape
// stays as it is.
func (g *Graph) Normalize(tensors map[string][]int) {
	for i := range g.Nodes {
		n := &g.Nodes[i]
		var weight []int
		if len(n.Inputs) > 1 {
			weight = tensors[n.Inputs[1]]
		}
		n.normalize(weight)
	}
}

// normalize is Normalize for one node; weight is the shape of its second input, or nil.
func (n *Node) normalize(weight []int) {
	a := &n.Attributes
	switch n.Op {
	case Gemm:
		setDefault(&a.Alpha, 1.0)
		setDefault(&a.Beta, 1.0)
	case Conv, ConvTranspose:
		setDefaultList(&a.Strides, 1, 1)
		setDefaultList(&a.Pads, 0, 0, 0, 0)
		setDefaultList(&a.Dilations, 1, 1)
		if n.Op == ConvTranspose {
			setDefaultList(&a.OutputPadding, 0, 0)
		}
		if a.Group == 0 {
			a.Group = 1
		}
		if len(weight) == 4 {
			setDefaultList(&a.KernelShape, weight[2], weight[3])
		}
	case BatchNormalization, GroupNormalization:
		setDefault(&a.Epsilon, 1e-5)
	case LeakyRelu:
		setDefault(&a.Alpha, 0.01)
	case Concat, Flatten:
		setDefault(&a.Axis, 1)
	}
}

// withoutDefaults undoes Normalize on a copy of the attributes. Of kernel_shape nothing is lost:
// Shapes accepts none but the weight's.
func (n *Node) withoutDefaults() Attributes {
	a := n.Attributes
	switch n.Op {
	case Gemm:
		dropDefault(&a.Alpha, 1.0)
		dropDefault(&a.Beta, 1.0)
	case Conv, ConvTranspose:
		dropDefaultList(&a.Strides, 1, 1)
		dropDefaultList(&a.Pads, 0, 0, 0, 0)
		dropDefaultList(&a.Dilations, 1, 1)
		dropDefaultList(&a.OutputPadding, 0, 0)
		a.KernelShape = nil
		if a.Group == 1 {
			a.Group = 0
		}
	case BatchNormalization, GroupNormalization:
		dropDefault(&a.Epsilon, 1e-5)
	case LeakyRelu:
		dropDefault(&a.Alpha, 0.01)
	case Concat, Flatten:
		dropDefault(&a.Axis, 1)
	}
	return a
}

func setDefault[T any](field **T, value T) {
	if *field == nil {
		*field = &value
	}
}

func setDefaultList(field *[]int, values ...int) {
	if *field == nil {
		*field = values
	}
}

func dropDefault[T comparable](field **T, value T) {
	if *field != nil && **field == value {
		*field = nil
	}
}

func dropDefaultList(field *[]int, values ...int) {
	if slices.Equal(*field, values) {
		*field = nil
	}
}
