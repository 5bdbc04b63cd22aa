package cpu

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"
	"unsafe"

	"github.com/x448/float16"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/graph"
	"brenier/engine/internal/layers"
	"brenier/engine/internal/safetensors"
	kernels "brenier/kernels/cpu"
)

// trained is a decoder trained on real data, which lies beside the repository and not in it.
type trained struct {
	name, layers, file, golden string
	tolerance                  float64 // of the float64 outputs
}

var trainedDecoders = []trained{
	{"mnist", "mnist.layers", "mnist_ae", "mnist", 1e-4},
	{"mnist_infogan", "mnist_infogan.layers", "mnist_infogan_fp16", "mnist_infogan", 4e-3}, // f16 weights
	{"terrain", "terrain.layers", "terrain_decoder", "terrain", 1e-4},
}

const sharedModels = "../../../../shared/models"

func openShared(t testing.TB, name string) *safetensors.File {
	f, err := safetensors.Open(filepath.Join(sharedModels, name+".safetensors"))
	if err != nil {
		t.Skipf("the trained networks are not beside the repository: %v", err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func (d trained) load(t testing.TB) (*graph.Graph, map[string]backend.Tensor) {
	f := openShared(t, d.file)
	text, err := os.ReadFile(filepath.Join("../../../examples/models", d.layers))
	if err != nil {
		t.Fatal(err)
	}
	list, err := layers.List(string(text))
	if err != nil {
		t.Fatal(err)
	}
	dim := openShared(t, "golden").Tensor(d.golden + ".z").Shape[1]
	g, err := layers.FromSequential(list, layers.Prefix, []int{dim}, f.Shapes())
	if err != nil {
		t.Fatal(err)
	}
	tensors := map[string]backend.Tensor{}
	for _, name := range g.Tensors() {
		tensor := f.Tensor(name)
		tensors[name] = backend.Tensor{Shape: tensor.Shape, Data: floatsOf(t, tensor)}
	}
	return g, tensors
}

// floatsOf widens a tensor.
func floatsOf(t testing.TB, tensor *safetensors.Tensor) []float32 {
	var x []float32
	switch tensor.DType {
	case safetensors.F32:
		for b := range slices.Chunk(tensor.Data, 4) {
			x = append(x, math.Float32frombits(binary.LittleEndian.Uint32(b)))
		}
	case safetensors.F16:
		for b := range slices.Chunk(tensor.Data, 2) {
			x = append(x, float16.Frombits(binary.LittleEndian.Uint16(b)).Float32())
		}
	default:
		t.Fatalf("%s is %s", tensor.Name, tensor.DType)
	}
	return x
}

// TestDecodeTrained holds trained decoders against their outputs in float64.
func TestDecodeTrained(t *testing.T) {
	for _, trained := range trainedDecoders {
		t.Run(trained.name, func(t *testing.T) {
			g, tensors := trained.load(t)
			golden := openShared(t, "golden")
			z, want := floatsOf(t, golden.Tensor(trained.golden+".z")), floatsOf(t, golden.Tensor(trained.golden+".x"))
			onEveryPath(t, func(t *testing.T, pool *Pool, path kernels.Path) {
				d, err := NewDecoder(pool, path, g, tensors)
				if err != nil {
					t.Fatal(err)
				}
				n := len(z) / g.Input.Shape[0]
				got := decodeF32(t, d, d.NewScratch(n), z, n)
				worst := 0.0
				for i := range want {
					worst = max(worst, math.Abs(float64(got[i])-float64(want[i])))
				}
				if !(worst <= trained.tolerance) {
					t.Errorf("off by %g from the float64 output, want at most %g", worst, trained.tolerance)
				}
				t.Logf("off by %.2g at most", worst)
			})
		})
	}
}

// BenchmarkDecode states the speed as a share of the fma peak measured in the same run, counting
// the multiply-adds of the phase form.
func BenchmarkDecode(b *testing.B) {
	for _, trained := range trainedDecoders {
		b.Run("model="+trained.name, func(b *testing.B) {
			g, tensors := trained.load(b)
			for _, batch := range []int{1, 64} {
				for _, path := range slices.Backward(kernels.Paths()) {
					b.Run(fmt.Sprintf("batch=%d/path=%s", batch, path), func(b *testing.B) {
						pool := NewPool(0)
						defer pool.Close()
						benchmarkDecode(b, pool, path, g, tensors, batch)
					})
				}
			}
		})
	}
}

func benchmarkDecode(b *testing.B, pool *Pool, path kernels.Path, g *graph.Graph, tensors map[string]backend.Tensor, batch int) {
	d, err := NewDecoder(pool, path, g, tensors)
	if err != nil {
		b.Fatal(err)
	}
	c, h, w := d.OutputShape()
	s := d.NewScratch(batch)
	z := uniform(rand.New(rand.NewPCG(3, 4)), batch*g.Input.Shape[0])
	x := make([]float32, batch*c*h*w)
	image := backend.Image{Data: unsafe.Pointer(&x[0])}
	best := time.Duration(math.MaxInt64)
	for b.Loop() {
		start := time.Now()
		if err := d.Decode(s, z, batch, image); err != nil {
			b.Fatal(err)
		}
		best = min(best, time.Since(start))
	}
	b.StopTimer()
	flop := 2 * float64(d.MACs()) * float64(batch)
	peak := 0.0
	for range 5 { // the best of a few, each long enough to reach the full clock
		peak = max(peak, kernels.MeasureFMA(path, 1<<19))
	}
	peak *= float64(pool.Threads())
	b.ReportMetric(best.Seconds()*1e3, "best-ms")
	b.ReportMetric(flop/best.Seconds()/1e9, "GFLOP/s")
	b.ReportMetric(100*flop/best.Seconds()/peak, "%peak")
	runtime.KeepAlive(x)
}

// BenchmarkNewDecoder is the time from weights in memory to a decoder ready to run.
func BenchmarkNewDecoder(b *testing.B) {
	for _, trained := range trainedDecoders {
		b.Run("model="+trained.name, func(b *testing.B) {
			g, tensors := trained.load(b)
			pool := NewPool(0)
			defer pool.Close()
			for b.Loop() {
				if _, err := NewDecoder(pool, kernels.Best(), g, tensors); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
