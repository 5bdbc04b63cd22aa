package main

/*
#include "brenier.h"
*/
import "C"

import (
	"math"
	"unsafe"

	"brenier/engine"
)

// The element sizes, by dtype.
var elementSizes = [...]uintptr{C.BRENIER_F32: 4, C.BRENIER_F16: 2, C.BRENIER_U8: 1, C.BRENIER_I64: 8, C.BRENIER_F64: 8, C.BRENIER_U16: 2}

var dtypeNames = [...]string{C.BRENIER_F32: "F32", C.BRENIER_F16: "F16", C.BRENIER_U8: "U8", C.BRENIER_I64: "I64", C.BRENIER_F64: "F64", C.BRENIER_U16: "U16"}

// memory checks a caller's buffer for n rows of width elements and returns where they are, on the
// host or a device, and how many elements there are.
func memory(name string, b *C.brenier_buffer, n C.size_t, width int) (address uintptr, count int, err error) {
	size := elementSizes[b.dtype]
	if n == 0 || width == 0 {
		return 0, 0, nil
	}
	most := uint64(math.MaxInt) / uint64(width) / uint64(size)
	if uint64(n) > most || uintptr(n)*uintptr(width)*size > uintptr(b.bytes) {
		return 0, 0, fail(C.BRENIER_SHORT_BUFFER, "%s: %d rows of %d %s do not fit in %d bytes", name, n, width, dtypeNames[b.dtype], b.bytes)
	}
	bytes := uintptr(n) * uintptr(width) * size
	address = uintptr(b.data)
	if address == 0 {
		return 0, 0, invalid("%s: want memory, got data NULL", name)
	}
	if address%size != 0 {
		return 0, 0, invalid("%s: want data aligned to its elements of %d bytes, got %#x", name, size, address)
	}
	if bytes > math.MaxUint-address {
		return 0, 0, invalid("%s: %d bytes at %#x are beyond the end of memory", name, bytes, address)
	}
	return address, int(n) * width, nil
}

// array is memory for a buffer that must have the element type T, given as its dtype.
func array[T any](name string, from *C.brenier_buffer, dtype C.brenier_dtype, n C.size_t, width int) ([]T, error) {
	b, err := adopt(name, from, bufferFirst)
	if err != nil {
		return nil, err
	}
	if b.dtype != dtype {
		return nil, invalid("%s: want dtype BRENIER_%s (%d), got %d", name, dtypeNames[dtype], dtype, b.dtype)
	}
	if b.location != C.BRENIER_HOST {
		return nil, fail(C.BRENIER_UNSUPPORTED, "%s: want location BRENIER_HOST (0), got %d; images alone may be elsewhere", name, b.location)
	}
	address, count, err := memory(name, &b, n, width)
	if err != nil {
		return nil, err
	}
	if address == 0 {
		return []T{}, nil
	}
	return unsafe.Slice((*T)(b.data), count), nil
}

// optional is array for a buffer that may be NULL; then it is nil.
func optional[T any](name string, from *C.brenier_buffer, dtype C.brenier_dtype, n C.size_t, width int) ([]T, error) {
	if from == nil {
		return nil, nil
	}
	return array[T](name, from, dtype, n, width)
}

func float32s(name string, b *C.brenier_buffer, n C.size_t, width int) ([]float32, error) {
	return array[float32](name, b, C.BRENIER_F32, n, width)
}

// pixelDTypes are those of a field's pixels, and of images but for U16.
var pixelDTypes = map[C.brenier_dtype]engine.DType{
	C.BRENIER_F32: engine.F32, C.BRENIER_F16: engine.F16, C.BRENIER_U8: engine.U8, C.BRENIER_U16: engine.U16,
}

var layouts = [...]engine.Layout{C.BRENIER_NCHW: engine.NCHW, C.BRENIER_NHWC: engine.NHWC}

// layoutOf is the layout of a caller's images.
func layoutOf(name string, b *C.brenier_buffer) (engine.Layout, error) {
	if b.layout >= 0 && int(b.layout) < len(layouts) {
		return layouts[b.layout], nil
	}
	return 0, invalid("%s: want layout BRENIER_NCHW (0) or BRENIER_NHWC (1), got %d", name, b.layout)
}

// image describes the caller's memory for n images of the model, checked.
func (m *openModel) image(from *C.brenier_buffer, n C.size_t) (engine.Image, error) {
	var out engine.Image
	b, err := adopt("images", from, bufferFirst)
	if err != nil {
		return out, err
	}
	var known bool
	if out.DType, known = pixelDTypes[b.dtype]; !known || out.DType == engine.U16 {
		return out, invalid("images: want dtype BRENIER_F32 (0), BRENIER_F16 (1) or BRENIER_U8 (2), got %d", b.dtype)
	}
	if out.Layout, err = layoutOf("images", &b); err != nil {
		return out, err
	}
	if b.location != C.BRENIER_HOST && b.location != C.BRENIER_CUDA_DEVICE {
		return out, invalid("images: want location BRENIER_HOST (0) or BRENIER_CUDA_DEVICE (1), got %d", b.location)
	}
	address, count, err := memory("images", &b, n, m.info.Channels*m.info.Height*m.info.Width)
	bytes := count * int(elementSizes[b.dtype])
	switch {
	case address == 0:
	case b.location == C.BRENIER_HOST:
		out.Data = unsafe.Slice((*byte)(b.data), bytes)
	default:
		out.Device = engine.DeviceMemory{Address: uint64(address), Bytes: bytes}
	}
	return out, err
}
