package lower

import (
	"brenier/engine/internal/fault"
	"brenier/engine/internal/graph"
)

// Conv is a convolution, a transposed one, one over upsampled input, or a matrix product (one
// pixel in, one pixel out), all in the same form:
//
//	y[OutY+i*OutStepY, OutX+j*OutStepX, r] =
//	    Bias[r] + sum over taps t, channels c of W_t[r,c] x[i*InStepY+t.DY, j*InStepX+t.DX, c]
//
// for each phase and its pixels (i,j), with x zero outside. Row r of group g reads the channels of
// that group. With a second input, its value at the same place is added before the activation.
//
// A weight is Scale[r] times a sum of elements of the tensor as the file has it, in float64; it is
// rounded to float32 once, by [Conv.Weights].
type Conv struct {
	In     Shape // of x
	Out    Shape // of y; C is the number of rows
	Groups int
	Phases []Phase
	Bias   []float64 // [Out.C]

	weight    []float32 // the tensor
	scale     []float64 // [Out.C]
	rowOffset []int32   // [Out.C] where a row begins in the tensor; -1: the row is zero
	colOffset []int32   // [In.C/Groups] from there to an input channel
}

// Phase is the output pixels that read their input through the same taps. Together the phases
// make every output pixel once.
type Phase struct {
	Rows, Cols         int
	OutY, OutX         int
	OutStepY, OutStepX int
	InStepY, InStepX   int
	Taps               []Tap // in the order in which they are summed
}

// Tap is one input pixel that a phase reads.
type Tap struct {
	DY, DX  int
	sources []int32 // elements of the tensor, from the row's and channel's beginning, to sum
}

// MACs counts each phase's pixels times its taps.
func (c *Conv) MACs() int64 {
	var sum int64
	for _, p := range c.Phases {
		sum += int64(p.Rows) * int64(p.Cols) * int64(len(p.Taps))
	}
	return sum * int64(c.Out.C) * int64(c.In.C/c.Groups)
}

// Weights writes W_t[first+i, channel] for all i to dst; the channel counts within the group.
func (c *Conv) Weights(dst []float32, t *Tap, first, channel int) {
	col := c.colOffset[channel]
	for i := range dst {
		begin := c.rowOffset[first+i]
		if begin < 0 {
			dst[i] = 0
			continue
		}
		begin += col
		sum := 0.0
		for _, s := range t.sources {
			sum += float64(c.weight[begin+s])
		}
		dst[i] = float32(sum * c.scale[first+i])
	}
}

// permuteRows makes row source[r] row r.
func (c *Conv) permuteRows(source []int32) {
	bias, scale, offset := make([]float64, len(source)), make([]float64, len(source)), make([]int32, len(source))
	for to, from := range source {
		bias[to], scale[to], offset[to] = c.Bias[from], c.scale[from], c.rowOffset[from]
	}
	c.Bias, c.scale, c.rowOffset = bias, scale, offset
}

// fold applies y*scale + shift to the output, channel by channel of a value with channels
// channels; it reports false where the rows are no such channels.
func (c *Conv) fold(scale, shift []float64) bool {
	channels := len(scale)
	if c.Out.C%channels != 0 || c.Out.C != channels && c.Out.Pixels() > 1 {
		return false
	}
	for r := range c.Bias {
		s := scale[r%channels]
		c.scale[r] *= s
		c.Bias[r] = c.Bias[r]*s + shift[r%channels]
	}
	return true
}

// newConv fills what the kinds of convolution share; offsets and phases are theirs.
func newConv(in, out Shape, groups int, weight []float32, bias []float64) *Conv {
	c := &Conv{
		In: in, Out: out, Groups: groups, weight: weight, Bias: bias,
		scale: make([]float64, out.C), rowOffset: make([]int32, out.C), colOffset: make([]int32, in.C/groups),
	}
	for r := range c.scale {
		c.scale[r] = 1
	}
	if bias == nil {
		c.Bias = make([]float64, out.C)
	}
	return c
}

