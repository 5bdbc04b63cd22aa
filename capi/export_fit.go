package main

/*
#include "brenier.h"
int capi_call_progress(brenier_progress_callback progress, void *user, uint64_t samples,
                       uint64_t samples_max, double chi_squared, int64_t empty, double seconds,
                       double energy, double seconds_left, uint64_t tested, uint64_t to_test);
*/
import "C"

import (
	"math"
	"unsafe"

	"brenier/engine"

	"github.com/x448/float16"
)

//export capiFit
func capiFit(k C.uintptr_t, points *C.brenier_buffer, n, dimension C.size_t, masses *C.brenier_buffer, options *C.brenier_fit_options, out *C.uintptr_t) (status C.brenier_status) {
	var c call
	defer c.end(&status)
	e := c.useEngine(k)
	if e == nil {
		return
	}
	if out == nil {
		c.err = invalid("model: want a place for the handle, got NULL")
		return
	}
	setting, err := c.fitOptions(options, n)
	if c.err = err; err != nil {
		return
	}
	if n < 1 || dimension < 1 || dimension > math.MaxInt32 {
		c.err = invalid("points: want [N,d] with N and d at least 1, got [%d,%d]", n, dimension)
		return
	}
	y, dtype, err := widened("points", points, n, int(dimension))
	if c.err = err; err != nil {
		return
	}
	m, err := optional[float32]("masses", masses, C.BRENIER_F32, n, 1)
	if c.err = err; err != nil {
		return
	}
	setting.Points = dtype // the model keeps them as they came
	c.open(e, out, func() (*engine.Model, error) {
		return e.Fit(y, int(dimension), float64s(m), setting)
	})
	return
}

// fitOptions reads the caller's options; NULL is the default of each. The decoder's model, if there
// is one, stays open until the call ends.
func (c *call) fitOptions(from *C.brenier_fit_options, n C.size_t) (engine.FitOptions, error) {
	var to engine.FitOptions
	if from == nil {
		return to, nil
	}
	o, err := adopt("options", from, fitOptionsFirst)
	if err != nil {
		return to, err
	}
	to.Tolerance, to.SamplesMax, to.Seed = float64(o.tolerance), uint64(o.samples_max), uint64(o.seed)
	if o.source != nil {
		to.Source = C.GoString(o.source)
	}
	if o.checkpoint != nil {
		to.Checkpoint = C.GoString(o.checkpoint)
	}
	to.Rebalance = o.rebalance != 0
	methods := []engine.FitMethod{engine.FitAuto, engine.FitSampled, engine.FitExact}
	if o.method < 0 || int(o.method) >= len(methods) {
		return to, invalid("options: want method auto, sampled or exact (0 .. 2), got %d", int(o.method))
	}
	to.Method = methods[o.method]
	if to.Start, err = optional[float32]("start", o.start, C.BRENIER_F32, n, 1); err != nil {
		return to, err
	}
	if o.decoder != nil {
		m := c.useDecoder(C.uintptr_t(uintptr(unsafe.Pointer(o.decoder))))
		if m == nil {
			return to, c.err
		}
		to.Decoder, to.Images = m.Model, engine.DefaultImages
	}
	if o.progress != nil {
		to.Progress = func(p engine.FitProgress) bool {
			return C.capi_call_progress(o.progress, o.user, C.uint64_t(p.Samples), C.uint64_t(p.SamplesMax),
				C.double(p.ChiSquared), C.int64_t(p.Empty), C.double(p.Seconds),
				C.double(p.Energy), C.double(p.SecondsLeft), C.uint64_t(p.Tested), C.uint64_t(p.ToTest)) == 0
		}
	}
	return to, nil
}

// widened is a buffer of F32 or F16 as float32, and which of the two it was.
func widened(name string, from *C.brenier_buffer, n C.size_t, width int) ([]float32, engine.DType, error) {
	b, err := adopt(name, from, bufferFirst)
	if err != nil {
		return nil, 0, err
	}
	switch b.dtype {
	case C.BRENIER_F32:
		values, err := float32s(name, from, n, width)
		return values, engine.F32, err
	case C.BRENIER_F16:
		half, err := array[uint16](name, from, C.BRENIER_F16, n, width)
		if err != nil {
			return nil, 0, err
		}
		values := make([]float32, len(half))
		for i, bits := range half {
			values[i] = float16.Frombits(bits).Float32()
		}
		return values, engine.F16, nil
	}
	return nil, 0, invalid("%s: want dtype BRENIER_F32 (0) or BRENIER_F16 (1), got %d", name, b.dtype)
}

func float64s(values []float32) []float64 {
	if values == nil {
		return nil
	}
	wide := make([]float64, len(values))
	for i, v := range values {
		wide[i] = float64(v)
	}
	return wide
}
