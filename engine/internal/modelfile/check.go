package modelfile

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/graph"
)

// maxDim bounds d.
const maxDim = 1 << 16

// masses must sum to 1 within this: N float32 values, each rounded by 6e-8 of itself, stay far
// below it; masses that someone forgot to normalise do not.
const massTolerance = 1e-4

// check is the whole contract of a model; the reader and the writer both ask it. Each fault is a
// sentence that names the tensor, the node or the metadata's key.
func (m *Model) check() error {
	if m.Points == nil && m.Heights == nil && m.Graph == nil {
		return errors.New("the file holds neither a map (ot.points, ot.heights) nor a decoder (graph)")
	}
	if m.Source != backend.Gaussian && m.Source != backend.Uniform {
		return fmt.Errorf("source: want gaussian or uniform, got %d", m.Source)
	}
	named := m.named()
	for _, name := range slices.Sorted(maps.Keys(named)) {
		if err := named[name].check(name); err != nil {
			return err
		}
	}
	if err := m.checkMap(); err != nil {
		return err
	}
	if err := m.checkDecoder(); err != nil {
		return err
	}
	return m.checkEncoder()
}

// check compares the shape with the data; dtypes are checked where a tensor is read or written.
func (t *Tensor) check(name string) error {
	n := int64(1)
	for _, extent := range t.Shape {
		if extent < 0 || extent > math.MaxInt32 || extent > 0 && n > math.MaxInt64/int64(extent) {
			return fmt.Errorf("%s: shape %v is not one", name, t.Shape)
		}
		n *= int64(extent)
	}
	if n != int64(len(t.Data)) {
		return fmt.Errorf("%s: shape %v does not hold %d values", name, t.Shape, len(t.Data))
	}
	return nil
}

func (m *Model) checkMap() error {
	if m.Points == nil && m.Heights == nil {
		return m.checkNoMap()
	}
	if m.Heights == nil {
		return errors.New("ot.heights is missing, although ot.points is there; fit the points")
	}
	if m.Points == nil {
		return errors.New("ot.points is missing, although ot.heights is there")
	}
	shape := m.Points.Shape
	if len(shape) != 2 || shape[0] < 1 || shape[1] < 1 || shape[1] > maxDim {
		return fmt.Errorf("ot.points: want [N,d] with N from 1 and d from 1 to %d, got %v", maxDim, shape)
	}
	n, d := shape[0], shape[1]
	for _, t := range []struct {
		name   string
		tensor *Tensor
		shape  []int
	}{
		{"ot.points", m.Points, []int{n, d}},
		{"ot.heights", m.Heights, []int{n}},
		{"ot.masses", m.Masses, []int{n}},
		{"ot.centroids", m.Centroids, []int{n, d}},
	} {
		if t.tensor == nil {
			continue
		}
		if !slices.Equal(t.tensor.Shape, t.shape) {
			return fmt.Errorf("%s: want %v, for ot.points is %v, got %v; fit again", t.name, t.shape, shape, t.tensor.Shape)
		}
		if err := t.tensor.checkFinite(t.name); err != nil {
			return err
		}
	}
	if err := m.checkMasses(); err != nil {
		return err
	}
	if m.Extension != nil {
		if err := m.Extension.check(n, m.Centroids != nil); err != nil {
			return err
		}
	}
	if m.Fit != nil {
		return m.Fit.check(n)
	}
	return nil
}

// checkNoMap refuses what makes sense beside a map only.
func (m *Model) checkNoMap() error {
	if m.Masses != nil {
		return errors.New("ot.masses is there, but ot.points and ot.heights are missing")
	}
	if m.Centroids != nil {
		return errors.New("ot.centroids is there, but ot.points and ot.heights are missing")
	}
	if m.Extension != nil {
		return errors.New("extension: there is no map to extend; ot.points and ot.heights are missing")
	}
	if m.Fit != nil {
		return errors.New("fit: there is no map that was fitted; ot.points and ot.heights are missing")
	}
	return nil
}

func (m *Model) checkMasses() error {
	if m.Masses == nil {
		return nil
	}
	sum := 0.0
	for i, mass := range m.Masses.Data {
		if !(mass > 0) {
			return fmt.Errorf("ot.masses: row %d is %g; want masses above 0: leave such a point out", i, mass)
		}
		sum += float64(mass)
	}
	if math.Abs(sum-1) > massTolerance {
		return fmt.Errorf("ot.masses: the sum is %g; want 1", sum)
	}
	return nil
}

func (m *Model) checkDecoder() error {
	if m.Graph == nil {
		if len(m.Weights) > 0 {
			name := slices.Sorted(maps.Keys(m.Weights))[0]
			return fmt.Errorf("%s is there, but the graph that would read it is missing", name)
		}
		if m.Output != nil || m.Mean != nil || m.Deviation != nil {
			return errors.New("output: there is no decoder; the graph is missing")
		}
		return nil
	}
	values, err := checkNetwork(m.Graph, m.Graph.Shapes, "decoder", m.Weights)
	if err != nil {
		return err
	}
	if d := size(m.Graph.Input.Shape); d > maxDim {
		return fmt.Errorf("graph: input %v: want at most %d values", m.Graph.Input.Shape, maxDim)
	} else if m.Points != nil && d != m.Points.Shape[1] {
		return fmt.Errorf("ot.points %v: d is %d, but the decoder's input %v takes %d values", m.Points.Shape, m.Points.Shape[1], m.Graph.Input.Shape, d)
	}
	if m.Output == nil {
		return errors.New("output is missing, although there is a decoder; it gives the image's range and size")
	}
	if err := m.Output.check(values[m.Graph.Output]); err != nil {
		return err
	}
	return m.checkStatistics(values[m.Graph.Output])
}

