//go:build cuda

package cuda

// #include "descend.h"
import "C"

import (
	"math"
	"unsafe"

	"brenier/engine/internal/cuda/driver"
	"brenier/engine/internal/fault"
	"brenier/engine/internal/sgd"
)

// ahead is how many steps of a descent the host may give the device before it waits for those it gave
// before as many.
const ahead = 16

// descendStage takes steps of a descent on the device.
type descendStage struct {
	v        *device
	function *driver.Function
}

func newDescend(v *device) (*descendStage, error) {
	f, err := v.kernel("descend", "brenier_cuda_descend", 0)
	if err != nil {
		return nil, err
	}
	return &descendStage{v, f}, nil
}

// descent is the state of one on the device.
type descent struct {
	stage  *descendStage
	t      *transport     // whose heights it moves
	m      *packedMap     // that has them too; nil: none
	counts driver.Address // [N] uint32, of the draws of the next step

	base     driver.Address
	rates    span               // [N] float64
	known    span               // [sgd.Known] float64
	hits     span               // [N] int64
	h        span               // [N] float64
	averages [sgd.Averages]span // [N] float64
	extent   span               // brenier_descend_extent

	stale  bool // the packed map has not the heights of the latest step
	steps  int  // since it was started
	passed [2]*driver.Event
}

