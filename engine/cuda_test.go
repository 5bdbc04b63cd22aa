//go:build cuda

package engine

import (
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/cuda/double"
	"brenier/engine/internal/fit"
	"brenier/engine/internal/modelfile"
	"brenier/engine/internal/reference"
)

// newCUDA makes an engine on the driver's double or what else BRENIER_CUDA_DRIVER names, or the
// machine's own GPU, until the test ends; it skips the test where there is neither.
func newCUDA(t testing.TB, c Config) *Engine {
	t.Helper()
	c.Device = "cuda"
	e, err := New(c)
	if errors.Is(err, ErrDevice) && os.Getenv("BRENIER_CUDA_DRIVER") == "" {
		t.Skipf("no GPU, and BRENIER_CUDA_DRIVER does not name the driver's double: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Errorf("closing the engine: %v", err)
		}
	})
	return e
}

func openOn(t testing.TB, e *Engine, content *modelfile.Model) *Model {
	t.Helper()
	data, err := modelfile.Encode(content)
	if err != nil {
		t.Fatal(err)
	}
	m, err := e.OpenBytes(data)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// The example models make the same codes as on the CPU, bit for bit, and decode the golden codes
// within what float16 is allowed.
func TestCUDAExampleModels(t *testing.T) {
	e := newCUDA(t, Config{})
	for _, example := range exampleModels {
		t.Run(example.name, func(t *testing.T) {
			m, err := e.Open("../examples/models/" + example.name + ".safetensors")
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			kernels, notes := m.Kernels()
			t.Logf("kernels %v, notes %q", kernels, notes)
			if len(kernels) < 2 || len(notes) != 0 {
				t.Errorf("got kernels %v and notes %q; want one for locate and each step, and no notes", kernels, notes)
			}
			const n = 24
			d := m.Info().Dimension
			got, want := make([]float32, n*d), make([]float32, n*d)
			if err := m.Codes(got, 3, 1<<40, Extension{}); err != nil {
				t.Fatal(err)
			}
			if err := openExample(t, example.name, Config{}).Codes(want, 3, 1<<40, Extension{}); err != nil {
				t.Fatal(err)
			}
			if err := equalBits(got, want); err != nil {
				t.Errorf("codes: %v", err)
			}

			const images = 2 // of the double's patience
			info := m.Info()
			width, size := info.High-info.Low, info.Channels*info.Height*info.Width
			z, x := golden(t, example.name+".z"), golden(t, example.name+".x")
			// The golden is of weights that the file rounded to float16, too.
			decodes(t, m, z[:images*d], x[:images*size], 2e-3*width+example.tolerance)
			if example.name != "mnist" {
				return
			}
			decodes(t, m, z[:images*d], golden(t, "mnist.kept.x")[:images*size], 2e-3*width)
			encodes(t, m, golden(t, "mnist.images")[:images*size], golden(t, "mnist.kept.z")[:images*d], 2e-3)
		})
	}
}

// Each precision is as near to float64 as it says, by kernels of that type, whether codes are given or
// made; on a card that the tensor cores' kernels are not for, by the plain ones.
func TestCUDAPrecision(t *testing.T) {
	const n, d, samples = 60, 19, 40
	content := smallModel(n, d)
	newCUDA(t, Config{})
	codes := make([]float32, samples*d)
	if err := openModel(t, Config{}, content).Codes(codes, 5, 0, Extension{}); err != nil {
		t.Fatal(err)
	}
	weights := map[string]backend.Tensor{}
	for name, w := range content.Weights {
		weights[name] = backend.Tensor{Shape: w.Shape, Data: w.Data}
	}
	var want []float64
	for i := range samples {
		z := make([]float64, d)
		for k := range z {
			z[k] = float64(codes[i*d+k])
		}
		image, err := reference.Decode(content.Graph, weights, z)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, image.Data...)
	}
	capabilities := []string{""}
	if double.Present() {
		capabilities = append(capabilities, "75")
	}
	for _, capability := range capabilities {
		for _, c := range []struct {
			precision, kernel, plain string
			within                   float64
		}{
			{"", "conv_mma_f16", "conv_plain_f16", 2e-3},
			{"f16", "conv_mma_f16", "conv_plain_f16", 2e-3},
			{"bf16", "conv_mma_bf16", "conv_plain_bf16", 1.6e-2},
			{"f32", "conv_plain_f32", "conv_plain_f32", 1e-5},
		} {
			t.Run(fmt.Sprintf("precision=%s/capability=%s", c.precision, capability), func(t *testing.T) {
				if capability != "" {
					if err := double.Configure("capability", capability); err != nil {
						t.Fatal(err)
					}
					t.Cleanup(func() { double.Configure("capability", "") })
					c.kernel = c.plain
				}
				m := openOn(t, newCUDA(t, Config{CUDA: CUDAConfig{Precision: c.precision}}), content)
				kernels, notes := m.Kernels()
				for _, k := range kernels {
					if (k.Part == "up" || k.Part == "out") && !strings.Contains(k.Name, c.kernel) {
						t.Errorf("%s is done by %s, want %s", k.Part, k.Name, c.kernel)
					}
				}
				if len(notes) != 0 {
					t.Errorf("notes %q", notes)
				}
				decoded, generated := make([]float32, samples*pixels), make([]float32, samples*pixels)
				if err := m.Decode(codes, Float32Image(decoded, NCHW)); err != nil {
					t.Fatal(err)
				}
				worst := 0.0
				for i, w := range want {
					worst = max(worst, math.Abs(float64(decoded[i])-w)/2) // of [-1,1]
				}
				t.Logf("largest error %.2g of the range", worst)
				if !(worst <= c.within) {
					t.Errorf("largest error %.2g of the range, want at most %.2g", worst, c.within)
				}
				if err := m.Generate(samples, 5, 0, Extension{}, Float32Image(generated, NCHW)); err != nil {
					t.Fatal(err)
				}
				if err := equalBits(generated, decoded); err != nil {
					t.Errorf("generated against decoded: %v", err)
				}
			})
		}
	}
}

