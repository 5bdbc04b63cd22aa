package main

/*
#include "brenier.h"
#include "last_error.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"unsafe"

	"brenier/engine"
)

// failure is an error that is born here, at the edge.
type failure struct {
	status C.brenier_status
	text   string
}

func (f *failure) Error() string { return f.text }

func fail(status C.brenier_status, format string, args ...any) error {
	return &failure{status, fmt.Sprintf(format, args...)}
}

func invalid(format string, args ...any) error {
	return fail(C.BRENIER_INVALID_ARGUMENT, format, args...)
}

var (
	errEngineHandle = &failure{C.BRENIER_INVALID_HANDLE,
		"engine: not the handle of an open engine; make one with brenier_engine_create"}
	errModelHandle = &failure{C.BRENIER_INVALID_HANDLE,
		"model: not the handle of an open model; open one with brenier_model_open"}
	errFieldHandle = &failure{C.BRENIER_INVALID_HANDLE,
		"field: not the handle of an open field; make one with brenier_field_create"}
	errDecoderHandle = &failure{C.BRENIER_INVALID_HANDLE,
		"options: decoder: not the handle of an open model; open one with brenier_model_open, or leave it NULL"}
	errTooMany = &failure{C.BRENIER_OUT_OF_MEMORY, "more than 16777216 objects are open; close some"}
)

// statusOf is the status of each kind of error.
func statusOf(err error) C.brenier_status {
	var f *failure
	switch {
	case errors.As(err, &f):
		return f.status
	case errors.Is(err, engine.ErrInvalidArgument):
		return C.BRENIER_INVALID_ARGUMENT
	case errors.Is(err, engine.ErrShortBuffer):
		return C.BRENIER_SHORT_BUFFER
	case errors.Is(err, engine.ErrBadModel):
		return C.BRENIER_BAD_MODEL
	case errors.Is(err, engine.ErrIO):
		return C.BRENIER_IO
	case errors.Is(err, engine.ErrUnsupported):
		return C.BRENIER_UNSUPPORTED
	case errors.Is(err, engine.ErrOutOfMemory):
		return C.BRENIER_OUT_OF_MEMORY
	case errors.Is(err, engine.ErrDevice):
		return C.BRENIER_DEVICE
	case errors.Is(err, engine.ErrClosed):
		return C.BRENIER_INVALID_HANDLE
	case errors.Is(err, engine.ErrCancelled):
		return C.BRENIER_CANCELLED
	}
	return C.BRENIER_INTERNAL // an error of no kind is a defect, though a harmless one
}

// call is one call from C, on whose thread its goroutine stays until the call returns. Every export
// begins with
//
//	var c call
//	defer c.end(&status)
//
// and goes on only with objects that the call has got hold of.
type call struct {
	engine  *slot[openEngine]
	model   *slot[openModel]
	field   *slot[openField]
	decoder *slot[openModel] // of a fit
	owner   *openEngine      // the engine that a panic poisons, or nil
	err     error
}

// useEngine gets hold of an engine for this call; nil, with err set, if there is none fit for use.
func (c *call) useEngine(k C.uintptr_t) *openEngine {
	if c.engine = engines.acquire(token(k)); c.engine == nil {
		c.err = errEngineHandle
		return nil
	}
	if !c.sound(c.engine.object) {
		return nil
	}
	return c.engine.object
}

// useModel is useEngine for a model.
func (c *call) useModel(k C.uintptr_t) *openModel {
	if c.model = models.acquire(token(k)); c.model == nil {
		c.err = errModelHandle
		return nil
	}
	if !c.sound(c.model.object.owner) {
		return nil
	}
	return c.model.object
}

// useField is useEngine for a field.
func (c *call) useField(k C.uintptr_t) *openField {
	if c.field = fields.acquire(token(k)); c.field == nil {
		c.err = errFieldHandle
		return nil
	}
	if !c.sound(c.field.object.model.owner) {
		return nil
	}
	return c.field.object
}

// useDecoder gets hold of the model whose decoder a fit hands on; it may be another engine's.
func (c *call) useDecoder(k C.uintptr_t) *openModel {
	if c.decoder = models.acquire(token(k)); c.decoder == nil {
		c.err = errDecoderHandle
		return nil
	}
	return c.decoder.object
}

// sound makes owner the engine of this call, unless a panic has poisoned it.
func (c *call) sound(owner *openEngine) bool {
	if text := owner.defect.Load(); text != nil {
		c.err = fail(C.BRENIER_INTERNAL, "the engine refuses work since a defect of the library showed (%s); destroy it", *text)
		return false
	}
	c.owner = owner
	plantedPanic()
	return true
}

// end gives the call's status, whatever happened: a panic becomes BRENIER_INTERNAL and poisons the
// engine. It must itself be the deferred function, or recover would not see the panic.
func (c *call) end(status *C.brenier_status) {
	if value := recover(); value != nil {
		text := fmt.Sprintf("%v, at %s", value, panicPlace())
		if c.owner != nil {
			c.owner.poison(text)
		}
		c.err = fail(C.BRENIER_INTERNAL, "a defect of the library: %s; please report it", text)
	}
	if c.engine != nil {
		c.engine.release()
	}
	if c.model != nil {
		c.model.release()
	}
	if c.field != nil {
		c.field.release()
	}
	if c.decoder != nil {
		c.decoder.release()
	}
	*status = C.BRENIER_OK
	if c.err != nil {
		text := c.err.Error()
		C.capi_set_last_error((*C.char)(unsafe.Pointer(unsafe.StringData(text))), C.size_t(len(text)))
		*status = statusOf(c.err)
	}
}

// panicPlace is the file and line that panicked, for a deferred function that recovered.
func panicPlace() string {
	var pcs [32]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(0, pcs[:])])
	panicked := false
	for {
		frame, more := frames.Next()
		inRuntime := strings.HasPrefix(frame.Function, "runtime.")
		if panicked && !inRuntime {
			return fmt.Sprintf("%s:%d", frame.File, frame.Line)
		}
		panicked = panicked || frame.Function == "runtime.gopanic"
		if !more {
			return "an unknown place"
		}
	}
}
