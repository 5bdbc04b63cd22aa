package graph

import (
	"math"
	"slices"

	"brenier/engine/internal/fault"
)

// Shapes checks the whole graph against the shapes of the model's tensors and returns the shape of
// every activation by name, the batch left out: [K] or [C,H,W] and their like. It changes nothing
// and takes a missing attribute as its default, so a graph built by hand needs no Normalize.
//
// It refuses a node with wrong inputs or attributes, a weight of the wrong shape, a value that is
// used before it is made or never, a name that two values or a value and a tensor share, an
// activation over MaxElements, and an output that is not [C,H,W]. Each fault is one sentence that
// names the node, of kind fault.ErrBadModel.
func (g *Graph) Shapes(tensors map[string][]int) (map[string][]int, error) {
	values, err := g.shapes(tensors)
	if err == nil && len(values[g.Output]) != 3 {
		err = fault.BadModel("graph: output %q: want [C,H,W], got %v", g.Output, values[g.Output])
	}
	return values, err
}

// EncoderShapes is Shapes for an encoder: the input is an image [C,H,W], the output of any shape.
func (g *Graph) EncoderShapes(tensors map[string][]int) (map[string][]int, error) {
	values, err := g.shapes(tensors)
	if err == nil && len(g.Input.Shape) != 3 {
		err = fault.BadModel("graph: input %q: want an image [C,H,W], got %v", g.Input.Name, g.Input.Shape)
	}
	return values, err
}

func (g *Graph) shapes(tensors map[string][]int) (map[string][]int, error) {
	s := &scope{tensors: tensors, values: map[string][]int{}, used: map[string]bool{}}
	if err := s.input(g.Input); err != nil {
		return nil, err
	}
	if len(g.Nodes) == 0 || len(g.Nodes) > MaxNodes {
		return nil, fault.BadModel("graph: %d nodes; want 1 to %d", len(g.Nodes), MaxNodes)
	}
	normal := g.normalized(tensors)
	s.names, s.makers = map[string]bool{}, map[string]string{}
	for _, n := range normal.Nodes {
		s.makers[n.Output] = n.Name
	}
	for i := range normal.Nodes {
		if err := s.node(&normal.Nodes[i], i); err != nil {
			return nil, err
		}
	}
	return s.values, s.output(normal)
}

// OutputShape is the shape of one node's output for its inputs' shapes, in their order (for Add and
// Mul an activation first), with every check of Shapes that concerns the node alone.
func (n Node) OutputShape(in ...[]int) ([]int, error) {
	if err := n.checkForm(0); err != nil {
		return nil, err
	}
	if err := n.checkUse(); err != nil {
		return nil, err
	}
	if len(in) != len(n.Inputs) {
		return nil, n.fault("want the shapes of %d inputs, got %d", len(n.Inputs), len(in))
	}
	for k, shape := range in {
		if _, ok := elements(shape, math.MaxInt32); !ok || len(shape) == 0 && k == 0 {
			return nil, n.fault("%s %v: want positive extents and at most %d elements", n.Inputs[k], shape, math.MaxInt32)
		}
	}
	var weight []int
	if len(in) > 1 {
		weight = in[1]
	}
	n.normalize(weight)
	return n.outputShape(in)
}

// outputShape is OutputShape of a normalized node that has been checked.
func (n *Node) outputShape(in [][]int) ([]int, error) {
	out, err := operators[n.Op].shape(n, in)
	if err != nil {
		return nil, err
	}
	if len(out) > MaxRank-1 {
		return nil, n.fault("output %v has more than %d axes", out, MaxRank-1)
	}
	if _, ok := elements(out, MaxElements); !ok {
		return nil, n.fault("output %v: want positive extents and at most %d elements", out, MaxElements)
	}
	return out, nil
}

// checkUse checks that the operator has the node's attributes and takes that many inputs.
func (n *Node) checkUse() error {
	op := operators[n.Op]
	for _, name := range n.setAttributes() {
		if !slices.Contains(op.attributes, name) {
			return n.fault("attribute %q does not belong to %s", name, n.Op)
		}
	}
	if len(n.Inputs) < op.least || len(n.Inputs) > op.most {
		if op.least == op.most {
			return n.fault("want %d inputs, got %d", op.least, len(n.Inputs))
		}
		return n.fault("want %d to %d inputs, got %d", op.least, op.most, len(n.Inputs))
	}
	return nil
}

// Tensors lists the tensors that the graph reads, each once, in order of first use.
func (g *Graph) Tensors() []string {
	made := map[string]bool{g.Input.Name: true}
	for _, n := range g.Nodes {
		made[n.Output] = true
	}
	var names []string
	listed := map[string]bool{}
	for _, n := range g.Nodes {
		for _, name := range n.Inputs {
			if !made[name] && !listed[name] {
				listed[name] = true
				names = append(names, name)
			}
		}
	}
	return names
}

// normalized is a copy with every default filled in.
func (g *Graph) normalized(tensors map[string][]int) *Graph {
	c := &Graph{Input: g.Input, Output: g.Output, Nodes: slices.Clone(g.Nodes)}
	c.Normalize(tensors)
	return c
}

