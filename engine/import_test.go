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
