package graph

import (
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"brenier/engine/internal/fault"
)

// soundGraphs use every operator and attribute between them; soundTensors are the shapes that
// they want.
var soundGraphs = []string{
	// A transposed convolution's path, as a DCGAN has it.
	`{"input":{"name":"z","shape":[3]},"output":"image","nodes":[
		{"name":"view","op":"Reshape","inputs":["z"],"output":"v","attributes":{"shape":[-1,3,1,1]}},
		{"name":"n1","op":"ConvTranspose","inputs":["v","ct.weight","four"],"output":"a","attributes":{"strides":[2,1],"pads":[0,0,0,0],"output_padding":[1,0],"dilations":[1,1],"kernel_shape":[2,2]}},
		{"name":"n2","op":"BatchNormalization","inputs":["a","four","four","four","four"],"output":"b","attributes":{"epsilon":0.001}},
		{"name":"n3","op":"LeakyRelu","inputs":["b"],"output":"c","attributes":{"alpha":0.2}},
		{"name":"n4","op":"Resize","inputs":["c"],"output":"d","attributes":{"scales":[2,1.5]}},
		{"name":"n5","op":"Conv","inputs":["d","c.weight"],"output":"e","attributes":{"pads":[1,1,1,1],"group":2}},
		{"name":"n6","op":"Tanh","inputs":["e"],"output":"image"}]}`,
	// A dense one with two paths.
	`{"input":{"name":"z","shape":[3,2,1]},"output":"image","nodes":[
		{"name":"flat","op":"Flatten","inputs":["z"],"output":"f","attributes":{"axis":1}},
		{"name":"n1","op":"Gemm","inputs":["f","g.matrix","sixteen"],"output":"a","attributes":{"alpha":0.5,"beta":2,"transB":1}},
		{"name":"n2","op":"Reshape","inputs":["a"],"output":"b","attributes":{"shape":[0,4,-1,2]}},
		{"name":"n3","op":"GroupNormalization","inputs":["b","four","four"],"output":"c","attributes":{"num_groups":2}},
		{"name":"n4","op":"Silu","inputs":["c"],"output":"d"},
		{"name":"n5","op":"Relu","inputs":["b"],"output":"e"},
		{"name":"n6","op":"Add","inputs":["d","e"],"output":"g"},
		{"name":"n7","op":"Mul","inputs":["gain","g"],"output":"h"},
		{"name":"n8","op":"Concat","inputs":["h","b","d"],"output":"i","attributes":{"axis":-2}},
		{"name":"n9","op":"Sigmoid","inputs":["i"],"output":"j"},
		{"name":"n11","op":"Transpose","inputs":["j"],"output":"k","attributes":{"perm":[0,2,1,3]}},
		{"name":"n10","op":"Clip","inputs":["k"],"output":"image","attributes":{"min":0.25,"max":0.75}}]}`,
}

var soundTensors = map[string][]int{
	"ct.weight": {3, 4, 2, 2}, "four": {4}, "c.weight": {6, 2, 3, 3},
	"g.matrix": {16, 6}, "sixteen": {16}, "gain": {1, 4, 1, 1},
}

// Worked by hand from ONNX's formulas.
func TestShapes(t *testing.T) {
	for i, want := range []map[string][]int{
		{"z": {3}, "v": {3, 1, 1}, "a": {4, 3, 2}, "b": {4, 3, 2}, "c": {4, 3, 2}, "d": {4, 6, 3}, "e": {6, 6, 3}, "image": {6, 6, 3}},
		{"z": {3, 2, 1}, "f": {6}, "a": {16}, "b": {4, 2, 2}, "c": {4, 2, 2}, "d": {4, 2, 2}, "e": {4, 2, 2}, "g": {4, 2, 2},
			"h": {4, 2, 2}, "i": {4, 6, 2}, "j": {4, 6, 2}, "k": {6, 4, 2}, "image": {6, 4, 2}},
	} {
		g, err := Parse([]byte(soundGraphs[i]))
		if err != nil {
			t.Fatal(err)
		}
		got, err := g.Shapes(soundTensors)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("graph %d:\n got %v\nwant %v", i, got, want)
		}
	}
}

