package layers

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"brenier/engine/internal/fault"
	"brenier/engine/internal/graph"
)

// stateDict reads the shapes of a trained network's state dict, as PyTorch saved it.
func stateDict(t *testing.T, name string) map[string][]int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var shapes map[string][]int
	if err := json.Unmarshal(text, &shapes); err != nil {
		t.Fatal(err)
	}
	return shapes
}

var (
	mnist = []string{
		"ConvTranspose2d(64, 256, kernel_size=(7, 7), stride=(1, 1))",
		"BatchNorm2d(256, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)", "ReLU(inplace=True)",
		"ConvTranspose2d(256, 128, kernel_size=(4, 4), stride=(2, 2), padding=(1, 1))", "BatchNorm2d(128)", "ReLU()",
		"ConvTranspose2d(128,1,4,2,1)", "Sigmoid()",
	}
	mnistInfogan = []string{
		"Flatten(start_dim=1, end_dim=-1)",
		"Linear(in_features=64, out_features=1024, bias=True)", "BatchNorm1d(1024, eps=1e-05)", "ReLU()",
		"Linear(1024, 6272)", "nn.BatchNorm1d(6272)", "ReLU",
		"Unflatten(dim=1, unflattened_size=(128, 7, 7))",
		"ConvTranspose2d(128, 64, 4, stride=2, padding=1)", "BatchNorm2d(64)", "ReLU()",
		"ConvTranspose2d(64, 1, 4, 2, 1)", "Sigmoid()",
	}
	terrain = []string{
		"ConvTranspose2d(128,512,4)", "BatchNorm2d(512)", "LeakyReLU(negative_slope=0.2)",
		"Upsample(scale_factor=2.0, mode='nearest')", "Conv2d(512, 256, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))", "BatchNorm2d(256)", "LeakyReLU(0.2)",
		"Upsample(None, 2)", "Conv2d(256,128,3,1,1)", "BatchNorm2d(128)", "LeakyReLU(0.2)",
		"Upsample(scale_factor=(2.0, 2.0))", "Conv2d(128,64,3,padding='same')", "BatchNorm2d(64)", "LeakyReLU(0.2)",
		"Upsample(size=64)", "Conv2d(64,32,3,padding=1)", "BatchNorm2d(32)", "LeakyReLU(0.2)",
		"Conv2d(32,1,3,padding=1)", "Tanh()",
	}
)

func TestFromSequential_trained_decoders(t *testing.T) {
	for _, c := range []struct {
		name      string
		layers    []string
		d         int
		operators string
		image     []int
		low, high float64
		tensors   int
	}{
		{"mnist", mnist, 64, "Reshape ConvTranspose BatchNormalization Relu ConvTranspose BatchNormalization Relu ConvTranspose Sigmoid", []int{1, 28, 28}, 0, 1, 14},
		{"mnist_infogan", mnistInfogan, 64, "Gemm BatchNormalization Relu Gemm BatchNormalization Relu Reshape ConvTranspose BatchNormalization Relu ConvTranspose Sigmoid", []int{1, 28, 28}, 0, 1, 20},
		{"terrain", terrain, 128, "Reshape ConvTranspose BatchNormalization LeakyRelu" + strings.Repeat(" Resize Conv BatchNormalization LeakyRelu", 4) + " Conv Tanh", []int{1, 64, 64}, -1, 1, 32},
	} {
		t.Run(c.name, func(t *testing.T) {
			dict := stateDict(t, c.name)
			g, _, err := FromSequential(c.layers, "decoder.", []int{c.d}, dict)
			if err != nil {
				t.Fatal(err)
			}
			var operators []string
			for _, n := range g.Nodes {
				operators = append(operators, n.Op)
			}
			if got := strings.Join(operators, " "); got != c.operators {
				t.Errorf("operators:\n got %s\nwant %s", got, c.operators)
			}
			values, err := g.Shapes(dict)
			if err != nil {
				t.Fatal(err)
			}
			if got := values[g.Output]; !slices.Equal(got, c.image) {
				t.Errorf("image %v, want %v", got, c.image)
			}
			if low, high, known := OutputRange(g); !known || low != c.low || high != c.high {
				t.Errorf("range [%g,%g] %v, want [%g,%g]", low, high, known, c.low, c.high)
			}
			if got := len(g.Tensors()); got != c.tensors {
				t.Errorf("%d tensors are read, want %d", got, c.tensors)
			}
		})
	}
}

