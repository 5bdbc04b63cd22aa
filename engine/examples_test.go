package engine

import (
	"encoding/json"
	"fmt"
	"math"
	"testing"

	kernels "brenier/kernels/cpu"
)

// exampleModels are the models of examples/models, and their decoders' error against the float64
// outputs of the float32 networks that they were made of: their weights are kept in float16.
var exampleModels = []struct {
	name      string
	tolerance float64
}{{"mnist", 4e-3}, {"terrain", 4e-3}}

func openExample(t testing.TB, name string, c Config) *Model {
	t.Helper()
	c.Device = "cpu"
	e, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	m, err := e.Open("../examples/models/" + name + ".safetensors")
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// golden is a tensor of testdata/golden.safetensors: what PyTorch made of the example models' networks in
// float64; testdata/make_golden.py is how.
func golden(t *testing.T, name string) []float32 {
	t.Helper()
	values, _, err := ReadTensor("testdata/golden.safetensors", name)
	if err != nil {
		t.Fatal(err)
	}
	return values
}

// decodes compares a model's images of codes with what they should be, within an absolute error.
func decodes(t *testing.T, m *Model, codes, want []float32, tolerance float64) {
	t.Helper()
	got := make([]float32, len(want))
	if err := m.Decode(codes, Float32Image(got, NCHW)); err != nil {
		t.Fatal(err)
	}
	worst := 0.0
	for i, v := range got {
		worst = max(worst, math.Abs(float64(v)-float64(want[i])))
	}
	t.Logf("largest error %.2g", worst)
	if !(worst <= tolerance) {
		t.Errorf("largest error %v, want at most %v", worst, tolerance)
	}
}

// encodes compares a model's codes of images with what they should be, within a share of their range.
func encodes(t *testing.T, m *Model, images, want []float32, tolerance float64) {
	t.Helper()
	got := make([]float32, len(want))
	if err := m.Encode(Float32Image(images, NCHW), got); err != nil {
		t.Fatal(err)
	}
	wide := make([]float64, len(want))
	for i, v := range want {
		wide[i] = float64(v)
	}
	checkCodes(t, got, wide, tolerance)
}

func TestExampleModelsDecodeTheirGoldenCodes(t *testing.T) {
	for _, example := range exampleModels {
		for _, path := range kernels.Paths() {
			t.Run(example.name+"/"+path.String(), func(t *testing.T) {
				m := openExample(t, example.name, Config{Path: path.String()})
				decodes(t, m, golden(t, example.name+".z"), golden(t, example.name+".x"), example.tolerance)
			})
		}
	}
}

// The digits' networks were trained here, and PyTorch has them with the very weights that the model file
// keeps: to those the engine is as near as float32 is allowed to be, to the networks in float32 as near as
// float16 keeps them.
func TestExampleModelOfDigitsIsAsPyTorchHasIt(t *testing.T) {
	for _, path := range kernels.Paths() {
		t.Run(path.String(), func(t *testing.T) {
			m := openExample(t, "mnist", Config{Path: path.String()})
			decodes(t, m, golden(t, "mnist.z"), golden(t, "mnist.kept.x"), 1e-5)
			encodes(t, m, golden(t, "mnist.images"), golden(t, "mnist.kept.z"), 1e-5)
			encodes(t, m, golden(t, "mnist.images"), golden(t, "mnist.z"), 2e-3)
		})
	}
}

// A million samples that neither the fit nor its certificate drew must give the chi-squared that
// the certificate states, within the sampling errors of both.
func TestExampleModelsKeepTheirCertificate(t *testing.T) {
	const samples = 1_000_000
	for _, example := range exampleModels {
		t.Run(example.name, func(t *testing.T) {
			m := openExample(t, example.name, Config{})
			info := m.Info()
			var metadata struct {
				Fit struct {
					Chi2      float64 `json:"chi2"`
					Chi2Error float64 `json:"chi2_error"`
				} `json:"fit"`
			}
			if err := json.Unmarshal([]byte(info.Metadata), &metadata); err != nil {
				t.Fatal(err)
			}
			counts := make([]float64, info.Points)
			const block = 50_000
			x, cells := make([]float32, block*info.Dimension), make([]int64, block)
			for first := 0; first < samples; first += block {
				if err := m.Noise(x, 987654321, uint64(first)); err != nil {
					t.Fatal(err)
				}
				if err := m.Locate(x, 1, cells, nil); err != nil {
					t.Fatal(err)
				}
				for _, c := range cells {
					counts[c]++
				}
			}
			// The unbiased estimate of sum_i (m_i - 1/N)^2 N, and its deviation where that is small.
			n, pairs := float64(info.Points), 0.0
			for _, c := range counts {
				pairs += c * (c - 1)
			}
			chi2 := n*pairs/(samples*(samples-1)) - 1
			deviation := math.Sqrt(2*n) / samples
			fit := metadata.Fit
			t.Logf("chi-squared %.3g +- %.1g; the certificate says %.3g +- %.1g", chi2, deviation, fit.Chi2, fit.Chi2Error)
			if limit := 4 * math.Hypot(deviation, fit.Chi2Error); math.Abs(chi2-fit.Chi2) > limit {
				t.Errorf("chi-squared %v, certificate %v: further apart than %v", chi2, fit.Chi2, limit)
			}
		})
	}
}

func TestExampleModelsGiveTheSameCodesOnEveryPath(t *testing.T) {
	const samples = 64
	for _, example := range exampleModels {
		var want []float32
		for _, path := range kernels.Paths() {
			t.Run(example.name+"/"+path.String(), func(t *testing.T) {
				m := openExample(t, example.name, Config{Path: path.String()})
				z := make([]float32, samples*m.Info().Dimension)
				if err := m.Codes(z, 1, 0, Extension{}); err != nil {
					t.Fatal(err)
				}
				if want == nil {
					want = z
				}
				if err := equalBits(z, want); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

func BenchmarkGenerate(b *testing.B) {
	for _, example := range exampleModels {
		for _, n := range []int{1, 64} {
			b.Run(fmt.Sprintf("model=%s/n=%d", example.name, n), func(b *testing.B) {
				m := openExample(b, example.name, Config{})
				info := m.Info()
				out := Float32Image(make([]float32, n*info.Channels*info.Height*info.Width), NCHW)
				for b.Loop() {
					if err := m.Generate(n, 1, 0, Extension{}, out); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*n), "us/image")
			})
		}
	}
}
