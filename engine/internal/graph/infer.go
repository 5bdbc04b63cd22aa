package graph

import (
	"math"
	"slices"
)

// The output shape of each operator. Nodes are normalized and inputs positive; shapes leave the
// batch out, so ONNX's axis a is a-1 here.

// maxWindow bounds strides, pads, dilations and output padding, so that no sum of theirs and an
// extent leaves an int64.
const maxWindow = 1 << 20

func sameShape(_ *Node, in [][]int) ([]int, error) { return slices.Clone(in[0]), nil }

// gemmShape: x [K], weight [K,M], or [M,K] with transB, bias [M].
func gemmShape(n *Node, in [][]int) ([]int, error) {
	a := n.Attributes
	if a.TransB != 0 && a.TransB != 1 {
		return nil, n.fault("transB: want 0 or 1, got %d", a.TransB)
	}
	if !finite(*a.Alpha) || !finite(*a.Beta) {
		return nil, n.fault("alpha and beta: want finite numbers, got %g and %g", *a.Alpha, *a.Beta)
	}
	x, weight := in[0], in[1]
	if len(x) != 1 {
		return nil, n.fault("input %s: want [K], got %v; flatten it first", n.Inputs[0], x)
	}
	if len(weight) != 2 {
		return nil, n.fault("weight %s: want 2 axes, got %v", n.Inputs[1], weight)
	}
	rows, columns := weight[0], weight[1]
	if a.TransB == 1 {
		rows, columns = columns, rows
	}
	if rows != x[0] {
		return nil, n.fault("input has %d features, weight %s %v wants %d", x[0], n.Inputs[1], weight, rows)
	}
	return []int{columns}, n.wantVector(in, 2, "bias", columns)
}

// convShape: x [C,H,W], weight [M,C/group,kH,kW], bias [M].
//
//	out = floor((in + pads - dilation (kernel-1) - 1) / stride) + 1
func convShape(n *Node, in [][]int) ([]int, error) {
	if err := n.checkWindow(in); err != nil {
		return nil, err
	}
	a, x, weight := n.Attributes, in[0], in[1]
	if weight[0]%a.Group != 0 {
		return nil, n.fault("weight %s %v: group %d does not divide its %d outputs", n.Inputs[1], weight, a.Group, weight[0])
	}
	if wants := int64(weight[1]) * int64(a.Group); wants != int64(x[0]) {
		return nil, n.fault("input has %d channels, weight %s %v in %d groups wants %d", x[0], n.Inputs[1], weight, a.Group, wants)
	}
	out := []int{weight[0], 0, 0}
	for k, axis := range []string{"rows", "columns"} {
		padded := int64(x[1+k]) + int64(a.Pads[k]) + int64(a.Pads[k+2])
		window := int64(a.Dilations[k])*int64(weight[2+k]-1) + 1
		if window > padded {
			return nil, n.fault("a window of %d %s does not fit the padded input's %d", window, axis, padded)
		}
		out[1+k] = int((padded-window)/int64(a.Strides[k]) + 1)
	}
	return out, n.wantVector(in, 2, "bias", out[0])
}

// convTransposeShape: x [C,H,W], weight [C,M/group,kH,kW], bias [M].
//
//	out = stride (in-1) + dilation (kernel-1) + 1 + output_padding - pads
func convTransposeShape(n *Node, in [][]int) ([]int, error) {
	if err := n.checkWindow(in); err != nil {
		return nil, err
	}
	a, x, weight := n.Attributes, in[0], in[1]
	if err := n.wantList("output_padding", a.OutputPadding, 2, 0); err != nil {
		return nil, err
	}
	if weight[0] != x[0] {
		return nil, n.fault("input has %d channels, weight %s %v wants %d", x[0], n.Inputs[1], weight, weight[0])
	}
	if x[0]%a.Group != 0 {
		return nil, n.fault("group %d does not divide the input's %d channels", a.Group, x[0])
	}
	channels := int64(weight[1]) * int64(a.Group)
	if channels > MaxElements {
		return nil, n.fault("weight %s %v in %d groups makes %d channels; the limit is %d", n.Inputs[1], weight, a.Group, channels, MaxElements)
	}
	out := []int{int(channels), 0, 0}
	for k, axis := range []string{"rows", "columns"} {
		if most := max(a.Strides[k], a.Dilations[k]); a.OutputPadding[k] >= most {
			return nil, n.fault("output_padding %v: want less than the larger of stride and dilation, %d", a.OutputPadding, most)
		}
		full := int64(a.Strides[k])*int64(x[1+k]-1) + int64(a.Dilations[k])*int64(weight[2+k]-1) + 1 + int64(a.OutputPadding[k])
		extent := full - int64(a.Pads[k]) - int64(a.Pads[k+2])
		if extent < 1 || extent > MaxElements {
			return nil, n.fault("makes %d %s; want 1 to %d", extent, axis, MaxElements)
		}
		out[1+k] = int(extent)
	}
	return out, n.wantVector(in, 2, "bias", out[0])
}

