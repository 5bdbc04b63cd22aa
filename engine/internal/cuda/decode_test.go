//go:build cuda

package cuda

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/cuda/driver"
	"brenier/engine/internal/decodertest"
	"brenier/engine/internal/graph"
)

// newTestDecoder makes a decoder until the test ends.
func newTestDecoder(t testing.TB, v *device, e element, g *graph.Graph, tensors map[string]backend.Tensor) *decoder {
	t.Helper()
	d, err := newDecoderOf(v, e, g, tensors)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.close)
	return d
}

// decodeTo decodes codes z [n,dim] in one call, with scratch for `batch` images, to elements of T.
func decodeTo[T any](t testing.TB, d *decoder, z []float32, n, batch int, out target) []T {
	t.Helper()
	var p plan
	s := d.newScratch(&p, batch)
	base := scratchOn(t, d.v, p.bytes)
	var one [1]T
	_ = one
	memory := onDevice(t, d.v, make([]T, n*d.elements()))
	codes := onDevice(t, d.v, z)
	out.address = memory
	onStream(t, d.v, func(q *driver.Stream) error { return d.launch(q, s, base, codes, n, out) })
	return fromDevice[T](t, d.v, memory, n*d.elements())
}

// decodeF32 decodes to [n,C,H,W] float32.
func decodeF32(t testing.TB, d *decoder, z []float32, n int) []float32 {
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

// TestDecodeTrained holds trained decoders against their outputs in float64.
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
			d := newTestDecoder(t, v, f16, g, tensors)
			want := make([]float64, n*d.elements())
			for i := range want {
				want[i] = float64(x[i])
			}
			worst := worstOf(t, decodeF32(t, d, z[:n*d.dim], n), want)
			if !(worst <= tolerances[f16]) {
				t.Errorf("off by %.2g of the range, want at most %.2g", worst, tolerances[f16])
			}
			t.Logf("off by %.2g of the range; kernels %v", worst, d.kernels())
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
