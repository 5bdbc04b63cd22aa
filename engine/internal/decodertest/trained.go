package decodertest

import (
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/x448/float16"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/graph"
	"brenier/engine/internal/layers"
	"brenier/engine/internal/safetensors"
)

// Trained is a decoder trained on real data, which lies beside the repository and not in it.
type Trained struct {
	Name, layers, file, golden string
	Tolerance                  float64 // of the float64 outputs
}

// TrainedDecoders are those of real data.
var TrainedDecoders = []Trained{
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

// Load reads the network; it skips the test where there is none.
func (d Trained) Load(t testing.TB) (*graph.Graph, map[string]backend.Tensor) {
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

// Golden returns codes [n,dim] and the decoder's outputs for them in float64, [n,C,H,W].
func (d Trained) Golden(t testing.TB) (z, x []float32) {
	f := openShared(t, "golden")
	return floatsOf(t, f.Tensor(d.golden+".z")), floatsOf(t, f.Tensor(d.golden+".x"))
}
