//go:build cuda

package cuda

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/x448/float16"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/cuda/driver"
	"brenier/engine/internal/decodertest"
	"brenier/engine/internal/fault"
	"brenier/engine/internal/graph"
)

// encodeFrom encodes n images of T in one call, with scratch for `batch` of them.
func encodeFrom[T any](t testing.TB, d *network, images []T, n, batch int, from target) []float32 {
	t.Helper()
	var p plan
	s := d.newScratch(&p, batch)
	base := scratchOn(t, d.v, p.bytes)
	from.address = onDevice(t, d.v, images)
	codes := onDevice(t, d.v, make([]float32, n*d.elements()))
	onStream(t, d.v, func(q *driver.Stream) error { return d.launch(q, s, base, from, n, codesAt(codes)) })
	return fromDevice[float32](t, d.v, codes, n*d.elements())
}

// TestEncodeNetworks holds encoders against the float64 reference, in each element type of activations and
// each of images, and by one image at a time.
func TestEncodeNetworks(t *testing.T) {
	v := newTestDevice(t)
	for i, c := range decodertest.Encoders() {
		t.Run(c.Name, func(t *testing.T) {
			want := c.Want(t)
			elements := map[element]float64{f16: 2e-3, f32: 1e-5}
			if i < 9 {
				elements[bf16] = 1.6e-2
			}
			for e, tolerance := range elements {
				d, err := newEncoder(v, e, c.Graph, c.Tensors)
				if err != nil {
					t.Fatal(err)
				}
				defer d.close()
				got := encodeFrom(t, d, c.Z, c.N, c.N, target{})
				if worst := worstOf(t, got, want); !(worst <= tolerance) {
					t.Errorf("%v: the largest error is %.2g of the range, want at most %g", e, worst, tolerance)
				}
				if !slices.Equal(encodeFrom(t, d, c.Z, c.N, 1, target{}), got) {
					t.Errorf("%v: one image at a time gives other bits", e)
				}
			}
			if i > 9 {
				return
			}
			// The same images in other orders and element types, of values that each of them holds.
			shape := c.Graph.Input.Shape
			size, pixels := len(c.Z)/c.N, shape[1]*shape[2]
			d, err := newEncoder(v, f16, c.Graph, c.Tensors)
			if err != nil {
				t.Fatal(err)
			}
			defer d.close()
			whole := make([]float32, len(c.Z))
			for k, x := range c.Z {
				whole[k] = float32(math.Round(float64(x) * 127))
			}
			same := encodeFrom(t, d, whole, c.N, c.N, target{})
			for _, layout := range []backend.Layout{backend.NCHW, backend.NHWC} {
				f32s, f16s, u8s := make([]float32, len(whole)), make([]uint16, len(whole)), make([]uint8, len(whole))
				for k, x := range whole {
					to := k
					if layout == backend.NHWC {
						image, channel, pixel := k/size, k%size/pixels, k%pixels
						to = image*size + pixel*shape[0] + channel
					}
					f32s[to], f16s[to], u8s[to] = x, float16.Fromfloat32(x).Bits(), uint8(x+127)
				}
				if !slices.Equal(encodeFrom(t, d, f32s, c.N, c.N, target{layout: layout}), same) {
					t.Errorf("float32, layout %d: other bits", layout)
				}
				if !slices.Equal(encodeFrom(t, d, f16s, c.N, c.N, target{layout: layout, dtype: backend.F16}), same) {
					t.Errorf("float16, layout %d: other bits", layout)
				}
				if !slices.Equal(encodeFrom(t, d, u8s, c.N, c.N, target{layout: layout, dtype: backend.U8, low: -127, high: 128}), same) {
					t.Errorf("bytes, layout %d: other bits", layout)
				}
			}
		})
	}
}

// encodingParts are testParts with an encoder.
func encodingParts(n, d int) backend.Parts {
	p := testParts(n, d)
	p.Encoder = &graph.Graph{
		Input: graph.Value{Name: "x", Shape: []int{2, 6, 6}}, Output: "z",
		Nodes: []graph.Node{
			{Name: "down", Op: graph.Conv, Inputs: []string{"x", "encoder.0.weight"}, Output: "a", Attributes: graph.Attributes{Strides: []int{2, 2}}},
			{Name: "flat", Op: graph.Flatten, Inputs: []string{"a"}, Output: "b"},
			{Name: "code", Op: graph.Gemm, Inputs: []string{"b", "encoder.2.weight"}, Output: "z"},
		},
	}
	random := rand.New(rand.NewPCG(3, 4))
	p.EncoderTensors = map[string]backend.Tensor{
		"encoder.0.weight": {Shape: []int{5, 2, 3, 3}, Data: decodertest.Uniform(random, 5*2*9)},
		"encoder.2.weight": {Shape: []int{20, d}, Data: decodertest.Uniform(random, 20*d)},
	}
	return p
}