// checkWindow checks what Conv and ConvTranspose have in common.
func (n *Node) checkWindow(in [][]int) error {
	a, x, weight := n.Attributes, in[0], in[1]
	if len(x) != 3 {
		return n.fault("input %s: want [C,H,W], got %v; reshape it first", n.Inputs[0], x)
	}
	if len(weight) != 4 {
		return n.fault("weight %s: want 4 axes, got %v", n.Inputs[1], weight)
	}
	if !slices.Equal(a.KernelShape, weight[2:]) {
		return n.fault("kernel_shape %v differs from weight %s %v", a.KernelShape, n.Inputs[1], weight)
	}
	if a.Group < 1 {
		return n.fault("group: want at least 1, got %d", a.Group)
	}
	if err := n.wantList("strides", a.Strides, 2, 1); err != nil {
		return err
	}
	if err := n.wantList("pads", a.Pads, 4, 0); err != nil {
		return err
	}
	return n.wantList("dilations", a.Dilations, 2, 1)
}

// normalizationShape: x [C] or [C,H,W], then scale, bias, mean and variance [C]. The variance is
// not negative, which the values decide, not the shapes.
func normalizationShape(n *Node, in [][]int) ([]int, error) {
	if e := *n.Attributes.Epsilon; !finite(e) || e < 0 {
		return nil, n.fault("epsilon: want a finite number, not negative, got %g", e)
	}
	for k, what := range []string{"scale", "bias", "mean", "variance"}[:len(in)-1] {
		if err := n.wantVector(in, k+1, what, in[0][0]); err != nil {
			return nil, err
		}
	}
	return slices.Clone(in[0]), nil
}

// groupNormalizationShape: x [C,...], scale [C], bias [C]; num_groups divides C.
func groupNormalizationShape(n *Node, in [][]int) ([]int, error) {
	if groups := n.Attributes.NumGroups; groups < 1 || in[0][0]%groups != 0 {
		return nil, n.fault("num_groups: want a divisor of the input's %d channels, got %d", in[0][0], groups)
	}
	return normalizationShape(n, in)
}

func leakyReluShape(n *Node, in [][]int) ([]int, error) {
	if !finite(*n.Attributes.Alpha) {
		return nil, n.fault("alpha: want a finite number, got %g", *n.Attributes.Alpha)
	}
	return slices.Clone(in[0]), nil
}

func clipShape(n *Node, in [][]int) ([]int, error) {
	low, high := n.Attributes.Min, n.Attributes.Max
	if low != nil && !finite(*low) || high != nil && !finite(*high) {
		return nil, n.fault("min and max: want finite numbers")
	}
	if low != nil && high != nil && *low > *high {
		return nil, n.fault("min %g is above max %g", *low, *high)
	}
	return slices.Clone(in[0]), nil
}

// broadcastShape: an activation and a tensor that broadcasts to it as in ONNX: axes are matched
// from the last, an absent or single one is repeated. A batch axis of the tensor must be 1.
func broadcastShape(n *Node, in [][]int) ([]int, error) {
	x, tensor := in[0], in[1]
	rest := tensor
	if len(rest) == len(x)+1 && rest[0] == 1 {
		rest = rest[1:]
	}
	fits := len(rest) <= len(x)
	for k := 1; fits && k <= len(rest); k++ {
		fits = rest[len(rest)-k] == 1 || rest[len(rest)-k] == x[len(x)-k]
	}
	if !fits {
		return nil, n.fault("tensor %v does not broadcast to the activation %v", tensor, x)
	}
	return slices.Clone(x), nil
}

func concatShape(n *Node, in [][]int) ([]int, error) {
	axis := *n.Attributes.Axis
	if axis < 0 {
		axis += len(in[0]) + 1
	}
	if axis < 1 || axis > len(in[0]) {
		return nil, n.fault("axis: want 1 to %d, got %d; axis 0 is the batch", len(in[0]), *n.Attributes.Axis)
	}
	axis--
	out := slices.Clone(in[0])
	for k, shape := range in[1:] {
		fits := len(shape) == len(out)
		for i := 0; fits && i < len(out); i++ {
			fits = i == axis || shape[i] == out[i]
		}
		if !fits {
			return nil, n.fault("inputs %s %v and %s %v differ beside axis %d", n.Inputs[0], in[0], n.Inputs[k+1], shape, axis+1)
		}
		if int64(out[axis])+int64(shape[axis]) > MaxElements {
			return nil, n.fault("more than %d elements along axis %d", MaxElements, axis+1)
		}
		out[axis] += shape[axis]
	}
	return out, nil
}

