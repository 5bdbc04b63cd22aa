//go:build cuda

package cuda

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/x448/float16"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/cuda/driver"
	"brenier/engine/internal/decodertest"
	"brenier/engine/internal/fault"
	"brenier/engine/internal/graph"
)

// newTestDecoder makes a decoder until the test ends.
func newTestDecoder(t testing.TB, v *device, e element, g *graph.Graph, tensors map[string]backend.Tensor) *network {
	t.Helper()
	d, err := newDecoderOf(v, e, false, g, tensors)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.close)
	return d
}

// decodeTo decodes codes z [n,dim] in one call, with scratch for `batch` images, to elements of T.
func decodeTo[T any](t testing.TB, d *network, z []float32, n, batch int, out target) []T {
	t.Helper()
	var p plan
	s := d.newScratch(&p, batch)
	base := scratchOn(t, d.v, p.bytes)
	memory := onDevice(t, d.v, make([]T, n*d.elements()))
	codes := onDevice(t, d.v, z)
	out.address = memory
	onStream(t, d.v, func(q *driver.Stream) error { return d.launch(q, s, base, codesAt(codes), n, out) })
	return fromDevice[T](t, d.v, memory, n*d.elements())
}

// decodeF32 decodes to [n,C,H,W] float32.
func decodeF32(t testing.TB, d *network, z []float32, n int) []float32 {
	t.Helper()
	return decodeTo[float32](t, d, z, n, n, target{})
}

// worstOf is the largest error, as a share of the range of what is wanted, 0 included.
func worstOf(t testing.TB, got []float32, want []float64) float64 {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d elements, want %d", len(got), len(want))
	}
	low, high, worst := 0.0, 0.0, 0.0
	for i, w := range want {
		low, high = min(low, w), max(high, w)
		e := math.Abs(float64(got[i]) - w)
		if e != e {
			e = math.Inf(1)
		}
		worst = max(worst, e)
	}
	if worst == 0 {
		return 0
	}
	return worst / (high - low)
}

// tolerances are shares of the output's range: the contract's for float16 and float32. bfloat16 has
// three bits less than float16.
var tolerances = map[element]float64{f16: 2e-3, bf16: 1.6e-2, f32: 1e-5}

// TestDecodeOperators holds every operator and a table of convolutions against the float64 reference.
func TestDecodeOperators(t *testing.T) {
	v := newTestDevice(t)
	for _, c := range append(decodertest.Operators(t), decodertest.Convolutions()...) {
		t.Run(c.Name, func(t *testing.T) {
			want := c.Want(t)
			for _, e := range []element{f16, bf16, f32} {
				d := newTestDecoder(t, v, e, c.Graph, c.Tensors)
				if worst := worstOf(t, decodeF32(t, d, c.Z, c.N), want); !(worst <= tolerances[e]) {
					t.Errorf("%v: off by %.2g of the range, want at most %.2g; kernels %v", e, worst, tolerances[e], d.kernels())
				}
			}
		})
	}
}

// TestDecodeTrained holds trained decoders against their outputs in float64. The double has
// patience for one image of each.
func TestDecodeTrained(t *testing.T) {
	for _, trained := range decodertest.TrainedDecoders {
		t.Run(trained.Name, func(t *testing.T) {
			v := newTestDevice(t)
			g, tensors := trained.Load(t)
			z, x := trained.Golden(t)
			n := 1
			if !v.info.Double {
				n = len(z) / g.Input.Shape[0]
			}
			for _, e := range []element{f16, bf16, f32} {
				d := newTestDecoder(t, v, e, g, tensors)
				want := make([]float64, n*d.elements())
				for i := range want {
					want[i] = float64(x[i])
				}
				worst := worstOf(t, decodeF32(t, d, z[:n*d.in.Size()], n), want)
				if !(worst <= tolerances[e]) {
					t.Errorf("%v: off by %.2g of the range, want at most %.2g", e, worst, tolerances[e])
				}
				t.Logf("%v: off by %.2g of the range; kernels %v", e, worst, d.kernels())
			}
		})
	}
}