// TestEncodeMemory reads images from memory of every kind, in rounds where they have to be copied, and
// leaves the codes where decode finds them. Nothing is allocated once a workspace is there.
func TestEncodeMemory(t *testing.T) {
	const n, d = 50, 11
	p := encodingParts(30, d)
	x := decodertest.Uniform(rand.New(rand.NewPCG(5, 6)), n*testPixels)
	onCPU := onProcessor(t, p, n, 32)
	if err := onCPU.Encode(n, hostImage(x, backend.NCHW)); err != nil {
		t.Fatal(err)
	}
	exact := make([]float32, n*d)
	if err := onCPU.GetCodes(exact); err != nil {
		t.Fatal(err)
	}
	wide := make([]float64, len(exact))
	for i, v := range exact {
		wide[i] = float64(v)
	}

	caller := newTestDevice(t)
	place := onDevice(t, caller, x)
	var pinned unsafe.Pointer
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(caller.do(func() (err error) { pinned, err = caller.ctx.AllocPinned(4 * len(x)); return err }))
	t.Cleanup(func() { check(caller.do(func() error { return caller.ctx.FreePinned(pinned) })) })
	copy(unsafe.Slice((*float32)(pinned), len(x)), x)
	var q *driver.Stream
	check(caller.do(func() (err error) { q, err = caller.ctx.NewStream(); return err }))
	t.Cleanup(func() { check(caller.do(q.Destroy)) })

	host := hostImage(x, backend.NCHW)
	device, locked := host, host
	device.Data, device.Address = nil, uint64(place)
	locked.Data = pinned
	var first []float32
	for _, c := range []struct {
		name           string
		in             backend.Image
		batch, staging int
		stream         uintptr
	}{
		{"host", host, n, 1 << 20, 0},
		{"host, in rounds", host, 7, 1 << 20, 0},
		{"host, in rounds that are not staged", host, 16, 256, 0},
		{"pinned", locked, n, 1 << 20, 0},
		{"device", device, n, 1 << 20, 0},
		{"device, on the caller's stream", device, n, 1 << 20, q.Handle()},
		{"host, on the caller's stream", host, 7, 1 << 20, q.Handle()},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := openTestBackend(t, func(config *Config) {
				config.SkipSelfCheck = true
				if config.Stream = c.stream; c.stream != 0 {
					config.Context = caller.ctx.Handle()
				}
			})
			w := newWorkspace(t, prepare(t, b, p), n, 32)
			w.(*workspace).imagesBatch = c.batch
			w.(*workspace).staging = w.(*workspace).staging[:min(c.staging, len(w.(*workspace).staging))]
			z := make([]float32, n*d)
			encode := func() {
				check(w.Encode(n, c.in))
				check(w.GetCodes(z))
			}
			if allocated := testing.AllocsPerRun(5, encode); allocated != 0 {
				t.Errorf("%v allocations", allocated)
			}
			if worst := worstOf(t, z, wide); !(worst <= 2e-3) {
				t.Errorf("the largest error is %.2g of the range", worst)
			}
			if first == nil {
				first = z
			} else if !slices.Equal(z, first) {
				t.Error("other bits than of the host's images in one round")
			}
			// Codes that encode leaves are those that decode takes.
			images, again := make([]float32, n*testPixels), make([]float32, n*testPixels)
			check(w.Encode(n, c.in))
			check(w.Decode(n, hostImage(images, backend.NCHW)))
			check(w.PutCodes(z))
			check(w.Decode(n, hostImage(again, backend.NCHW)))
			if !slices.Equal(images, again) {
				t.Error("decode makes other images of the codes where they are")
			}
		})
	}
	b := openTestBackend(t, nil)
	w := newWorkspace(t, prepare(t, b, p), n, 32)
	for name, in := range map[string]backend.Image{
		"no memory of a CUDA device": {Address: uint64(uintptr(unsafe.Pointer(&x[0])))},
		"given as the host's":        {Data: hostPointer(place)},
	} {
		if err := w.Encode(1, in); !errors.Is(err, fault.ErrInvalidArgument) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
