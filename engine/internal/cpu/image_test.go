package cpu

import (
	"math"
	"math/rand/v2"
	"testing"
	"unsafe"

	"github.com/x448/float16"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/graph"
	kernels "brenier/kernels/cpu"
)

// identity is a decoder whose image is its code, [c,h,w] in ONNX's order.
func identity(t *testing.T, pool *Pool, path kernels.Path, c, h, w int) *Network {
	g := &graph.Graph{
		Input: graph.Value{Name: "z", Shape: []int{c * h * w}}, Output: "y",
		Nodes: []graph.Node{{Name: "image", Op: graph.Reshape, Inputs: []string{"z"}, Output: "y",
			Attributes: graph.Attributes{Shape: []int{0, c, h, w}}}},
	}
	d, err := NewDecoder(pool, path, g, nil)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestImageFloat16 takes every float16 and its neighbours half way and just beside half way, and
// random bits, through the conversion; x448/float16 is the other opinion.
func TestImageFloat16(t *testing.T) {
	var values []float32
	for h := range 1 << 16 {
		v := float16.Frombits(uint16(h)).Float32()
		bits := math.Float32bits(v)
		values = append(values, v, math.Float32frombits(bits+1<<12), math.Float32frombits(bits+1<<12-1), math.Float32frombits(bits+1<<12+1))
	}
	random := rand.New(rand.NewPCG(1, 1))
	for range 1 << 16 {
		values = append(values, math.Float32frombits(random.Uint32()), float32(random.NormFloat64()*1e-6))
	}
	values = append(values, 65504, 65519.996, 65520, 65536, 1e38, -65520, 6e-8, 2.98e-8, 2.9802322e-8, 1e-45)
	onEveryPath(t, func(t *testing.T, pool *Pool, path kernels.Path) {
		d := identity(t, pool, path, 1, 1, len(values))
		got := make([]uint16, len(values))
		if err := d.Decode(d.NewScratch(1), values, 1, backend.Image{Data: unsafe.Pointer(&got[0]), DType: backend.F16}); err != nil {
			t.Fatal(err)
		}
		for i, v := range values {
			want := float16.Fromfloat32(v)
			if want.IsNaN() && float16.Frombits(got[i]).IsNaN() {
				continue
			}
			if got[i] != want.Bits() {
				t.Fatalf("%g (%08x) is %04x, want %04x", v, math.Float32bits(v), got[i], want.Bits())
			}
		}
	})
}

// TestImageBytes rounds to nearest even and clamps, over three ranges.
func TestImageBytes(t *testing.T) {
	for _, r := range []struct{ low, high float64 }{{0, 1}, {-1, 1}, {0, 255}} {
		var values []float32
		for i := -64; i <= 64+8*255; i++ { // eighths of a step, so that ties are among them
			values = append(values, float32(r.low+(r.high-r.low)*float64(i)/8/255))
		}
		values = append(values, 1e30, -1e30, positiveInfinity, negativeInfinity, float32(math.NaN()))
		onEveryPath(t, func(t *testing.T, pool *Pool, path kernels.Path) {
			d := identity(t, pool, path, 1, 1, len(values))
			got := make([]uint8, len(values))
			image := backend.Image{Data: unsafe.Pointer(&got[0]), DType: backend.U8, Low: r.low, High: r.high}
			if err := d.Decode(d.NewScratch(1), values, 1, image); err != nil {
				t.Fatal(err)
			}
			for i, v := range values {
				exact := (float64(v) - r.low) * 255 / (r.high - r.low)
				want := math.RoundToEven(min(max(exact, 0), 255))
				if math.IsNaN(exact) {
					want = 0
				}
				// The scaling is done in float32: next to a tie either neighbour is right, and on
				// one where every number is exact only the even one.
				tie := math.Abs(math.Abs(exact-math.Trunc(exact))-0.5) < 1e-4 && r.high != 255
				if e := math.Abs(float64(got[i]) - want); e > 1 || e == 1 && !tie {
					t.Errorf("%g in [%g,%g] is %d, want %v", v, r.low, r.high, got[i], want)
				}
			}
		})
	}
}

// TestImageLayouts writes an image of three channels in each order and element type.
func TestImageLayouts(t *testing.T) {
	const n, c, h, w = 3, 3, 5, 7
	random := rand.New(rand.NewPCG(1, 1))
	codes := make([]float32, n*c*h*w) // whole numbers: exact in every type
	for i := range codes {
		codes[i] = float32(random.IntN(256))
	}
	onEveryPath(t, func(t *testing.T, pool *Pool, path kernels.Path) {
		d := identity(t, pool, path, c, h, w)
		for _, layout := range []backend.Layout{backend.NCHW, backend.NHWC} {
			image := backend.Image{Layout: layout, High: 255}
			f32, f16, u8 := make([]float32, len(codes)), make([]uint16, len(codes)), make([]uint8, len(codes))
			for dtype, out := range []unsafe.Pointer{unsafe.Pointer(&f32[0]), unsafe.Pointer(&f16[0]), unsafe.Pointer(&u8[0])} {
				image.DType, image.Data = backend.DType(dtype), out
				if err := d.Decode(d.NewScratch(2), codes, n, image); err != nil {
					t.Fatal(err)
				}
			}
			for i := range codes {
				from := i
				if layout == backend.NHWC {
					sample, pixel, channel := i/(c*h*w), i%(c*h*w)/c, i%c
					from = (sample*c+channel)*h*w + pixel
				}
				want := codes[from]
				if f32[i] != want || float16.Frombits(f16[i]).Float32() != want || float32(u8[i]) != want {
					t.Fatalf("layout %d, element %d: %v, %v, %v, want %v", layout, i,
						f32[i], float16.Frombits(f16[i]).Float32(), u8[i], want)
				}
			}
		}
	})
}
