package decodertest

import (
	"os"
	"testing"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/graph"
	"brenier/engine/internal/layers"
	"brenier/engine/internal/realdata"
)

// Trained is a decoder trained on real data, which lies beside the repository and not in it.
type Trained struct {
	Name, layers, file, golden string  // layers: a path from the folder of the test's package
	Tolerance                  float64 // of the float64 outputs
}

// TrainedDecoders are those of real data.
var TrainedDecoders = []Trained{
	{"mnist", "../layers/testdata/mnist.layers", "mnist_ae", "mnist", 1e-4},
	{"mnist_infogan", "../layers/testdata/mnist_infogan.layers", "mnist_infogan_fp16", "mnist_infogan", 4e-3}, // f16 weights
	{"terrain", "../../../examples/models/terrain.layers", "terrain_decoder", "terrain", 1e-4},
}

// Load reads the network; it skips the test where there is none.
func (d Trained) Load(t testing.TB) (*graph.Graph, map[string]backend.Tensor) {
	f := realdata.Open(t, d.file)
	dim := realdata.Open(t, "golden").Tensor(d.golden + ".z").Shape[1]
	g := sequential(t, d.layers, dim, f.Shapes())
	tensors := map[string]backend.Tensor{}
	for _, name := range g.Tensors() {
		tensor := f.Tensor(name)
		tensors[name] = backend.Tensor{Shape: tensor.Shape, Data: realdata.Values(t, tensor)}
	}
	return g, tensors
}

// sequential is the decoder of a file of layers and the shapes of a state dict.
func sequential(t testing.TB, path string, dim int, shapes map[string][]int) *graph.Graph {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	list, err := layers.List(string(text))
	if err != nil {
		t.Fatal(err)
	}
	g, _, err := layers.FromSequential(list, layers.Prefix, []int{dim}, shapes)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// Golden returns codes [n,dim] and the decoder's outputs for them in float64, [n,C,H,W].
func (d Trained) Golden(t testing.TB) (z, x []float32) {
	f := realdata.Open(t, "golden")
	return realdata.Values(t, f.Tensor(d.golden+".z")), realdata.Values(t, f.Tensor(d.golden+".x"))
}
