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

func TestExampleModelsDecodeTheirGoldenCodes(t *testing.T) {
	for _, example := range exampleModels {
		for _, path := range kernels.Paths() {
			t.Run(example.name+"/"+path.String(), func(t *testing.T) {
				m := openExample(t, example.name, Config{Path: path.String()})
				z, _, err := ReadTensor("testdata/golden.safetensors", example.name+".z")
				if err != nil {
					t.Fatal(err)
				}
				want, _, err := ReadTensor("testdata/golden.safetensors", example.name+".x")
				if err != nil {
					t.Fatal(err)
				}
				got := make([]float32, len(want))
				if err := m.Decode(z, Float32Image(got, NCHW)); err != nil {
					t.Fatal(err)
				}
				worst := 0.0
				for i := range want {
					worst = max(worst, math.Abs(float64(got[i])-float64(want[i])))
				}
				t.Logf("largest error %.2g", worst)
				if !(worst <= example.tolerance) {
					t.Errorf("largest error %v, want at most %v", worst, example.tolerance)
				}
			})
		}
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