func (s *descendStage) newDescent(t *transport, m *packedMap, counts driver.Address) (*descent, error) {
	d := &descent{stage: s, t: t, m: m, counts: counts}
	var p plan
	d.rates, d.known = p.reserve(bytesOf(8, t.n)), p.reserve(8*sgd.Known)
	d.hits, d.h = p.reserve(bytesOf(8, t.n)), p.reserve(bytesOf(8, t.n))
	for i := range d.averages {
		d.averages[i] = p.reserve(bytesOf(8, t.n))
	}
	d.extent = p.reserve(C.sizeof_brenier_descend_extent)
	var err error
	if d.base, err = s.v.alloc(p.bytes); err != nil {
		return nil, err
	}
	err = s.v.do(func() (err error) {
		for i := range d.passed {
			if d.passed[i], err = s.v.ctx.NewEvent(false); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

// close gives everything back. No step may be at work.
func (d *descent) close() {
	d.stage.v.free(d.base)
	_ = d.stage.v.do(func() error { // of a lost device, and as of streams, there is nobody to tell
		for _, e := range d.passed {
			if e != nil {
				e.Destroy()
			}
		}
		return nil
	})
}

// part is a slice of the host and its place on the device.
type part struct {
	values []byte
	at     driver.Address
}

// moving are what a step changes.
func (d *descent) moving(s *sgd.State) []part {
	parts := []part{{bytesIn(s.Hits), d.hits.at(d.base)}, {bytesIn(s.H), d.h.at(d.base)}}
	for i, mean := range s.Averages {
		parts = append(parts, part{bytesIn(mean), d.averages[i].at(d.base)})
	}
	return parts
}

// start copies a state to the device. It runs inside do, as what follows does.
func (d *descent) start(q *driver.Stream, s *sgd.State) error {
	d.steps, d.stale = 0, false
	parts := append(d.moving(s), part{bytesIn(s.Rates), d.rates.at(d.base)}, part{bytesIn(sgd.Steps()), d.known.at(d.base)})
	for _, p := range parts {
		if err := d.stage.v.ctx.ToDevice(p.at, unsafe.Pointer(&p.values[0]), len(p.values)); err != nil {
			return err
		}
	}
	return q.Clear(d.extent.at(d.base), d.extent.bytes)
}

// fetch waits for the steps and copies the state back. reach is how far the heights went.
func (d *descent) fetch(q *driver.Stream, s *sgd.State) (reach float32, err error) {
	if err := q.Synchronize(); err != nil {
		return 0, err
	}
	var extent [1]C.brenier_descend_extent
	for _, p := range append(d.moving(s), part{bytesIn(extent[:]), d.extent.at(d.base)}) {
		if err := d.stage.v.ctx.ToHost(unsafe.Pointer(&p.values[0]), p.at, len(p.values)); err != nil {
			return 0, err
		}
	}
	return math.Float32frombits(uint32(extent[0].reach)), nil
}

// launch takes a step.
func (d *descent) launch(q *driver.Stream, step sgd.Step) error {
	p := C.brenier_descend_params{
		rates: C.uint64_t(d.rates.at(d.base)), steps: C.uint64_t(d.known.at(d.base)),
		hits: C.uint64_t(d.hits.at(d.base)), h: C.uint64_t(d.h.at(d.base)), counts: C.uint64_t(d.counts),
		heights: C.uint64_t(d.t.heights), highest: C.uint64_t(d.t.highest), extent: C.uint64_t(d.extent.at(d.base)),
		share: C.double(step.Share), expected: C.double(step.Expected), shared: C.double(step.Shared),
		bound: C.double(step.Bound), steepness: C.double(step.Steepness), centre: C.double(step.Centre),
		cells: C.int64_t(d.t.n),
	}
	if d.m != nil {
		p._map = C.uint64_t(d.m.known)
	}
	for i, weight := range step.Weights {
		p.averages[i], p.weights[i] = C.uint64_t(d.averages[i].at(d.base)), C.double(weight)
	}
	const threads = C.BRENIER_DESCEND_THREADS
	d.stale = true
	return q.LaunchDependent(d.stage.function, driver.Dim{X: (d.t.n + threads - 1) / threads}, driver.Dim{X: threads}, 0, unsafe.Pointer(&p))
}

// relevel packs the heights of the latest step, for draws that are located.
func (d *descent) relevel(q *driver.Stream) error {
	if !d.stale || d.m == nil {
		return nil
	}
	d.stale = false
	if err := d.m.launch(q, d.m.relevel); err != nil {
		return err
	}
	q.Apart() // the screen of few samples loads levels before it waits
	return nil
}

// pace waits where the host is too far ahead.
func (d *descent) pace(q *driver.Stream) error {
	d.steps++
	if d.steps%ahead != 0 {
		return nil
	}
	passed := d.passed[d.steps/ahead%len(d.passed)]
	if err := passed.Synchronize(); err != nil {
		return err
	}
	return q.Record(passed)
}

// StartDescent implements [sgd.Descender].
func (w *workspace) StartDescent(s *sgd.State) error {
	c, err := w.counting()
	if err != nil {
		return err
	}
	if w.descent == nil {
		stage, err := late(w.m, &w.m.descend, func() (*descendStage, error) { return newDescend(w.m.v) })
		if err != nil {
			return err
		}
		if w.descent, err = stage.newDescent(w.m.transport, w.m.locate.m, c.counts); err != nil {
			return err
		}
	}
	c.rotated = false
	return w.do(func() error { return w.descent.start(w.q, s) })
}

// StepDescent implements [sgd.Descender].
func (w *workspace) StepDescent(step sgd.Step) error {
	w.m.heights.Add(1)
	return w.do(func() error {
		if err := w.descent.launch(w.q, step); err != nil {
			return err
		}
		return w.descent.pace(w.q)
	})
}

// FetchDescent implements [sgd.Descender].
func (w *workspace) FetchDescent(s *sgd.State) error {
	t := w.m.transport
	err := w.do(func() error {
		if err := w.descent.relevel(w.q); err != nil {
			return err
		}
		reach, err := w.descent.fetch(w.q, s)
		t.reach = max(t.reach, float64(reach))
		return err
	})
	if err != nil {
		return err
	}
	if !(t.reach <= math.MaxFloat32) {
		return fault.New(fault.ErrUnsupported, "descent: heights went beyond float32; scale the points down")
	}
	if w.counts.rotated {
		return t.rotating().CheckDraws(w.Group(), 0, 0, 1)
	}
	return nil
}