// newGemm is alpha x W + beta b as a convolution of one pixel.
func newGemm(a graph.Attributes, ins, outs int, weight []float32, bias []float64) *Conv {
	c := newConv(Shape{ins, 1, 1}, Shape{outs, 1, 1}, 1, weight, bias)
	rowStep, colStep := 1, outs
	if a.TransB == 1 {
		rowStep, colStep = ins, 1
	}
	for r := range c.rowOffset {
		c.rowOffset[r] = int32(r * rowStep)
		c.scale[r] = *a.Alpha
		c.Bias[r] *= *a.Beta
	}
	for k := range c.colOffset {
		c.colOffset[k] = int32(k * colStep)
	}
	c.Phases = []Phase{{1, 1, 0, 0, 1, 1, 1, 1, []Tap{{sources: []int32{0}}}}}
	return c
}

// newForward is ONNX's Conv over x whose pixels are first repeated factor times along each axis.
func newForward(a graph.Attributes, in, out Shape, factor [2]int, weight []float32, bias []float64) *Conv {
	c := newConv(in, out, a.Group, weight, bias)
	kernel := a.KernelShape[0] * a.KernelShape[1]
	for r := range c.rowOffset {
		c.rowOffset[r] = int32(r * len(c.colOffset) * kernel)
	}
	for k := range c.colOffset {
		c.colOffset[k] = int32(k * kernel)
	}
	ys := forwardAxis(a, 0, in.H, out.H, factor[0])
	xs := forwardAxis(a, 1, in.W, out.W, factor[1])
	c.Phases = phases(ys, xs, a.KernelShape[1])
	return c
}

// newTransposed is ONNX's ConvTranspose.
func newTransposed(n *graph.Node, in, out Shape, weight []float32, bias []float64) (*Conv, error) {
	a := n.Attributes
	kernel := a.KernelShape[0] * a.KernelShape[1]
	perGroup := out.C / a.Group // weight [C, perGroup, kH, kW]
	if in.Pixels() == 1 && a.Group == 1 && out.Pixels() <= 2*kernel {
		return newTransposedPixel(a, in, out, weight, bias), nil
	}
	if err := checkPhases(n, out); err != nil {
		return nil, err
	}
	c := newConv(in, out, a.Group, weight, bias)
	for r := range c.rowOffset {
		group, m := r/perGroup, r%perGroup
		c.rowOffset[r] = int32((group*len(c.colOffset)*perGroup + m) * kernel)
	}
	for k := range c.colOffset {
		c.colOffset[k] = int32(k * perGroup * kernel)
	}
	ys := transposedAxis(a, 0, in.H, out.H)
	xs := transposedAxis(a, 1, in.W, out.W)
	c.Phases = phases(ys, xs, a.KernelShape[1])
	return c, nil
}

// newTransposedPixel is ConvTranspose of a single pixel: every output pixel reads one element of
// the kernel, or none, so it is a matrix product whose rows are the image [H,W,C].
func newTransposedPixel(a graph.Attributes, in, out Shape, weight []float32, bias []float64) *Conv {
	kh, kw := a.KernelShape[0], a.KernelShape[1]
	var repeated []float64
	if bias != nil {
		repeated = make([]float64, out.Size())
		for r := range repeated {
			repeated[r] = bias[r%out.C]
		}
	}
	c := newConv(in, Shape{out.Size(), 1, 1}, 1, weight, repeated)
	for r := range c.rowOffset {
		pixel, m := r/out.C, r%out.C
		ky, hitY := kernelIndex(pixel/out.W+a.Pads[0], a.Dilations[0], kh)
		kx, hitX := kernelIndex(pixel%out.W+a.Pads[1], a.Dilations[1], kw)
		c.rowOffset[r] = -1
		if hitY && hitX {
			c.rowOffset[r] = int32((m*kh+ky)*kw + kx)
		}
	}
	for k := range c.colOffset {
		c.colOffset[k] = int32(k * out.C * kh * kw)
	}
	c.Phases = []Phase{{1, 1, 0, 0, 1, 1, 1, 1, []Tap{{sources: []int32{0}}}}}
	return c
}

func kernelIndex(position, dilation, kernel int) (int, bool) {
	return position / dilation, position%dilation == 0 && position/dilation < kernel
}

// axisPhase is one phase along one axis: its count output positions are out + i*outStep and read
// i*inStep + taps[.].d.
type axisPhase struct {
	count, out, outStep, inStep int
	taps                        []axisTap
}