func TestCUDAGenerates(t *testing.T) {
	const n, d, samples = 300, 19, 70
	e := newCUDA(t, Config{})
	content := smallModel(n, d)
	m := openOn(t, e, content)
	all := make([]float32, samples*pixels)
	if err := m.Generate(samples, 7, 3, Extension{}, Float32Image(all, NCHW)); err != nil {
		t.Fatal(err)
	}
	t.Run("as the CPU does", func(t *testing.T) {
		want := make([]float32, samples*pixels)
		if err := openModel(t, Config{}, content).Generate(samples, 7, 3, Extension{}, Float32Image(want, NCHW)); err != nil {
			t.Fatal(err)
		}
		for i := range want {
			if !(math.Abs(float64(all[i]-want[i])) <= 2*2e-3) {
				t.Fatalf("value %d: got %v, the CPU %v", i, all[i], want[i])
			}
		}
	})
	for _, step := range []int{1, 33} {
		images := make([]float32, samples*pixels)
		for at := 0; at < samples; at += step {
			count := min(step, samples-at)
			if err := m.Generate(count, 7, 3+uint64(at), Extension{}, Float32Image(images[at*pixels:], NCHW)); err != nil {
				t.Fatal(err)
			}
		}
		if err := equalBits(images, all); err != nil {
			t.Errorf("in steps of %d: %v", step, err)
		}
	}
	t.Run("for many goroutines at once", func(t *testing.T) {
		var wait sync.WaitGroup
		made := make([][]float32, 8)
		errs := make([]error, len(made))
		for i := range made {
			made[i] = make([]float32, 9*pixels)
			wait.Go(func() {
				for range 3 {
					if err := m.Generate(9, 7, 3+uint64(i), Extension{}, Float32Image(made[i], NCHW)); err != nil {
						errs[i] = err
					}
				}
			})
		}
		wait.Wait()
		for i := range made {
			if errs[i] != nil || !slices.Equal(made[i], all[i*pixels:(i+9)*pixels]) {
				t.Errorf("goroutine %d: other images, or %v", i, errs[i])
			}
		}
	})
	t.Run("and the engine closes with models open", func(t *testing.T) {
		e := newCUDA(t, Config{})
		m := openOn(t, e, content)
		if err := m.Generate(1, 0, 0, Extension{}, Float32Image(make([]float32, pixels), NCHW)); err != nil {
			t.Fatal(err)
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
		if err := m.Noise(make([]float32, d), 0, 0); !errors.Is(err, ErrClosed) {
			t.Errorf("got %v, want closed", err)
		}
	})
}

// Both potentials have the CPU's bits, for few samples and for many.
func TestCUDAPotential(t *testing.T) {
	const n, d = 300, 19
	content := smallModel(n, d)
	m, processor := openOn(t, newCUDA(t, Config{}), content), openModel(t, Config{}, content)
	for _, count := range []int{1, 9, 200} {
		x := make([]float32, count*d)
		if err := processor.Noise(x, 5, 0); err != nil {
			t.Fatal(err)
		}
		var got, want [2][]float64
		for i := range got {
			got[i], want[i] = make([]float64, count), make([]float64, count)
		}
		if err := errors.Join(m.Potential(x, got[0], got[1]), processor.Potential(x, want[0], want[1])); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got[0], want[0]) || !slices.Equal(got[1], want[1]) {
			t.Errorf("%d samples: a potential differs from the CPU's", count)
		}
		if err := m.Potential(x, nil, got[0]); err != nil || !slices.Equal(got[0], want[1]) {
			t.Errorf("%d samples: the Kantorovich potential alone differs, or %v", count, err)
		}
	}
}