// The extents of convolutions, against counting: how often a window fits, and which outputs a
// scattered window reaches.
func TestShapes_windows(t *testing.T) {
	for in := 1; in <= 5; in++ {
		for kernel := 1; kernel <= 4; kernel++ {
			for stride := 1; stride <= 3; stride++ {
				for dilation := 1; dilation <= 2; dilation++ {
					for pad := 0; pad <= 2; pad++ {
						checkWindow(t, in, kernel, stride, dilation, pad)
					}
				}
			}
		}
	}
}

func checkWindow(t *testing.T, in, kernel, stride, dilation, pad int) {
	t.Helper()
	extent := func(op string) int {
		n := Node{Name: "n", Op: op, Inputs: []string{"x", "w"}, Output: "y", Attributes: Attributes{
			Strides: []int{stride, 1}, Dilations: []int{dilation, 1}, Pads: []int{pad, 0, pad, 0}}}
		out, err := n.OutputShape([]int{1, in, 1}, []int{1, 1, kernel, 1})
		if err != nil {
			return 0
		}
		return out[1]
	}
	fits := 0
	for first := -pad; first+(kernel-1)*dilation < in+pad; first += stride {
		fits++
	}
	if got := extent(Conv); got != fits {
		t.Errorf("Conv in=%d kernel=%d stride=%d dilation=%d pad=%d: %d, want %d", in, kernel, stride, dilation, pad, got, fits)
	}
	last := 0
	for i := range in {
		for k := range kernel {
			last = max(last, i*stride+k*dilation)
		}
	}
	if got, want := extent(ConvTranspose), max(0, last+1-2*pad); got != want {
		t.Errorf("ConvTranspose in=%d kernel=%d stride=%d dilation=%d pad=%d: %d, want %d", in, kernel, stride, dilation, pad, got, want)
	}
}

