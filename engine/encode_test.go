package engine

import (
	"compress/gzip"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/x448/float16"

	"brenier/engine/internal/graph"
	"brenier/engine/internal/modelfile"
	"brenier/engine/internal/realdata"
	"brenier/engine/internal/reference"
)

// withEncoder gives smallModel's kind of model an encoder of its 2x6x6 images, by a strided convolution.
func withEncoder(content *modelfile.Model) *modelfile.Model {
	r := rand.New(rand.NewPCG(3, 4))
	d, slope := content.Points.Shape[1], 0.2
	content.Encoder = &graph.Graph{
		Input: graph.Value{Name: "x", Shape: []int{2, 6, 6}}, Output: "z",
		Nodes: []graph.Node{
			{Name: "down", Op: graph.Conv, Inputs: []string{"x", "encoder.0.weight", "encoder.0.bias"}, Output: "a",
				Attributes: graph.Attributes{Strides: []int{2, 2}, Pads: []int{1, 1, 1, 1}}},
			{Name: "leaky", Op: graph.LeakyRelu, Inputs: []string{"a"}, Output: "b", Attributes: graph.Attributes{Alpha: &slope}},
			{Name: "code", Op: graph.Conv, Inputs: []string{"b", "encoder.2.weight"}, Output: "z"},
		},
	}
	content.EncoderWeights = map[string]*modelfile.Tensor{
		"encoder.0.weight": tensor(gaussians(r, 5*2*16, 0.3), 5, 2, 4, 4),
		"encoder.0.bias":   tensor(gaussians(r, 5, 0.3), 5),
		"encoder.2.weight": tensor(gaussians(r, d*5*9, 0.3), d, 5, 3, 3),
	}
	return content
}

// encodings are images in each element type and layout, all of the same values, and the codes by the
// float64 reference. The values are thirds of the range [-1,1], which bytes hold exactly.
func encodings(t *testing.T, content *modelfile.Model, n int) (images map[string]Image, want []float64) {
	t.Helper()
	r := rand.New(rand.NewPCG(5, 6))
	parts := content.Parts()
	planes, pixelwise := make([]uint8, n*pixels), make([]uint8, n*pixels)
	for i := range planes {
		planes[i] = uint8(85 * r.IntN(4))
		image, channel, pixel := i/pixels, i%pixels/36, i%36
		pixelwise[image*pixels+2*pixel+channel] = planes[i]
	}
	images = map[string]Image{}
	for layout, bytes := range map[Layout][]uint8{NCHW: planes, NHWC: pixelwise} {
		name := []string{"NCHW", "NHWC"}[layout]
		wide, half := make([]float32, len(bytes)), make([]float16.Float16, len(bytes))
		for i, b := range bytes {
			wide[i] = float32(float64(b)*2/255 - 1)
			half[i] = float16.Fromfloat32(wide[i])
		}
		images["float32 "+name] = Float32Image(wide, layout)
		images["float16 "+name] = Image{Data: unsafe.Slice((*byte)(unsafe.Pointer(&half[0])), 2*len(half)), DType: F16, Layout: layout}
		images["uint8 "+name] = Image{Data: bytes, DType: U8, Layout: layout}
	}
	for i := range n {
		x := make([]float64, pixels)
		for k := range x {
			x[k] = float64(planes[i*pixels+k])*2/255 - 1
		}
		z, err := reference.Decode(parts.Encoder, parts.EncoderTensors, x)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, z.Data...)
	}
	return images, want
}

// checkCodes compares codes with what is wanted, within a share of its range.
func checkCodes(t *testing.T, got []float32, want []float64, tolerance float64) {
	t.Helper()
	width, worst := slices.Max(want)-slices.Min(want), 0.0
	for i, w := range want {
		worst = max(worst, math.Abs(float64(got[i])-w)/width)
	}
	t.Logf("largest error %.2g of the codes' range", worst)
	if !(worst <= tolerance) {
		t.Errorf("the largest error is %v of the codes' range, want at most %v", worst, tolerance)
	}
}

