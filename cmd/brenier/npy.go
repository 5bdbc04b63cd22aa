package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"

	"github.com/x448/float16"
)

// NumPy's array format (NEP 1): the magic, a version, the length of a header, the header, which is
// a Python dictionary, and the data. Read and written here because it is two functions, of which a
// reader of images and codes needs little: dense little-endian numbers in C order.

const npyMagic = "\x93NUMPY"

// maxNpyHeader bounds a header in bytes; those that NumPy writes have 118.
const maxNpyHeader = 1 << 16

// maxElements bounds an array before memory is asked for.
const maxElements = 1 << 36

var (
	npyDescr   = regexp.MustCompile(`'descr'\s*:\s*'([^']*)'`)
	npyFortran = regexp.MustCompile(`'fortran_order'\s*:\s*(True|False)`)
	npyShape   = regexp.MustCompile(`'shape'\s*:\s*\(([0-9,\s]*)\)`)
)

// readNpy reads an array of float16, float32, float64 or integers as float32; kind is "f2", "u1" and so on.
func readNpy(r io.Reader) (values []float32, shape []int, kind string, err error) {
	descr, shape, err := readNpyHeader(r)
	if err != nil {
		return nil, nil, "", err
	}
	n := 1
	for _, extent := range shape {
		if extent > 0 && n > maxElements/extent {
			return nil, nil, "", fmt.Errorf("shape %v is too large", shape)
		}
		n *= extent
	}
	kind = strings.TrimLeft(descr, "<|")
	width, convert, err := npyElement(kind)
	if err != nil {
		return nil, nil, "", fmt.Errorf("dtype %q; %w", descr, err)
	}
	// The file may be shorter than it says, so memory grows with what is read.
	buffer := make([]byte, 1<<16)
	for len(values) < n {
		part := buffer[:min(len(buffer), width*(n-len(values)))]
		if _, err := io.ReadFull(r, part); err != nil {
			return nil, nil, "", fmt.Errorf("the data ends before the %d values of shape %v", n, shape)
		}
		for ; len(part) > 0; part = part[width:] {
			values = append(values, convert(part))
		}
	}
	return values, shape, kind, nil
}

func readNpyHeader(r io.Reader) (descr string, shape []int, err error) {
	start := make([]byte, 8)
	if _, err := io.ReadFull(r, start); err != nil || string(start[:6]) != npyMagic {
		return "", nil, errors.New("not a .npy file")
	}
	length := make([]byte, 2)
	if start[6] > 1 {
		length = make([]byte, 4)
	}
	if _, err := io.ReadFull(r, length); err != nil {
		return "", nil, errors.New("the header is cut off")
	}
	size := uint32(binary.LittleEndian.Uint16(length))
	if len(length) == 4 {
		size = binary.LittleEndian.Uint32(length)
	}
	if size > maxNpyHeader {
		return "", nil, fmt.Errorf("a header of %d bytes; want %d at most", size, maxNpyHeader)
	}
	header := make([]byte, size)
	if _, err := io.ReadFull(r, header); err != nil {
		return "", nil, errors.New("the header is cut off")
	}
	d, f, s := npyDescr.FindSubmatch(header), npyFortran.FindSubmatch(header), npyShape.FindSubmatch(header)
	if d == nil || f == nil || s == nil {
		return "", nil, errors.New("the header lacks descr, fortran_order or shape")
	}
	for _, extent := range strings.Split(string(s[1]), ",") {
		if extent = strings.TrimSpace(extent); extent == "" {
			continue
		}
		v, err := strconv.ParseInt(extent, 10, 48)
		if err != nil {
			return "", nil, fmt.Errorf("shape (%s): %w", s[1], err)
		}
		shape = append(shape, int(v))
	}
	if string(f[1]) == "True" && len(shape) > 1 {
		return "", nil, errors.New("the array is in Fortran order; save numpy.ascontiguousarray of it")
	}
	return string(d[1]), shape, nil
}

// npyElement returns the bytes of an element and how one becomes a float32.
func npyElement(kind string) (width int, convert func([]byte) float32, err error) {
	order := binary.LittleEndian
	switch kind {
	case "f2":
		return 2, func(b []byte) float32 { return float16.Frombits(order.Uint16(b)).Float32() }, nil
	case "f4":
		return 4, func(b []byte) float32 { return math.Float32frombits(order.Uint32(b)) }, nil
	case "f8":
		return 8, func(b []byte) float32 { return float32(math.Float64frombits(order.Uint64(b))) }, nil
	case "u1":
		return 1, func(b []byte) float32 { return float32(b[0]) }, nil
	case "i4":
		return 4, func(b []byte) float32 { return float32(int32(order.Uint32(b))) }, nil
	case "i8":
		return 8, func(b []byte) float32 { return float32(int64(order.Uint64(b))) }, nil
	}
	return 0, nil, errors.New("want little-endian float16, float32, float64, uint8, int32 or int64")
}

// writeNpyHeader writes what precedes the data of an array of the given element type ("<f4").
func writeNpyHeader(w io.Writer, descr string, shape []int) error {
	extents := make([]string, len(shape))
	for i, extent := range shape {
		extents[i] = strconv.Itoa(extent)
	}
	tuple := strings.Join(extents, ", ")
	if len(shape) == 1 {
		tuple += ","
	}
	header := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", descr, tuple)
	const fixed = len(npyMagic) + 2 + 2
	padding := 64 - (fixed+len(header)+1)%64 // the data begins at a multiple of 64
	header += strings.Repeat(" ", padding%64) + "\n"
	start := append([]byte(npyMagic), 1, 0)
	start = binary.LittleEndian.AppendUint16(start, uint16(len(header)))
	_, err := w.Write(append(start, header...))
	return err
}
