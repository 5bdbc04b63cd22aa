package modelfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/fault"
	"brenier/engine/internal/strictjson"
)

func TestRoundTrip(t *testing.T) {
	want := soundModel()
	path := filepath.Join(t.TempDir(), "model.safetensors")
	if err := Write(path, want); err != nil {
		t.Fatal(err)
	}
	file, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	got := file.Model()
	if !reflect.DeepEqual(got.named(), want.named()) {
		t.Errorf("tensors differ:\n got %v\nwant %v", got.named(), want.named())
	}
	if !reflect.DeepEqual(got.Extension, want.Extension) || !reflect.DeepEqual(got.Fit, want.Fit) ||
		!reflect.DeepEqual(got.Output, want.Output) || got.Source != want.Source {
		t.Errorf("metadata differ: %s", file.MetadataJSON())
	}

	// Written again, it is the same file, byte for byte.
	first, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := Write(path, file.Model()); err != nil {
		t.Fatal(err)
	}
	second, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, second) {
		t.Error("the model read and written again differs from the first file")
	}
	if err := file.Close(); err != nil {
		t.Error(err)
	}
}

// Models of random size, with and without each optional part.
func TestRoundTrip_any_parts(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for range 100 {
		n := 1 + r.IntN(40)
		m := soundModel()
		floats := func(shape ...int) *Tensor {
			tensor := &Tensor{DType: F32, Shape: shape, Data: make([]float32, size(shape))}
			for i := range tensor.Data {
				tensor.Data[i] = float32(r.NormFloat64())
			}
			return tensor
		}
		m.Source = backend.Source(r.IntN(2))
		m.Points, m.Heights, m.Centroids, m.Masses = floats(n, 3), floats(n), floats(n, 3), nil
		m.Extension.K = min(m.Extension.K, n)
		switch r.IntN(5) {
		case 0:
			m.Graph, m.Weights, m.Output, m.Mean, m.Deviation = nil, map[string]*Tensor{}, nil, nil, nil
			m.Encoder, m.EncoderWeights = nil, map[string]*Tensor{}
		case 1:
			m.Points, m.Heights, m.Centroids, m.Extension, m.Fit = nil, nil, nil, nil, nil
		case 2:
			m.Centroids, m.Extension = nil, nil
		case 3:
			m.Mean, m.Deviation, m.Fit = nil, nil, nil
		case 4:
			m.Encoder, m.EncoderWeights = nil, map[string]*Tensor{}
		}
		data, err := Encode(m)
		if err != nil {
			t.Fatal(err)
		}
		file, err := Parse(data)
		if err != nil {
			t.Fatal(err)
		}
		m.Graph, file.model.Graph, m.Encoder, file.model.Encoder = nil, nil, nil, nil // differ by the defaults filled in
		if !reflect.DeepEqual(file.model, m) {
			t.Fatalf("got %+v\nwant %+v", file.model, m)
		}
	}
}

func TestFile_accessors(t *testing.T) {
	file, err := Parse(soundBytes(t))
	if err != nil {
		t.Fatal(err)
	}
	m := soundModel()
	p := file.Parts()
	if p.Dim != 3 || !reflect.DeepEqual(p.Points, m.Points.Data) || !reflect.DeepEqual(p.Heights, m.Heights.Data) ||
		!reflect.DeepEqual(p.Centroids, m.Centroids.Data) || len(p.Tensors) != 7 ||
		!reflect.DeepEqual(p.Tensors["decoder.3.weight"], backend.Tensor{Shape: []int{4, 2, 2, 2}, Data: m.Weights["decoder.3.weight"].Data}) {
		t.Errorf("parts: %+v", p)
	}
	if got := p.Decoder.Nodes[1].Attributes; !reflect.DeepEqual(got.KernelShape, []int{2, 2}) || !reflect.DeepEqual(got.Strides, []int{1, 1}) {
		t.Errorf("defaults are not filled in: %+v", got)
	}
	if !reflect.DeepEqual(p.EncoderTensors["encoder.0.bias"].Data, m.EncoderWeights["encoder.0.bias"].Data) || len(p.EncoderTensors) != 2 ||
		!reflect.DeepEqual(p.Encoder.Nodes[0].Attributes.KernelShape, []int{4, 4}) {
		t.Errorf("the encoder: %+v", p.Encoder)
	}
	if file.Output().Low() != -1 || file.Output().High() != 1 || file.Extension().BackendMode() != backend.Simplex || len(file.Masses()) != 5 {
		t.Error("accessors")
	}
	var metadata struct {
		Format  string
		Graph   struct{ Nodes []struct{ Op string } }
		Encoder struct{ Nodes []struct{ Op string } }
		Fit     struct{ Samples int64 }
	}
	if err := json.Unmarshal([]byte(file.MetadataJSON()), &metadata); err != nil {
		t.Fatal(err)
	}
	if metadata.Format != "brenier" || len(metadata.Graph.Nodes) != 6 || len(metadata.Encoder.Nodes) != 1 || metadata.Fit.Samples != 1<<40 {
		t.Errorf("metadata: %s", file.MetadataJSON())
	}
}

