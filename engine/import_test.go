package engine

import (
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"brenier/engine/internal/safetensors"
)

// writeState writes a state dict of float32 tensors and returns its path.
func writeState(t *testing.T, arrays ...safetensors.Array) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "state.safetensors")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := safetensors.Write(file, nil, arrays); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestImportDecoder(t *testing.T) {
	const d, c, h, w = 3, 2, 2, 4
	r := rand.New(rand.NewPCG(5, 6))
	weight, bias := gaussians(r, c*h*w*d, 1), gaussians(r, c*h*w, 1)
	state := writeState(t,
		safetensors.Array{Name: "decoder.0.bias", DType: safetensors.F32, Shape: []int{c * h * w}, Values: bias},
		safetensors.Array{Name: "decoder.0.weight", DType: safetensors.F32, Shape: []int{c * h * w, d}, Values: weight},
		safetensors.Array{Name: "encoder.0.weight", DType: safetensors.F32, Shape: []int{1}, Values: []float32{1}},
	)
	good := DecoderImport{StateDict: state, Prefix: "decoder.", Layers: "Linear(3, 16)\nUnflatten(1, (2, 2, 4))\nTanh()\n", Input: []int{d}}
	e := newEngine(t, Config{})

	t.Run("the images are those of the layers", func(t *testing.T) {
		for _, dtype := range []DType{F32, F16} {
			o := good
			o.Weights = dtype
			m, err := e.ImportDecoder(o)
			if err != nil {
				t.Fatal(err)
			}
			if i := m.Info(); i.Channels != c || i.Height != h || i.Width != w || i.Low != -1 || i.High != 1 || i.Points != 0 {
				t.Errorf("%+v", i)
			}
			z := []float32{0.5, -1, 2}
			images := make([]float32, c*h*w)
			if err := m.Decode(z, Float32Image(images, NCHW)); err != nil {
				t.Fatal(err)
			}
			allowed := map[DType]float64{F32: 1e-5, F16: 4e-3}[dtype]
			for i, got := range images {
				sum := float64(bias[i])
				for k, v := range z {
					sum += float64(weight[i*d+k]) * float64(v)
				}
				if want := math.Tanh(sum); math.Abs(float64(got)-want) > allowed {
					t.Errorf("weights %v: value %d is %v, want %v", dtype, i, got, want)
				}
			}
		}
	})
	t.Run("a range that is given holds", func(t *testing.T) {
		o := good
		o.Layers = "Linear(3, 16)\nUnflatten(1, (2, 2, 4))\n"
		o.Range = [2]float64{-3, 5}
		m, err := e.ImportDecoder(o)
		if err != nil {
			t.Fatal(err)
		}
		if i := m.Info(); i.Low != -3 || i.High != 5 {
			t.Errorf("%+v", i)
		}
	})
	for name, c := range map[string]struct {
		change func(o *DecoderImport)
		kind   error
		says   string
	}{
		"no file":         {func(o *DecoderImport) { o.StateDict += "x" }, ErrIO, "state.safetensorsx"},
		"no layers":       {func(o *DecoderImport) { o.Layers = "" }, ErrInvalidArgument, "layer"},
		"unknown layer":   {func(o *DecoderImport) { o.Layers = "Softmax2d()" }, ErrInvalidArgument, "layer 0, Softmax2d(): unknown layer"},
		"wrong prefix":    {func(o *DecoderImport) { o.Prefix = "net." }, ErrInvalidArgument, "lacks its weight"},
		"no image":        {func(o *DecoderImport) { o.Layers = "Linear(3, 16)\nTanh()" }, ErrInvalidArgument, "[16]"},
		"unknown range":   {func(o *DecoderImport) { o.Layers = "Linear(3, 16)\nUnflatten(1, (2, 2, 4))" }, ErrInvalidArgument, "say what range"},
		"range reversed":  {func(o *DecoderImport) { o.Range = [2]float64{1, 0} }, ErrInvalidArgument, "the lower first, got 1 and 0"},
		"weights dtype":   {func(o *DecoderImport) { o.Weights = U8 }, ErrInvalidArgument, "F32 or F16"},
		"other dimension": {func(o *DecoderImport) { o.Input = []int{4} }, ErrInvalidArgument, "layer 0"},
	} {
		t.Run(name, func(t *testing.T) {
			o := good
			c.change(&o)
			if _, err := e.ImportDecoder(o); !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v, want %q", err, c.says)
			}
		})
	}
}

