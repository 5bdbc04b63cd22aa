package engine

import (
	"math"
	"slices"

	"brenier/engine/internal/fault"
	"brenier/engine/internal/layers"
	"brenier/engine/internal/modelfile"
	"brenier/engine/internal/safetensors"
)

// DecoderImport names a trained decoder: a PyTorch nn.Sequential's state dict and its layers.
type DecoderImport struct {
	StateDict string     // path of a safetensors file
	Prefix    string     // of the decoder's tensors in it, "decoder."; others are left out
	Layers    string     // text: a layer a line as PyTorch prints them, or a JSON list of strings
	Input     []int      // the code's shape without the batch, mostly [d]
	Range     [2]float64 // low and high end of its images; both 0: from the last layer (Tanh, Sigmoid, Clip)
	Weights   DType      // how the model file keeps them, F32 or F16
}

// ImportDecoder makes a model that is a decoder alone; [Engine.Fit] gives it a map. BatchNorm stays
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
	model := &modelfile.Model{Weights: map[string]*modelfile.Tensor{}}
	if model.Graph, err = layers.FromSequential(list, o.Prefix, o.Input, file.Shapes()); err != nil {
		return nil, fault.Invalid("%s: %w", o.StateDict, err)
	}
	for _, name := range model.Graph.Tensors() {
		from := file.Tensor(layers.StateName(o.Prefix, name))
		values, err := from.Float32s()
		if err != nil {
			return nil, fault.Invalid("%s: %w", o.StateDict, err)
		}
		model.Weights[name] = &modelfile.Tensor{Shape: from.Shape, Data: values}
	}
	switch o.Weights {
	case F32:
	case F16:
		model.KeepAs(modelfile.F32, modelfile.F16)
	default:
		return nil, fault.Invalid("weights: want them kept as F32 or F16, got %d", o.Weights)
	}
	if model.Output, err = importOutput(model, o); err != nil {
		return nil, err
	}
	return e.assemble(model)
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