// TestDecodeSameBits decodes one batch in every way: the bits of an image depend on nothing else.
func TestDecodeSameBits(t *testing.T) {
	v := newTestDevice(t)
	c := decodertest.EveryStep(rand.New(rand.NewPCG(5, 6)))
	const most = 33
	dim := len(c.Z) / c.N
	for _, e := range []element{f16, bf16, f32} {
		t.Run(e.String(), func(t *testing.T) {
			d := newTestDecoder(t, v, e, c.Graph, c.Tensors)
			want := decodeF32(t, d, c.Z[:most*dim], most)
			size := d.elements()
			if worst := worstOf(t, want, c.Want(t)[:most*size]); !(worst <= tolerances[e]) {
				t.Errorf("off by %.2g of the range, want at most %.2g", worst, tolerances[e])
			}
			for _, n := range []int{1, 2, 7, 16} {
				if !slices.Equal(decodeF32(t, d, c.Z[dim:(1+n)*dim], n), want[size:(1+n)*size]) {
					t.Errorf("%d images have other bits than in a batch of %d", n, most)
				}
			}
			if !slices.Equal(decodeTo[float32](t, d, c.Z[:12*dim], 12, 5, target{}), want[:12*size]) {
				t.Errorf("chunks of 5 images have other bits than a batch of %d", most)
			}
		})
	}
}

// TestDecodeTiles holds every shape of tile to the same bits, at numbers of images around them, with
// sums of one chunk and of several, groups, phases, a residual sum, and few outputs.
func TestDecodeTiles(t *testing.T) {
	v := newTestDevice(t)
	if v.capability() < leastMMA {
		t.Skip("this card has no mma.sync of 16-bit elements with k = 16")
	}
	random := rand.New(rand.NewPCG(3, 1))
	up := graph.Attributes{Strides: []int{2, 2}, Pads: []int{1, 1, 1, 1}}
	pad := graph.Attributes{Pads: []int{1, 1, 1, 1}}
	grouped := graph.Attributes{Pads: []int{1, 1, 1, 1}, Group: 2}
	for name, c := range map[string]decodertest.Convolution{
		"one chunk, phases":     {Op: graph.ConvTranspose, Channels: 70, Height: 2, Width: 3, Outs: 130, KH: 4, KW: 4, Attributes: up},
		"chunks beyond a round": {Op: graph.Conv, Channels: 300, Height: 1, Width: 2, Outs: 48, KH: 3, KW: 3, Attributes: pad},
		"groups":                {Op: graph.Conv, Channels: 128, Height: 2, Width: 2, Outs: 80, KH: 3, KW: 3, Attributes: grouped},
		"one pixel":             {Op: graph.ConvTranspose, Channels: 100, Height: 1, Width: 1, Outs: 24, KH: 4, KW: 4},
		"few outputs":           {Op: graph.Conv, Channels: 120, Height: 5, Width: 3, Outs: 3, KH: 3, KW: 3, Attributes: pad},
		"few outputs, phases":   {Op: graph.ConvTranspose, Channels: 72, Height: 4, Width: 3, Outs: 1, KH: 4, KW: 4, Attributes: up},
	} {
		t.Run(name, func(t *testing.T) {
			c.N = 33
			built := c.Build(name, random)
			dim := len(built.Z) / c.N
			for _, e := range []element{f16, bf16} {
				numbers := map[element][]int{f16: {1, 7, 33}, bf16: {7}}[e]
				d := newTestDecoder(t, v, e, built.Graph, built.Tensors)
				want := decodeF32(t, d, built.Z, c.N)
				if worst := worstOf(t, want, built.Want(t)); !(worst <= tolerances[e]) {
					t.Errorf("off by %.2g of the range, want at most %.2g", worst, tolerances[e])
				}
				tiles := 0
				err := d.eachTile(func(tile string) error {
					tiles++
					for _, n := range numbers {
						if got := decodeF32(t, d, built.Z[:n*dim], n); !slices.Equal(got, want[:n*d.elements()]) {
							t.Errorf("%v: %d images%s have other bits", e, n, tile)
						}
					}
					return nil
				})
				if err != nil || tiles < 2 {
					t.Errorf("%d tiles, error %v", tiles, err)
				}
			}
		})
	}
}