// A budget too small for the batch that a call would like makes the batch smaller, and one too
// small for the model refuses it.
func TestCUDAMemory(t *testing.T) {
	const n, d, samples = 300, 19, 3000
	content := smallModel(n, d)
	content.Graph, content.Weights, content.Output = nil, nil, nil
	codes, want := make([]float32, samples*d), make([]float32, samples*d)
	if err := openModel(t, Config{}, content).Codes(want, 1, 0, Extension{}); err != nil {
		t.Fatal(err)
	}
	m := openOn(t, newCUDA(t, Config{CUDA: CUDAConfig{Memory: 4 << 20}}), content)
	if err := m.Codes(codes, 1, 0, Extension{}); err != nil {
		t.Fatal(err)
	}
	if err := equalBits(codes, want); err != nil {
		t.Error(err)
	}
	if idle := m.shared.spare.idle[len(m.shared.spare.idle)-1]; len(idle) != 1 || idle[0].batch >= m.shared.spare.batches[len(m.shared.spare.batches)-1] {
		t.Errorf("the workspace holds the whole batch in 4 MB, or is not kept: %d are", len(idle))
	}

	data, err := modelfile.Encode(content)
	if err != nil {
		t.Fatal(err)
	}
	_, err = newCUDA(t, Config{CUDA: CUDAConfig{Memory: 10 << 10}}).OpenBytes(data)
	if !errors.Is(err, ErrOutOfMemory) || !strings.Contains(err.Error(), "KB") {
		t.Errorf("got %v, want out of memory with numbers", err)
	}
	if _, err := New(Config{Device: "cuda", CUDA: CUDAConfig{Memory: -1}}); !errors.Is(err, ErrInvalidArgument) {
		t.Errorf("got %v, want an invalid argument", err)
	}
}

func TestCUDADevices(t *testing.T) {
	newCUDA(t, Config{})
	for _, device := range []string{"cuda:99", "cuda:-1", "cuda:x", "cuda:"} {
		if _, err := New(Config{Device: device}); !errors.Is(err, ErrDevice) {
			t.Errorf("%s: got %v", device, err)
		}
	}
	t.Run("auto takes the device", func(t *testing.T) {
		e, err := New(Config{Device: "auto"})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		if e.Info().Name != "cuda:0" {
			t.Errorf("got %+v", e.Info())
		}
	})
	t.Run("auto without a driver takes the CPU and says so", func(t *testing.T) {
		getenv := func(name string) string {
			if name == "BRENIER_CUDA_DRIVER" {
				return "no-such-driver.so"
			}
			return ""
		}
		e, err := New(Config{Device: "auto", Getenv: getenv})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		if info := e.Info(); info.Name != "cpu" || !strings.Contains(info.Note, "no-such-driver.so") {
			t.Errorf("got %+v", info)
		}
		if _, err := New(Config{Device: "cuda", Getenv: getenv}); !errors.Is(err, ErrDevice) || !strings.Contains(err.Error(), "no-such-driver.so") {
			t.Errorf("got %v", err)
		}
	})
}