// The layer lists that lie in files describe the same networks.
func TestFromSequential_files(t *testing.T) {
	for name, layers := range map[string][]string{"mnist": mnist, "mnist_infogan": mnistInfogan, "terrain": terrain} {
		folder := "testdata"
		if name == "terrain" {
			folder = filepath.Join("..", "..", "..", "examples", "models")
		}
		text, err := os.ReadFile(filepath.Join(folder, name+".layers"))
		if err != nil {
			t.Fatal(err)
		}
		list, err := List(string(text))
		if err != nil {
			t.Fatal(err)
		}
		dict := stateDict(t, name)
		d := []int{64}
		if name == "terrain" {
			d = []int{128}
		}
		got, _, err := FromSequential(list, "decoder.", d, dict)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		want, _, err := FromSequential(layers, "decoder.", d, dict)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got.String() != want.String() {
			t.Errorf("%s:\n got %s\nwant %s", name, got, want)
		}
	}
}

// What the three ways of writing a list hold is the same.
func TestList(t *testing.T) {
	want := []string{"ConvTranspose2d(64, 256, kernel_size=(7, 7), stride=(1, 1))", "ReLU()"}
	for name, text := range map[string]string{
		"json":    `["ConvTranspose2d(64, 256, kernel_size=(7, 7), stride=(1, 1))", "ReLU()"]`,
		"lines":   "# the decoder\nConvTranspose2d(64, 256, kernel_size=(7, 7), stride=(1, 1))\r\n\n  ReLU()\n",
		"printed": "Sequential(\n  (0): ConvTranspose2d(64, 256, kernel_size=(7, 7), stride=(1, 1))\n  (1): ReLU()\n)\n",
	} {
		got, err := List(text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %q", name, got)
		}
	}
	for text, want := range map[string]string{
		"(0): ReLU()\n(2): ReLU()":            `layer list, line 2: want layer 1, got "2"; give one flat Sequential, numbered from 0`,
		"Sequential(\n  (0): Sequential(\n )": `layer list, line 2: layer 0, Sequential(...), holds other layers; give one flat Sequential`,
		`["ReLU()", 3]`:                       `layer list: [1]: want a string, got 3`,
		"(ReLU":                               `layer list, line 1: want (0): and a layer, got "(ReLU"`,
	} {
		if _, err := List(text); err == nil || err.Error() != want {
			t.Errorf("%q:\n got %v\nwant %s", text, err, want)
		}
	}
}

