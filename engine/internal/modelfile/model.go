// Package modelfile reads, checks and writes model files: one safetensors file that holds a map
// (the tensors ot.*), a decoder (a graph and the tensors decoder.*), or both.
//
//	__metadata__
//	  format      "brenier"
//	  version     "1"
//	  source      "gaussian" or "uniform": the distribution of the noise
//	  graph       JSON, see package graph      with a decoder
//	  output      JSON, see Output             with a decoder
//	  encoder     JSON, see package graph      with a decoder, optional: from its images to codes
//	  extension   JSON, see Extension          with a map, optional
//	  fit         JSON, see Fit                with a map, optional
//	tensors
//	  ot.points         [N,d]    F32, F16, BF16   y, the points
//	  ot.heights        [N]      F32              h, the heights
//	  ot.masses         [N]      F32              nu, optional; 1/N each without it
//	  ot.centroids      [N,d]    F32, F16, BF16   c, optional: mass centres of the cells
//	  output.mean       [C,H,W]  F32, F16, BF16   optional, together: of the model's images
//	  output.deviation  [C,H,W]  F32, F16, BF16
//	  decoder.*                  F32, F16, BF16   as the graph reads them, and no other
//	  encoder.*                  F32, F16, BF16   the same of the encoder
package modelfile

import (
	"maps"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/graph"
	"brenier/engine/internal/safetensors"
)

// Version is the format's version that this package reads and writes.
const Version = "1"

// The element types that a model's floating-point tensors may be kept in.
const (
	F32  = safetensors.F32
	F16  = safetensors.F16
	BF16 = safetensors.BF16
)

// DType is an element type in the file.
type DType = safetensors.DType

// Tensor is an array in memory as float32 and the dtype that the file keeps it in ("" is F32).
type Tensor struct {
	DType DType
	Shape []int
	Data  []float32
}

// Model is what a model file holds. A part that is absent is nil.
type Model struct {
	Source backend.Source

	Points    *Tensor // [N,d]
	Heights   *Tensor // [N], F32
	Masses    *Tensor // [N], F32
	Centroids *Tensor // [N,d]
	Extension *Extension
	Fit       *Fit

	Graph     *graph.Graph
	Weights   map[string]*Tensor // decoder.*
	Output    *Output
	Mean      *Tensor // [C,H,W]
	Deviation *Tensor // [C,H,W]

	Encoder        *graph.Graph       // from images [C,H,W] to codes of d values
	EncoderWeights map[string]*Tensor // encoder.*
}

// Dim is d, the dimension of noise and codes.
func (m *Model) Dim() int {
	if m.Points != nil {
		return m.Points.Shape[1]
	}
	return size(m.Graph.Input.Shape)
}

// KeepAs sets the dtypes that Write keeps a model's large tensors in: points and centroids, and
// the networks' weights of two axes and more. Vectors (biases, running variances) stay in F32:
// they are few, and a small variance would lose most of its digits in F16.
func (m *Model) KeepAs(points, weights DType) {
	for _, t := range []*Tensor{m.Points, m.Centroids} {
		if t != nil {
			t.DType = points
		}
	}
	for _, network := range []map[string]*Tensor{m.Weights, m.EncoderWeights} {
		for _, t := range network {
			t.DType = F32
			if len(t.Shape) >= 2 {
				t.DType = weights
			}
		}
	}
}

// Parts is the model as a backend takes it. It shares the model's arrays.
func (m *Model) Parts() backend.Parts {
	p := backend.Parts{Source: m.Source, Dim: m.Dim(), Decoder: m.Graph, Encoder: m.Encoder}
	if m.Points != nil {
		p.Points, p.Heights = m.Points.Data, m.Heights.Data
	}
	if m.Centroids != nil {
		p.Centroids = m.Centroids.Data
	}
	p.Tensors, p.EncoderTensors = tensors(m.Weights), tensors(m.EncoderWeights)
	return p
}

func tensors(weights map[string]*Tensor) map[string]backend.Tensor {
	all := make(map[string]backend.Tensor, len(weights))
	for name, t := range weights {
		all[name] = backend.Tensor{Shape: t.Shape, Data: t.Data}
	}
	return all
}

// named lists the tensors that are there by the names they have in the file.
func (m *Model) named() map[string]*Tensor {
	all := make(map[string]*Tensor, len(m.Weights)+len(m.EncoderWeights)+6)
	maps.Copy(all, m.Weights)
	maps.Copy(all, m.EncoderWeights)
	for name, field := range m.fields() {
		if *field != nil {
			all[name] = *field
		}
	}
	return all
}

// fields are the tensors that every model may have, by their names in the file.
func (m *Model) fields() map[string]**Tensor {
	return map[string]**Tensor{
		"ot.points":        &m.Points,
		"ot.heights":       &m.Heights,
		"ot.masses":        &m.Masses,
		"ot.centroids":     &m.Centroids,
		"output.mean":      &m.Mean,
		"output.deviation": &m.Deviation,
	}
}

// size is the number of elements of a shape that has been checked.
func size(shape []int) int {
	n := 1
	for _, extent := range shape {
		n *= extent
	}
	return n
}
