package reference

import (
	"encoding/json"
	"math"
	"os"
	"slices"
	"testing"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/graph"
)

// TestDecodeOperators holds every operator against ONNX Runtime, which computed
// testdata/operators.json in float32 (testdata/make_operators.py).
func TestDecodeOperators(t *testing.T) {
	text, err := os.ReadFile("testdata/operators.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Name    string
		Graph   graph.Graph
		Tensors map[string]backend.Tensor
		Z       []float64
		Shape   []int
		X       []float64
	}
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			got, err := Decode(&c.Graph, c.Tensors, c.Z)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got.Shape, c.Shape) {
				t.Fatalf("shape %v, ONNX Runtime says %v", got.Shape, c.Shape)
			}
			for i, want := range c.X {
				if math.Abs(got.Data[i]-want) > 2e-6*(1+math.Abs(want)) {
					t.Fatalf("element %d is %v, ONNX Runtime says %v", i, got.Data[i], want)
				}
			}
		})
	}
}