func TestParse_fills_the_defaults(t *testing.T) {
	g, err := Parse([]byte(`{"input":{"name":"z","shape":[2,3,3]},"output":"f","nodes":[
		{"name":"1","op":"ConvTranspose","inputs":["z","w"],"output":"a"},
		{"name":"2","op":"Conv","inputs":["a","w"],"output":"b"},
		{"name":"3","op":"BatchNormalization","inputs":["b","s","s","s","s"],"output":"c"},
		{"name":"4","op":"LeakyRelu","inputs":["c"],"output":"d"},
		{"name":"5","op":"Concat","inputs":["d"],"output":"e"},
		{"name":"6","op":"Gemm","inputs":["e","m"],"output":"f"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	g.Normalize(map[string][]int{"w": {2, 2, 5, 3}})
	one, slope, epsilon, axis := 1.0, 0.01, 1e-5, 1
	window := Attributes{KernelShape: []int{5, 3}, Strides: []int{1, 1}, Pads: []int{0, 0, 0, 0}, Dilations: []int{1, 1}, Group: 1}
	transposed := window
	transposed.OutputPadding = []int{0, 0}
	for i, want := range []Attributes{transposed, window, {Epsilon: &epsilon}, {Alpha: &slope}, {Axis: &axis}, {Alpha: &one, Beta: &one}} {
		if got := g.Nodes[i].Attributes; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, want %+v", g.Nodes[i].Op, got, want)
		}
	}
}

func TestMarshalJSON_reads_back_the_same_and_leaves_defaults_out(t *testing.T) {
	for _, text := range soundGraphs {
		g, err := Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		var again Graph
		if err := json.Unmarshal([]byte(g.String()), &again); err != nil {
			t.Fatal(err)
		}
		g.Normalize(soundTensors)
		again.Normalize(soundTensors)
		if !reflect.DeepEqual(*g, again) {
			t.Errorf("read back:\n%s\n%s", g, &again)
		}
		for _, spare := range []string{"kernel_shape", "dilations", `"axis":1`, "{}", "null"} {
			if strings.Contains(g.String(), spare) {
				t.Errorf("%s is written: %s", spare, g)
			}
		}
	}
}

func TestTensors(t *testing.T) {
	var got []string
	for _, text := range soundGraphs {
		g, err := Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, g.Tensors()...)
	}
	want := []string{"ct.weight", "four", "c.weight", "g.matrix", "sixteen", "four", "gain"}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// Each case changes one sound graph, or the shapes of its tensors, in one place.
func TestFaults(t *testing.T) {
	for _, c := range []struct {
		graph    int
		old, new string // in the JSON
		tensor   string // with another shape, or missing where the shape is nil
		shape    []int
		want     string // after "graph: "
	}{
		// The JSON.
		{0, `"image","nodes"`, `"image","extra":1,"nodes"`, "", nil, `unknown key "extra"`},
		{0, `"op":"Tanh"`, `"op":"Tanh","Op":"Relu"`, "", nil, `nodes[6]: unknown key "Op"`},
		{0, `"op":"Tanh"`, `"op":"Tanh","op":"Relu"`, "", nil, `nodes[6]: duplicate key "op"`},
		{0, `{"alpha":0.2}`, `{"alpha":0.2,"alpha":0.3}`, "", nil, `node "n3" (LeakyRelu): attributes: duplicate key "alpha"`},
		{0, `{"alpha":0.2}`, `{"slope":0.2}`, "", nil, `node "n3" (LeakyRelu): attributes: unknown key "slope"`},
		{0, `{"alpha":0.2}`, `{"group":1}`, "", nil, `node "n3" (LeakyRelu): attribute "group" does not belong to LeakyRelu`},
		{0, `{"alpha":0.2}`, `{"alpha":"x"}`, "", nil, `node "n3" (LeakyRelu): attributes: alpha: want a number, got "x"`},
		{0, `{"alpha":0.2}`, `{"alpha":1e999}`, "", nil, `node "n3" (LeakyRelu): attributes: alpha: want a number that float64 holds, got 1e999`},
		{0, `{"alpha":0.2}`, `{"alpha":null}`, "", nil, `node "n3" (LeakyRelu): attributes: alpha: want a number, got null`},
		{0, `"group":2`, `"group":0`, "", nil, `node "n5" (Conv): attribute "group" is 0; leave it out to have the default`},
		{0, `"group":2`, `"group":2.5`, "", nil, `node "n5" (Conv): attributes: group: want an integer of 64 bits, got 2.5`},
		{0, `[1,1,1,1]`, `[]`, "", nil, `node "n5" (Conv): attribute "pads" is []; leave it out to have the default`},
		{0, `"output":"image","nodes"`, `"nodes"`, "", nil, `want the keys input, output and nodes`},
		{0, `"op":"Tanh"`, `"op":"Softmax"`, "", nil, `node "n6": unknown operator "Softmax"`},
		{0, `"name":"n6"`, `"name":""`, "", nil, `node 6: want a name of 1 to 512 bytes, got 0`},
		{0, `"output":"e"`, `"output":""`, "", nil, `node "n5" (Conv): want an output name of 1 to 512 bytes, got 0`},
		// Names.
		{0, `"name":"n6"`, `"name":"n5"`, "", nil, `node "n5" (Tanh): an earlier node has that name too`},
		{0, `"inputs":["e"]`, `"inputs":["image"]`, "", nil, `node "n6" (Tanh): reads image, which node "n6" makes only later`},
		{0, `"inputs":["c"]`, `"inputs":["e"]`, "", nil, `node "n4" (Resize): reads e, which node "n5" makes only later`},
		{0, `"inputs":["c"]`, `"inputs":["x"]`, "", nil, `node "n4" (Resize): reads x, which no node makes and no tensor is called`},
		{0, `"inputs":["c"]`, `"inputs":[""]`, "", nil, `node "n4" (Resize): input 0 has no name`},
		{0, `"inputs":["c"]`, `"inputs":["four"]`, "", nil, `node "n4" (Resize): input 0 must be an activation; four is a tensor`},
		{0, `"d","c.weight"`, `"d","a"`, "", nil, `node "n5" (Conv): input 1 must be a tensor; a is an activation`},
		{0, `"d","c.weight"`, `"d"`, "", nil, `node "n5" (Conv): want 2 to 3 inputs, got 1`},
		{0, `"four","four","four","four"`, `"four","four"`, "", nil, `node "n2" (BatchNormalization): want 5 inputs, got 3`},
		{0, `"output":"e"`, `"output":"a"`, "", nil, `node "n5" (Conv): output "a" has been made before`},
		{0, `"output":"e"`, `"output":"four"`, "", nil, `node "n5" (Conv): output "four": a tensor has that name too`},
		{0, `"output":"image","nodes"`, `"output":"e","nodes"`, "", nil, `node "n6" (Tanh): output "image" is used by no node`},
		{0, `"output":"image","nodes"`, `"output":"four","nodes"`, "", nil, `output "four" is made by no node`},
		{0, `"inputs":["d","c.weight"]`, `"inputs":["b","c.weight"]`, "", nil, `node "n4" (Resize): output "d" is used by no node`},
		{0, ``, ``, "z", []int{1}, `input "z": a tensor has that name too`},
		{1, `["d","e"]`, `["four","gain"]`, "", nil, `node "n6" (Add): both inputs are tensors; one must be an activation`},
		// Shapes.
		{0, `"shape":[3]`, `"shape":[]`, "", nil, `input "z": want a shape of 1 to 3 axes, got []`},
		{0, `"shape":[3]`, `"shape":[-3]`, "", nil, `input "z": want positive extents and at most 67108864 elements, got [-3]`},
		{0, `"shape":[3]`, `"shape":[4294967296,4294967296]`, "", nil, `input "z": want positive extents and at most 67108864 elements, got [4294967296 4294967296]`},
		{0, `[-1,3,1,1]`, `[-1,4,1,1]`, "", nil, `node "view" (Reshape): shape [-1 4 1 1] does not hold the 3 elements of the input [3]`},
		{0, `[-1,3,1,1]`, `[1,3,1,1]`, "", nil, `node "view" (Reshape): shape: want 0 or -1 for the batch, got [1 3 1 1]`},
		{0, `[-1,3,1,1]`, `[0,3,-1,-1]`, "", nil, `node "view" (Reshape): shape: want positive extents, 0 to copy and one -1 at most after the batch, got [0 3 -1 -1]`},
		{0, `[-1,3,1,1]`, `[0,3,67108864,67108864]`, "", nil, `node "view" (Reshape): shape [0 3 67108864 67108864] has more elements than the input [3]`},
		{0, `[-1,3,1,1]`, `[0,3,1,1,1]`, "", nil, `node "view" (Reshape): shape: want 2 to 4 axes with the batch first, got [0 3 1 1 1]`},
		{0, `["v","ct.weight"`, `["z","ct.weight"`, "", nil, `node "n1" (ConvTranspose): input z: want [C,H,W], got [3]; reshape it first`},
		{0, ``, ``, "ct.weight", []int{5, 4, 2, 2}, `node "n1" (ConvTranspose): input has 3 channels, weight ct.weight [5 4 2 2] wants 5`},
		{0, ``, ``, "ct.weight", []int{3, 4, 4}, `node "n1" (ConvTranspose): weight ct.weight: want 4 axes, got [3 4 4]`},
		{0, ``, ``, "ct.weight", []int{3, 4, 3, 2}, `node "n1" (ConvTranspose): kernel_shape [2 2] differs from weight ct.weight [3 4 3 2]`},
		{0, ``, ``, "ct.weight", []int{3, 0, 2, 2}, `node "n1" (ConvTranspose): ct.weight [3 0 2 2]: want positive extents and at most 2147483647 elements`},
		{0, ``, ``, "ct.weight", nil, `node "n1" (ConvTranspose): tensor ct.weight is missing`},
		{0, ``, ``, "four", []int{5}, `node "n1" (ConvTranspose): bias four: want [4], got [5]`},
		{0, `[2,1],"pads"`, `[2,0],"pads"`, "", nil, `node "n1" (ConvTranspose): strides: want 1 to 1048576, got [2 0]`},
		{0, `[2,1],"pads"`, `[2],"pads"`, "", nil, `node "n1" (ConvTranspose): strides: want 2 numbers, got [2]`},
		{0, `[0,0,0,0]`, `[0,0,-1,0]`, "", nil, `node "n1" (ConvTranspose): pads: want 0 to 1048576, got [0 0 -1 0]`},
		{0, `[0,0,0,0]`, `[2,0,2,0]`, "", nil, `node "n1" (ConvTranspose): makes -1 rows; want 1 to 67108864`},
		{0, `"output_padding":[1,0]`, `"output_padding":[1,1]`, "", nil, `node "n1" (ConvTranspose): output_padding [1 1]: want less than the larger of stride and dilation, 1`},
		{0, `"dilations":[1,1]`, `"dilations":[1,1],"group":2`, "", nil, `node "n1" (ConvTranspose): group 2 does not divide the input's 3 channels`},
		{0, `"group":2`, `"group":3`, "", nil, `node "n5" (Conv): input has 4 channels, weight c.weight [6 2 3 3] in 3 groups wants 6`},
		{0, `"group":2`, `"group":4`, "", nil, `node "n5" (Conv): weight c.weight [6 2 3 3]: group 4 does not divide its 6 outputs`},
		{0, `"group":2`, `"group":-2`, "", nil, `node "n5" (Conv): group: want at least 1, got -2`},
		{0, `"pads":[1,1,1,1]`, `"dilations":[9,1]`, "", nil, `node "n5" (Conv): a window of 19 rows does not fit the padded input's 6`},
		{0, `"epsilon":0.001`, `"epsilon":-1`, "", nil, `node "n2" (BatchNormalization): epsilon: want a finite number, not negative, got -1`},
		{0, `"scales":[2,1.5]`, `"scales":[2,0.1]`, "", nil, `node "n4" (Resize): scales: want positive numbers that leave 1 to 67108864 rows and columns, got [2 0.1] for [4 3 2]`},
		{0, `"scales":[2,1.5]`, `"scales":[9999,9999]`, "", nil, `node "n4" (Resize): output [4 29997 19998]: want positive extents and at most 67108864 elements`},
		{0, `"scales":[2,1.5]`, `"scales":[2]`, "", nil, `node "n4" (Resize): scales: want 2 numbers, got 1`},
		{1, `"axis":1}`, `"axis":2}`, "", nil, `node "flat" (Flatten): axis: want 1, which keeps the batch, got 2`},
		{1, `["f","g.matrix"`, `["z","g.matrix"`, "", nil, `node "n1" (Gemm): input z: want [K], got [3 2 1]; flatten it first`},
		{1, ``, ``, "g.matrix", []int{16, 7}, `node "n1" (Gemm): input has 6 features, weight g.matrix [16 7] wants 7`},
		{1, `"transB":1`, `"transB":2`, "", nil, `node "n1" (Gemm): transB: want 0 or 1, got 2`},
		{1, `"transB":1`, `"transB":0`, "", nil, `node "n1" (Gemm): input has 6 features, weight g.matrix [16 6] wants 16`},
		{1, ``, ``, "sixteen", []int{4, 4}, `node "n1" (Gemm): bias sixteen: want [16], got [4 4]`},
		{1, `"num_groups":2`, `"num_groups":3`, "", nil, `node "n3" (GroupNormalization): num_groups: want a divisor of the input's 4 channels, got 3`},
		{1, `["d","e"]`, `["d","a"]`, "", nil, `node "n6" (Add): inputs d [4 2 2] and a [16] differ; two activations must have one shape`},
		{1, ``, ``, "gain", []int{2, 4, 1, 1}, `node "n7" (Mul): tensor [2 4 1 1] does not broadcast to the activation [4 2 2]`},
		{1, ``, ``, "gain", []int{3}, `node "n7" (Mul): tensor [3] does not broadcast to the activation [4 2 2]`},
		{1, `"perm":[0,2,1,3]`, `"perm":[1,0,2,3]`, "", nil, `node "n11" (Transpose): perm: want the axes 0 to 3 in some order, 0 first, got [1 0 2 3]`},
		{1, `"perm":[0,2,1,3]`, `"perm":[0,2,2,3]`, "", nil, `node "n11" (Transpose): perm: want the axes 0 to 3 in some order, 0 first, got [0 2 2 3]`},
		{1, `"perm":[0,2,1,3]`, `"perm":[0,2,1,4]`, "", nil, `node "n11" (Transpose): perm: want the axes 0 to 3 in some order, 0 first, got [0 2 1 4]`},
		{1, `"perm":[0,2,1,3]`, `"perm":[0,2,1]`, "", nil, `node "n11" (Transpose): perm: want the axes 0 to 3 in some order, 0 first, got [0 2 1]`},
		{1, `,"attributes":{"perm":[0,2,1,3]}`, ``, "", nil, `node "n11" (Transpose): perm: want the axes 0 to 3 in some order, 0 first, got []`},
		{1, `"axis":-2`, `"axis":0`, "", nil, `node "n8" (Concat): axis: want 1 to 3, got 0; axis 0 is the batch`},
		{1, `["h","b","d"]`, `["h","a","d"]`, "", nil, `node "n8" (Concat): inputs h [4 2 2] and a [16] differ beside axis 2`},
		{1, `"min":0.25`, `"min":0.8`, "", nil, `node "n10" (Clip): min 0.8 is above max 0.75`},
		{1, `{"name":"n10","op":"Clip","inputs":["k"],"output":"image","attributes":{"min":0.25,"max":0.75}}`, `{"name":"n10","op":"Flatten","inputs":["k"],"output":"image"}`, "", nil, `output "image": want [C,H,W], got [48]`},
	} {
		if c.old != "" && strings.Count(soundGraphs[c.graph], c.old) != 1 {
			t.Fatalf("%q is not once in the sound graph", c.old)
		}
		text := soundGraphs[c.graph]
		if c.old != "" {
			text = strings.Replace(text, c.old, c.new, 1)
		}
		tensors := maps.Clone(soundTensors)
		if c.tensor != "" {
			tensors[c.tensor] = c.shape
			if c.shape == nil {
				delete(tensors, c.tensor)
			}
		}
		g, err := Parse([]byte(text))
		if err == nil {
			_, err = g.Shapes(tensors)
		}
		if err == nil || !errors.Is(err, fault.ErrBadModel) || err.Error() != "graph: "+c.want {
			t.Errorf("%s -> %s %s %v:\n got %v\nwant graph: %s", c.old, c.new, c.tensor, c.shape, err, c.want)
		}
	}
}

func TestParse_refuses_what_is_over_the_limits(t *testing.T) {
	node := `{"name":"n","op":"Relu","inputs":["z"],"output":"o"}`
	for text, want := range map[string]string{
		strings.Repeat(" ", MaxJSON+1):                    "graph: 4194305 bytes of JSON; the limit is 4194304",
		strings.Repeat("[", 40) + strings.Repeat("]", 40): "graph: arrays and objects nest 40 deep; the limit is 32",
		"{\"input\":\"\xff\"}":                            "graph: invalid UTF-8 at byte 10",
		`{"input":`:                                       "graph: not valid JSON at byte 9: unexpected end of JSON input",
		`{} {}`:                                           "graph: not valid JSON at byte 4: invalid character '{' after top-level value",
		`[1]`:                                             "graph: want an object, got a list",
		`{"input":{"name":"z","shape":[1]},"output":"o","nodes":[` + strings.Repeat(node+",", MaxNodes) + node + `]}`:                                "graph: 4097 nodes; the limit is 4096",
		`{"input":{"name":"z","shape":[1]},"output":"o","nodes":[` + strings.Replace(node, `"z"`, strings.Repeat(`"z",`, MaxInputs)+`"z"`, 1) + `]}`: `graph: node "n" (Relu): 65 inputs; the limit is 64`,
	} {
		if _, err := Parse([]byte(text)); err == nil || err.Error() != want {
			t.Errorf("%.60s:\n got %v\nwant %s", text, err, want)
		}
	}
}

// A graph built by hand may hold what JSON cannot write.
func TestShapes_checks_graphs_built_by_hand(t *testing.T) {
	nan := func() *float64 { zero := 0.0; nan := zero / zero; return &nan }()
	for want, node := range map[string]Node{
		`graph: node "n" (LeakyRelu): alpha: want a finite number, got NaN`:   {Op: LeakyRelu, Attributes: Attributes{Alpha: nan}},
		`graph: node "n" (Clip): min and max: want finite numbers`:            {Op: Clip, Attributes: Attributes{Max: nan}},
		`graph: node "n" (Relu): attribute "strides" does not belong to Relu`: {Op: Relu, Attributes: Attributes{Strides: []int{1, 1}}},
		`graph: node "n": unknown operator ""`:                                {},
	} {
		node.Name, node.Inputs, node.Output = "n", []string{"z"}, "o"
		g := &Graph{Input: Value{"z", []int{1, 2, 3}}, Output: "o", Nodes: []Node{node}}
		if _, err := g.Shapes(nil); err == nil || err.Error() != want {
			t.Errorf("got %v\nwant %s", err, want)
		}
	}
}
