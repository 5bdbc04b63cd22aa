package layers

import (
	"errors"
	"fmt"

	"brenier/engine/internal/fault"
	"brenier/engine/internal/graph"
)

// module is a layer class of torch.nn: its constructor's arguments in order, whether it takes
// [C,H,W] alone, and what makes its node.
type module struct {
	arguments []string
	image     bool
	make      func(*builder, *arguments) error
}

var (
	normArguments = []string{"num_features", "eps", "momentum", "affine", "track_running_stats", "bias"}
	dropout       = module{[]string{"p", "inplace"}, false, identity}
)

var modules = map[string]module{
	"Linear": {[]string{"in_features", "out_features", "bias"}, false, linear},
	"Conv2d": {[]string{"in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "bias", "padding_mode"}, true, conv},
	"ConvTranspose2d": {[]string{"in_channels", "out_channels", "kernel_size", "stride", "padding", "output_padding", "groups", "bias", "dilation", "padding_mode"},
		true, convTranspose},
	"BatchNorm1d":         {normArguments, false, batchNorm},
	"BatchNorm2d":         {normArguments, true, batchNorm},
	"GroupNorm":           {[]string{"num_groups", "num_channels", "eps", "affine", "bias"}, false, groupNorm},
	"ReLU":                {[]string{"inplace"}, false, activation(graph.Relu)},
	"SiLU":                {[]string{"inplace"}, false, activation(graph.Silu)},
	"Tanh":                {nil, false, activation(graph.Tanh)},
	"Sigmoid":             {nil, false, activation(graph.Sigmoid)},
	"LeakyReLU":           {[]string{"negative_slope", "inplace"}, false, leakyReLU},
	"Hardtanh":            {[]string{"min_val", "max_val", "inplace"}, false, hardtanh},
	"ReLU6":               {[]string{"inplace"}, false, relu6},
	"Upsample":            {[]string{"size", "scale_factor", "mode", "align_corners", "recompute_scale_factor"}, true, upsample},
	"UpsamplingNearest2d": {[]string{"size", "scale_factor", "mode"}, true, upsample},
	"Flatten":             {[]string{"start_dim", "end_dim"}, false, flatten},
	"Unflatten":           {[]string{"dim", "unflattened_size"}, false, unflatten},
	"Identity":            {nil, false, identity},
	"Dropout":             dropout,
	"Dropout1d":           dropout,
	"Dropout2d":           dropout,
}

// identity adds nothing: the layer passes its input on when it is not being trained.
func identity(*builder, *arguments) error { return nil }

func activation(op string) func(*builder, *arguments) error {
	return func(b *builder, a *arguments) error { return b.operator(op, graph.Attributes{}) }
}

func leakyReLU(b *builder, a *arguments) error {
	slope := a.number("negative_slope", 0.01)
	return b.operator(graph.LeakyRelu, graph.Attributes{Alpha: &slope})
}

func hardtanh(b *builder, a *arguments) error {
	low, high := a.number("min_val", -1), a.number("max_val", 1)
	return b.operator(graph.Clip, graph.Attributes{Min: &low, Max: &high})
}

func relu6(b *builder, a *arguments) error {
	low, high := 0.0, 6.0
	return b.operator(graph.Clip, graph.Attributes{Min: &low, Max: &high})
}

func linear(b *builder, a *arguments) error {
	in, out := a.required("in_features"), a.required("out_features")
	if a.err != nil {
		return a.err
	}
	if len(b.shape) != 1 {
		return fmt.Errorf("its input is %v; put a Flatten before it", b.shape)
	}
	weight, err := b.parameter("weight", out, in)
	if err != nil {
		return err
	}
	inputs, err := b.bias([]string{weight}, a, out)
	if err != nil {
		return err
	}
	return b.operator(graph.Gemm, graph.Attributes{TransB: 1}, inputs...)
}

// convolution is what Conv2d and ConvTranspose2d have in common, read from the arguments.
func convolution(a *arguments) (in, out int, kernel [2]int, attributes graph.Attributes, err error) {
	in, out = a.required("in_channels"), a.required("out_channels")
	if !a.given("kernel_size") {
		a.fail("kernel_size", "an integer or two")
	}
	kernel = a.pair("kernel_size", 1)
	stride, dilation := a.pair("stride", 1), a.pair("dilation", 1)
	attributes = graph.Attributes{
		KernelShape: kernel[:], Strides: stride[:], Dilations: dilation[:],
		Group: a.integer("groups", 1),
	}
	if mode := a.text("padding_mode", "zeros"); mode != "zeros" {
		a.fail("padding_mode", "zeros")
	}
	if a.err == nil && attributes.Group < 1 {
		a.fail("groups", "an integer from 1")
	}
	if a.err == nil && (in%attributes.Group != 0 || out%attributes.Group != 0) {
		a.fail("groups", fmt.Sprintf("a divisor of %d and %d", in, out))
	}
	return in, out, kernel, attributes, a.err
}

func conv(b *builder, a *arguments) error {
	padding, named := a.values["padding"].(string)
	if named {
		a.values["padding"] = nil
	}
	pad := a.pair("padding", 0)
	in, out, kernel, attributes, err := convolution(a)
	if err != nil {
		return err
	}
	attributes.Pads = []int{pad[0], pad[1], pad[0], pad[1]}
	switch {
	case named && padding == "same":
		// PyTorch puts an odd row or column of padding after the image.
		for k := range 2 {
			if attributes.Strides[k] != 1 {
				return errors.New("padding='same' goes with stride 1 only")
			}
			total := attributes.Dilations[k] * (kernel[k] - 1)
			attributes.Pads[k], attributes.Pads[k+2] = total/2, total-total/2
		}
	case named && padding != "valid":
		return fmt.Errorf("padding: want same, valid or integers, got %q", fault.Excerpt(padding))
	}
	weight, err := b.parameter("weight", out, in/attributes.Group, kernel[0], kernel[1])
	if err != nil {
		return err
	}
	inputs, err := b.bias([]string{weight}, a, out)
	if err != nil {
		return err
	}
	return b.operator(graph.Conv, attributes, inputs...)
}

func convTranspose(b *builder, a *arguments) error {
	pad, outputPadding := a.pair("padding", 0), a.pair("output_padding", 0)
	in, out, kernel, attributes, err := convolution(a)
	if err != nil {
		return err
	}
	attributes.Pads = []int{pad[0], pad[1], pad[0], pad[1]}
	attributes.OutputPadding = outputPadding[:]
	weight, err := b.parameter("weight", in, out/attributes.Group, kernel[0], kernel[1])
	if err != nil {
		return err
	}
	inputs, err := b.bias([]string{weight}, a, out)
	if err != nil {
		return err
	}
	return b.operator(graph.ConvTranspose, attributes, inputs...)
}

func batchNorm(b *builder, a *arguments) error {
	features := a.required("num_features")
	epsilon := a.number("eps", 1e-5)
	a.number("momentum", 0.1)
	if !a.boolean("track_running_stats", true) {
		return errors.New("track_running_stats=False normalises by the batch's own statistics; want running ones")
	}
	if a.err != nil {
		return a.err
	}
	inputs, err := b.affine(a, features)
	if err != nil {
		return err
	}
	for _, name := range []string{"running_mean", "running_var"} {
		tensor, err := b.parameter(name, features)
		if err != nil {
			return err
		}
		inputs = append(inputs, tensor)
	}
	return b.operator(graph.BatchNormalization, graph.Attributes{Epsilon: &epsilon}, inputs...)
}

func groupNorm(b *builder, a *arguments) error {
	groups, channels := a.required("num_groups"), a.required("num_channels")
	epsilon := a.number("eps", 1e-5)
	if a.err != nil {
		return a.err
	}
	inputs, err := b.affine(a, channels)
	if err != nil {
		return err
	}
	return b.operator(graph.GroupNormalization, graph.Attributes{Epsilon: &epsilon, NumGroups: groups}, inputs...)
}

func upsample(b *builder, a *arguments) error {
	if mode := a.text("mode", "nearest"); mode != "nearest" {
		a.fail("mode", "nearest")
	}
	if a.given("size") == a.given("scale_factor") {
		return errors.New("want either size or scale_factor")
	}
	if a.given("scale_factor") {
		scales := a.numbers("scale_factor")
		if a.err != nil {
			return a.err
		}
		return b.operator(graph.Resize, graph.Attributes{Scales: scales})
	}
	size := a.pair("size", 0)
	if a.err != nil {
		return a.err
	}
	scales := make([]float64, 2)
	for k := range scales {
		if size[k] < 1 || size[k]%b.shape[1+k] != 0 {
			return fmt.Errorf("size %v: want multiples of the input's %v; other sizes repeat rows unevenly", size, b.shape[1:])
		}
		scales[k] = float64(size[k] / b.shape[1+k])
	}
	return b.operator(graph.Resize, graph.Attributes{Scales: scales})
}

func flatten(b *builder, a *arguments) error {
	start, end := a.integer("start_dim", 1), a.integer("end_dim", -1)
	if start != 1 || end != -1 && end != len(b.shape) {
		return errors.New("want start_dim=1 and end_dim=-1, all axes but the batch")
	}
	if len(b.shape) == 1 {
		return nil // flat already
	}
	return b.operator(graph.Flatten, graph.Attributes{})
}

func unflatten(b *builder, a *arguments) error {
	if dim := a.integer("dim", 1); dim != 1 && dim != -1 || len(b.shape) != 1 {
		return fmt.Errorf("want dim=1 and a flat input, got dim=%d and %v", dim, b.shape)
	}
	sizes, ok := a.values["unflattened_size"].([]any)
	if !ok {
		return fmt.Errorf("unflattened_size: want a tuple, got %v", a.values["unflattened_size"])
	}
	shape := []int{0}
	for _, v := range sizes {
		extent, ok := v.(int)
		if !ok || extent < 1 && extent != -1 {
			return fmt.Errorf("unflattened_size: want positive integers, or -1 once, got %v", v)
		}
		shape = append(shape, extent)
	}
	return b.operator(graph.Reshape, graph.Attributes{Shape: shape})
}
