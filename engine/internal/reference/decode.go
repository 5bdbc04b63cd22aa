package reference

import (
	"math"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/fault"
	"brenier/engine/internal/graph"
)

// Activation is one image's value inside a decoder: dense and row-major over Shape, which leaves
// the batch out, as ONNX orders it ([C,H,W] or [K]).
type Activation struct {
	Shape []int
	Data  []float64
}

// Decode evaluates a decoder for one code, operator by operator from ONNX's definitions, in
// float64 and in the order that the definitions are written in: nothing is folded, fused or
// reordered. tensors are the decoder's weights by name.
func Decode(g *graph.Graph, tensors map[string]backend.Tensor, z []float64) (Activation, error) {
	values := map[string]Activation{g.Input.Name: {Shape: g.Input.Shape, Data: z}}
	for i := range g.Nodes {
		n := &g.Nodes[i]
		operator, ok := operators[n.Op]
		if !ok {
			return Activation{}, fault.New(fault.ErrUnsupported, "node %q: no operator is called %q", n.Name, n.Op)
		}
		in := make([]Activation, len(n.Inputs))
		for k, name := range n.Inputs {
			if v, ok := values[name]; ok {
				in[k] = v
			} else if t, ok := tensors[name]; ok {
				in[k] = widen(t)
			} else {
				return Activation{}, fault.BadModel("node %q: input %q is neither a value nor a tensor", n.Name, name)
			}
		}
		values[n.Output] = operator(n.Attributes, in)
	}
	return values[g.Output], nil
}

// operators are the definitions: a node's inputs in order, activations without the batch, to its
// output. They trust their inputs; a graph has been validated before.
var operators = map[string]func(a graph.Attributes, in []Activation) Activation{
	graph.Gemm:               gemm,
	graph.Conv:               conv,
	graph.ConvTranspose:      convTranspose,
	graph.BatchNormalization: batchNormalization,
	graph.GroupNormalization: groupNormalization,
	graph.Relu:               elementwise(func(_ graph.Attributes, x float64) float64 { return math.Max(x, 0) }),
	graph.LeakyRelu:          elementwise(leakyRelu),
	graph.Silu:               elementwise(func(_ graph.Attributes, x float64) float64 { return x * sigmoid(x) }),
	graph.Tanh:               elementwise(func(_ graph.Attributes, x float64) float64 { return math.Tanh(x) }),
	graph.Sigmoid:            elementwise(func(_ graph.Attributes, x float64) float64 { return sigmoid(x) }),
	graph.Clip:               elementwise(clip),
	graph.Add:                broadcast(func(x, y float64) float64 { return x + y }),
	graph.Mul:                broadcast(func(x, y float64) float64 { return x * y }),
	graph.Concat:             concat,
	graph.Resize:             resize,
	graph.Reshape:            reshape,
	graph.Flatten:            func(_ graph.Attributes, in []Activation) Activation { return flat(in[0]) },
	graph.Transpose:          transpose,
}

// gemm: y_n = alpha sum_k x_k W_kn + beta b_n.
func gemm(a graph.Attributes, in []Activation) Activation {
	x, w := in[0], in[1]
	rows, cols := w.Shape[0], w.Shape[1]
	at := func(k, n int) float64 { return w.Data[k*cols+n] }
	if a.TransB == 1 {
		rows, cols = cols, rows
		at = func(k, n int) float64 { return w.Data[n*rows+k] }
	}
	y := zeros(cols)
	for n := range y.Data {
		for k := 0; k < rows; k++ {
			y.Data[n] += x.Data[k] * at(k, n)
		}
		y.Data[n] *= number(a.Alpha, 1)
		if len(in) > 2 {
			y.Data[n] += number(a.Beta, 1) * in[2].Data[n%len(in[2].Data)]
		}
	}
	return y
}

// conv: y[m,oy,ox] = b_m + sum over c, ky, kx of W[m,c,ky,kx] x[c, oy*s+ky*d-p, ox*s+kx*d-p], the
// sum over the input channels of m's group and x zero outside.
func conv(a graph.Attributes, in []Activation) Activation {
	x, w := in[0], in[1]
	height, width := x.Shape[1], x.Shape[2]
	outs, perGroup, kh, kw := w.Shape[0], w.Shape[1], w.Shape[2], w.Shape[3]
	s, d, p := ints(a.Strides, 2, 1), ints(a.Dilations, 2, 1), ints(a.Pads, 4, 0)
	groups := max(a.Group, 1)
	y := zeros(outs,
		(height+p[0]+p[2]-d[0]*(kh-1)-1)/s[0]+1,
		(width+p[1]+p[3]-d[1]*(kw-1)-1)/s[1]+1)
	for m := 0; m < outs; m++ {
		firstIn := m / (outs / groups) * perGroup
		for oy := 0; oy < y.Shape[1]; oy++ {
			for ox := 0; ox < y.Shape[2]; ox++ {
				sum := optional(in, 2, m)
				for c := 0; c < perGroup; c++ {
					for ky := 0; ky < kh; ky++ {
						for kx := 0; kx < kw; kx++ {
							iy, ix := oy*s[0]+ky*d[0]-p[0], ox*s[1]+kx*d[1]-p[1]
							if iy < 0 || iy >= height || ix < 0 || ix >= width {
								continue
							}
							sum += w.Data[((m*perGroup+c)*kh+ky)*kw+kx] * x.at(firstIn+c, iy, ix)
						}
					}
				}
				y.Data[(m*y.Shape[1]+oy)*y.Shape[2]+ox] = sum
			}
		}
	}
	return y
}

