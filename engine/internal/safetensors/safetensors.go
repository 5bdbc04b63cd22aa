// Package safetensors reads and writes the safetensors format: eight bytes with the header's
// length, a JSON header that names the tensors and may carry metadata, and the tensors' data.
//
// The reader is for files that nobody vouches for. It makes the checks of the format's reference
// (one sound header, offsets without hole, overlap or rest, sizes that follow from shapes) and
// those that the reference leaves out (duplicate keys, ranks, sizes that fit an int), names the
// tensor in every fault, and copies no data.
package safetensors

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"brenier/engine/internal/fault"
	"brenier/engine/internal/strictjson"
)

const (
	// MaxHeader bounds the header in bytes; the largest public checkpoints need a tenth of it.
	MaxHeader = 16 << 20
	// MaxRank bounds the number of axes of a tensor.
	MaxRank = 8
	// MaxName bounds a tensor's name in bytes.
	MaxName = 512
)

// metadataKey is the header's one key that names no tensor.
const metadataKey = "__metadata__"

// Tensor is one array: row-major, little-endian. Data is a view, not a copy.
type Tensor struct {
	Name  string
	DType DType
	Shape []int // empty for a scalar
	Data  []byte
}

// File is a parsed file. Its tensors share the bytes it was parsed from.
type File struct {
	Metadata map[string]string
	Tensors  []Tensor // in the order of their data
	byName   map[string]*Tensor
	unmap    func() error
}

// Tensor returns the tensor of that name, or nil.
func (f *File) Tensor(name string) *Tensor { return f.byName[name] }

// Shapes returns every tensor's shape by name.
func (f *File) Shapes() map[string][]int {
	shapes := make(map[string][]int, len(f.Tensors))
	for _, t := range f.Tensors {
		shapes[t.Name] = t.Shape
	}
	return shapes
}

// Close gives the mapped file back, after which no tensor's Data may be touched. Closing a file
// made by Parse, or closing twice, does nothing.
func (f *File) Close() error {
	if f.unmap == nil {
		return nil
	}
	unmap := f.unmap
	f.unmap = nil
	for i := range f.Tensors {
		f.Tensors[i].Data = nil
	}
	return unmap()
}

// entry is what the header says of a tensor.
type entry struct {
	DType   *string  `json:"dtype"`
	Shape   []int64  `json:"shape"`
	Offsets []uint64 `json:"data_offsets"`
}

// Parse reads a whole file's bytes, which must stay unchanged as long as the result is in use.
func Parse(data []byte) (*File, error) {
	header, body, err := split(data)
	if err != nil {
		return nil, err
	}
	var members map[string]strictjson.Raw
	if err := strictjson.Unmarshal(header, &members); err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	f := &File{Metadata: map[string]string{}, byName: make(map[string]*Tensor, len(members))}
	offsets := make(map[string][]uint64, len(members))
	// In the order of the names, so that a file with two faults always gets the same sentence.
	for _, name := range slices.Sorted(maps.Keys(members)) {
		raw := members[name]
		if name == metadataKey {
			if err := strictjson.Unmarshal(raw, &f.Metadata); err != nil {
				return nil, fmt.Errorf("%s: %w", metadataKey, err)
			}
			continue
		}
		t, span, err := parseEntry(name, raw)
		if err != nil {
			return nil, err
		}
		f.Tensors = append(f.Tensors, t)
		offsets[name] = span
	}
	// By offset; a tensor without data lies where the next one starts and goes before it.
	slices.SortFunc(f.Tensors, func(a, b Tensor) int {
		x, y := offsets[a.Name], offsets[b.Name]
		if c := slices.Compare(x, y); c != 0 {
			return c
		}
		return strings.Compare(a.Name, b.Name)
	})
	if err := f.slice(body, offsets); err != nil {
		return nil, err
	}
	return f, nil
}