// The attributes that PyTorch's arguments become, each checked against the documentation of
// torch.nn, and the shape that torch computes for them.
func TestFromSequential_arguments(t *testing.T) {
	slope, low, high, epsilon := 0.3, -2.0, 0.5, 1e-3
	for _, c := range []struct {
		layer      string
		dict       map[string][]int // of layer 0
		op         string
		attributes graph.Attributes
		shape      []int // of the output for an input of [4,6,6]
	}{
		{"Conv2d(4, 8, (3, 5), stride=(2, 1), padding=(0, 2), dilation=(1, 1), groups=2, bias=False)", map[string][]int{"weight": {8, 2, 3, 5}}, graph.Conv,
			graph.Attributes{KernelShape: []int{3, 5}, Strides: []int{2, 1}, Pads: []int{0, 2, 0, 2}, Dilations: []int{1, 1}, Group: 2}, []int{8, 2, 6}},
		{"Conv2d(4, 8, 4, padding='same')", map[string][]int{"weight": {8, 4, 4, 4}}, graph.Conv,
			graph.Attributes{KernelShape: []int{4, 4}, Strides: []int{1, 1}, Pads: []int{1, 1, 2, 2}, Dilations: []int{1, 1}, Group: 1}, []int{8, 6, 6}},
		{"ConvTranspose2d(4, 6, 3, 2, 1, 1, 2, True, 2)", map[string][]int{"weight": {4, 3, 3, 3}, "bias": {6}}, graph.ConvTranspose,
			graph.Attributes{KernelShape: []int{3, 3}, Strides: []int{2, 2}, Pads: []int{1, 1, 1, 1}, OutputPadding: []int{1, 1}, Dilations: []int{2, 2}, Group: 2}, []int{6, 14, 14}},
		{"LeakyReLU(0.3, inplace=True)", nil, graph.LeakyRelu, graph.Attributes{Alpha: &slope}, []int{4, 6, 6}},
		{"Hardtanh(min_val=-2, max_val=0.5)", nil, graph.Clip, graph.Attributes{Min: &low, Max: &high}, []int{4, 6, 6}},
		{"SiLU()", nil, graph.Silu, graph.Attributes{}, []int{4, 6, 6}},
		{"GroupNorm(2, 4, eps=1e-3)", map[string][]int{"weight": {4}, "bias": {4}}, graph.GroupNormalization, graph.Attributes{NumGroups: 2, Epsilon: &epsilon}, []int{4, 6, 6}},
		{"BatchNorm2d(4, 1e-3)", map[string][]int{"weight": {4}, "bias": {4}, "running_mean": {4}, "running_var": {4}}, graph.BatchNormalization, graph.Attributes{Epsilon: &epsilon}, []int{4, 6, 6}},
		{"UpsamplingNearest2d(scale_factor=1.5)", nil, graph.Resize, graph.Attributes{Scales: []float64{1.5, 1.5}}, []int{4, 9, 9}},
		{"Upsample(size=(12, 18))", nil, graph.Resize, graph.Attributes{Scales: []float64{2, 3}}, []int{4, 12, 18}},
	} {
		dict := map[string][]int{}
		for name, shape := range c.dict {
			dict["0."+name] = shape
		}
		g, _, err := FromSequential([]string{c.layer, "Dropout(p=0.5)", "Identity()"}, "", []int{4, 6, 6}, dict)
		if err != nil {
			t.Errorf("%s: %v", c.layer, err)
			continue
		}
		if n := g.Nodes[0]; len(g.Nodes) != 1 || n.Op != c.op || !reflect.DeepEqual(n.Attributes, c.attributes) {
			t.Errorf("%s: got %s", c.layer, g)
		}
		renamed := map[string][]int{}
		for name, shape := range dict {
			renamed["decoder."+name] = shape
		}
		values, err := g.Shapes(renamed)
		if err != nil {
			t.Fatal(err)
		}
		if got := values[g.Output]; !slices.Equal(got, c.shape) {
			t.Errorf("%s: makes %v, want %v", c.layer, got, c.shape)
		}
	}
}

// A normalisation that learnt no scale or no shift has ones and zeros, as PyTorch prints it.
func TestFromSequential_constants(t *testing.T) {
	ones, zeros := Constant{4, 1}, Constant{4, 0}
	for _, c := range []struct {
		layer string
		dict  []string
		want  map[string]Constant
	}{
		{"BatchNorm1d(4, eps=1e-05, momentum=0.1, affine=False, track_running_stats=True)", []string{"running_mean", "running_var"}, map[string]Constant{"decoder.0.weight": ones, "decoder.0.bias": zeros}},
		{"BatchNorm2d(4, eps=1e-05, momentum=None, affine=False, track_running_stats=True, bias=False)", []string{"running_mean", "running_var"}, map[string]Constant{"decoder.0.weight": ones, "decoder.0.bias": zeros}},
		{"BatchNorm2d(4, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True, bias=False)", []string{"weight", "running_mean", "running_var"}, map[string]Constant{"decoder.0.bias": zeros}},
		{"BatchNorm2d(4, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True, bias=True)", []string{"weight", "bias", "running_mean", "running_var"}, map[string]Constant{}},
		{"GroupNorm(2, 4, eps=1e-05, affine=False)", nil, map[string]Constant{"decoder.0.weight": ones, "decoder.0.bias": zeros}},
		{"GroupNorm(2, 4, eps=1e-05, affine=True)", []string{"weight", "bias"}, map[string]Constant{}},
	} {
		dict := map[string][]int{"0.num_batches_tracked": {}}
		for _, name := range c.dict {
			dict["0."+name] = []int{4}
		}
		g, constants, err := FromSequential([]string{c.layer}, "", []int{4, 6, 6}, dict)
		if err != nil {
			t.Errorf("%s: %v", c.layer, err)
			continue
		}
		if !reflect.DeepEqual(constants, c.want) {
			t.Errorf("%s: constants %v, want %v", c.layer, constants, c.want)
		}
		if inputs := g.Nodes[0].Inputs; !slices.Equal(inputs[:3], []string{"z", "decoder.0.weight", "decoder.0.bias"}) {
			t.Errorf("%s: inputs %v", c.layer, inputs)
		}
	}
}

