// Package graph holds a decoder or an encoder as the model file writes it: a list of nodes with ONNX's
// operator names, attributes and meaning, in topological order, over named tensors.
//
// An activation is [batch, ...] with the batch first, as in ONNX, so that axis, shape and pads
// read as they do there; the shapes written here leave the batch out.
package graph

// Graph is a decoder or an encoder. Its JSON form is the entry `graph` or `encoder` of the model file's
// metadata.
type Graph struct {
	Input  Value  `json:"input"`  // the code z; an encoder's: the image [C,H,W]
	Output string `json:"output"` // the name of the value that is the image [C,H,W]; an encoder's: the code
	Nodes  []Node `json:"nodes"`
}

// Value is a named activation and its shape without the batch.
type Value struct {
	Name  string `json:"name"`
	Shape []int  `json:"shape"`
}

// Node is one operator. Inputs name the graph's input, an earlier node's output, or a tensor of
// the model file; an optional input that is left out at the end is simply absent.
type Node struct {
	Name       string     `json:"name"`
	Op         string     `json:"op"` // one of the Op constants
	Inputs     []string   `json:"inputs"`
	Output     string     `json:"output"`
	Attributes Attributes `json:"attributes"`
}

// The operators, by ONNX's names. Silu is x * sigmoid(x), which ONNX writes as two nodes.
const (
	Gemm               = "Gemm"               // x [K], weight, bias: alpha x W + beta b
	Conv               = "Conv"               // x, weight [M,C/group,kH,kW], bias [M]
	ConvTranspose      = "ConvTranspose"      // x, weight [C,M/group,kH,kW], bias [M]
	BatchNormalization = "BatchNormalization" // x, scale, bias, mean, variance, each [C]
	GroupNormalization = "GroupNormalization" // x, scale [C], bias [C]
	Relu               = "Relu"
	LeakyRelu          = "LeakyRelu"
	Silu               = "Silu"
	Tanh               = "Tanh"
	Sigmoid            = "Sigmoid"
	Clip               = "Clip"
	Add                = "Add" // two activations of one shape, or one and a tensor that broadcasts
	Mul                = "Mul" // the same
	Concat             = "Concat"
	Resize             = "Resize" // nearest, asymmetric, floor: PyTorch's nearest upsampling
	Reshape            = "Reshape"
	Flatten            = "Flatten"
	Transpose          = "Transpose"
)

// Attributes are those of all operators together; each operator reads its own, and the validator
// refuses one that is set where its operator has none. A missing attribute has ONNX's default,
// which Parse fills in.
type Attributes struct {
	KernelShape   []int     `json:"kernel_shape,omitempty"`   // [kH,kW]; default: the weight's
	Strides       []int     `json:"strides,omitempty"`        // [sH,sW], default 1
	Pads          []int     `json:"pads,omitempty"`           // [top,left,bottom,right], default 0
	OutputPadding []int     `json:"output_padding,omitempty"` // [bottom,right], default 0
	Dilations     []int     `json:"dilations,omitempty"`      // [dH,dW], default 1
	Group         int       `json:"group,omitempty"`          // default 1
	Alpha         *float64  `json:"alpha,omitempty"`          // Gemm: 1; LeakyRelu: 0.01
	Beta          *float64  `json:"beta,omitempty"`           // Gemm: 1
	TransB        int       `json:"transB,omitempty"`         // Gemm: 1 if the weight is [out,in], as PyTorch's
	Epsilon       *float64  `json:"epsilon,omitempty"`        // normalisations: 1e-5
	NumGroups     int       `json:"num_groups,omitempty"`     // GroupNormalization
	Min           *float64  `json:"min,omitempty"`            // Clip, default none
	Max           *float64  `json:"max,omitempty"`            // Clip, default none
	Axis          *int      `json:"axis,omitempty"`           // Concat, Flatten: 1
	Scales        []float64 `json:"scales,omitempty"`         // Resize: [sH,sW]; output floor(s*in)
	Shape         []int     `json:"shape,omitempty"`          // Reshape: batch (0 or -1) first, -1 once more at most, 0 copies
	Perm          []int     `json:"perm,omitempty"`           // Transpose: axis i of the output is axis perm[i]; the batch, 0, first
}
