package decodertest

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/graph"
)

// Digits is a decoder of 28x28 digits in the manner of DCGAN, from 64 values, as it is before a training:
// what a decoder takes depends on its shape alone.
func Digits(t testing.TB) (*graph.Graph, map[string]backend.Tensor) {
	t.Helper()
	text, err := os.ReadFile("../layers/testdata/mnist.json")
	if err != nil {
		t.Fatal(err)
	}
	var shapes map[string][]int
	if err := json.Unmarshal(text, &shapes); err != nil {
		t.Fatal(err)
	}
	g := sequential(t, "../layers/testdata/mnist.layers", 64, shapes)
	random := rand.New(rand.NewPCG(13, 14))
	tensors := map[string]backend.Tensor{}
	for _, name := range g.Tensors() {
		tensors[name] = untrained(random, name, shapes[name])
	}
	return g, tensors
}

// untrained draws weights of several axes so that values keep their size from layer to layer; the scale
// and the variance of a normalisation are 1, its shift and mean 0, and so are biases.
func untrained(random *rand.Rand, name string, shape []int) backend.Tensor {
	size := 1
	for _, extent := range shape {
		size *= extent
	}
	t := backend.Tensor{Shape: shape, Data: make([]float32, size)}
	switch {
	case len(shape) > 1:
		t.Data = Uniform(random, size)
		for i := range t.Data {
			t.Data[i] /= float32(math.Sqrt(float64(shape[0])))
		}
	case strings.HasSuffix(name, ".weight"), strings.HasSuffix(name, ".running_var"):
		for i := range t.Data {
			t.Data[i] = 1
		}
	}
	return t
}