// resizeShape: x [C,H,W]; out = floor(scale in), as float64 computes it.
func resizeShape(n *Node, in [][]int) ([]int, error) {
	scales, x := n.Attributes.Scales, in[0]
	if len(x) != 3 {
		return nil, n.fault("input %s: want [C,H,W], got %v", n.Inputs[0], x)
	}
	if len(scales) != 2 {
		return nil, n.fault("scales: want 2 numbers, got %d", len(scales))
	}
	out := []int{x[0], 0, 0}
	for k, scale := range scales {
		extent := math.Floor(scale * float64(x[1+k]))
		if !(scale > 0) || !(extent >= 1 && extent <= MaxElements) {
			return nil, n.fault("scales: want positive numbers that leave 1 to %d rows and columns, got %v for %v", MaxElements, scales, x)
		}
		out[1+k] = int(extent)
	}
	return out, nil
}

// reshapeShape: the batch (0 or -1) first, then extents, of which 0 copies the input's and one
// may be -1, which takes what is left.
func reshapeShape(n *Node, in [][]int) ([]int, error) {
	shape := n.Attributes.Shape
	if len(shape) < 2 || len(shape) > MaxRank {
		return nil, n.fault("shape: want 2 to %d axes with the batch first, got %v", MaxRank, shape)
	}
	if shape[0] != 0 && shape[0] != -1 {
		return nil, n.fault("shape: want 0 or -1 for the batch, got %v", shape)
	}
	total, _ := elements(in[0], MaxElements)
	out := slices.Clone(shape[1:])
	rest, known := -1, int64(1)
	for i := range out {
		switch {
		case out[i] == -1 && rest < 0:
			rest = i
			continue
		case out[i] == 0 && i < len(in[0]):
			out[i] = in[0][i]
		case out[i] < 1 || out[i] > MaxElements:
			return nil, n.fault("shape: want positive extents, 0 to copy and one -1 at most after the batch, got %v", shape)
		}
		if known *= int64(out[i]); known > MaxElements {
			return nil, n.fault("shape %v has more elements than the input %v", shape, in[0])
		}
	}
	if rest >= 0 {
		out[rest] = int(total / known)
		known *= int64(out[rest])
	}
	if known != total {
		return nil, n.fault("shape %v does not hold the %d elements of the input %v", shape, total, in[0])
	}
	return out, nil
}

// flattenShape: all axes but the batch become one.
func flattenShape(n *Node, in [][]int) ([]int, error) {
	axis := *n.Attributes.Axis
	if axis != 1 && axis != -len(in[0]) {
		return nil, n.fault("axis: want 1, which keeps the batch, got %d", axis)
	}
	total, _ := elements(in[0], MaxElements)
	return []int{int(total)}, nil
}

// transposeShape: perm is an order of the axes that leaves the batch first. ONNX's default, which would
// move it, is refused.
func transposeShape(n *Node, in [][]int) ([]int, error) {
	perm, x := n.Attributes.Perm, in[0]
	sorted := slices.Sorted(slices.Values(perm))
	if len(perm) != len(x)+1 || perm[0] != 0 || sorted[0] != 0 || sorted[len(x)] != len(x) || len(slices.Compact(sorted)) != len(perm) {
		return nil, n.fault("perm: want the axes 0 to %d in some order, 0 first, got %v", len(x), perm)
	}
	out := make([]int, len(x))
	for i, axis := range perm[1:] {
		out[i] = x[axis-1]
	}
	return out, nil
}

// wantVector checks that input k, where there is one, is [extent].
func (n *Node) wantVector(in [][]int, k int, what string, extent int) error {
	if k < len(in) && !slices.Equal(in[k], []int{extent}) {
		return n.fault("%s %s: want [%d], got %v", what, n.Inputs[k], extent, in[k])
	}
	return nil
}

// wantList checks a list attribute: its length, and each value between least and maxWindow.
func (n *Node) wantList(name string, list []int, length, least int) error {
	if len(list) != length {
		return n.fault("%s: want %d numbers, got %v", name, length, list)
	}
	for _, v := range list {
		if v < least || v > maxWindow {
			return n.fault("%s: want %d to %d, got %v", name, least, maxWindow, list)
		}
	}
	return nil
}

func finite(v float64) bool { return !math.IsInf(v, 0) && !math.IsNaN(v) }