// split checks the header's length and returns the header and the data after it.
func split(data []byte) (header, body []byte, err error) {
	if len(data) < 8 {
		return nil, nil, fmt.Errorf("the file has %d bytes; a safetensors file has at least 8", len(data))
	}
	n := binary.LittleEndian.Uint64(data)
	if n > MaxHeader {
		return nil, nil, fmt.Errorf("header of %d bytes; the limit is %d: this is not a safetensors file", n, MaxHeader)
	}
	if n > uint64(len(data)-8) {
		return nil, nil, fmt.Errorf("header of %d bytes, but only %d follow its length: the file was cut short", n, len(data)-8)
	}
	header = data[8 : 8+n]
	if n == 0 || header[0] != '{' {
		return nil, nil, errors.New("header does not start with '{': this is not a safetensors file")
	}
	return header, data[8+n:], nil
}

// parseEntry checks what can be checked of one tensor by itself.
func parseEntry(name string, raw []byte) (Tensor, []uint64, error) {
	fail := func(format string, args ...any) (Tensor, []uint64, error) {
		return Tensor{}, nil, fmt.Errorf("%s: %s", fault.Excerpt(name), fmt.Sprintf(format, args...))
	}
	if name == "" {
		return Tensor{}, nil, errors.New("header: a tensor has no name")
	}
	if len(name) > MaxName {
		return fail("name of %d bytes; the limit is %d", len(name), MaxName)
	}
	var e entry
	if err := strictjson.Unmarshal(raw, &e); err != nil {
		return fail("%v", err)
	}
	if e.DType == nil || e.Shape == nil || e.Offsets == nil {
		return fail("want dtype, shape and data_offsets, got %s", fault.Excerpt(string(raw)))
	}
	dtype := DType(*e.DType)
	width, known := bits[dtype]
	if !known {
		return fail("unknown dtype %q", fault.Excerpt(*e.DType))
	}
	if len(e.Shape) > MaxRank {
		return fail("%d axes; the limit is %d", len(e.Shape), MaxRank)
	}
	if len(e.Offsets) != 2 {
		return fail("data_offsets: want 2 numbers, got %d", len(e.Offsets))
	}
	begin, end := e.Offsets[0], e.Offsets[1]
	if end < begin {
		return fail("data_offsets end at %d, before their begin %d", end, begin)
	}
	size, ok := width, true
	shape := make([]int, len(e.Shape))
	for i, extent := range e.Shape {
		if extent < 0 || extent > math.MaxInt32 {
			return fail("shape %v has the extent %d; want 0 to %d", e.Shape, extent, math.MaxInt32)
		}
		shape[i] = int(extent)
		if extent != 0 && size > math.MaxInt64/extent {
			ok = false
			size = 0 // a later extent 0 would not make the product right
		}
		size *= extent
	}
	if !ok {
		return fail("shape %v overflows", e.Shape)
	}
	if size%8 != 0 {
		return fail("%s %v ends within a byte", dtype, e.Shape)
	}
	if uint64(size/8) != end-begin {
		return fail("%s %v takes %d bytes, but its data_offsets [%d,%d] hold %d", dtype, e.Shape, size/8, begin, end, end-begin)
	}
	return Tensor{Name: name, DType: dtype, Shape: shape}, e.Offsets, nil
}

// slice gives each tensor its view, once the offsets are seen to follow one another exactly.
func (f *File) slice(body []byte, offsets map[string][]uint64) error {
	at := uint64(0)
	for i := range f.Tensors {
		t := &f.Tensors[i]
		begin, end := offsets[t.Name][0], offsets[t.Name][1]
		switch {
		case begin > at:
			return fmt.Errorf("%s: data begins at %d, which leaves a hole after %d", t.Name, begin, at)
		case begin < at:
			return fmt.Errorf("%s: data begins at %d and overlaps the tensor that ends at %d", t.Name, begin, at)
		case end > uint64(len(body)):
			return fmt.Errorf("%s: data ends at %d, but the file holds %d bytes of data: the file was cut short", t.Name, end, len(body))
		}
		t.Data = body[begin:end:end]
		at = end
		f.byName[t.Name] = t
	}
	if at != uint64(len(body)) {
		return fmt.Errorf("%d bytes follow the last tensor's data", uint64(len(body))-at)
	}
	return nil
}