// convTranspose scatters: every x[c,iy,ix] W[c,m,ky,kx] is added to
// y[m, iy*s+ky*d-p, ix*s+kx*d-p] where that lies inside.
func convTranspose(a graph.Attributes, in []Activation) Activation {
	x, w := in[0], in[1]
	ins, height, width := x.Shape[0], x.Shape[1], x.Shape[2]
	perGroup, kh, kw := w.Shape[1], w.Shape[2], w.Shape[3]
	s, d, p := ints(a.Strides, 2, 1), ints(a.Dilations, 2, 1), ints(a.Pads, 4, 0)
	extra := ints(a.OutputPadding, 2, 0)
	groups := max(a.Group, 1)
	y := zeros(perGroup*groups,
		s[0]*(height-1)+extra[0]+d[0]*(kh-1)+1-p[0]-p[2],
		s[1]*(width-1)+extra[1]+d[1]*(kw-1)+1-p[1]-p[3])
	rows, cols := y.Shape[1], y.Shape[2]
	for i := range y.Data {
		y.Data[i] = optional(in, 2, i/(rows*cols))
	}
	for c := 0; c < ins; c++ {
		firstOut := c / (ins / groups) * perGroup
		for m := 0; m < perGroup; m++ {
			for iy := 0; iy < height; iy++ {
				for ix := 0; ix < width; ix++ {
					for ky := 0; ky < kh; ky++ {
						for kx := 0; kx < kw; kx++ {
							oy, ox := iy*s[0]+ky*d[0]-p[0], ix*s[1]+kx*d[1]-p[1]
							if oy < 0 || oy >= rows || ox < 0 || ox >= cols {
								continue
							}
							y.Data[((firstOut+m)*rows+oy)*cols+ox] +=
								x.at(c, iy, ix) * w.Data[((c*perGroup+m)*kh+ky)*kw+kx]
						}
					}
				}
			}
		}
	}
	return y
}

// batchNormalization: y = (x - mean_c) / sqrt(variance_c + epsilon) scale_c + bias_c.
func batchNormalization(a graph.Attributes, in []Activation) Activation {
	x, scale, bias, mean, variance := in[0], in[1], in[2], in[3], in[4]
	y := zeros(x.Shape...)
	plane := len(x.Data) / x.Shape[0]
	for i, v := range x.Data {
		c := i / plane
		y.Data[i] = (v-mean.Data[c])/math.Sqrt(variance.Data[c]+number(a.Epsilon, 1e-5))*scale.Data[c] + bias.Data[c]
	}
	return y
}

// groupNormalization: every group of channels of the image is brought to mean 0 and (biased)
// variance 1, then scaled and shifted channel by channel (Wu and He, "Group Normalization", 2018).
func groupNormalization(a graph.Attributes, in []Activation) Activation {
	x, scale, bias := in[0], in[1], in[2]
	y := zeros(x.Shape...)
	plane := len(x.Data) / x.Shape[0]
	size := len(x.Data) / a.NumGroups
	for g := 0; g < a.NumGroups; g++ {
		group := x.Data[g*size : (g+1)*size]
		var mean, variance float64
		for _, v := range group {
			mean += v / float64(size)
		}
		for _, v := range group {
			variance += (v - mean) * (v - mean) / float64(size)
		}
		for i, v := range group {
			c := (g*size + i) / plane
			y.Data[g*size+i] = (v-mean)/math.Sqrt(variance+number(a.Epsilon, 1e-5))*scale.Data[c] + bias.Data[c]
		}
	}
	return y
}

func leakyRelu(a graph.Attributes, x float64) float64 {
	if x < 0 {
		return number(a.Alpha, 0.01) * x
	}
	return x
}

