package engine

import (
	"math"
	"slices"

	"brenier/engine/internal/fault"
	"brenier/engine/internal/graph"
	"brenier/engine/internal/layers"
	"brenier/engine/internal/modelfile"
	"brenier/engine/internal/safetensors"
)

// DecoderImport names a trained decoder, with its encoder or without: a PyTorch nn.Sequential's state
// dict and its layers.
type DecoderImport struct {
	StateDict string     // path of a safetensors file
	Prefix    string     // of the decoder's tensors in it, "decoder."; others are left out
	Layers    string     // text: a layer a line as PyTorch prints them, or a JSON list of strings
	Input     []int      // the code's shape without the batch, mostly [d]
	Range     [2]float64 // low and high end of its images; both 0: from the last layer (Tanh, Sigmoid, Clip)
	Weights   DType      // how the model file keeps them, F32 or F16

	EncoderLayers string // as Layers, of the encoder in the same state dict; "": none
	EncoderPrefix string // of its tensors, "encoder."
}

// ImportDecoder makes a model without a map; [Engine.Fit] gives it a map. BatchNorm stays
// as it is in the model and is folded when the model is prepared.
func (e *Engine) ImportDecoder(o DecoderImport) (*Model, error) {
	if err := e.gate.enter(); err != nil {
		return nil, err
	}
	defer e.gate.leave()
	list, err := layers.List(o.Layers)
	if err != nil {
		return nil, err
	}
	file, err := safetensors.Open(o.StateDict)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	model := &modelfile.Model{}
	g, constants, err := layers.FromSequential(list, o.Prefix, o.Input, file.Shapes())
	if err != nil {
		return nil, fault.Invalid("%s: %w", o.StateDict, err)
	}
	model.Graph = g
	if model.Weights, err = importWeights(file, o.Prefix, g, constants); err != nil {
		return nil, fault.Invalid("%s: %w", o.StateDict, err)
	}
	if model.Output, err = importOutput(model, o); err != nil {
		return nil, err
	}
	if o.EncoderLayers != "" {
		if err := importEncoder(model, file, o); err != nil {
			return nil, fault.Invalid("%s: encoder: %w", o.StateDict, err)
		}
	}
	switch o.Weights {
	case F32:
	case F16:
		model.KeepAs(modelfile.F32, modelfile.F16)
	default:
		return nil, fault.Invalid("weights: want them kept as F32 or F16, got %d", o.Weights)
	}
	return e.assemble(model)
}

// importWeights are the tensors that a graph reads: constants, or of the state dict, by names with a prefix.
func importWeights(file *safetensors.File, prefix string, g *graph.Graph, constants map[string]layers.Constant) (map[string]*modelfile.Tensor, error) {
	weights := map[string]*modelfile.Tensor{}
	for _, name := range g.Tensors() {
		if c, constant := constants[name]; constant {
			weights[name] = &modelfile.Tensor{Shape: []int{c.Extent}, Data: slices.Repeat([]float32{c.Value}, c.Extent)}
			continue
		}
		from := file.Tensor(layers.StateName(prefix, name))
		values, err := from.Float32s()
		if err != nil {
			return nil, err
		}
		weights[name] = &modelfile.Tensor{Shape: from.Shape, Data: values}
	}
	return weights, nil
}

// importEncoder reads the encoder of images as the model's decoder makes them.
func importEncoder(model *modelfile.Model, file *safetensors.File, o DecoderImport) error {
	list, err := layers.List(o.EncoderLayers)
	if err != nil {
		return err
	}
	image := []int{model.Output.Channels, model.Output.Height, model.Output.Width}
	g, constants, err := layers.Encoder(list, o.EncoderPrefix, image, file.Shapes())
	if err != nil {
		return err
	}
	model.Encoder = g
	model.EncoderWeights, err = importWeights(file, o.EncoderPrefix, g, constants)
	return err
}

func importOutput(model *modelfile.Model, o DecoderImport) (*modelfile.Output, error) {
	shapes := make(map[string][]int, len(model.Weights))
	for name, t := range model.Weights {
		shapes[name] = t.Shape
	}
	all, err := model.Graph.Shapes(shapes)
	if err != nil {
		return nil, fault.Invalid("layer list: %w", err)
	}
	shape := all[model.Graph.Output]
	if len(shape) != 3 {
		return nil, fault.Invalid("layer list: the last layer makes %v, not an image [C,H,W]", shape)
	}
	if o.Range == [2]float64{} {
		low, high, known := layers.OutputRange(model.Graph)
		if !known {
			return nil, fault.Invalid("range: the last layer does not bound its output; say what range its images have")
		}
		o.Range = [2]float64{low, high}
	}
	if width := o.Range[1] - o.Range[0]; !(width > 0) || math.IsInf(width, 0) {
		return nil, fault.Invalid("range: want two finite numbers, the lower first, got %v and %v", o.Range[0], o.Range[1])
	}
	return &modelfile.Output{Range: o.Range, Channels: shape[0], Height: shape[1], Width: shape[2]}, nil
}

// ReadTensor reads a tensor of a safetensors file, widened to float32. name "" is the file's only
// one.
func ReadTensor(path, name string) (values []float32, shape []int, err error) {
	file, err := safetensors.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer file.Close()
	names := make([]string, len(file.Tensors))
	for i, t := range file.Tensors {
		names[i] = t.Name
	}
	slices.Sort(names)
	if name == "" {
		if len(names) != 1 {
			return nil, nil, fault.Invalid("%s holds %d tensors; say which one: %.200q", path, len(names), names)
		}
		name = names[0]
	}
	tensor := file.Tensor(name)
	if tensor == nil {
		return nil, nil, fault.Invalid("%s: no tensor %q; it holds %.200q", path, name, names)
	}
	values, err = tensor.Float32s()
	if err != nil {
		return nil, nil, fault.Invalid("%s: %w", path, err)
	}
	return values, append([]int(nil), tensor.Shape...), nil
}
