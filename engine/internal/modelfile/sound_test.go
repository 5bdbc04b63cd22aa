package modelfile

import (
	"math/rand/v2"

	"brenier/engine/internal/graph"
)

// soundModel is a small model with every part: 5 points in R^3, a decoder with two kinds of
// weights to an image of 2 channels and 4 x 4, and an encoder back.
func soundModel() *Model {
	r := rand.New(rand.NewPCG(1, 2))
	tensor := func(dtype DType, shape ...int) *Tensor {
		t := &Tensor{DType: dtype, Shape: shape, Data: make([]float32, size(shape))}
		for i := range t.Data {
			// Multiples of 1/64 below 4 in magnitude: exact in every dtype.
			t.Data[i] = float32(r.IntN(255)-127) / 64
		}
		return t
	}
	positive := func(t *Tensor) *Tensor {
		for i := range t.Data {
			t.Data[i] = t.Data[i]*t.Data[i] + 0.25
		}
		return t
	}
	m := &Model{
		Points:    tensor(F16, 5, 3),
		Heights:   tensor(F32, 5),
		Masses:    &Tensor{F32, []int{5}, []float32{0.25, 0.25, 0.125, 0.125, 0.25}},
		Centroids: tensor(BF16, 5, 3),
		Extension: &Extension{Mode: "simplex", K: 4, Quantile: 0.25, Cosines: make([]float64, 101)},
		Fit: &Fit{Samples: 1 << 40, TestSamples: 1000, Chi2: -1e-5, Chi2Error: 2e-5, Seed: 1<<64 - 1, Seconds: 1.5,
			History: &History{Samples: []uint64{1024, 4096}, Chi2: []float64{0.5, -0.01}, Chi2Error: []float64{0.1, 0.02}},
			Masses:  &Histogram{Low: 0.5, High: 1.5, Cells: []float64{2, 3}, Noise: []float64{1.5, 3.5}},
		},
		Weights: map[string]*Tensor{
			"decoder.0.weight":       tensor(F16, 3, 4, 2, 2),
			"decoder.0.bias":         tensor(F32, 4),
			"decoder.1.weight":       tensor(F32, 4),
			"decoder.1.bias":         tensor(F32, 4),
			"decoder.1.running_mean": tensor(F32, 4),
			"decoder.1.running_var":  positive(tensor(F32, 4)),
			"decoder.3.weight":       tensor(BF16, 4, 2, 2, 2),
		},
		Output:    &Output{Range: [2]float64{-1, 1}, Channels: 2, Height: 4, Width: 4},
		Mean:      tensor(F32, 2, 4, 4),
		Deviation: positive(tensor(F32, 2, 4, 4)),
	}
	for i := range m.Extension.Cosines {
		m.Extension.Cosines[i] = 1 - float64(i)/64
	}
	m.Graph = &graph.Graph{
		Input:  graph.Value{Name: "z", Shape: []int{3}},
		Output: "image",
		Nodes: []graph.Node{
			{Name: "view", Op: graph.Reshape, Inputs: []string{"z"}, Output: "v", Attributes: graph.Attributes{Shape: []int{0, 3, 1, 1}}},
			{Name: "decoder.0", Op: graph.ConvTranspose, Inputs: []string{"v", "decoder.0.weight", "decoder.0.bias"}, Output: "a"},
			{Name: "decoder.1", Op: graph.BatchNormalization, Inputs: []string{"a", "decoder.1.weight", "decoder.1.bias", "decoder.1.running_mean", "decoder.1.running_var"}, Output: "b"},
			{Name: "decoder.2", Op: graph.Relu, Inputs: []string{"b"}, Output: "c"},
			{Name: "decoder.3", Op: graph.ConvTranspose, Inputs: []string{"c", "decoder.3.weight"}, Output: "d", Attributes: graph.Attributes{Strides: []int{2, 2}}},
			{Name: "decoder.4", Op: graph.Tanh, Inputs: []string{"d"}, Output: "image"},
		},
	}
	m.EncoderWeights = map[string]*Tensor{
		"encoder.0.weight": tensor(F16, 3, 2, 4, 4),
		"encoder.0.bias":   tensor(F32, 3),
	}
	m.Encoder = &graph.Graph{
		Input:  graph.Value{Name: "x", Shape: []int{2, 4, 4}},
		Output: "z",
		Nodes: []graph.Node{
			{Name: "encoder.0", Op: graph.Conv, Inputs: []string{"x", "encoder.0.weight", "encoder.0.bias"}, Output: "z"},
		},
	}
	return m
}
