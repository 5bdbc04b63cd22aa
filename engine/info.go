package engine

import (
	"brenier/engine/internal/backend"
	"brenier/engine/internal/modelfile"
)

// ModelInfo describes a [Model].
type ModelInfo struct {
	Points            int // N; 0: no map
	Dimension         int // d
	HasCentroids      bool
	HasMasses         bool
	HasAngles         bool // a table for [Quantile]
	Mode              Mode // of an [Extension] that names none
	Channels          int  // of an image; 0: no decoder
	Height            int
	Width             int
	Low, High         float64 // the range of an image's values
	Parameters        int     // of the decoder
	HasEncoder        bool
	EncoderParameters int
	Source            string // "gaussian" or "uniform"
	Metadata          string // all of the file's metadata, as JSON
}

// Kernel says which of the device's kernels serves a part of a model.
type Kernel = backend.Kernel

// Kernels says which kernels serve the model on a device that chooses among several, and what is
// out of the ordinary there: kernels that failed their self-check, and what stands in for them.
// Both are nil on the CPU.
func (m *Model) Kernels() (kernels []Kernel, notes []string) {
	if d, ok := m.device.(backend.Describer); ok {
		return d.Kernels(), d.Notes()
	}
	return nil, nil
}

// Info describes the model.
func (m *Model) Info() ModelInfo {
	s := m.parts
	source := "gaussian"
	if s.source == backend.Uniform {
		source = "uniform"
	}
	own := m.file.Extension()
	return ModelInfo{
		Points: s.n, Dimension: s.d, HasCentroids: s.centroids, HasMasses: m.file.Masses() != nil,
		HasAngles: len(own.Cosines) > 0, Mode: Cell + Mode(own.BackendMode()),
		Channels: s.c, Height: s.h, Width: s.w, Low: s.low, High: s.high,
		Parameters: parameters(m.file.Model().Weights),
		HasEncoder: s.encoder, EncoderParameters: parameters(m.file.Model().EncoderWeights),
		Source: source, Metadata: m.file.MetadataJSON(),
	}
}

func parameters(weights map[string]*modelfile.Tensor) int {
	sum := 0
	for _, t := range weights {
		sum += len(t.Data)
	}
	return sum
}

// Tensor returns a copy of a tensor of the map or of the images' statistics, widened to float32, or nil
// if the model has none of that name: "ot.points" [N,d], "ot.heights" [N], "ot.masses" [N],
// "ot.centroids" [N,d], "output.mean" [C,H,W], "output.deviation" [C,H,W].
func (m *Model) Tensor(name string) []float32 {
	if m.gate.enter() != nil {
		return nil
	}
	defer m.gate.leave()
	p := m.file.Parts()
	var values []float32
	switch name {
	case "ot.points":
		values = p.Points
	case "ot.heights":
		values = p.Heights
	case "ot.masses":
		values = m.file.Masses()
	case "ot.centroids":
		values = p.Centroids
	case "output.mean":
		if mean, _ := m.statistics.known(); mean != nil {
			values = mean.Data
		}
	case "output.deviation":
		if _, deviation := m.statistics.known(); deviation != nil {
			values = deviation.Data
		}
	}
	return append([]float32(nil), values...)
}
