package cpu

import (
	"errors"
	"math"
	"slices"
	"testing"
	"unsafe"

	"github.com/x448/float16"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/decodertest"
	"brenier/engine/internal/fault"
	"brenier/engine/internal/graph"
	kernels "brenier/kernels/cpu"
)

// encodeF32 encodes images [n,C,H,W] float32.
func encodeF32(t testing.TB, d *Network, s *NetworkScratch, x []float32, n int) []float32 {
	t.Helper()
	z := make([]float32, n*d.shape.Size())
	if err := d.Encode(s, backend.Image{Data: unsafe.Pointer(&x[0])}, n, z); err != nil {
		t.Fatal(err)
	}
	return z
}

// TestEncodeNetworks holds every kind of encoder against the float64 reference, 1e-5 of the codes' range,
// and takes the images in every batch and by every number of threads: the bits are the same.
func TestEncodeNetworks(t *testing.T) {
	cases := decodertest.Encoders()
	onEveryPath(t, func(t *testing.T, pool *Pool, path kernels.Path) {
		other := NewPool(3)
		defer other.Close()
		for _, c := range cases {
			t.Run(c.Name, func(t *testing.T) {
				d, err := NewEncoder(pool, path, c.Graph, c.Tensors)
				if err != nil {
					t.Fatal(err)
				}
				got, want := encodeF32(t, d, d.NewScratch(c.N), c.Z, c.N), c.Want(t)
				if len(got) != len(want) {
					t.Fatalf("%d elements, want %d", len(got), len(want))
				}
				low, high := slices.Min(want), slices.Max(want)
				for i, v := range want {
					if e := math.Abs(float64(got[i]) - v); !(e <= 1e-5*(high-low)) {
						t.Fatalf("element %d is %v, want %v", i, got[i], v)
					}
				}
				if d, err = NewEncoder(other, path, c.Graph, c.Tensors); err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(encodeF32(t, d, d.NewScratch(2), c.Z, c.N), got) {
					t.Error("other threads and chunks of 2 images give other bits")
				}
				size, dim := len(c.Z)/c.N, len(want)/c.N
				for i := range c.N {
					if !slices.Equal(encodeF32(t, d, d.NewScratch(1), c.Z[i*size:(i+1)*size], 1), got[i*dim:(i+1)*dim]) {
						t.Errorf("image %d alone has other bits", i)
					}
				}
			})
		}
	})
}

// TestEncodePixels gives one batch in every element type and layout; whole numbers are the same in each.
func TestEncodePixels(t *testing.T) {
	const n, c, h, w, low, high = 7, 3, 5, 4, -255, 255
	flat := &graph.Graph{Input: graph.Value{Name: "x", Shape: []int{c, h, w}}, Output: "z",
		Nodes: []graph.Node{{Name: "flat", Op: graph.Flatten, Inputs: []string{"x"}, Output: "z"}}}
	pool := NewPool(2)
	defer pool.Close()
	d, err := NewEncoder(pool, kernels.Best(), flat, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := d.NewScratch(2)
	want := make([]float32, n*c*h*w)
	for i := range want {
		want[i] = float32(low + 2*(i*37%256))
	}
	for _, layout := range []backend.Layout{backend.NCHW, backend.NHWC} {
		f32, f16, u8 := make([]float32, len(want)), make([]uint16, len(want)), make([]uint8, len(want))
		for i, v := range want {
			to := i
			if layout == backend.NHWC {
				image, channel, pixel := i/(c*h*w), i%(c*h*w)/(h*w), i%(h*w)
				to = (image*h*w+pixel)*c + channel
			}
			f32[to], f16[to], u8[to] = v, float16.Fromfloat32(v).Bits(), uint8((v-low)/2)
		}
		for dtype, data := range []unsafe.Pointer{unsafe.Pointer(&f32[0]), unsafe.Pointer(&f16[0]), unsafe.Pointer(&u8[0])} {
			in := backend.Image{Data: data, DType: backend.DType(dtype), Layout: layout, Low: low, High: high}
			got := make([]float32, len(want))
			if allocated := testing.AllocsPerRun(20, func() { err = d.Encode(s, in, n, got) }); err != nil || allocated != 0 {
				t.Errorf("element type %d, layout %d: %v, %v allocations a call", dtype, layout, err, allocated)
			}
			if !slices.Equal(got, want) {
				t.Errorf("element type %d, layout %d: got %v, want %v", dtype, layout, got[:8], want[:8])
			}
		}
	}
	room := make([]float32, len(want))
	data := unsafe.Pointer(&room[0])
	for name, in := range map[string]backend.Image{
		"no memory":          {},
		"an unknown element": {Data: data, DType: 9},
		"an unknown layout":  {Data: data, Layout: 9},
		"an empty range":     {Data: data, DType: backend.U8},
	} {
		if err := d.Encode(s, in, 1, room); !errors.Is(err, fault.ErrInvalidArgument) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := d.Encode(s, backend.Image{Data: data}, n, room[1:]); !errors.Is(err, fault.ErrInvalidArgument) {
		t.Errorf("codes that do not fit: %v", err)
	}
}