// TestDecodeChecks asks every kernel, and has the plain one take over.
func TestDecodeChecks(t *testing.T) {
	v := newTestDevice(t)
	c := decodertest.EveryStep(rand.New(rand.NewPCG(5, 6)))
	for _, e := range []element{f16, bf16, f32} {
		d := newTestDecoder(t, v, e, c.Graph, c.Tensors)
		replaced, err := v.selfCheck(d)
		if err != nil || len(replaced) > 0 {
			t.Errorf("%v: replaced %v, error %v", e, replaced, err)
		}
	}
	d := newTestDecoder(t, v, f16, c.Graph, c.Tensors)
	want := decodeF32(t, d, c.Z, 2)
	for _, check := range d.checks() {
		if check.plainer != nil {
			if err := check.plainer(); err != nil {
				t.Fatal(err)
			}
			break
		}
	}
	for _, k := range d.kernels() {
		if strings.Contains(k.Name, "mma") {
			t.Errorf("%s is still done by %s", k.Part, k.Name)
		}
	}
	wide := make([]float64, len(want))
	for i := range want {
		wide[i] = float64(want[i])
	}
	if worst := worstOf(t, decodeF32(t, d, c.Z, 2), wide); !(worst <= tolerances[f16]) {
		t.Errorf("the plain kernels are off by %.2g of the range", worst)
	}
}

// TestDecodeRange takes activations beyond float16's range, which is what bfloat16 is there for.
func TestDecodeRange(t *testing.T) {
	v := newTestDevice(t)
	of := func(x float32) backend.Tensor { return backend.Tensor{Shape: []int{1, 1, 1}, Data: []float32{x}} }
	c := decodertest.Case{N: 3, Z: []float32{1, 0.7, -0.3}, Tensors: map[string]backend.Tensor{"up": of(1e6), "down": of(1e-6)},
		Graph: &graph.Graph{
			Input: graph.Value{Name: "z", Shape: []int{1, 1, 1}}, Output: "y",
			Nodes: []graph.Node{
				{Name: "large", Op: graph.Mul, Inputs: []string{"z", "up"}, Output: "a"},
				{Name: "relu", Op: graph.Relu, Inputs: []string{"a"}, Output: "b"},
				{Name: "small", Op: graph.Mul, Inputs: []string{"b", "down"}, Output: "y"},
			},
		}}
	for e, within := range tolerances {
		d := newTestDecoder(t, v, e, c.Graph, c.Tensors)
		worst := worstOf(t, decodeF32(t, d, c.Z, c.N), c.Want(t))
		if held := worst <= within; held != (e != f16) {
			t.Errorf("%v: off by %.2g of the range", e, worst)
		}
	}
}

