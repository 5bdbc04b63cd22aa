// Package layers makes a decoder's or an encoder's graph of a PyTorch nn.Sequential: its layers, as
// PyTorch prints them, and the shapes of its state dict.
package layers

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"brenier/engine/internal/fault"
	"brenier/engine/internal/graph"
)

// What the tensors are called by in a model file.
const (
	Prefix        = "decoder."
	EncoderPrefix = "encoder."
)

// Constant is a vector of one value: the scale or the shift of a normalisation that learnt none.
type Constant struct {
	Extent int
	Value  float32
}

// StateName is the name in the state dict of a tensor of the graph, which FromSequential was given
// prefix for.
func StateName(prefix, tensor string) string {
	_, rest, _ := strings.Cut(tensor, ".")
	return prefix + rest
}

// FromSequential makes the graph of a Sequential. layers[i] is the i-th module, printed
// (ConvTranspose2d(64, 256, kernel_size=(4, 4), stride=(2, 2))) or as it is constructed
// (ConvTranspose2d(64, 256, 4, 2)); prefix is what its state dict calls it by, so that
// <prefix>3.weight belongs to layers[3]; input is the code's shape without the batch, mostly [d];
// tensors has the shapes of the state dict, in which other modules may lie beside.
//
// A code [d] is reshaped to [d,1,1] where the first layer that computes wants an image. In the
// graph the tensors are called decoder.*, whatever the prefix; StateName leads back. The graph
// has passed Shapes. constants are tensors that it reads and the state dict does not have. Errors are
// fault.ErrInvalidArgument and name the layer.
func FromSequential(layers []string, prefix string, input []int, tensors map[string][]int) (g *graph.Graph, constants map[string]Constant, err error) {
	return fromSequential("z", Prefix, (*graph.Graph).Shapes, layers, prefix, input, tensors)
}

// Encoder is FromSequential for an encoder, whose input is an image's shape [C,H,W] and whose tensors
// are called encoder.* in the graph.
func Encoder(layers []string, prefix string, input []int, tensors map[string][]int) (g *graph.Graph, constants map[string]Constant, err error) {
	return fromSequential("x", EncoderPrefix, (*graph.Graph).EncoderShapes, layers, prefix, input, tensors)
}

func fromSequential(name, own string, check func(*graph.Graph, map[string][]int) (map[string][]int, error),
	layers []string, prefix string, input []int, tensors map[string][]int) (*graph.Graph, map[string]Constant, error) {
	b := &builder{
		graph:     &graph.Graph{Input: graph.Value{Name: name, Shape: input}, Output: name},
		prefix:    own,
		tensors:   map[string][]int{},
		constants: map[string]Constant{},
		shape:     input,
	}
	for name, shape := range tensors {
		if rest, belongs := strings.CutPrefix(name, prefix); belongs {
			b.tensors[own+rest] = shape
		}
	}
	for i, text := range layers {
		b.index = i
		if err := b.layer(text); err != nil {
			// Not %w: a graph's fault is of another kind, that of a broken file.
			return nil, nil, fault.Invalid("layer %d, %s: %v", i, fault.Excerpt(strings.TrimSpace(text)), err)
		}
	}
	if _, err := check(b.graph, b.tensors); err != nil {
		return nil, nil, fault.Invalid("layer list: %v", err)
	}
	if err := b.checkUnread(prefix, len(layers)); err != nil {
		return nil, nil, err
	}
	return b.graph, b.constants, nil
}

// OutputRange is the range that the graph's last operator confines its output to, where it does:
// Tanh, Sigmoid, or Clip with both ends.
func OutputRange(g *graph.Graph) (low, high float64, known bool) {
	for _, n := range g.Nodes {
		if n.Output != g.Output {
			continue
		}
		switch a := n.Attributes; {
		case n.Op == graph.Tanh:
			return -1, 1, true
		case n.Op == graph.Sigmoid:
			return 0, 1, true
		case n.Op == graph.Clip && a.Min != nil && a.Max != nil && *a.Min < *a.Max:
			return *a.Min, *a.Max, true
		}
	}
	return 0, 0, false
}

// builder appends nodes to the graph's end.
type builder struct {
	graph     *graph.Graph
	prefix    string           // of its tensors and nodes
	tensors   map[string][]int // the network's, by their names in the graph
	constants map[string]Constant
	shape     []int // of the graph's output so far
	index     int   // of the layer at work
}