// A fit that is stopped while its certificate is drawn leaves nothing at work on the device and nothing
// there.
func TestCUDAFit_stopped_in_the_certificate(t *testing.T) {
	e := newCUDA(t, Config{})
	if !double.Present() {
		t.Skip("a GPU is done before it is asked whether to go on")
	}
	for _, d := range []int{3, 24} {
		content := smallModel(50, d)
		certify := func(least uint64) (at FitProgress, err error) {
			_, err = e.Fit(content.Points.Data, d, nil, FitOptions{
				Heights:  content.Heights.Data,
				Progress: func(p FitProgress) bool { at = p; return p.Tested < least },
			})
			return at, err
		}
		// What is loaded at the first time stays.
		certify(1)
		for _, least := range []uint64{0, 1} { // in the plan, and among the samples
			before := double.Objects()
			if at, err := certify(least); !errors.Is(err, ErrCancelled) || (at.Tested > 0) != (least > 0) || at.Tested == at.ToTest {
				t.Errorf("d=%d: %v at %+v", d, err, at)
			}
			if after := double.Objects(); after != before {
				t.Errorf("d=%d: %+v are left, %+v were there", d, after, before)
			}
		}
	}
}

// Heights are the same bits wherever the fit runs, of dense draws and of those that share a rotation.
func TestCUDAFit(t *testing.T) {
	e := newCUDA(t, Config{})
	processor, err := New(Config{Device: "cpu"})
	if err != nil {
		t.Fatal(err)
	}
	defer processor.Close()
	for _, size := range []struct{ n, d int }{{40, 3}, {50, 24}} {
		t.Run(fmt.Sprintf("N=%d/d=%d", size.n, size.d), func(t *testing.T) {
			points := smallModel(size.n, size.d).Points.Data
			options := FitOptions{Seed: 5, Tolerance: 0.2, SamplesMax: 30_000}
			fitted := func(e *Engine) (heights, centroids []float32, report string) {
				m, err := e.Fit(points, size.d, nil, options)
				if err != nil {
					t.Fatal(err)
				}
				defer m.Close()
				return m.Tensor("ot.heights"), m.Tensor("ot.centroids"), fmt.Sprintf("%+v", readReport(t, m))
			}
			heights, centroids, report := fitted(e)
			wantHeights, wantCentroids, wantReport := fitted(processor)
			if err := equalBits(heights, wantHeights); err != nil {
				t.Errorf("heights: %v", err)
			}
			if err := equalBits(centroids, wantCentroids); err != nil {
				t.Errorf("centroids: %v", err)
			}
			if report != wantReport {
				t.Errorf("report %s, want %s", report, wantReport)
			}
			t.Log(report)
		})
	}
	t.Run("stopped among the steps", func(t *testing.T) {
		options := FitOptions{Tolerance: 0.01, Progress: func(p FitProgress) bool { return p.Samples < 8192 }}
		if _, err := e.Fit(smallModel(50, 24).Points.Data, 24, nil, options); !errors.Is(err, ErrCancelled) {
			t.Errorf("got %v, want cancelled", err)
		}
	})
}

// The other maps that a fit makes on its device find the same cells there, for more samples than a batch has,
// and leave nothing behind.
func TestCUDAFit_maps(t *testing.T) {
	const n, d, rows, k = 60, 3, 1100, 5
	points, heights := smallModel(n, d).Points.Data, smallModel(n, d).Heights.Data
	x := smallModel(rows, d).Points.Data
	find := func(e *Engine) []int64 {
		device, err := newFitDevice(e.device, backend.Uniform, x[:40*d], d, fit.MaxCells)
		if err != nil {
			t.Fatal(err)
		}
		defer device.Close()
		before := double.Objects()
		other, err := device.NewMap(points)
		if err != nil {
			t.Fatal(err)
		}
		if err := other.SetHeights(heights); err != nil {
			t.Fatal(err)
		}
		cells, drawn := make([]int64, rows*k), make([]int64, k)
		if err := other.Locate(x, k, cells); err != nil {
			t.Fatal(err)
		}
		if err := other.Draw(1, 7, 0, k, drawn, nil, nil); err != nil { // of the source of the device
			t.Fatal(err)
		}
		if err := other.Close(); err != nil {
			t.Fatal(err)
		}
		if after := double.Objects(); after != before {
			t.Errorf("%+v are left, %+v were there", after, before)
		}
		return append(cells, drawn...)
	}
	processor, err := New(Config{Device: "cpu"})
	if err != nil {
		t.Fatal(err)
	}
	defer processor.Close()
	got := find(newCUDA(t, Config{}))
	want := find(processor)
	if !slices.Equal(got, want) {
		t.Error("other cells than on the CPU")
	}
	for row := range rows {
		cells, _ := reference.Locate(x[row*d:(row+1)*d], points, heights, k)
		for j, c := range cells {
			if want[row*k+j] != int64(c) {
				t.Fatalf("sample %d: cells %v, want %v", row, want[row*k:row*k+k], cells)
			}
		}
	}
}