// TestDecodeTargets converts to every element type and layout, from a convolution of several channels,
// from one that makes all phases together, and from a step that is none.
func TestDecodeTargets(t *testing.T) {
	v := newTestDevice(t)
	random := rand.New(rand.NewPCG(8, 1))
	up := graph.Attributes{Strides: []int{2, 2}, Pads: []int{1, 1, 1, 1}}
	pointwise := decodertest.Convolution{Op: graph.Conv, Channels: 16, Height: 3, Width: 4, Outs: 3, KH: 1, KW: 1, N: 3}.Build("pointwise", random)
	pointwise.Graph.Nodes = append(pointwise.Graph.Nodes, graph.Node{Name: "twice", Op: graph.Resize, Inputs: []string{"y"}, Output: "twice",
		Attributes: graph.Attributes{Scales: []float64{2, 2}}})
	pointwise.Graph.Output = "twice"
	for _, c := range []decodertest.Case{
		pointwise,
		decodertest.Convolution{Op: graph.Conv, Channels: 16, Height: 3, Width: 4, Outs: 12, KH: 1, KW: 1, N: 3}.Build("many channels", random),
		decodertest.Convolution{Op: graph.Conv, Channels: 5, Height: 3, Width: 4, Outs: 3, KH: 3, KW: 3, N: 3}.Build("few channels", random),
		decodertest.Convolution{Op: graph.ConvTranspose, Channels: 9, Height: 3, Width: 4, Outs: 2, KH: 4, KW: 4, Attributes: up, N: 3}.Build("phases together", random),
		decodertest.Convolution{Op: graph.ConvTranspose, Channels: 9, Height: 3, Width: 4, Outs: 6, KH: 4, KW: 4, Attributes: graph.Attributes{Strides: []int{2, 2}, Group: 3}, N: 3}.Build("groups", random),
	} {
		t.Run(c.Name, func(t *testing.T) {
			d := newTestDecoder(t, v, f16, c.Graph, c.Tensors)
			planar := decodeTo[float32](t, d, c.Z, c.N, c.N, target{})
			if worst := worstOf(t, planar, c.Want(t)); !(worst <= tolerances[f16]) {
				t.Errorf("off by %.2g of the range", worst)
			}
			pixels, channels := d.shape.Pixels(), d.shape.C
			for _, layout := range []backend.Layout{backend.NCHW, backend.NHWC} {
				of := func(i int) float32 { // element i of this layout, as float32
					image, rest := i/(pixels*channels), i%(pixels*channels)
					if layout == backend.NHWC {
						rest = rest%channels*pixels + rest/channels
					}
					return planar[image*pixels*channels+rest]
				}
				out := target{layout: layout}
				for i, x := range decodeTo[float32](t, d, c.Z, c.N, c.N, out) {
					if x != of(i) {
						t.Fatalf("f32, layout %d: element %d is %v, want %v", layout, i, x, of(i))
					}
				}
				out.dtype = backend.F16
				for i, x := range decodeTo[uint16](t, d, c.Z, c.N, c.N, out) {
					if want := float16.Fromfloat32(of(i)).Bits(); x != want {
						t.Fatalf("f16, layout %d: element %d is %#x, want %#x", layout, i, x, want)
					}
				}
				out.dtype, out.low, out.high = backend.U8, -1.5, 2
				for i, x := range decodeTo[uint8](t, d, c.Z, c.N, 2, out) {
					exact := (float64(of(i)) + 1.5) / 3.5 * 255
					if want := math.Min(math.Max(exact, 0), 255); math.Abs(float64(x)-want) > 0.5001 {
						t.Fatalf("u8, layout %d: element %d is %d, want %v", layout, i, x, want)
					}
				}
			}
		})
	}
}

// TestDecodeActivations takes each function through the whole range of float32.
func TestDecodeActivations(t *testing.T) {
	v := newTestDevice(t)
	infinity := float32(math.Inf(1))
	values := []float32{0, float32(math.Copysign(0, -1)), 1e-38, 1e-7, -1e-7, 0.3, 0.62, -0.63, 5, 9.1, -9.1, 20, -20, 43, -44, 86, -87, 88,
		-89, 104, -104, 1e4, -1e4, 3.4e38, -3.4e38, infinity, -infinity}
	random := rand.New(rand.NewPCG(7, 8))
	for range 3000 {
		values = append(values, float32(random.NormFloat64()*math.Exp(4*random.NormFloat64())))
	}
	for _, op := range []string{graph.Relu, graph.LeakyRelu, graph.Silu, graph.Tanh, graph.Sigmoid, graph.Clip} {
		t.Run(op, func(t *testing.T) {
			alpha, low, high := 0.2, -0.5, 7.0
			a := graph.Attributes{}
			switch op {
			case graph.LeakyRelu:
				a.Alpha = &alpha
			case graph.Clip:
				a.Min, a.Max = &low, &high
			}
			c := decodertest.Case{N: 1, Z: values, Graph: &graph.Graph{
				Input: graph.Value{Name: "z", Shape: []int{1, 1, len(values)}}, Output: "y",
				Nodes: []graph.Node{{Name: "f", Op: op, Inputs: []string{"z"}, Output: "y", Attributes: a}},
			}}
			d := newTestDecoder(t, v, f32, c.Graph, nil)
			got := decodeF32(t, d, values, 1)
			for i, w := range c.Want(t) {
				if op == graph.Silu && values[i] == -infinity {
					w = 0 // the limit; -inf * 0 has none
				}
				if e := math.Abs(float64(got[i]) - w); float64(got[i]) != w && !(e <= 1e-6*math.Abs(w)+1e-34) {
					t.Errorf("%s(%v) is %v, want %v", op, values[i], got[i], w)
				}
			}
			nan := float32(math.NaN())
			if x := decodeF32(t, d, slices.Repeat([]float32{nan}, len(values)), 1); x[0] == x[0] {
				t.Errorf("%s(NaN) is %v", op, x[0])
			}
		})
	}
}