func TestFromSequential_prefix(t *testing.T) {
	dict := map[string][]int{"net.g.0.weight": {4, 3, 2, 2}, "net.h.0.weight": {9}}
	g, _, err := FromSequential([]string{"ConvTranspose2d(4, 3, 2)", "Flatten()", "Unflatten(1, torch.Size([3, 2, 2]))"}, "net.g.", []int{4}, dict)
	if err != nil {
		t.Fatal(err)
	}
	if got := g.Tensors(); !slices.Equal(got, []string{"decoder.0.weight"}) || StateName("net.g.", got[0]) != "net.g.0.weight" {
		t.Errorf("tensors %v", got)
	}
}

func TestFromSequential_faults(t *testing.T) {
	conv := map[string][]int{"decoder.0.weight": {4, 3, 2, 2}, "decoder.0.bias": {3}}
	for _, c := range []struct {
		layers []string
		dict   map[string][]int
		want   string
	}{
		{[]string{"GELU()"}, nil, "layer 0, GELU(): unknown layer GELU; known are BatchNorm1d, BatchNorm2d, Conv2d, ConvTranspose2d, Dropout, Dropout1d, Dropout2d, Flatten, GroupNorm, Hardtanh, Identity, LeakyReLU, Linear, ReLU, ReLU6, SiLU, Sigmoid, Tanh, Unflatten, Upsample, UpsamplingNearest2d"},
		{[]string{"ConvTranspose2d(4, 3, 3)"}, conv, "layer 0, ConvTranspose2d(4, 3, 3): weight: want [4 3 3 3], got [4 3 2 2] in the state dict"},
		{[]string{"ConvTranspose2d(4, 3, 2)"}, nil, "layer 0, ConvTranspose2d(4, 3, 2): the state dict lacks its weight"},
		{[]string{"ConvTranspose2d(4, 3, 2, bias=False)"}, conv, "layer 0, ConvTranspose2d(4, 3, 2, bias=False): bias=False, but the state dict has its bias"},
		{[]string{"ConvTranspose2d(4, 3, 2, bias=True)"}, map[string][]int{"decoder.0.weight": {4, 3, 2, 2}}, "layer 0, ConvTranspose2d(4, 3, 2, bias=True): bias=True, but the state dict lacks its bias"},
		{[]string{"ConvTranspose2d(4, 3)"}, conv, "layer 0, ConvTranspose2d(4, 3): kernel_size: want an integer or two, got <nil>"},
		{[]string{"ConvTranspose2d(4, 3, 2, groups=2)"}, conv, "layer 0, ConvTranspose2d(4, 3, 2, groups=2): groups: want a divisor of 4 and 3, got 2"},
		{[]string{"ConvTranspose2d(4, 3, 2, speed=9)"}, conv, "layer 0, ConvTranspose2d(4, 3, 2, speed=9): unknown argument speed"},
		{[]string{"ConvTranspose2d(4, 3, 2, kernel_size=2)"}, conv, "layer 0, ConvTranspose2d(4, 3, 2, kernel_size=2): kernel_size is given twice"},
		{[]string{"ConvTranspose2d(4, 3, kernel_size=2, 1)"}, conv, "layer 0, ConvTranspose2d(4, 3, kernel_size=2, 1): a positional argument 1 follows a keyword"},
		{[]string{"ConvTranspose2d(4, 3, 2"}, conv, "layer 0, ConvTranspose2d(4, 3, 2: want ',' or ')', got the end"},
		{[]string{"ConvTranspose2d(4, 3, 2) + 1"}, conv, `layer 0, ConvTranspose2d(4, 3, 2) + 1: want nothing more, got "+ 1"`},
		{[]string{"ReLU(inplace=yes)"}, nil, `layer 0, ReLU(inplace=yes): want a value, got "yes)"`},
		{[]string{"Upsample(scale_factor=2, mode='bilinear')"}, nil, "layer 0, Upsample(scale_factor=2, mode='bilinear'): mode: want nearest, got bilinear"},
		{[]string{"ConvTranspose2d(4, 3, 2)", "Upsample(size=3)"}, conv, "layer 1, Upsample(size=3): size [3 3]: want multiples of the input's [2 2]; other sizes repeat rows unevenly"},
		{[]string{"ReLU()", "ConvTranspose2d(4, 3, 2)"}, conv, "layer 1, ConvTranspose2d(4, 3, 2): its input is [4], not [C,H,W]; put an Unflatten before it"},
		{[]string{"ConvTranspose2d(4, 3, 2)", "Linear(12, 5)"}, map[string][]int{"decoder.0.weight": {4, 3, 2, 2}, "decoder.1.weight": {5, 12}}, "layer 1, Linear(12, 5): its input is [3 2 2]; put a Flatten before it"},
		{[]string{"Linear(5, 6)"}, map[string][]int{"decoder.0.weight": {6, 5}}, `layer 0, Linear(5, 6): graph: node "decoder.0" (Gemm): input has 4 features, weight decoder.0.weight [6 5] wants 5`},
		{[]string{"BatchNorm1d(4, affine=False)"}, nil, "layer 0, BatchNorm1d(4, affine=False): the state dict lacks its running_mean"},
		{[]string{"BatchNorm1d(4)"}, map[string][]int{"decoder.0.running_mean": {4}, "decoder.0.running_var": {4}}, "layer 0, BatchNorm1d(4): the state dict lacks its weight"},
		{[]string{"BatchNorm1d(4, affine=False)"}, map[string][]int{"decoder.0.weight": {4}}, "layer 0, BatchNorm1d(4, affine=False): it says that it has no weight, but the state dict has it"},
		{[]string{"GroupNorm(2, 4, bias=False)"}, map[string][]int{"decoder.0.weight": {4}, "decoder.0.bias": {4}}, "layer 0, GroupNorm(2, 4, bias=False): it says that it has no bias, but the state dict has it"},
		{[]string{"BatchNorm1d(4, affine=0)"}, nil, "layer 0, BatchNorm1d(4, affine=0): affine: want True or False, got 0"},
		{[]string{"BatchNorm1d(4, track_running_stats=False)"}, nil, "layer 0, BatchNorm1d(4, track_running_stats=False): track_running_stats=False normalises by the batch's own statistics; want running ones"},
		{[]string{"GroupNorm(1, 1000000, affine=False)"}, nil, `layer 0, GroupNorm(1, 1000000, affine=False): graph: node "decoder.0" (GroupNormalization): scale decoder.0.weight: want [4], got [1000000]`},
		{[]string{"Linear(4, 6)"}, map[string][]int{"decoder.0.weight": {6, 4}}, `layer list: graph: output "decoder.0": want [C,H,W], got [6]`},
		{[]string{"ConvTranspose2d(4, 3, 2)"}, map[string][]int{"decoder.0.weight": {4, 3, 2, 2}, "decoder.1.weight": {3}, "decoder.1.num_batches_tracked": {}},
			"layer list: no layer of the 1 reads decoder.1.weight of the state dict; complete the list"},
		{nil, nil, "layer list: graph: 0 nodes; want 1 to 4096"},
	} {
		_, _, err := FromSequential(c.layers, "decoder.", []int{4}, c.dict)
		if err == nil || err.Error() != c.want || !errors.Is(err, fault.ErrInvalidArgument) || errors.Is(err, fault.ErrBadModel) {
			t.Errorf("%v:\n got %v\nwant %s", c.layers, err, c.want)
		}
	}
}

// No text makes the reader of layers panic.
func FuzzFromSequential(f *testing.F) {
	for _, layers := range [][]string{mnist, mnistInfogan, terrain} {
		f.Add(strings.Join(layers, "\n"))
	}
	f.Add("Conv2d(1, 64, kernel_size=[4, 4], padding='same')")
	f.Fuzz(func(t *testing.T, text string) {
		layers, err := List(text)
		if err != nil {
			return
		}
		dict := map[string][]int{"0.weight": {4, 3, 2, 2}, "0.bias": {3}, "1.weight": {3}}
		if g, _, err := FromSequential(layers, "", []int{4}, dict); err == nil && len(g.Nodes) == 0 {
			t.Error("a graph without nodes was accepted")
		}
	})
}
