package decodertest

import (
	"os"
	"path/filepath"
	"testing"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/graph"
	"brenier/engine/internal/layers"
	"brenier/engine/internal/realdata"
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

// Load reads the network; it skips the test where there is none.
func (d Trained) Load(t testing.TB) (*graph.Graph, map[string]backend.Tensor) {
	f := realdata.Open(t, d.file)
	text, err := os.ReadFile(filepath.Join("../../../examples/models", d.layers))
	if err != nil {
		t.Fatal(err)
	}
	list, err := layers.List(string(text))
	if err != nil {
		t.Fatal(err)
	}
	dim := realdata.Open(t, "golden").Tensor(d.golden + ".z").Shape[1]
	g, _, err := layers.FromSequential(list, layers.Prefix, []int{dim}, f.Shapes())
	if err != nil {
		t.Fatal(err)
	}
	tensors := map[string]backend.Tensor{}
	for _, name := range g.Tensors() {
		tensor := f.Tensor(name)
		tensors[name] = backend.Tensor{Shape: tensor.Shape, Data: realdata.Values(t, tensor)}
	}
	return g, tensors
}

// Golden returns codes [n,dim] and the decoder's outputs for them in float64, [n,C,H,W].
func (d Trained) Golden(t testing.TB) (z, x []float32) {
	f := realdata.Open(t, "golden")
	return realdata.Values(t, f.Tensor(d.golden+".z")), realdata.Values(t, f.Tensor(d.golden+".x"))
}