func TestEncode(t *testing.T) {
	const n, d = 37, 19
	content := withEncoder(smallModel(60, d))
	m := openModel(t, Config{}, content)
	images, want := encodings(t, content, n)
	exact := make([]float32, n*d)
	if err := m.Encode(images["float32 NCHW"], exact); err != nil {
		t.Fatal(err)
	}
	for name, in := range images {
		t.Run(name, func(t *testing.T) {
			got := make([]float32, n*d)
			if err := m.Encode(in, got); err != nil {
				t.Fatal(err)
			}
			tolerance := 1e-5
			if in.DType == F16 { // of thirds, which it rounds
				tolerance = 1e-3
			} else if err := equalBits(got, exact); err != nil {
				t.Errorf("other bits than of float32 planes: %v", err)
			}
			checkCodes(t, got, want, tolerance)
		})
	}
	t.Run("one at a time and by any number of threads", func(t *testing.T) {
		for _, threads := range []int{1, 3} {
			m := openModel(t, Config{Threads: threads}, content)
			for i := range n {
				z, in := make([]float32, d), images["float32 NCHW"]
				in.Data = in.Data[4*pixels*i:]
				if err := m.Encode(in, z); err != nil {
					t.Fatal(err)
				}
				if err := equalBits(z, exact[i*d:(i+1)*d]); err != nil {
					t.Fatalf("%d threads, image %d: %v", threads, i, err)
				}
			}
		}
	})
	t.Run("a saved model encodes to the same bits", func(t *testing.T) {
		path := t.TempDir() + "/model.safetensors"
		if err := m.Save(path); err != nil {
			t.Fatal(err)
		}
		again, err := m.engine.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		z := make([]float32, n*d)
		if err := again.Encode(images["uint8 NHWC"], z); err != nil {
			t.Fatal(err)
		}
		if err := equalBits(z, exact); err != nil {
			t.Error(err)
		}
		if i := again.Info(); !i.HasEncoder || i.EncoderParameters != 5*2*16+5+d*5*9 || i.Parameters != d*7*9+7*2*16+2 {
			t.Errorf("%+v", i)
		}
	})
	t.Run("a fit keeps the decoder's encoder", func(t *testing.T) {
		fitted, err := m.engine.Fit(gaussians(rand.New(rand.NewPCG(7, 8)), 12*d, 1), d, nil,
			FitOptions{Tolerance: 0.1, SamplesMax: 1 << 16, Decoder: m})
		if err != nil {
			t.Fatal(err)
		}
		z := make([]float32, n*d)
		if err := fitted.Encode(images["uint8 NCHW"], z); err != nil {
			t.Fatal(err)
		}
		if err := equalBits(z, exact); err != nil {
			t.Error(err)
		}
	})
}

func TestEncode_refuses(t *testing.T) {
	const d = 5
	m, without := openModel(t, Config{}, withEncoder(smallModel(20, d))), openModel(t, Config{}, smallModel(20, d))
	x := make([]float32, 2*pixels)
	z := make([]float32, 2*d)
	half := make([]byte, 2*2*pixels)
	half[2*(pixels+3)+1] = 0x7c // an infinity
	with := func(i int, v float64) Image {
		values := slices.Clone(x)
		values[i] = float32(v)
		return Float32Image(values, NCHW)
	}
	for _, c := range []struct {
		name string
		m    *Model
		in   Image
		z    []float32
		kind error
		want string
	}{
		{"no encoder", without, Float32Image(x, NCHW), z, ErrUnsupported, "the model has no encoder; import one with the decoder, or encode the images elsewhere"},
		{"codes that are no rows", m, Float32Image(x, NCHW), z[1:], ErrInvalidArgument, "codes: want rows of 5, got 9 values"},
		{"too few pixels", m, Float32Image(x[1:], NCHW), z, ErrShortBuffer, "images: 2 of 288 bytes each do not fit in 572 bytes"},
		{"NaN", m, with(pixels+7, math.NaN()), z, ErrInvalidArgument, "images: element 7 of image 1 is a NaN or an infinity; want finite values"},
		{"infinity", m, with(3, math.Inf(-1)), z, ErrInvalidArgument, "images: element 3 of image 0 is a NaN or an infinity; want finite values"},
		{"infinity in float16", m, Image{Data: half, DType: F16}, z, ErrInvalidArgument, "images: element 3 of image 1 is a NaN or an infinity; want finite values"},
		{"an unknown dtype", m, Image{Data: half, DType: 9}, z, ErrInvalidArgument, "images: want dtype F32, F16 or U8, got 9"},
		{"memory of a device", m, Image{Device: DeviceMemory{4096, 1 << 20}}, z, ErrUnsupported, "images: their location is a CUDA device, and this engine runs on the CPU; give memory of the host"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := c.m.Encode(c.in, c.z); !errors.Is(err, c.kind) || err.Error() != c.want {
				t.Errorf("got %v\nwant %s", err, c.want)
			}
		})
	}
	if err := m.Encode(Image{}, nil); err != nil {
		t.Errorf("no images: %v", err)
	}
}

