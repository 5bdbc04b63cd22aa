package main

/*
#include "brenier.h"
*/
import "C"

import "brenier/engine"

//export capiNoise
func capiNoise(k C.uintptr_t, seed, first C.uint64_t, n C.size_t, x *C.brenier_buffer) (status C.brenier_status) {
	var c call
	defer c.end(&status)
	m := c.useModel(k)
	if m == nil {
		return
	}
	to, err := float32s("x", x, n, m.info.Dimension)
	if c.err = err; err == nil {
		c.err = m.Noise(to, uint64(seed), uint64(first))
	}
	return
}

//export capiLocate
func capiLocate(model C.uintptr_t, x *C.brenier_buffer, n C.size_t, k C.uint32_t, cells, scores *C.brenier_buffer) (status C.brenier_status) {
	var c call
	defer c.end(&status)
	m := c.useModel(model)
	if m == nil {
		return
	}
	noise, err := float32s("x", x, n, m.info.Dimension)
	if c.err = err; err != nil {
		return
	}
	if c.err = m.checkK(k); c.err != nil {
		return
	}
	toCells, err := array[int64]("cells", cells, C.BRENIER_I64, n, int(k))
	if c.err = err; err != nil {
		return
	}
	toScores, err := optional[float64]("scores", scores, C.BRENIER_F64, n, int(k))
	if c.err = err; err == nil {
		c.err = m.Locate(noise, int(k), toCells, toScores)
	}
	return
}

//export capiExtend
func capiExtend(model C.uintptr_t, x, cells *C.brenier_buffer, n C.size_t, k C.uint32_t, extension *C.brenier_extension, codes *C.brenier_buffer) (status C.brenier_status) {
	var c call
	defer c.end(&status)
	m := c.useModel(model)
	if m == nil {
		return
	}
	setting, err := extensionOf(extension)
	if c.err = err; err != nil {
		return
	}
	noise, err := float32s("x", x, n, m.info.Dimension)
	if c.err = err; err != nil {
		return
	}
	fromCells, err := array[int64]("cells", cells, C.BRENIER_I64, n, int(k))
	if c.err = err; err != nil {
		return
	}
	to, err := float32s("codes", codes, n, m.info.Dimension)
	if c.err = err; err == nil {
		c.err = m.Extend(noise, fromCells, int(k), setting, to)
	}
	return
}

//export capiCodes
func capiCodes(k C.uintptr_t, seed, first C.uint64_t, n C.size_t, extension *C.brenier_extension, codes *C.brenier_buffer) (status C.brenier_status) {
	var c call
	defer c.end(&status)
	m := c.useModel(k)
	if m == nil {
		return
	}
	setting, err := extensionOf(extension)
	if c.err = err; err != nil {
		return
	}
	to, err := float32s("codes", codes, n, m.info.Dimension)
	if c.err = err; err == nil {
		c.err = m.Codes(to, uint64(seed), uint64(first), setting)
	}
	return
}

//export capiDecode
func capiDecode(k C.uintptr_t, codes *C.brenier_buffer, n C.size_t, images *C.brenier_buffer) (status C.brenier_status) {
	var c call
	defer c.end(&status)
	m := c.useModel(k)
	if m == nil {
		return
	}
	from, err := float32s("codes", codes, n, m.info.Dimension)
	if c.err = err; err != nil {
		return
	}
	to, err := m.image(images, n)
	if c.err = err; err == nil {
		c.err = m.Decode(from, to)
	}
	return
}

//export capiEncode
func capiEncode(k C.uintptr_t, images *C.brenier_buffer, n C.size_t, codes *C.brenier_buffer) (status C.brenier_status) {
	var c call
	defer c.end(&status)
	m := c.useModel(k)
	if m == nil {
		return
	}
	from, err := m.image(images, n)
	if c.err = err; err != nil {
		return
	}
	to, err := float32s("codes", codes, n, m.info.Dimension)
	if c.err = err; err == nil {
		c.err = m.Encode(from, to)
	}
	return
}

//export capiGenerate
func capiGenerate(k C.uintptr_t, seed, first C.uint64_t, n C.size_t, extension *C.brenier_extension, images *C.brenier_buffer) (status C.brenier_status) {
	var c call
	defer c.end(&status)
	m := c.useModel(k)
	if m == nil {
		return
	}
	setting, err := extensionOf(extension)
	if c.err = err; err != nil {
		return
	}
	to, err := m.image(images, n)
	if c.err = err; err == nil {
		c.err = m.Generate(int(n), uint64(seed), uint64(first), setting, to)
	}
	return
}

//export capiPotential
func capiPotential(k C.uintptr_t, x *C.brenier_buffer, n C.size_t, brenier, kantorovich *C.brenier_buffer) (status C.brenier_status) {
	var c call
	defer c.end(&status)
	m := c.useModel(k)
	if m == nil {
		return
	}
	noise, err := float32s("x", x, n, m.info.Dimension)
	if c.err = err; err != nil {
		return
	}
	u, err := optional[float64]("brenier", brenier, C.BRENIER_F64, n, 1)
	if c.err = err; err != nil {
		return
	}
	phi, err := optional[float64]("kantorovich", kantorovich, C.BRENIER_F64, n, 1)
	if c.err = err; err == nil {
		c.err = m.Potential(noise, u, phi)
	}
	return
}

// checkK refuses a k that no model or not this one has cells for, before a buffer is measured by it.
func (m *openModel) checkK(k C.uint32_t) error {
	if most := min(engine.MaxK, m.info.Points); m.info.Points > 0 && (k < 1 || int64(k) > int64(most)) {
		return invalid("k: want 1 .. %d (the model has %d cells), got %d", most, m.info.Points, k)
	}
	return nil
}

// extensionOf is the setting that a caller's struct gives; NULL is the model's own.
func extensionOf(from *C.brenier_extension) (engine.Extension, error) {
	if from == nil {
		return engine.Extension{Blend: 0.5}, nil
	}
	e, err := adopt("extension", from, extensionFirst)
	if err != nil {
		return engine.Extension{}, err
	}
	return engine.Extension{
		Mode: engine.Mode(e.mode), K: int(e.k), Angle: engine.Angle(e.angle),
		Theta: float64(e.theta), Blend: float64(e.blend),
	}, nil
}