// axisTap is an input offset and the kernel positions that land on it.
type axisTap struct {
	d      int
	kernel []int
}

// forwardAxis is y[o] = sum over k of w_k u[o*s + k*d - p] with u[v] = x[floor(v/f)], the input
// repeated f times. With P = f/gcd(f,s), o = phase + P*i reads
//
//	floor(((phase + P*i)*s + k*d - p) / f) = i*(P*s/f) + floor((phase*s + k*d - p) / f)
//
// and u is outside exactly where x is.
func forwardAxis(a graph.Attributes, axis, in, out, factor int) []axisPhase {
	stride, dilation, pad := a.Strides[axis], a.Dilations[axis], a.Pads[axis]
	period := factor / gcd(factor, stride)
	list := make([]axisPhase, 0, period)
	for first := 0; first < min(period, out); first++ {
		p := axisPhase{count: (out - first + period - 1) / period, out: first, outStep: period, inStep: period * stride / factor}
		for k := range a.KernelShape[axis] {
			p.add(floorDiv(first*stride+k*dilation-pad, factor), k, in)
		}
		list = append(list, p)
	}
	return list
}

// transposedAxis is y[i*s + k*d - p] += w_k x[i]: output o = phase + s*i reads x[i + e] through k
// where phase + p - k*d = s*e.
func transposedAxis(a graph.Attributes, axis, in, out int) []axisPhase {
	stride, dilation, pad := a.Strides[axis], a.Dilations[axis], a.Pads[axis]
	list := make([]axisPhase, 0, min(stride, out))
	for first := 0; first < min(stride, out); first++ {
		p := axisPhase{count: (out - first + stride - 1) / stride, out: first, outStep: stride, inStep: 1}
		for k := a.KernelShape[axis] - 1; k >= 0; k-- { // so that the input is read forwards
			if numerator := first + pad - k*dilation; floorMod(numerator, stride) == 0 {
				p.add(floorDiv(numerator, stride), k, in)
			}
		}
		list = append(list, p)
	}
	return list
}

// add notes that kernel position k reads offset d; one that is outside for every pixel is left out.
func (p *axisPhase) add(d, k, in int) {
	inside := false
	if d >= 0 {
		inside = d < in
	} else { // the first position at or above 0
		i := (-d + p.inStep - 1) / p.inStep
		inside = i < p.count && i*p.inStep+d < in
	}
	if !inside {
		return
	}
	if last := len(p.taps) - 1; last >= 0 && p.taps[last].d == d {
		p.taps[last].kernel = append(p.taps[last].kernel, k)
		return
	}
	p.taps = append(p.taps, axisTap{d, []int{k}})
}

// phases is the product of the two axes.
func phases(ys, xs []axisPhase, kernelWidth int) []Phase {
	list := make([]Phase, 0, len(ys)*len(xs))
	for _, y := range ys {
		for _, x := range xs {
			p := Phase{y.count, x.count, y.out, x.out, y.outStep, x.outStep, y.inStep, x.inStep, nil}
			for _, ty := range y.taps {
				for _, tx := range x.taps {
					tap := Tap{DY: ty.d, DX: tx.d}
					for _, ky := range ty.kernel {
						for _, kx := range tx.kernel {
							tap.sources = append(tap.sources, int32(ky*kernelWidth+kx))
						}
					}
					p.Taps = append(p.Taps, tap)
				}
			}
			list = append(list, p)
		}
	}
	return list
}

// maxPhases bounds the phases of a step; each costs a kernel call.
const maxPhases = 4096

// checkPhases refuses a transposed convolution whose strides would make too many phases.
func checkPhases(n *graph.Node, out Shape) error {
	s := n.Attributes.Strides
	if count := min(s[0], out.H) * min(s[1], out.W); count > maxPhases {
		return fault.New(fault.ErrUnsupported,
			"node %q: strides %v make %d phases; want at most %d, or a Resize and a smaller stride", n.Name, s, count, maxPhases)
	}
	return nil
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

func floorDiv(a, b int) int {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

func floorMod(a, b int) int { return a - b*floorDiv(a, b) }
