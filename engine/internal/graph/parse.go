package graph

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"brenier/engine/internal/fault"
	"brenier/engine/internal/strictjson"
)

// Limits of what Parse and Shapes accept. They bound the work that a hostile file can ask for and
// keep every size within an int32, which the kernels count with.
const (
	MaxJSON     = 4 << 20 // bytes of a graph's JSON
	MaxNodes    = 4096
	MaxInputs   = 64 // of one node
	MaxName     = 512
	MaxRank     = 4       // axes of an activation, the batch included
	MaxElements = 1 << 26 // of one sample's activation: 64 channels of 1024 x 1024
)

// rawGraph and rawNode are Graph and Node as written: attributes are decoded once the operator is
// known, and what is missing can be told from what is empty.
type rawGraph struct {
	Input  *Value    `json:"input"`
	Output *string   `json:"output"`
	Nodes  []rawNode `json:"nodes"`
}

type rawNode struct {
	Name       string         `json:"name"`
	Op         string         `json:"op"`
	Inputs     []string       `json:"inputs"`
	Output     string         `json:"output"`
	Attributes strictjson.Raw `json:"attributes"`
}

// Parse reads a graph's JSON and fills in the defaults of the attributes, all but kernel_shape,
// which follows from the weight (see Normalize). It refuses unknown and duplicate keys, an
// attribute that the operator does not have, and anything over the limits; whether the nodes fit
// each other and the weights is for Shapes to say. Errors are fault.ErrBadModel.
func Parse(data []byte) (*Graph, error) {
	if len(data) > MaxJSON {
		return nil, fault.BadModel("graph: %d bytes of JSON; the limit is %d", len(data), MaxJSON)
	}
	var raw rawGraph
	if err := strictjson.Unmarshal(data, &raw); err != nil {
		return nil, fault.BadModel("graph: %w", err)
	}
	if raw.Input == nil || raw.Output == nil || raw.Nodes == nil {
		return nil, fault.BadModel("graph: want the keys input, output and nodes")
	}
	if len(raw.Nodes) > MaxNodes {
		return nil, fault.BadModel("graph: %d nodes; the limit is %d", len(raw.Nodes), MaxNodes)
	}
	g := &Graph{Input: *raw.Input, Output: *raw.Output, Nodes: make([]Node, len(raw.Nodes))}
	for i, r := range raw.Nodes {
		node := Node{Name: r.Name, Op: r.Op, Inputs: r.Inputs, Output: r.Output}
		if err := node.checkForm(i); err != nil {
			return nil, err
		}
		if r.Attributes != nil {
			if err := node.parseAttributes(r.Attributes); err != nil {
				return nil, err
			}
		}
		g.Nodes[i] = node
	}
	g.Normalize(nil)
	return g, nil
}

// checkForm checks what a node says of itself; i is its place in the list.
func (n *Node) checkForm(i int) error {
	if n.Name == "" || len(n.Name) > MaxName {
		return fault.BadModel("graph: node %d: want a name of 1 to %d bytes, got %d", i, MaxName, len(n.Name))
	}
	if _, known := operators[n.Op]; !known {
		return fault.BadModel("graph: node %q: unknown operator %q", n.Name, n.Op)
	}
	if len(n.Inputs) > MaxInputs {
		return n.fault("%d inputs; the limit is %d", len(n.Inputs), MaxInputs)
	}
	if n.Output == "" || len(n.Output) > MaxName {
		return n.fault("want an output name of 1 to %d bytes, got %d", MaxName, len(n.Output))
	}
	return nil
}

func (n *Node) parseAttributes(data []byte) error {
	var written map[string]strictjson.Raw
	if err := strictjson.Unmarshal(data, &written); err != nil {
		return n.fault("attributes: %w", err)
	}
	if err := strictjson.Unmarshal(data, &n.Attributes); err != nil {
		return n.fault("attributes: %w", err)
	}
	// Sorted, so that the same file always gets the same sentence.
	names := make([]string, 0, len(written))
	for name := range written {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if !slices.Contains(operators[n.Op].attributes, name) {
			return n.fault("attribute %q does not belong to %s", name, n.Op)
		}
		if value := attribute(&n.Attributes, name); value.IsZero() && name != "transB" || value.Kind() == reflect.Slice && value.Len() == 0 {
			return n.fault("attribute %q is %s; leave it out to have the default", name, written[name])
		}
	}
	return nil
}

// attribute is the field of a that JSON writes under name.
func attribute(a *Attributes, name string) reflect.Value {
	v := reflect.ValueOf(a).Elem()
	for i := range v.NumField() {
		if tag, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ","); tag == name {
			return v.Field(i)
		}
	}
	panic("graph: Attributes has no field " + name) // the operators' table is wrong, not the input
}

// setAttributes are the names of the attributes that are set, in the order of Attributes.
func (n *Node) setAttributes() []string {
	var names []string
	v := reflect.ValueOf(n.Attributes)
	for i := range v.NumField() {
		if !v.Field(i).IsZero() {
			tag, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
			names = append(names, tag)
		}
	}
	return names
}

// MarshalJSON writes the graph compactly: an attribute at its default is left out, and so is
// kernel_shape. Parse and Normalize read it back to the same graph.
func (g *Graph) MarshalJSON() ([]byte, error) {
	type compactNode struct {
		Name       string     `json:"name"`
		Op         string     `json:"op"`
		Inputs     []string   `json:"inputs"`
		Output     string     `json:"output"`
		Attributes Attributes `json:"attributes,omitzero"`
	}
	nodes := make([]compactNode, len(g.Nodes))
	for i, n := range g.Nodes {
		nodes[i] = compactNode{n.Name, n.Op, n.Inputs, n.Output, n.withoutDefaults()}
	}
	return json.Marshal(struct {
		Input  Value         `json:"input"`
		Output string        `json:"output"`
		Nodes  []compactNode `json:"nodes"`
	}{g.Input, g.Output, nodes})
}

// UnmarshalJSON is Parse.
func (g *Graph) UnmarshalJSON(data []byte) error {
	parsed, err := Parse(data)
	if err != nil {
		return err
	}
	*g = *parsed
	return nil
}

// String is the graph's JSON, or the reason why it has none (a NaN among the attributes).
func (g *Graph) String() string {
	data, err := g.MarshalJSON()
	if err != nil {
		return fmt.Sprintf("graph: %v", err)
	}
	return string(data)
}

// fault is one sentence about the node.
func (n *Node) fault(format string, args ...any) error {
	return fault.BadModel("graph: node %q (%s): %w", n.Name, n.Op, fmt.Errorf(format, args...))
}