func (b *builder) layer(text string) error {
	c, err := parseCall(text)
	if err != nil {
		return err
	}
	build, known := modules[c.class]
	if !known {
		return fmt.Errorf("unknown layer %s; known are %s", c.class, strings.Join(slices.Sorted(maps.Keys(modules)), ", "))
	}
	a, err := c.arguments(build.arguments...)
	if err != nil {
		return err
	}
	if build.image && len(b.shape) == 1 && b.graph.Output == b.graph.Input.Name {
		if err := b.append(graph.Node{Name: "image", Op: graph.Reshape, Output: "image", Attributes: graph.Attributes{Shape: []int{0, b.shape[0], 1, 1}}}); err != nil {
			return err
		}
	}
	if build.image && len(b.shape) != 3 {
		return fmt.Errorf("its input is %v, not [C,H,W]; put an Unflatten before it", b.shape)
	}
	if err := build.make(b, a); err != nil {
		return err
	}
	return a.err
}

// tensor is the name of the layer's parameter.
func (b *builder) tensor(parameter string) string {
	return fmt.Sprintf("%s%d.%s", b.prefix, b.index, parameter)
}

// parameter asks for a tensor of the layer in the shape that its arguments promise.
func (b *builder) parameter(name string, want ...int) (string, error) {
	tensor := b.tensor(name)
	got, there := b.tensors[tensor]
	if !there {
		return "", fmt.Errorf("the state dict lacks its %s", name)
	}
	if !slices.Equal(got, want) {
		return "", fmt.Errorf("%s: want %v, got %v in the state dict", name, want, got)
	}
	return tensor, nil
}

// bias adds the layer's bias to the inputs, if it has one. A layer that does not say has one if
// the state dict does.
func (b *builder) bias(inputs []string, a *arguments, extent int) ([]string, error) {
	_, there := b.tensors[b.tensor("bias")]
	if wanted := a.boolean("bias", there); wanted != there {
		if there {
			return nil, fmt.Errorf("bias=False, but the state dict has its bias")
		}
		return nil, fmt.Errorf("bias=True, but the state dict lacks its bias")
	}
	if !there {
		return inputs, nil
	}
	name, err := b.parameter("bias", extent)
	return append(inputs, name), err
}

// affine is a normalisation's scale and shift: its weight and bias, or ones and zeros where it has none.
func (b *builder) affine(a *arguments, extent int) ([]string, error) {
	affine := a.boolean("affine", true)
	shifts := a.boolean("bias", true) && affine
	if a.err != nil {
		return nil, a.err
	}
	var inputs []string
	for _, p := range []struct {
		name   string
		learnt bool
		value  float32
	}{{"weight", affine, 1}, {"bias", shifts, 0}} {
		tensor := b.tensor(p.name)
		if p.learnt {
			if _, err := b.parameter(p.name, extent); err != nil {
				return nil, err
			}
		} else if _, there := b.tensors[tensor]; there {
			return nil, fmt.Errorf("it says that it has no %s, but the state dict has it", p.name)
		} else {
			b.tensors[tensor], b.constants[tensor] = []int{extent}, Constant{extent, p.value}
		}
		inputs = append(inputs, tensor)
	}
	return inputs, nil
}

// operator appends a node of the layer's own: its activation, then tensors.
func (b *builder) operator(op string, attributes graph.Attributes, tensors ...string) error {
	name := fmt.Sprintf("%s%d", b.prefix, b.index)
	return b.append(graph.Node{Name: name, Op: op, Inputs: tensors, Output: name, Attributes: attributes})
}

// append puts a node at the end, its activation before the tensors in its Inputs.
func (b *builder) append(n graph.Node) error {
	shapes := [][]int{b.shape}
	for _, tensor := range n.Inputs {
		shapes = append(shapes, b.tensors[tensor])
	}
	n.Inputs = append([]string{b.graph.Output}, n.Inputs...)
	shape, err := n.OutputShape(shapes...)
	if err != nil {
		return err
	}
	b.graph.Nodes = append(b.graph.Nodes, n)
	b.graph.Output, b.shape = n.Output, shape
	return nil
}

// checkUnread refuses a list that leaves out a part of the state dict.
func (b *builder) checkUnread(prefix string, count int) error {
	read := map[string]bool{}
	for _, name := range b.graph.Tensors() {
		read[name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(b.tensors)) {
		// PyTorch counts the batches that its running statistics have seen; eval mode needs no count.
		if !read[name] && !strings.HasSuffix(name, ".num_batches_tracked") {
			return fault.Invalid("layer list: no layer of the %d reads %s of the state dict; complete the list", count, StateName(prefix, name))
		}
	}
	return nil
}
