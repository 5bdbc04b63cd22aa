package safetensors

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"io"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"brenier/engine/internal/fault"
)

// Array is a tensor to be written: finite values, and the dtype (F32, F16, BF16) they are rounded
// to.
type Array struct {
	Name   string
	DType  DType
	Shape  []int
	Values []float32
}

// alignment is where the data starts, a cache line, so that a mapped file's first tensors are
// aligned for every dtype and vector.
const alignment = 64

// Write writes a file. The same content always gives the same bytes: the wider dtypes come first,
// so that every element is aligned to its size, and names are sorted within a dtype. A value that
// its dtype cannot hold is fault.ErrInvalidArgument, a failing writer fault.ErrIO.
func Write(w io.Writer, metadata map[string]string, arrays []Array) error {
	arrays = slices.Clone(arrays)
	slices.SortFunc(arrays, func(a, b Array) int {
		return cmp.Or(cmp.Compare(bits[b.DType], bits[a.DType]), strings.Compare(a.Name, b.Name))
	})
	header, err := makeHeader(metadata, arrays)
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(w, 1<<16)
	out.Write(header)
	var buffer []byte
	for _, a := range arrays {
		for values := a.Values; len(values) > 0; {
			part := values[:min(len(values), 4096)]
			buffer = buffer[:0]
			for i, v := range part {
				if !(math.Abs(float64(v)) < overflows[a.DType]) {
					at := len(a.Values) - len(values) + i
					return fault.Invalid("%s: element %d is %g, which %s cannot hold; keep it in a wider dtype", a.Name, at, v, a.DType)
				}
				buffer = appendValue(buffer, a.DType, v)
			}
			out.Write(buffer) // bufio keeps the first error for Flush
			values = values[len(part):]
		}
	}
	if err := out.Flush(); err != nil {
		return fault.New(fault.ErrIO, "cannot be written: %w", err)
	}
	return nil
}

// makeHeader is the length and the JSON, padded with spaces up to the data.
func makeHeader(metadata map[string]string, arrays []Array) ([]byte, error) {
	members := map[string]any{}
	if len(metadata) > 0 {
		members[metadataKey] = metadata
	}
	offset := int64(0)
	for _, a := range arrays {
		n := int64(1)
		for _, extent := range a.Shape {
			n *= int64(extent)
		}
		if n != int64(len(a.Values)) {
			return nil, fault.Invalid("%s: shape %v does not hold %d values", a.Name, a.Shape, len(a.Values))
		}
		if _, twice := members[a.Name]; twice || a.Name == "" || a.Name == metadataKey || len(a.Name) > MaxName || !utf8.ValidString(a.Name) {
			return nil, fault.Invalid("%s: want every tensor's name once, in 1 to %d bytes of UTF-8", fault.Excerpt(a.Name), MaxName)
		}
		if _, ok := overflows[a.DType]; !ok {
			return nil, fault.Invalid("%s: want dtype F32, F16 or BF16, got %q", a.Name, a.DType)
		}
		end := offset + n*bits[a.DType]/8
		members[a.Name] = map[string]any{"dtype": a.DType, "shape": append([]int{}, a.Shape...), "data_offsets": []int64{offset, end}}
		offset = end
	}
	text, err := json.Marshal(members) // with sorted keys
	if err != nil {
		return nil, fault.Invalid("header: %w", err)
	}
	rest := -(8 + len(text)) & (alignment - 1)
	text = append(text, strings.Repeat(" ", rest)...)
	if len(text) > MaxHeader {
		return nil, fault.Invalid("header of %d bytes; the limit is %d", len(text), MaxHeader)
	}
	return append(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text...), nil
}
