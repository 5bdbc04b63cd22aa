package modelfile

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/fault"
	"brenier/engine/internal/graph"
	"brenier/engine/internal/safetensors"
	"brenier/engine/internal/strictjson"
)

// File is a model that has been read and found sound. It is read-only and holds all it needs in
// memory of its own: the file may change or go once it is read.
type File struct {
	model    *Model
	metadata map[string]string
}

// Open reads and checks the model file at path. Faults name the path; they are fault.ErrIO where
// the system refused, fault.ErrBadModel where the content is unsound.
func Open(path string) (*File, error) {
	raw, err := safetensors.Open(path)
	if err != nil {
		return nil, err
	}
	defer raw.Close()
	f, err := read(raw)
	if err != nil {
		return nil, fault.BadModel("%s: %w", path, err)
	}
	return f, nil
}

// Parse reads and checks a model file in memory, which it keeps no part of. Faults are
// fault.ErrBadModel.
func Parse(data []byte) (*File, error) {
	raw, err := safetensors.Parse(data)
	if err != nil {
		return nil, fault.BadModel("model file: %w", err)
	}
	f, err := read(raw)
	if err != nil {
		return nil, fault.BadModel("model file: %w", err)
	}
	return f, nil
}

// Model is the content, which must not be changed.
func (f *File) Model() *Model { return f.model }

// Parts is the content as a backend takes it, without a copy.
func (f *File) Parts() backend.Parts { return f.model.Parts() }

// Output describes the decoder's images; nil without a decoder.
func (f *File) Output() *Output { return f.model.Output }

// Extension is the model's own setting of the extend stage, or the default where it brings none.
func (f *File) Extension() Extension {
	if f.model.Extension != nil {
		return *f.model.Extension
	}
	n := 0
	if f.model.Points != nil {
		n = f.model.Points.Shape[0]
	}
	return DefaultExtension(n, f.model.Centroids != nil)
}

// Masses are nu [N], or nil where the file has none: 1/N each.
func (f *File) Masses() []float32 {
	if f.model.Masses == nil {
		return nil
	}
	return f.model.Masses.Data
}

// MetadataJSON is the file's metadata as one JSON object, what is JSON in it not quoted again.
func (f *File) MetadataJSON() string {
	object := make(map[string]any, len(f.metadata))
	for key, value := range f.metadata {
		object[key] = value
		if slices.Contains(jsonKeys, key) {
			object[key] = json.RawMessage(value)
		}
	}
	text, err := json.Marshal(object)
	if err != nil {
		panic("modelfile: metadata that was parsed does not encode: " + err.Error())
	}
	return string(text)
}

// Close is there for symmetry with Open; a File holds nothing that needs it.
func (f *File) Close() error { return nil }

// The metadata's keys.
var (
	plainKeys = []string{"format", "version", "source"}
	jsonKeys  = []string{"graph", "output", "extension", "fit", "encoder"}
)

// read makes a checked model of a parsed safetensors file.
func read(raw *safetensors.File) (*File, error) {
	m := &Model{}
	if err := m.readMetadata(raw.Metadata); err != nil {
		return nil, err
	}
	if err := m.readTensors(raw); err != nil {
		return nil, err
	}
	if err := m.check(); err != nil {
		return nil, err
	}
	for _, g := range []*graph.Graph{m.Graph, m.Encoder} {
		if g != nil {
			g.Normalize(raw.Shapes())
		}
	}
	return &File{m, raw.Metadata}, nil
}

func (m *Model) readMetadata(metadata map[string]string) error {
	if metadata["format"] != "brenier" {
		return fmt.Errorf("format: want %q in the metadata, got %q; make a model file with brenier import", "brenier", fault.Excerpt(metadata["format"]))
	}
	if metadata["version"] != Version {
		return fmt.Errorf("version: want %q, got %q; read it with a newer brenier", Version, fault.Excerpt(metadata["version"]))
	}
	for _, key := range slices.Sorted(maps.Keys(metadata)) {
		if !slices.Contains(plainKeys, key) && !slices.Contains(jsonKeys, key) {
			return fmt.Errorf("metadata: unknown key %q", fault.Excerpt(key))
		}
	}
	source, known := sources[metadata["source"]]
	if !known {
		return fmt.Errorf("source: want gaussian or uniform, got %q", fault.Excerpt(metadata["source"]))
	}
	m.Source = source
	if text, there := metadata["graph"]; there {
		var err error
		if m.Graph, err = graph.Parse([]byte(text)); err != nil {
			return err
		}
	}
	if text, there := metadata["encoder"]; there {
		var err error
		if m.Encoder, err = graph.Parse([]byte(text)); err != nil {
			return fmt.Errorf("encoder: %w", err)
		}
	}
	if text, there := metadata["output"]; there {
		m.Output = &Output{}
		if err := parseJSON("output", text, m.Output, "range", "channels", "height", "width"); err != nil {
			return err
		}
	}
	if text, there := metadata["extension"]; there {
		m.Extension = &Extension{}
		if err := parseJSON("extension", text, m.Extension, "mode", "k", "quantile"); err != nil {
			return err
		}
	}
	if text, there := metadata["fit"]; there {
		m.Fit = &Fit{}
		if err := parseJSON("fit", text, m.Fit); err != nil {
			return err
		}
	}
	return nil
}

// maxMetadata bounds output, extension and fit, in bytes.
const maxMetadata = 1 << 20

// parseJSON decodes one JSON entry of the metadata and asks for the keys that it must have.
func parseJSON(key, text string, into any, required ...string) error {
	if len(text) > maxMetadata {
		return fmt.Errorf("%s: %d bytes of JSON; the limit is %d", key, len(text), maxMetadata)
	}
	if err := strictjson.Unmarshal([]byte(text), into); err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	var present map[string]strictjson.Raw
	if err := strictjson.Unmarshal([]byte(text), &present); err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	for _, name := range required {
		if _, there := present[name]; !there {
			return fmt.Errorf("%s: %s is missing", key, name)
		}
	}
	return nil
}

// readTensors widens every tensor of the file. Memory taken is at most twice the file's size.
func (m *Model) readTensors(raw *safetensors.File) error {
	fields := m.fields()
	m.Weights, m.EncoderWeights = map[string]*Tensor{}, map[string]*Tensor{}
	for i := range raw.Tensors {
		from := &raw.Tensors[i]
		switch {
		case from.DType == F32:
		case from.DType != F16 && from.DType != BF16:
			return fmt.Errorf("%s: want F32, F16 or BF16, got %s", from.Name, from.DType)
		case from.Name == "ot.heights" || from.Name == "ot.masses":
			return fmt.Errorf("%s: want F32, got %s", from.Name, from.DType)
		}
		field, known := fields[from.Name]
		encodes := strings.HasPrefix(from.Name, "encoder.")
		if !known && !encodes && !strings.HasPrefix(from.Name, "decoder.") {
			return fmt.Errorf("%s: no tensor of a model is called so", fault.Excerpt(from.Name))
		}
		data, err := from.Float32s()
		if err != nil {
			return err
		}
		tensor := &Tensor{DType: from.DType, Shape: from.Shape, Data: data}
		switch {
		case known:
			*field = tensor
		case encodes:
			m.EncoderWeights[from.Name] = tensor
		default:
			m.Weights[from.Name] = tensor
		}
	}
	return nil
}