func clip(a graph.Attributes, x float64) float64 {
	return math.Min(math.Max(x, number(a.Min, math.Inf(-1))), number(a.Max, math.Inf(1)))
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

func elementwise(f func(a graph.Attributes, x float64) float64) func(graph.Attributes, []Activation) Activation {
	return func(a graph.Attributes, in []Activation) Activation {
		y := zeros(in[0].Shape...)
		for i, x := range in[0].Data {
			y.Data[i] = f(a, x)
		}
		return y
	}
}

// broadcast applies f as NumPy does: shapes aligned at their last axis, extents of 1 repeated. The
// result has the shape of the longer operand once leading ones (a tensor's batch axis) are gone.
func broadcast(f func(x, y float64) float64) func(graph.Attributes, []Activation) Activation {
	return func(_ graph.Attributes, in []Activation) Activation {
		a, b := in[0], in[1]
		shape := a.Shape
		if len(b.Data) > len(a.Data) {
			shape = b.Shape
		}
		y := zeros(shape...)
		for i := range y.Data {
			y.Data[i] = f(a.Data[a.source(i, shape)], b.Data[b.source(i, shape)])
		}
		return y
	}
}

// source returns where element i of a broadcast result of the given shape comes from.
func (v Activation) source(i int, shape []int) int {
	offset, stride := 0, 1
	for back := 1; back <= len(shape); back++ {
		extent := shape[len(shape)-back]
		index := i % extent
		i /= extent
		if back > len(v.Shape) {
			break
		}
		if own := v.Shape[len(v.Shape)-back]; own > 1 {
			offset += index * stride
			stride *= own
		}
	}
	return offset
}

// concat joins along the axis, which counts the batch.
func concat(a graph.Attributes, in []Activation) Activation {
	axis := 0
	if a.Axis != nil {
		axis = *a.Axis - 1
		if *a.Axis < 0 {
			axis = *a.Axis + len(in[0].Shape)
		}
	}
	shape := append([]int(nil), in[0].Shape...)
	for _, v := range in[1:] {
		shape[axis] += v.Shape[axis]
	}
	y := Activation{Shape: shape}
	outer := 1
	for _, extent := range shape[:axis] {
		outer *= extent
	}
	for o := 0; o < outer; o++ {
		for _, v := range in {
			run := len(v.Data) / outer
			y.Data = append(y.Data, v.Data[o*run:(o+1)*run]...)
		}
	}
	return y
}

// resize: y[c,oy,ox] = x[c, floor(oy/s), floor(ox/s)]; the scale is a float32, as in ONNX.
func resize(a graph.Attributes, in []Activation) Activation {
	x := in[0]
	y := zeros(x.Shape[0], resized(x.Shape[1], a.Scales[0]), resized(x.Shape[2], a.Scales[1]))
	i := 0
	for c := 0; c < y.Shape[0]; c++ {
		for oy := 0; oy < y.Shape[1]; oy++ {
			for ox := 0; ox < y.Shape[2]; ox++ {
				y.Data[i] = x.at(c, origin(oy, a.Scales[0], x.Shape[1]), origin(ox, a.Scales[1], x.Shape[2]))
				i++
			}
		}
	}
	return y
}

func resized(extent int, scale float64) int { return int(math.Floor(float64(extent) * scale)) }

func origin(out int, scale float64, extent int) int {
	return min(int(math.Floor(float64(float32(out)/float32(scale)))), extent-1)
}

// reshape reads the shape as ONNX does: 0 copies the input's extent at that place, -1 is what is
// left. The first entry is the batch, which stays as it is.
func reshape(a graph.Attributes, in []Activation) Activation {
	x := in[0]
	shape := append([]int(nil), a.Shape[1:]...)
	known, missing := 1, -1
	for i, extent := range shape {
		switch extent {
		case 0:
			shape[i] = x.Shape[i]
		case -1:
			missing = i
			continue
		}
		known *= shape[i]
	}
	if missing >= 0 {
		shape[missing] = len(x.Data) / known
	}
	return Activation{Shape: shape, Data: x.Data}
}

// transpose: axis i of y is axis perm[i] of x, the batch being axis 0 of both.
func transpose(a graph.Attributes, in []Activation) Activation {
	x := in[0]
	shape := make([]int, len(x.Shape))
	for i := range shape {
		shape[i] = x.Shape[a.Perm[i+1]-1]
	}
	y := zeros(shape...)
	index := make([]int, len(shape)) // of x
	for i := range y.Data {
		rest := i
		for axis := len(shape) - 1; axis >= 0; axis-- {
			index[a.Perm[axis+1]-1] = rest % shape[axis]
			rest /= shape[axis]
		}
		from := 0
		for axis, extent := range x.Shape {
			from = from*extent + index[axis]
		}
		y.Data[i] = x.Data[from]
	}
	return y
}

func flat(x Activation) Activation { return Activation{Shape: []int{len(x.Data)}, Data: x.Data} }

// at returns x[c,y,x].
func (v Activation) at(c, y, x int) float64 { return v.Data[(c*v.Shape[1]+y)*v.Shape[2]+x] }

func zeros(shape ...int) Activation {
	size := 1
	for _, extent := range shape {
		size *= extent
	}
	return Activation{Shape: append([]int(nil), shape...), Data: make([]float64, size)}
}

func widen(t backend.Tensor) Activation {
	v := zeros(t.Shape...)
	for i, x := range t.Data {
		v.Data[i] = float64(x)
	}
	return v
}

// ints returns an attribute's list, or n times its default.
func ints(list []int, n, otherwise int) []int {
	if list != nil {
		return list
	}
	list = make([]int, n)
	for i := range list {
		list[i] = otherwise
	}
	return list
}

func number(p *float64, otherwise float64) float64 {
	if p != nil {
		return *p
	}
	return otherwise
}

// optional returns element i of input k, or 0 where the node has no such input.
func optional(in []Activation, k, i int) float64 {
	if len(in) <= k {
		return 0
	}
	return in[k].Data[i]
}
