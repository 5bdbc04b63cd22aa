package modelfile

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"brenier/engine/internal/fault"
)

// draft is a model file taken apart, so that a case can break one thing and leave the rest sound.
type draft struct {
	metadata map[string]string
	tensors  map[string]*draftTensor
	order    []string // of the data
	data     []byte
}

type draftTensor struct {
	DType   string    `json:"dtype"`
	Shape   []int64   `json:"shape"`
	Offsets [2]uint64 `json:"data_offsets"`
}

func soundBytes(t testing.TB) []byte {
	t.Helper()
	data, err := Encode(soundModel())
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func takeApart(t testing.TB, file []byte) *draft {
	t.Helper()
	n := binary.LittleEndian.Uint64(file)
	var header map[string]json.RawMessage
	if err := json.Unmarshal(file[8:8+n], &header); err != nil {
		t.Fatal(err)
	}
	d := &draft{tensors: map[string]*draftTensor{}, data: bytes.Clone(file[8+n:])}
	for name, raw := range header {
		var into any = &d.metadata
		if name != "__metadata__" {
			d.tensors[name] = &draftTensor{}
			into = d.tensors[name]
		}
		if err := json.Unmarshal(raw, into); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

func (d *draft) header(t testing.TB) []byte {
	t.Helper()
	members := map[string]any{"__metadata__": d.metadata}
	for name, tensor := range d.tensors {
		members[name] = tensor
	}
	text, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func withHeader(header, data []byte) []byte {
	file := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(file, header...), data...)
}

// values are the bytes of a tensor.
func (d *draft) values(name string) []byte {
	span := d.tensors[name].Offsets
	return d.data[span[0]:span[1]]
}

func (d *draft) putFloat(name string, element int, v float32) {
	binary.LittleEndian.PutUint32(d.values(name)[4*element:], math.Float32bits(v))
}

// drop takes a tensor and its data out.
func (d *draft) drop(name string) {
	span := d.tensors[name].Offsets
	size := span[1] - span[0]
	delete(d.tensors, name)
	d.data = append(d.data[:span[0]:span[0]], d.data[span[1]:]...)
	for _, t := range d.tensors {
		if t.Offsets[0] >= span[1] {
			t.Offsets[0] -= size
			t.Offsets[1] -= size
		}
	}
}

// add appends a tensor of zeros.
func (d *draft) add(name, dtype string, bytes int, shape ...int64) {
	at := uint64(len(d.data))
	d.tensors[name] = &draftTensor{dtype, append([]int64{}, shape...), [2]uint64{at, at + uint64(bytes)}}
	d.data = append(d.data, make([]byte, bytes)...)
}

// last is the tensor whose data ends the file.
func (d *draft) last() *draftTensor {
	for _, t := range d.tensors {
		if t.Offsets[1] == uint64(len(d.data)) {
			return t
		}
	}
	return nil
}

// set replaces text in a metadata entry.
func (d *draft) set(t testing.TB, key, old, new string) {
	t.Helper()
	if !strings.Contains(d.metadata[key], old) {
		t.Fatalf("%q is not in %s", old, d.metadata[key])
	}
	d.metadata[key] = strings.Replace(d.metadata[key], old, new, 1)
}

// Faults of the file as bytes, below the tensors.
func TestParse_malformed_bytes(t *testing.T) {
	sound := soundBytes(t)
	header := takeApart(t, sound).header(t)
	data := takeApart(t, sound).data
	inHeader := func(old, new string) []byte {
		if bytes.Count(header, []byte(old)) < 1 {
			t.Fatalf("%q is not in the header", old)
		}
		return withHeader(bytes.Replace(header, []byte(old), []byte(new), 1), data)
	}
	withLength := func(n uint64) []byte {
		file := bytes.Clone(sound)
		binary.LittleEndian.PutUint64(file, n)
		return file
	}
	for _, c := range []struct {
		name string
		file []byte
		want string // after "model file: "
	}{
		{"empty file", nil, `the file has 0 bytes; a safetensors file has at least 8`},
		{"cut within the length", sound[:7], `the file has 7 bytes; a safetensors file has at least 8`},
		{"no header", make([]byte, 8), `header does not start with '{': this is not a safetensors file`},
		{"length beyond the file", withLength(uint64(len(sound))), fmt.Sprintf(`header of %d bytes, but only %d follow its length: the file was cut short`, len(sound), len(sound)-8)},
		{"length over the limit", withLength(16<<20 + 1), `header of 16777217 bytes; the limit is 16777216: this is not a safetensors file`},
		{"length of all ones", withLength(math.MaxUint64), `header of 18446744073709551615 bytes; the limit is 16777216: this is not a safetensors file`},
		{"another format", append([]byte("GGUF\x00\x00\x00\x00"), sound...), `header of 1179993927 bytes; the limit is 16777216: this is not a safetensors file`},
		{"header starts with a space", withHeader([]byte(` {}`), nil), `header does not start with '{': this is not a safetensors file`},
		{"header is a list", withHeader([]byte(`[]`), nil), `header does not start with '{': this is not a safetensors file`},
		{"header is not JSON", withHeader([]byte(`{"a":`), nil), `header: not valid JSON at byte 5: unexpected end of JSON input`},
		{"header goes on after its end", withHeader([]byte(`{}{}`), nil), `header: not valid JSON at byte 3: invalid character '{' after top-level value`},
		{"header is not UTF-8", inHeader("ot.masses", "ot.m\xffsses"), `header: invalid UTF-8 at byte `},
		{"header nests too deep", withHeader([]byte(`{"a":`+strings.Repeat("[", 1000)+strings.Repeat("]", 1000)+`}`), nil), `header: arrays and objects nest 1001 deep; the limit is 32`},
		{"duplicate tensor", inHeader("ot.masses", "ot.heights"), `header: duplicate key "ot.heights"`},
		{"duplicate tensor, escaped", inHeader("ot.masses", `ot.\u0068eights`), `header: duplicate key "ot.heights"`},
		{"duplicate key in metadata", inHeader(`"version":"1"`, `"version":"1","version":"2"`), `__metadata__: duplicate key "version"`},
		{"duplicate key in a tensor", inHeader(`"ot.heights":{`, `"ot.heights":{"dtype":"F32",`), `ot.heights: duplicate key "dtype"`},
		{"metadata is not strings", inHeader(`"version":"1"`, `"version":1`), `__metadata__: version: want a string, got 1`},
		{"metadata is a list", withHeader([]byte(`{"__metadata__":[]}`), nil), `__metadata__: want an object, got a list`},
		{"tensor is null", withHeader([]byte(`{"a":null}`), nil), `a: want an object, got null`},
		{"tensor without shape", withHeader([]byte(`{"a":{"dtype":"F32","data_offsets":[0,0]}}`), nil), `a: want dtype, shape and data_offsets, got {"dtype":"F32","data_offsets":[0,0]}`},
		{"tensor with an unknown key", withHeader([]byte(`{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0],"strides":[1]}}`), nil), `a: unknown key "strides"`},
		{"tensor with a key in another case", withHeader([]byte(`{"a":{"DType":"F32","shape":[0],"data_offsets":[0,0]}}`), nil), `a: unknown key "DType"`},
		{"tensor without name", withHeader([]byte(`{"":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}`), nil), `header: a tensor has no name`},
		{"tensor with a long name", withHeader([]byte(`{"`+strings.Repeat("n", 600)+`":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}`), nil), strings.Repeat("n", 80) + `...: name of 600 bytes; the limit is 512`},
		{"three offsets", withHeader([]byte(`{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0,0]}}`), nil), `a: data_offsets: want 2 numbers, got 3`},
		{"negative offset", withHeader([]byte(`{"a":{"dtype":"F32","shape":[0],"data_offsets":[-4,0]}}`), nil), `a: data_offsets[0]: want an unsigned integer of 64 bits, got -4`},
		{"negative extent", withHeader([]byte(`{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}`), nil), `a: shape [-1] has the extent -1; want 0 to 2147483647`},
		{"fractional extent", withHeader([]byte(`{"a":{"dtype":"F32","shape":[1.5],"data_offsets":[0,4]}}`), nil), `a: shape[0]: want an integer of 64 bits, got 1.5`},
		{"sub-byte tensor", withHeader([]byte(`{"a":{"dtype":"F4","shape":[3],"data_offsets":[0,2]}}`), []byte{0, 0}), `a: F4 [3] ends within a byte`},
		{"data cut short", sound[:len(sound)-1], `ot.points: data ends at 800, but the file holds 799 bytes of data: the file was cut short`},
		{"data goes on", append(bytes.Clone(sound), 0), `1 bytes follow the last tensor's data`},
	} {
		t.Run(c.name, func(t *testing.T) { wantFault(t, c.file, c.want) })
	}
}

// wantFault checks that a file is refused with a sentence; one that ends in a space goes on.
func wantFault(t *testing.T, file []byte, want string) {
	t.Helper()
	_, err := Parse(file)
	if err == nil {
		t.Fatalf("was accepted; want: %s", want)
	}
	if !errors.Is(err, fault.ErrBadModel) {
		t.Errorf("is of another kind: %#v", err)
	}
	got, want := err.Error(), "model file: "+want
	if got != want && !(strings.HasSuffix(want, " ") && strings.HasPrefix(got, want)) {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

// Faults of tensors and metadata, each made in a file that is sound but for it.
func TestParse_malformed_models(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, c := range []struct {
		name   string
		change func(d *draft)
		want   string
	}{
		// Offsets, shapes and dtypes.
		{"hole", func(d *draft) {
			d.last().Offsets[0] += 8
			d.last().Offsets[1] += 8
			d.data = append(d.data, make([]byte, 8)...)
		}, `ot.points: data begins at 778, which leaves a hole after 770`},
		{"overlap", func(d *draft) { d.last().Offsets[0] -= 8; d.last().Offsets[1] -= 8 }, `ot.points: data begins at 762 and overlaps the tensor that ends at 770`},
		{"offsets reversed", func(d *draft) { o := &d.tensors["ot.heights"].Offsets; o[0], o[1] = o[1], o[0] }, `ot.heights: data_offsets end at `},
		{"offsets beyond the file", func(d *draft) { d.tensors["ot.heights"].Offsets[1] = 1 << 62 }, `ot.heights: F32 [5] takes 20 bytes, but its data_offsets `},
		{"shape larger than the data", func(d *draft) { d.tensors["ot.heights"].Shape = []int64{6} }, `ot.heights: F32 [6] takes 24 bytes, but its data_offsets `},
		{"shape overflows", func(d *draft) { d.tensors["ot.heights"].Shape = []int64{1 << 30, 1 << 30, 1 << 30} }, `ot.heights: shape [1073741824 1073741824 1073741824] overflows`},
		{"shape overflows to nothing", func(d *draft) { d.tensors["ot.heights"].Shape = []int64{1 << 30, 1 << 30, 1 << 30, 0} }, `ot.heights: shape [1073741824 1073741824 1073741824 0] overflows`},
		{"huge extent", func(d *draft) { d.tensors["ot.heights"].Shape = []int64{1 << 40} }, `ot.heights: shape [1099511627776] has the extent 1099511627776; want 0 to 2147483647`},
		{"too many axes", func(d *draft) { d.tensors["ot.heights"].Shape = []int64{5, 1, 1, 1, 1, 1, 1, 1, 1} }, `ot.heights: 9 axes; the limit is 8`},
		{"unknown dtype", func(d *draft) { d.tensors["ot.heights"].DType = "F31" }, `ot.heights: unknown dtype "F31"`},
		{"heights in f16", func(d *draft) { d.drop("ot.heights"); d.add("ot.heights", "F16", 10, 5) }, `ot.heights: want F32, got F16`},
		{"points in f64", func(d *draft) { d.drop("ot.points"); d.add("ot.points", "F64", 120, 5, 3) }, `ot.points: want F32, F16 or BF16, got F64`},
		{"weight in i32", func(d *draft) { d.tensors["decoder.0.bias"].DType = "I32" }, `decoder.0.bias: want F32, F16 or BF16, got I32`},
		// Which tensors there are.
		{"no points", func(d *draft) { d.drop("ot.points") }, `ot.points is missing, although ot.heights is there`},
		{"no heights", func(d *draft) { d.drop("ot.heights") }, `ot.heights is missing, although ot.points is there; fit the points`},
		{"masses without a map", func(d *draft) { d.drop("ot.points"); d.drop("ot.heights") }, `ot.masses is there, but ot.points and ot.heights are missing`},
		{"centroids without a map", func(d *draft) { d.drop("ot.points"); d.drop("ot.heights"); d.drop("ot.masses") }, `ot.centroids is there, but ot.points and ot.heights are missing`},
		{"extension without a map", func(d *draft) {
			for _, name := range []string{"ot.points", "ot.heights", "ot.masses", "ot.centroids"} {
				d.drop(name)
			}
		}, `extension: there is no map to extend; ot.points and ot.heights are missing`},
		{"decoder without a graph", func(d *draft) { delete(d.metadata, "graph") }, `decoder.0.bias is there, but the graph that would read it is missing`},
		{"weight missing", func(d *draft) { d.drop("decoder.3.weight") }, `graph: node "decoder.3" (ConvTranspose): tensor decoder.3.weight is missing`},
		{"weight unused", func(d *draft) { d.add("decoder.9.weight", "F32", 4, 1) }, `decoder.9.weight is used by no node of the graph`},
		{"PyTorch's count of batches", func(d *draft) { d.add("decoder.1.num_batches_tracked", "I64", 8) }, `decoder.1.num_batches_tracked: want F32, F16 or BF16, got I64`},
		{"unknown tensor", func(d *draft) { d.add("discriminator.0.weight", "F32", 4, 1) }, `discriminator.0.weight: no tensor of a model is called so`},
		{"encoder without a graph", func(d *draft) { delete(d.metadata, "encoder") }, `encoder.0.bias is there, but the encoder that would read it is missing`},
		{"encoder without a decoder", func(d *draft) {
			for name := range d.tensors {
				if strings.HasPrefix(name, "decoder.") || strings.HasPrefix(name, "output.") {
					d.drop(name)
				}
			}
			delete(d.metadata, "graph")
			delete(d.metadata, "output")
		}, `encoder: there is no decoder whose images it would read; the graph is missing`},
		{"encoder's weight missing", func(d *draft) { d.drop("encoder.0.weight") }, `encoder: graph: node "encoder.0" (Conv): tensor encoder.0.weight is missing`},
		{"encoder's weight unused", func(d *draft) { d.add("encoder.9.weight", "F32", 4, 1) }, `encoder.9.weight is used by no node of the graph`},
		{"encoder reads the decoder's weights", func(d *draft) { d.set(t, "encoder", `"encoder.0.bias"`, `"decoder.0.bias"`) }, `encoder: graph: node "encoder.0" (Conv): tensor decoder.0.bias is missing`},
		{"graph reads the map", func(d *draft) { d.set(t, "graph", `"decoder.0.bias"`, `"ot.heights"`) }, `graph: node "decoder.0" (ConvTranspose): tensor ot.heights is missing`},
		// What they hold.
		{"heights of another length", func(d *draft) { d.drop("ot.heights"); d.add("ot.heights", "F32", 16, 4) }, `ot.heights: want [5], for ot.points is [5 3], got [4]; fit again`},
		{"centroids of another shape", func(d *draft) { d.tensors["ot.centroids"].Shape = []int64{3, 5} }, `ot.centroids: want [5 3], for ot.points is [5 3], got [3 5]; fit again`},
		{"points without columns", func(d *draft) { d.drop("ot.points"); d.add("ot.points", "F32", 0, 5, 0) }, `ot.points: want [N,d] with N from 1 and d from 1 to 65536, got [5 0]`},
		{"points flat", func(d *draft) { d.tensors["ot.points"].Shape = []int64{15} }, `ot.points: want [N,d] with N from 1 and d from 1 to 65536, got [15]`},
		{"points of another dimension", func(d *draft) {
			d.drop("ot.points")
			d.drop("ot.centroids")
			delete(d.metadata, "extension")
			d.add("ot.points", "F16", 20, 5, 2)
		}, `ot.points [5 2]: d is 2, but the decoder's input [3] takes 3 values`},
		{"NaN among the points", func(d *draft) { binary.LittleEndian.PutUint16(d.values("ot.points")[2*7:], 0x7e00) }, `ot.points: row 2, column 1 is NaN; want finite values`},
		{"infinity among the centroids", func(d *draft) { binary.LittleEndian.PutUint16(d.values("ot.centroids")[2*14:], 0xff80) }, `ot.centroids: row 4, column 2 is -Inf; want finite values`},
		{"infinite height", func(d *draft) { d.putFloat("ot.heights", 3, inf) }, `ot.heights: row 3 is +Inf; want finite values`},
		{"NaN mass", func(d *draft) { d.putFloat("ot.masses", 1, nan) }, `ot.masses: row 1 is NaN; want finite values`},
		{"mass of nothing", func(d *draft) { d.putFloat("ot.masses", 4, 0) }, `ot.masses: row 4 is 0; want masses above 0: leave such a point out`},
		{"negative mass", func(d *draft) { d.putFloat("ot.masses", 0, -0.25) }, `ot.masses: row 0 is -0.25; want masses above 0: leave such a point out`},
		{"masses not normalised", func(d *draft) { d.putFloat("ot.masses", 0, 1) }, `ot.masses: the sum is 1.75; want 1`},
		{"NaN weight", func(d *draft) { d.putFloat("decoder.0.bias", 2, nan) }, `decoder.0.bias: element 2 is NaN; want finite values`},
		{"negative variance", func(d *draft) { d.putFloat("decoder.1.running_var", 3, -0.5) }, `decoder.1.running_var: element 3 is -0.5, as a variance with epsilon 1e-05 for node "decoder.1"; want it positive`},
		{"mean without deviation", func(d *draft) { d.drop("output.deviation") }, `output.mean and output.deviation: want both or neither`},
		{"mean of another shape", func(d *draft) { d.tensors["output.mean"].Shape = []int64{4, 4, 2} }, `output.mean: want the graph's output [2 4 4], got [4 4 2]`},
		{"negative deviation", func(d *draft) { d.putFloat("output.deviation", 5, -1) }, `output.deviation: element 5 is -1; want none below 0`},
		// Metadata.
		{"no metadata", func(d *draft) { d.metadata = map[string]string{} }, `format: want "brenier" in the metadata, got ""; make a model file with brenier import`},
		{"another format", func(d *draft) { d.metadata["format"] = "pt" }, `format: want "brenier" in the metadata, got "pt"; make a model file with brenier import`},
		{"a later version", func(d *draft) { d.metadata["version"] = "2" }, `version: want "1", got "2"; read it with a newer brenier`},
		{"unknown entry", func(d *draft) { d.metadata["extention"] = "{}" }, `metadata: unknown key "extention"`},
		{"no source", func(d *draft) { delete(d.metadata, "source") }, `source: want gaussian or uniform, got ""`},
		{"unknown source", func(d *draft) { d.metadata["source"] = "cauchy" }, `source: want gaussian or uniform, got "cauchy"`},
		{"unknown mode", func(d *draft) { d.set(t, "extension", "simplex", "complex") }, `extension: mode: want cell, simplex or pair, got "complex"`},
		{"simplex without centroids", func(d *draft) { d.drop("ot.centroids") }, `extension: mode simplex needs ot.centroids, which the model lacks`},
		{"k over the cells", func(d *draft) { d.set(t, "extension", `"k":4`, `"k":6`) }, `extension: k: want 1 to 5, got 6`},
		{"quantile over 1", func(d *draft) { d.set(t, "extension", `0.25`, `1.25`) }, `extension: quantile: want 0 to 1, got 1.25`},
		{"quantile missing", func(d *draft) { d.set(t, "extension", `"quantile":0.25,`, ``) }, `extension: quantile is missing`},
		{"too few cosines", func(d *draft) { d.set(t, "extension", `[1,`, `[`) }, `extension: cosines: want 101 values, got 100`},
		{"increasing cosines", func(d *draft) { d.set(t, "extension", `[1,`, `[0.5,`) }, `extension: cosines[1] is 0.984375, above the one before, 0.5; they must not increase`},
		{"cosine over 1", func(d *draft) { d.set(t, "extension", `[1,`, `[1.5,`) }, `extension: cosines[0]: want -1 to 1, got 1.5`},
		{"unknown key in extension", func(d *draft) { d.set(t, "extension", `"k":4`, `"k":4,"theta":1`) }, `extension: unknown key "theta"`},
		{"no output", func(d *draft) { delete(d.metadata, "output") }, `output is missing, although there is a decoder; it gives the image's range and size`},
		{"output of another size", func(d *draft) { d.set(t, "output", `"width":4`, `"width":5`) }, `output: 2 channels of 4 x 5, but the graph makes [2 4 4]`},
		{"output without range", func(d *draft) { d.set(t, "output", `"range":[-1,1],`, ``) }, `output: range is missing`},
		{"range reversed", func(d *draft) { d.set(t, "output", `[-1,1]`, `[1,-1]`) }, `output: range: want two finite numbers, the lower first, got [1,-1]`},
		{"range infinite", func(d *draft) { d.set(t, "output", `[-1,1]`, `[-1e308,1e308]`) }, `output: range: want two finite numbers, the lower first, got [-1e+308,1e+308]`},
		{"range of three", func(d *draft) { d.set(t, "output", `[-1,1]`, `[-1,0,1]`) }, `output: range: want 2 elements, got more`},
		{"output twice", func(d *draft) { d.set(t, "output", `"width":4`, `"width":4,"width":4`) }, `output: duplicate key "width"`},
		{"fit not an object", func(d *draft) { d.metadata["fit"] = "[]" }, `fit: want an object, got a list`},
		{"fit with more empty cells than cells", func(d *draft) { d.set(t, "fit", `"empty":0`, `"empty":6`) }, `fit: empty: want 0 to 5 cells, got 6`},
		{"fit with negative samples", func(d *draft) { d.set(t, "fit", `"samples":1099511627776`, `"samples":-1`) }, `fit: samples: want an unsigned integer of 64 bits, got -1`},
		{"fit with half a history", func(d *draft) { d.set(t, "fit", `"samples":[1024,4096]`, `"samples":[1024]`) }, `fit: history: want as many samples and errors as chi2, 2, or none, got 1 and 2`},
		{"fit with a histogram of no width", func(d *draft) { d.set(t, "fit", `"low":0.5`, `"low":1.5`) }, `fit: relative_masses: want the lower end first, got 1.5 and 1.5`},
		{"fit with a histogram of other noise", func(d *draft) { d.set(t, "fit", `"noise":[1.5,3.5]`, `"noise":[5]`) }, `fit: relative_masses: want as many cells as noise, and some, got 2 and 1`},
		{"fit with a duplicate unknown key", func(d *draft) { d.set(t, "fit", `"empty":0`, `"empty":0,"a":{"b":1,"b":2}`) }, `fit: a: duplicate key "b"`},
		{"graph is not JSON", func(d *draft) { d.metadata["graph"] = "{" }, `graph: not valid JSON at byte 1: unexpected end of JSON input`},
		{"graph asks for a huge image", func(d *draft) { d.set(t, "graph", `"strides":[2,2]`, `"strides":[100000,100000]`) }, `graph: node "decoder.3" (ConvTranspose): output [2 100002 100002]: want positive extents and at most 67108864 elements`},
		{"encoder of other images", func(d *draft) { d.set(t, "encoder", `[2,4,4]`, `[2,4,5]`) }, `encoder: it reads images [2 4 5], but the decoder makes [2 4 4]`},
		{"encoder of vectors", func(d *draft) {
			d.metadata["encoder"] = `{"input":{"name":"x","shape":[3]},"output":"z","nodes":[{"name":"n","op":"Relu","inputs":["x"],"output":"z"}]}`
			d.drop("encoder.0.weight")
			d.drop("encoder.0.bias")
		}, `encoder: graph: input "x": want an image [C,H,W], got [3]`},
		{"encoder to other codes", func(d *draft) {
			d.metadata["encoder"] = `{"input":{"name":"x","shape":[2,4,4]},"output":"z","nodes":[{"name":"n","op":"Flatten","inputs":["x"],"output":"z"}]}`
			d.drop("encoder.0.weight")
			d.drop("encoder.0.bias")
		}, `encoder: it makes codes [32], but the model's have 3 values`},
		{"encoder is not JSON", func(d *draft) { d.metadata["encoder"] = "{" }, `encoder: graph: not valid JSON at byte 1: unexpected end of JSON input`},
		{"NaN weight of the encoder", func(d *draft) { d.putFloat("encoder.0.bias", 2, nan) }, `encoder.0.bias: element 2 is NaN; want finite values`},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := takeApart(t, soundBytes(t))
			c.change(d)
			wantFault(t, withHeader(d.header(t), d.data), c.want)
		})
	}
}

// What is taken apart and put together unchanged is sound, so each case above fails for its own
// reason.
func TestParse_accepts_the_draft(t *testing.T) {
	d := takeApart(t, soundBytes(t))
	if _, err := Parse(withHeader(d.header(t), d.data)); err != nil {
		t.Error(err)
	}
}

func TestOpen_names_the_path(t *testing.T) {
	directory := t.TempDir()
	for name, want := range map[string]error{"broken": fault.ErrBadModel, "absent": fault.ErrIO, ".": fault.ErrIO} {
		path := filepath.Join(directory, name)
		if name == "broken" {
			if err := os.WriteFile(path, []byte("not a model"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := Open(path); !errors.Is(err, want) || !strings.HasPrefix(err.Error(), path+": ") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