// Normalisations without a scale and a shift of their own: what the encoders of brenier train end with, and
// a group normalisation.
func TestImportNormalisationsWithoutWeights(t *testing.T) {
	const d, c, h, w = 3, 4, 2, 2
	r := rand.New(rand.NewPCG(7, 8))
	array := func(name string, values []float32, shape ...int) safetensors.Array {
		return safetensors.Array{Name: name, DType: safetensors.F32, Shape: shape, Values: values}
	}
	out, in := gaussians(r, c*h*w*d, 1), gaussians(r, d*c*h*w, 1)
	mean, variance := []float32{0.5, -1, 2}, []float32{0.25, 4, 1}
	state := writeState(t,
		array("decoder.0.weight", out, c*h*w, d), array("encoder.1.weight", in, d, c*h*w),
		array("encoder.2.running_mean", mean, d), array("encoder.2.running_var", variance, d))
	m, err := newEngine(t, Config{}).ImportDecoder(DecoderImport{
		StateDict: state, Prefix: "decoder.", Input: []int{d}, Range: [2]float64{-4, 4}, Weights: F16,
		Layers:        "Linear(3, 16, bias=False)\nUnflatten(1, (4, 2, 2))\nGroupNorm(2, 4, eps=0.001, affine=False)",
		EncoderPrefix: "encoder.",
		EncoderLayers: "Flatten()\nLinear(16, 3, bias=False)\nBatchNorm1d(3, eps=0.5, momentum=0.1, affine=False, track_running_stats=True)",
	})
	if err != nil {
		t.Fatal(err)
	}
	z := []float32{1, -0.5, 0.25}
	image, code := make([]float32, c*h*w), make([]float32, d)
	if err := m.Decode(z, Float32Image(image, NCHW)); err != nil {
		t.Fatal(err)
	}
	for group := range 2 {
		const size = c * h * w / 2
		var values [size]float64
		sum, squares := 0.0, 0.0
		for i := range size {
			for k, v := range z {
				values[i] += float64(out[(group*size+i)*d+k]) * float64(v)
			}
			sum += values[i] / size
			squares += values[i] * values[i] / size
		}
		for i, v := range values {
			if want := (v - sum) / math.Sqrt(squares-sum*sum+0.001); math.Abs(float64(image[group*size+i])-want) > 4e-3 {
				t.Errorf("group %d, value %d is %v, want %v", group, i, image[group*size+i], want)
			}
		}
	}
	if err := m.Encode(Float32Image(image, NCHW), code); err != nil {
		t.Fatal(err)
	}
	for k := range d {
		sum := 0.0
		for i, v := range image {
			sum += float64(in[k*c*h*w+i]) * float64(v)
		}
		if want := (sum - float64(mean[k])) / math.Sqrt(float64(variance[k])+0.5); math.Abs(float64(code[k])-want) > 1e-2 {
			t.Errorf("code %d is %v, want %v", k, code[k], want)
		}
	}
}

func TestReadTensor(t *testing.T) {
	two := writeState(t,
		safetensors.Array{Name: "a", DType: safetensors.F16, Shape: []int{2, 1}, Values: []float32{1, 2}},
		safetensors.Array{Name: "b", DType: safetensors.F32, Shape: []int{1}, Values: []float32{3}},
	)
	values, shape, err := ReadTensor(two, "a")
	if err != nil || !slices.Equal(values, []float32{1, 2}) || !slices.Equal(shape, []int{2, 1}) {
		t.Errorf("%v %v %v", values, shape, err)
	}
	if _, _, err := ReadTensor(two, ""); !errors.Is(err, ErrInvalidArgument) || !strings.Contains(err.Error(), "2 tensors") {
		t.Error(err)
	}
	if _, _, err := ReadTensor(two, "c"); !errors.Is(err, ErrInvalidArgument) || !strings.Contains(err.Error(), `no tensor "c"`) {
		t.Error(err)
	}
	one := writeState(t, safetensors.Array{Name: "x", DType: safetensors.F32, Shape: []int{1}, Values: []float32{7}})
	if values, _, err := ReadTensor(one, ""); err != nil || values[0] != 7 {
		t.Error(values, err)
	}
	if _, _, err := ReadTensor(one+".not", ""); !errors.Is(err, ErrIO) {
		t.Error(err)
	}
}
