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

//export capiModelOpen
func capiModelOpen(k C.uintptr_t, path *C.char, out *C.uintptr_t) (status C.brenier_status) {
	var c call
	defer c.end(&status)
	e := c.useEngine(k)
	if e == nil {
		return
	}
	if path == nil {
		c.err = invalid("path: want a file's name, got NULL")
		return
	}
	c.open(e, out, func() (*engine.Model, error) { return e.Open(C.GoString(path)) })
	return
}

//export capiModelOpenMemory
func capiModelOpenMemory(k C.uintptr_t, data unsafe.Pointer, bytes C.size_t, out *C.uintptr_t) (status C.brenier_status) {
	var c call
	defer c.end(&status)
	e := c.useEngine(k)
	if e == nil {
		return
	}
	if data == nil && bytes > 0 {
		c.err = invalid("data: want %d bytes, got NULL", bytes)
		return
	}
	if uint64(bytes) > math.MaxInt || uintptr(bytes) > math.MaxUint-uintptr(data) {
		c.err = invalid("data: %d bytes at %p are beyond the end of memory", bytes, data)
		return
	}
	c.open(e, out, func() (*engine.Model, error) {
		return e.OpenBytes(unsafe.Slice((*byte)(data), int(bytes)))
	})
	return
}

// open writes the token of the model that read returns.
func (c *call) open(e *openEngine, out *C.uintptr_t, read func() (*engine.Model, error)) {
	if out == nil {
		c.err = invalid("model: want a place for the handle, got NULL")
		return
	}
	m, err := read()
	if c.err = err; err != nil {
		return
	}
	k, err := addModel(e, m)
	if c.err = err; err == nil {
		*out = C.uintptr_t(k)
	}
}

//export capiModelClose
func capiModelClose(k C.uintptr_t) (status C.brenier_status) {
	var c call
	defer c.end(&status)
	s := models.retire(token(k))
	if s == nil {
		c.err = errModelHandle
		return
	}
	owner := s.object.owner
	if owner.defect.Load() != nil {
		closePoisoned(func() { closeModel(token(k), s) })
		return
	}
	c.owner = owner
	c.err = closeModel(token(k), s)
	return
}

//export capiModelMeasureImages
func capiModelMeasureImages(k C.uintptr_t, n C.size_t) (status C.brenier_status) {
	var c call
	defer c.end(&status)
	m := c.useModel(k)
	if m == nil {
		return
	}
	if uint64(n) > math.MaxInt {
		c.err = invalid("images: want at most %d, got %d", math.MaxInt, n)
		return
	}
	if n == 0 {
		n = engine.DefaultImages
	}
	c.err = m.MeasureImages(int(n))
	return
}

//export capiModelSave
func capiModelSave(k C.uintptr_t, path *C.char) (status C.brenier_status) {
	var c call
	defer c.end(&status)
	m := c.useModel(k)
	if m == nil {
		return
	}
	if path == nil {
		c.err = invalid("path: want a file's name, got NULL")
		return
	}
	c.err = m.Save(C.GoString(path))
	return
}

//export capiModelInfo
func capiModelInfo(k C.uintptr_t, properties *C.brenier_model_properties) (status C.brenier_status) {
	var c call
	defer c.end(&status)
	if m := c.useModel(k); m != nil {
		c.err = emit("properties", properties, &m.properties, modelPropertiesFirst)
	}
	return
}

//export capiModelTensor
func capiModelTensor(k C.uintptr_t, name *C.char, tensor *C.brenier_buffer) (status C.brenier_status) {
	var c call
	defer c.end(&status)
	m := c.useModel(k)
	if m == nil {
		return
	}
	if name == nil {
		c.err = invalid("name: want a tensor's name, got NULL")
		return
	}
	wanted := C.GoString(name)
	switch wanted {
	case "ot.points", "ot.heights", "ot.masses", "ot.centroids", "output.mean", "output.deviation":
	default:
		c.err = invalid("name: want ot.points, ot.heights, ot.masses, ot.centroids, output.mean or output.deviation, got %q", wanted)
		return
	}
	values := m.Tensor(wanted)
	if values == nil {
		c.err = fail(C.BRENIER_UNSUPPORTED, "the model has no %s", wanted)
		return
	}
	to, err := float32s(wanted, tensor, C.size_t(len(values)), 1)
	if c.err = err; err == nil {
		copy(to, values)
	}
	return
}