// checkEncoder checks the network from the decoder's images to its codes.
func (m *Model) checkEncoder() error {
	if m.Encoder == nil {
		if len(m.EncoderWeights) > 0 {
			name := slices.Sorted(maps.Keys(m.EncoderWeights))[0]
			return fmt.Errorf("%s is there, but the encoder that would read it is missing", name)
		}
		return nil
	}
	if m.Graph == nil {
		return errors.New("encoder: there is no decoder whose images it would read; the graph is missing")
	}
	values, err := checkNetwork(m.Encoder, func(tensors map[string][]int) (map[string][]int, error) {
		values, err := m.Encoder.EncoderShapes(tensors)
		if err != nil {
			err = fmt.Errorf("encoder: %w", err)
		}
		return values, err
	}, "encoder", m.EncoderWeights)
	if err != nil {
		return err
	}
	in, code := m.Encoder.Input.Shape, values[m.Encoder.Output]
	if want := []int{m.Output.Channels, m.Output.Height, m.Output.Width}; !slices.Equal(in, want) {
		return fmt.Errorf("encoder: it reads images %v, but the decoder makes %v", in, want)
	}
	if size(code) != m.Dim() {
		return fmt.Errorf("encoder: it makes codes %v, but the model's have %d values", code, m.Dim())
	}
	return nil
}

// checkNetwork checks a graph and its weights, which are called kind.*, and returns the activations'
// shapes.
func checkNetwork(g *graph.Graph, check func(map[string][]int) (map[string][]int, error), kind string, weights map[string]*Tensor) (map[string][]int, error) {
	shapes := make(map[string][]int, len(weights))
	names := slices.Sorted(maps.Keys(weights))
	for _, name := range names {
		if !strings.HasPrefix(name, kind+".") {
			return nil, fmt.Errorf("%s: want the %s's tensors to be called %s.*", name, kind, kind)
		}
		shapes[name] = weights[name].Shape
	}
	values, err := check(shapes)
	if err != nil {
		return nil, err
	}
	read := map[string]bool{}
	for _, name := range g.Tensors() {
		read[name] = true
	}
	for _, name := range names {
		if !read[name] {
			return nil, fmt.Errorf("%s is used by no node of the graph", name)
		}
		if err := weights[name].checkFinite(name); err != nil {
			return nil, err
		}
	}
	return values, checkVariances(g, weights)
}

// checkVariances refuses a BatchNormalization whose variance and epsilon have no square root to
// divide by.
func checkVariances(g *graph.Graph, weights map[string]*Tensor) error {
	for i := range g.Nodes {
		node := &g.Nodes[i]
		if node.Op != graph.BatchNormalization {
			continue
		}
		epsilon := 1e-5
		if node.Attributes.Epsilon != nil {
			epsilon = *node.Attributes.Epsilon
		}
		name := node.Inputs[4]
		for k, variance := range weights[name].Data {
			if variance < 0 || float64(variance)+epsilon == 0 {
				return fmt.Errorf("%s: element %d is %g, as a variance with epsilon %g for node %q; want it positive", name, k, variance, epsilon, node.Name)
			}
		}
	}
	return nil
}

// checkStatistics checks output.mean and output.deviation.
func (m *Model) checkStatistics(shape []int) error {
	if m.Mean == nil && m.Deviation == nil {
		return nil
	}
	if m.Mean == nil || m.Deviation == nil {
		return errors.New("output.mean and output.deviation: want both or neither")
	}
	for _, t := range []struct {
		name   string
		tensor *Tensor
	}{{"output.mean", m.Mean}, {"output.deviation", m.Deviation}} {
		if !slices.Equal(t.tensor.Shape, shape) {
			return fmt.Errorf("%s: want the graph's output %v, got %v", t.name, shape, t.tensor.Shape)
		}
		if err := t.tensor.checkFinite(t.name); err != nil {
			return err
		}
	}
	for k, v := range m.Deviation.Data {
		if v < 0 {
			return fmt.Errorf("output.deviation: element %d is %g; want none below 0", k, v)
		}
	}
	return nil
}

// checkFinite names the first NaN or infinity by its row in a matrix or vector of points, by its
// element elsewhere.
func (t *Tensor) checkFinite(name string) error {
	for i, v := range t.Data {
		if v-v == 0 { // NaN for both
			continue
		}
		switch {
		case !strings.HasPrefix(name, "ot."):
			return fmt.Errorf("%s: element %d is %g; want finite values", name, i, v)
		case len(t.Shape) == 2:
			return fmt.Errorf("%s: row %d, column %d is %g; want finite values", name, i/t.Shape[1], i%t.Shape[1], v)
		}
		return fmt.Errorf("%s: row %d is %g; want finite values", name, i, v)
	}
	return nil
}
