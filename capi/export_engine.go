package main

/*
#include <stdlib.h>
#include "queue.h"
*/
import "C"

import (
	"math"
	"unsafe"

	"brenier/engine"
)

// precisions are the engine's names for a brenier_precision.
var precisions = [...]string{
	C.BRENIER_PRECISION_DEFAULT: "",
	C.BRENIER_PRECISION_F16:     "f16",
	C.BRENIER_PRECISION_BF16:    "bf16",
	C.BRENIER_PRECISION_F32:     "f32",
}

//export capiEngineCreate
func capiEngineCreate(options *C.brenier_engine_options, out *C.uintptr_t) (status C.brenier_status) {
	var c call
	defer c.end(&status)
	plantedPanic()
	var o C.brenier_engine_options
	if options != nil {
		if o, c.err = adopt("options", options, engineOptionsFirst); c.err != nil {
			return
		}
	}
	if out == nil {
		c.err = invalid("engine: want a place for the handle, got NULL")
		return
	}
	if o.precision < 0 || int(o.precision) >= len(precisions) {
		c.err = invalid("options: want precision default, f16, bf16 or f32 (0 .. 3), got %d", o.precision)
		return
	}
	config := engine.Config{Threads: int(o.threads), Getenv: getenv, CUDA: engine.CUDAConfig{
		Context: uintptr(o.cuda_context), Stream: uintptr(o.cuda_stream), Memory: int(min(o.cuda_memory, math.MaxInt)),
		Precision: precisions[o.precision],
	}}
	if o.device != nil {
		config.Device = C.GoString(o.device)
	}
	jobs, err := jobOptionsOf(&o)
	if c.err = err; err != nil {
		return
	}
	e, err := engine.New(config)
	if c.err = err; err != nil {
		return
	}
	k, err := addEngine(e, jobs)
	if c.err = err; err == nil {
		*out = C.uintptr_t(k)
	}
	return
}

//export capiEngineDestroy
func capiEngineDestroy(k C.uintptr_t) (status C.brenier_status) {
	var c call
	defer c.end(&status)
	if s := engines.acquire(token(k)); s != nil {
		C.jobs_queue_stop(s.object.jobs.queue) // or a brenier_run would go on to the end of its budget
		s.release()
	}
	s := engines.retire(token(k))
	if s == nil {
		c.err = errEngineHandle
		return
	}
	if s.object.defect.Load() != nil {
		closePoisoned(func() { closeEngine(s) })
		return
	}
	c.owner = s.object
	c.err = closeEngine(s)
	return
}

//export capiEngineInfo
func capiEngineInfo(k C.uintptr_t, properties *C.brenier_engine_properties) (status C.brenier_status) {
	var c call
	defer c.end(&status)
	if e := c.useEngine(k); e != nil {
		c.err = emit("properties", properties, &e.properties, enginePropertiesFirst)
	}
	return
}

// closePoisoned closes what a panic left in an unknown state: a second panic is of no news.
func closePoisoned(close func()) {
	defer func() { _ = recover() }()
	close()
}

// getenv asks C: Go has a copy of the environment, made when the library was loaded.
func getenv(name string) string {
	text := C.CString(name)
	defer C.free(unsafe.Pointer(text))
	return C.GoString(C.getenv(text))
}