func TestExtension_default(t *testing.T) {
	for _, c := range []struct {
		n         int
		centroids bool
		want      Extension
	}{
		{100, true, Extension{Mode: "simplex", K: 8, Quantile: 0.25}},
		{100, false, Extension{Mode: "cell", K: 8, Quantile: 0.25}},
		{3, true, Extension{Mode: "simplex", K: 3, Quantile: 0.25}},
	} {
		m := &Model{Points: &Tensor{Shape: []int{c.n, 1}, Data: make([]float32, c.n)}, Heights: &Tensor{Shape: []int{c.n}, Data: make([]float32, c.n)}}
		if c.centroids {
			m.Centroids = m.Points
		}
		data, err := Encode(m)
		if err != nil {
			t.Fatal(err)
		}
		file, err := Parse(data)
		if err != nil {
			t.Fatal(err)
		}
		if got := file.Extension(); !reflect.DeepEqual(got, c.want) {
			t.Errorf("n=%d: got %+v, want %+v", c.n, got, c.want)
		}
	}
}

func TestFit_keeps_the_keys_that_it_does_not_know(t *testing.T) {
	d := takeApart(t, soundBytes(t))
	d.set(t, "fit", `{`, `{"recipe":"newton","steps":[1,{"size":1e-400}],`)
	file, err := Parse(withHeader(d.header(t), d.data))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]strictjson.Raw{"recipe": strictjson.Raw(`"newton"`), "steps": strictjson.Raw(`[1,{"size":1e-400}]`)}
	if got := file.Model().Fit.Extra; !reflect.DeepEqual(got, want) {
		t.Errorf("got %s", got)
	}
	data, err := Encode(file.Model())
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(again.Model().Fit, file.Model().Fit) {
		t.Errorf("got %+v", again.Model().Fit)
	}
}

func TestKeepAs(t *testing.T) {
	m := soundModel()
	m.KeepAs(F16, BF16)
	for name, want := range map[string]DType{
		"ot.points": F16, "ot.centroids": F16, "ot.heights": F32, "ot.masses": F32,
		"decoder.0.weight": BF16, "decoder.3.weight": BF16, "decoder.0.bias": F32, "decoder.1.running_var": F32, "output.mean": F32,
		"encoder.0.weight": BF16, "encoder.0.bias": F32,
	} {
		if got := m.named()[name].DType; got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	m.Points.Data[4] = 1e5
	_, err := Encode(m)
	if want := "ot.points: element 4 is 100000, which F16 cannot hold; keep it in a wider dtype"; err == nil || err.Error() != want || !errors.Is(err, fault.ErrInvalidArgument) {
		t.Errorf("got %v", err)
	}
}

// Whatever goes wrong, the old file stays and nothing is left beside it.
func TestWrite_leaves_the_old_file_on_failure(t *testing.T) {
	directory := t.TempDir()
	path := filepath.Join(directory, "model.safetensors")
	if err := Write(path, soundModel()); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	overflowing, unsound := soundModel(), soundModel()
	overflowing.Weights["decoder.0.weight"].Data[0] = 7e4
	unsound.Heights.Data = unsound.Heights.Data[:4]
	for want, m := range map[string]*Model{
		path + ": not written: decoder.0.weight: element 0 is 70000, which F16 cannot hold; keep it in a wider dtype": overflowing,
		path + ": not written: ot.heights: shape [5] does not hold 4 values":                                          unsound,
	} {
		if err := Write(path, m); err == nil || err.Error() != want {
			t.Errorf("got %v\nwant %s", err, want)
		}
	}
	if err := Write(directory, soundModel()); !errors.Is(err, fault.ErrIO) || !strings.HasPrefix(err.Error(), directory+": cannot be written: ") || strings.Contains(err.Error(), ".tmp") {
		t.Errorf("over a directory: got %v", err)
	}
	absent := filepath.Join(directory, "absent", "model")
	if err := Write(absent, soundModel()); !errors.Is(err, fault.ErrIO) || err.Error() != absent+": cannot be written: no such file or directory" {
		t.Errorf("into no directory: got %v", err)
	}
	entries, err := os.ReadDir(directory)
	if err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 || !bytes.Equal(before, after) {
		t.Errorf("%d files, the old one unchanged: %v", len(entries), bytes.Equal(before, after))
	}
	siblings, err := filepath.Glob(filepath.Join(filepath.Dir(directory), ".*.tmp"))
	if err != nil || len(siblings) != 0 {
		t.Errorf("left beside: %v %v", siblings, err)
	}
}

// 30,000 points of 64 and as many centroids, in F16: 3.8 million values to widen and check.
func BenchmarkOpen(b *testing.B) {
	m := soundModel()
	m.Graph, m.Weights, m.Output, m.Mean, m.Deviation, m.Masses, m.Encoder, m.EncoderWeights = nil, nil, nil, nil, nil, nil, nil, nil
	const n, d = 30000, 64
	m.Points = &Tensor{Shape: []int{n, d}, Data: make([]float32, n*d)}
	m.Centroids, m.Heights = m.Points, &Tensor{Shape: []int{n}, Data: make([]float32, n)}
	for i := range m.Points.Data {
		m.Points.Data[i] = float32(i%1000) / 7
	}
	m.KeepAs(F16, F16)
	path := filepath.Join(b.TempDir(), "model")
	if err := Write(path, m); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(2 * 2 * n * d)
	for b.Loop() {
		if _, err := Open(path); err != nil {
			b.Fatal(err)
		}
	}
}