func TestImportDecoder_with_its_encoder(t *testing.T) {
	e := newEngine(t, Config{})
	m, images, codes := trainedDigits(t, e, 256)
	d := m.Info().Dimension
	z := make([]float32, len(codes))
	if err := m.Encode(Image{Data: images, DType: U8}, z); err != nil {
		t.Fatal(err)
	}
	want := make([]float64, len(codes))
	for i, v := range codes {
		want[i] = float64(v)
	}
	checkCodes(t, z, want, 5e-4) // the codes beside the repository are 1.7e-4 from a float64 encoding
	checkCodes(t, z[:4*d], encoded64(t, m, images[:4*28*28]), 1e-5)
	if info := m.Info(); !info.HasEncoder || d != 64 {
		t.Errorf("%+v", info)
	}
	for name, change := range map[string]func(o *DecoderImport){
		"encoder: layer 0, Conv2d(2, 64, 4): ":                           func(o *DecoderImport) { o.EncoderLayers = "Conv2d(2, 64, 4)" },
		"encoder: layer list: no layer of the 1 reads encoder.2.bias of": func(o *DecoderImport) { o.EncoderLayers = "Conv2d(1, 64, 4, 2, 1)" },
		"encoder: layer 0, Nothing(): unknown layer Nothing":             func(o *DecoderImport) { o.EncoderLayers = "Nothing()" },
	} {
		o := trainedImport(t)
		change(&o)
		if _, err := e.ImportDecoder(o); !errors.Is(err, ErrInvalidArgument) || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v\nwant %s", err, name)
		}
	}
}

// encoded64 are the codes of a model's images, bytes of [0,1], by the float64 reference.
func encoded64(t *testing.T, m *Model, images []byte) (codes []float64) {
	t.Helper()
	parts, info := m.file.Parts(), m.Info()
	for size := info.Channels * info.Height * info.Width; len(images) > 0; images = images[size:] {
		x := make([]float64, size)
		for i := range x {
			x[i] = float64(images[i]) / 255
		}
		z, err := reference.Decode(parts.Encoder, parts.EncoderTensors, x)
		if err != nil {
			t.Fatal(err)
		}
		codes = append(codes, z.Data...)
	}
	return codes
}

// trainedImport is the network trained on the digits, which lies beside the repository; its test skips
// where it does not.
func trainedImport(t *testing.T) DecoderImport {
	t.Helper()
	realdata.Open(t, "mnist_ae")
	o := DecoderImport{StateDict: realdata.Path(t, "models/mnist_ae.safetensors"), Prefix: "decoder.", Input: []int{64}, EncoderPrefix: "encoder."}
	for path, text := range map[string]*string{"mnist.layers": &o.Layers, "mnist_encoder.layers": &o.EncoderLayers} {
		data, err := os.ReadFile("internal/layers/testdata/" + path)
		if err != nil {
			t.Fatal(err)
		}
		*text = string(data)
	}
	return o
}

// trainedDigits are a model with the trained encoder, the first n training images [n,28,28], and their
// codes as PyTorch made them.
func trainedDigits(t *testing.T, e *Engine, n int) (m *Model, images []byte, codes []float32) {
	t.Helper()
	m, err := e.ImportDecoder(trainedImport(t))
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(realdata.Path(t, "data/mnist/train-images-idx3-ubyte.gz"))
	if err != nil {
		t.Skipf("no digits beside the repository: %v", err)
	}
	defer file.Close()
	unzipped, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	const header = 16 // of an IDX file of images
	images = make([]byte, header+n*28*28)
	if _, err := io.ReadFull(unzipped, images); err != nil {
		t.Fatal(err)
	}
	codes = realdata.Values(t, realdata.Open(t, "mnist_latents").Tensor("latents"))[:n*64]
	return m, images[header:], codes
}
