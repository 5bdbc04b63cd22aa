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

//export capiFieldCreate
func capiFieldCreate(k C.uintptr_t, options *C.brenier_field_options, out *C.uintptr_t) (status C.brenier_status) {
	var c call
	defer c.end(&status)
	m := c.useModel(k)
	if m == nil {
		return
	}
	o, err := fieldOptions(options)
	if c.err = err; err != nil {
		return
	}
	if out == nil {
		c.err = invalid("field: want a place for the handle, got NULL")
		return
	}
	f, err := m.NewField(o)
	if c.err = err; err != nil {
		return
	}
	field, err := addField(m, f)
	if c.err = err; err == nil {
		*out = C.uintptr_t(field)
	}
	return
}

//export capiFieldDestroy
func capiFieldDestroy(k C.uintptr_t) (status C.brenier_status) {
	var c call
	defer c.end(&status)
	s := fields.retire(token(k))
	if s == nil {
		c.err = errFieldHandle
		return
	}
	closeField(token(k), s)
	return
}

//export capiFieldRead
func capiFieldRead(k C.uintptr_t, seed C.uint64_t, x, y C.int64_t, width, height, level C.uint32_t, pixels *C.brenier_buffer) (status C.brenier_status) {
	var c call
	defer c.end(&status)
	f := c.useField(k)
	if f == nil {
		return
	}
	to, err := fieldPixels(pixels)
	if c.err = err; err == nil {
		r := engine.Region{X: int64(x), Y: int64(y), Width: int(width), Height: int(height), Level: int(level)}
		c.err = f.Read(uint64(seed), r, to, engine.Slices{})
	}
	return
}

// fieldOptions are the engine's for a caller's; NULL is the default.
func fieldOptions(from *C.brenier_field_options) (o engine.FieldOptions, err error) {
	if from == nil {
		return o, nil
	}
	f, err := adopt("options", from, fieldOptionsFirst)
	if err != nil {
		return o, err
	}
	if f.octaves == nil && f.n_octaves > 0 {
		return o, invalid("octaves: want %d of them, got NULL", f.n_octaves)
	}
	if f.n_octaves > engine.MaxOctaves {
		return o, invalid("octaves: want at most %d, got %d", engine.MaxOctaves, f.n_octaves)
	}
	if f.row_pitch > math.MaxInt {
		return o, invalid("row_pitch: %d bytes are beyond the end of memory", f.row_pitch)
	}
	for i := range uintptr(f.n_octaves) {
		// They lie as far apart as the caller's version of the struct is long.
		from := (*C.brenier_octave)(unsafe.Add(unsafe.Pointer(f.octaves), i*uintptr(f.octaves.struct_size)))
		if from.struct_size != f.octaves.struct_size {
			return o, invalid("octaves: %d: struct_size: want %d as the first one has, got %d", i, f.octaves.struct_size, from.struct_size)
		}
		octave, err := adopt("octaves", from, octaveFirst)
		if err != nil {
			return o, err
		}
		o.Octaves = append(o.Octaves, engine.Octave{
			Scale: int(octave.scale), Amplitude: float64(octave.amplitude), Modulation: float64(octave.modulation),
		})
	}
	o.Channel, o.Channels = int(f.channel), int(f.channels)
	o.Offset, o.Scale = float64(f.offset), float64(f.scale)
	o.CacheBytes, o.RowPitch = int(f.cache_bytes), int(f.row_pitch)
	return o, nil
}

// fieldPixels describes the caller's memory for a field's pixels.
func fieldPixels(from *C.brenier_buffer) (out engine.Image, err error) {
	b, err := adopt("pixels", from, bufferFirst)
	if err != nil {
		return out, err
	}
	var known bool
	if out.DType, known = pixelDTypes[b.dtype]; !known {
		return out, invalid("pixels: want dtype BRENIER_F32 (0), BRENIER_F16 (1), BRENIER_U8 (2) or BRENIER_U16 (5), got %d", b.dtype)
	}
	if out.Layout, err = layoutOf("pixels", &b); err != nil {
		return out, err
	}
	if b.location != C.BRENIER_HOST {
		return out, fail(C.BRENIER_UNSUPPORTED, "pixels: want location BRENIER_HOST (0), got %d", b.location)
	}
	address, bytes, err := memory("pixels", &b, C.size_t(b.bytes/C.size_t(elementSizes[b.dtype])), 1)
	if err == nil && address != 0 {
		out.Data = unsafe.Slice((*byte)(b.data), bytes*int(elementSizes[b.dtype]))
	}
	return out, err
}