// TestDecodeRefuses what no device holds, and targets that do not fit.
func TestDecodeRefuses(t *testing.T) {
	v := newTestDevice(t)
	c := decodertest.EveryStep(rand.New(rand.NewPCG(1, 1)))
	d := newTestDecoder(t, v, f16, c.Graph, c.Tensors)
	for name, out := range map[string]target{
		"no memory":          {},
		"an unknown element": {address: 256, dtype: 9},
		"an unknown layout":  {address: 256, layout: 9},
		"an empty range":     {address: 256, dtype: backend.U8},
	} {
		onStream(t, v, func(q *driver.Stream) error {
			var p plan
			if err := d.launch(q, d.newScratch(&p, 1), 256, codesAt(256), 1, out); !errors.Is(err, fault.ErrInvalidArgument) {
				t.Errorf("%s: %v", name, err)
			}
			return nil
		})
	}
	// A short file can ask for activations beyond any memory: 80 values of 2^26 elements.
	huge := &graph.Graph{Input: graph.Value{Name: "z", Shape: []int{1, 1, 1}}, Output: "sum39"}
	for i := range 40 {
		last := fmt.Sprint("sum", i-1)
		if i == 0 {
			last = "grow0"
		}
		grow, sum := fmt.Sprint("grow", i), fmt.Sprint("sum", i)
		huge.Nodes = append(huge.Nodes,
			graph.Node{Name: grow, Op: graph.Resize, Inputs: []string{"z"}, Output: grow, Attributes: graph.Attributes{Scales: []float64{8192, 8192}}},
			graph.Node{Name: sum, Op: graph.Mul, Inputs: []string{grow, last}, Output: sum})
	}
	if _, err := newDecoder(v, f16, huge, nil); !errors.Is(err, fault.ErrOutOfMemory) {
		t.Errorf("80 values of 2^26 elements: %v", err)
	}
}

// TestDecodeWithoutRoom gives back what it has taken when the weights do not fit; newTestDevice counts.
func TestDecodeWithoutRoom(t *testing.T) {
	v := newTestDevice(t)
	c := decodertest.EveryStep(rand.New(rand.NewPCG(1, 1)))
	whole := newTestDecoder(t, v, f16, c.Graph, c.Tensors)
	weights := v.used
	for room := 0; room < weights; room += weights/16 + 1 {
		v.budget = weights + room
		if _, err := newDecoder(v, f16, c.Graph, c.Tensors); !errors.Is(err, fault.ErrOutOfMemory) {
			t.Errorf("room for %d of %d bytes: %v", room, weights, err)
		}
		if v.used != weights {
			t.Errorf("room for %d of %d bytes: %d bytes are left behind", room, weights, v.used-weights)
		}
	}
	v.budget = 2 * weights
	again, err := newDecoder(v, f16, c.Graph, c.Tensors)
	if err != nil {
		t.Fatal(err)
	}
	again.close()
	whole.close()
}

// The kernels' division is that of whole numbers, up to the largest that there are.
func TestDivisor(t *testing.T) {
	const most = 1<<31 - 1
	for _, number := range []int{1, 2, 3, 5, 7, 8, 9, 28, 49, 64, 100, 784, 1023, 1024, 1025, 4096, 65535, 65537, 1<<30 - 1, 1 << 30, 1<<30 + 1, most} {
		by := divisorOf(number)
		for _, whole := range []int{0, 1, 2, 3, 10, 1000, most/number - 1, most / number} {
			for _, off := range []int{-1, 0, 1, number - 1} {
				n := whole*number + off
				if n < 0 || n > most {
					continue
				}
				got := n
				if by.shift > 0 {
					got = int(uint64(n)*uint64(by.factor)>>32) >> (by.shift - 1)
				}
				if got != n/number {
					t.Fatalf("%d / %d is %d, want %d", n, number, got, n/number)
				}
			}
		}
	}
}