// scope is what the nodes so far have made.
type scope struct {
	tensors map[string][]int  // shapes of the model's tensors
	values  map[string][]int  // shapes of the activations made so far
	used    map[string]bool   // activations that a node has read
	names   map[string]bool   // nodes
	makers  map[string]string // activation to the node that makes it, now or later
}

func (s *scope) input(v Value) error {
	if v.Name == "" || len(v.Name) > MaxName {
		return fault.BadModel("graph: input: want a name of 1 to %d bytes, got %d", MaxName, len(v.Name))
	}
	if len(v.Shape) < 1 || len(v.Shape) > MaxRank-1 {
		return fault.BadModel("graph: input %q: want a shape of 1 to %d axes, got %v", v.Name, MaxRank-1, v.Shape)
	}
	if _, ok := elements(v.Shape, MaxElements); !ok {
		return fault.BadModel("graph: input %q: want positive extents and at most %d elements, got %v", v.Name, MaxElements, v.Shape)
	}
	if _, taken := s.tensors[v.Name]; taken {
		return fault.BadModel("graph: input %q: a tensor has that name too", v.Name)
	}
	s.values[v.Name] = slices.Clone(v.Shape)
	return nil
}

// node checks one normalized node and adds its output to the scope.
func (s *scope) node(n *Node, i int) error {
	if err := n.checkForm(i); err != nil {
		return err
	}
	if s.names[n.Name] {
		return n.fault("an earlier node has that name too")
	}
	s.names[n.Name] = true
	if err := n.checkUse(); err != nil {
		return err
	}
	in := make([][]int, len(n.Inputs))
	for k, name := range n.Inputs {
		var err error
		if in[k], err = s.lookUp(n, k, name); err != nil {
			return err
		}
	}
	if n.Op == Add || n.Op == Mul {
		if err := s.orderOperands(n, in); err != nil {
			return err
		}
	}
	out, err := n.outputShape(in)
	if err != nil {
		return err
	}
	if _, taken := s.values[n.Output]; taken {
		return n.fault("output %q has been made before", n.Output)
	}
	if _, taken := s.tensors[n.Output]; taken {
		return n.fault("output %q: a tensor has that name too", n.Output)
	}
	s.values[n.Output] = out
	return nil
}

// lookUp finds the shape of input k, an activation or a tensor as the operator wants it there.
func (s *scope) lookUp(n *Node, k int, name string) ([]int, error) {
	op := operators[n.Op]
	value, isValue := s.values[name]
	tensor, isTensor := s.tensors[name]
	wantsTensor := op.activations >= 0 && k >= op.activations
	switch {
	case name == "":
		return nil, n.fault("input %d has no name", k)
	case isValue && wantsTensor:
		return nil, n.fault("input %d must be a tensor; %s is an activation", k, name)
	case isValue:
		s.used[name] = true
		return value, nil
	case isTensor && !wantsTensor && op.activations != anyInputs:
		return nil, n.fault("input %d must be an activation; %s is a tensor", k, name)
	case isTensor:
		if _, ok := elements(tensor, math.MaxInt32); !ok {
			return nil, n.fault("%s %v: want positive extents and at most %d elements", name, tensor, math.MaxInt32)
		}
		return tensor, nil
	}
	if maker, later := s.makers[name]; later {
		return nil, n.fault("reads %s, which node %q makes only later", name, maker)
	}
	if wantsTensor {
		return nil, n.fault("tensor %s is missing", name)
	}
	return nil, n.fault("reads %s, which no node makes and no tensor is called", name)
}

// orderOperands puts the activation of an Add or Mul before the tensor, for broadcastShape.
func (s *scope) orderOperands(n *Node, in [][]int) error {
	_, first := s.values[n.Inputs[0]]
	_, second := s.values[n.Inputs[1]]
	switch {
	case !first && !second:
		return n.fault("both inputs are tensors; one must be an activation")
	case first && second:
		if !slices.Equal(in[0], in[1]) {
			return n.fault("inputs %s %v and %s %v differ; two activations must have one shape", n.Inputs[0], in[0], n.Inputs[1], in[1])
		}
	case second:
		in[0], in[1] = in[1], in[0]
	}
	return nil
}

func (s *scope) output(g *Graph) error {
	if _, made := s.values[g.Output]; !made || g.Output == g.Input.Name {
		return fault.BadModel("graph: output %q is made by no node", g.Output)
	}
	if !s.used[g.Input.Name] {
		return fault.BadModel("graph: input %q is used by no node", g.Input.Name)
	}
	for i := range g.Nodes {
		if n := &g.Nodes[i]; !s.used[n.Output] && n.Output != g.Output {
			return n.fault("output %q is used by no node", n.Output)
		}
	}
	return nil
}

// elements is the product of the extents; ok is false if one is not positive or the product is
// over most, which is an int32.
func elements(shape []int, most int64) (n int64, ok bool) {
	n = 1
	for _, extent := range shape {
		if extent < 1 || int64(extent) > most {
			return 0, false
		}
		if n *= int64(extent); n > most {
			return 0, false
		}
	}
	return n, true
}
