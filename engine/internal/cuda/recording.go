//go:build cuda

package cuda

import (
	"brenier/engine/internal/backend"
	"brenier/engine/internal/cuda/driver"
	"brenier/engine/internal/fault"
)

// mostRecordings is how many call shapes a workspace keeps as graphs; the one that was not used for
// the longest makes room.
const mostRecordings = 8

// callShape is what a recorded call of Generate cannot have changed.
type callShape struct {
	n         int
	extension backend.Extension
	dtype     backend.DType
	layout    backend.Layout
	low, high float64
	heights   uint64 // of the model, how often they were replaced
}

// recording is a call of Generate as one graph: seed, first sample and the images' place can be
// changed, by launching the kernels that have them among their parameters to a stream that rewrites
// the graph.
type recording struct {
	shape   callShape
	graph   *driver.Graph
	ready   *driver.Executable
	noise   *driver.Stream // rewrites the launches of noise
	decode  *driver.Stream // rewrites the launches of decode
	address driver.Address // of the images, as the graph has it
	used    uint64         // when, by recordings.clock
}

func (r *recording) close() {
	if r.ready != nil {
		r.ready.Destroy()
	}
	if r.graph != nil {
		r.graph.Destroy()
	}
}

// recordings are those of a workspace. The zero value has none.
type recordings struct {
	kept  []*recording
	clock uint64
}

// find returns the recording of a shape, or nil.
func (s *recordings) find(shape callShape) *recording {
	s.clock++
	for _, r := range s.kept {
		if r.shape == shape {
			r.used = s.clock
			return r
		}
	}
	return nil
}

// keep adds a recording, in the place of the oldest if there are many.
func (s *recordings) keep(r *recording) {
	r.used = s.clock
	if len(s.kept) < mostRecordings {
		s.kept = append(s.kept, r)
		return
	}
	oldest := 0
	for i, other := range s.kept {
		if other.used < s.kept[oldest].used {
			oldest = i
		}
	}
	s.kept[oldest].close()
	s.kept[oldest] = r
}

func (s *recordings) close() {
	for _, r := range s.kept {
		r.close()
	}
	s.kept = nil
}

// record captures the launches of one call on a stream of its own, so that a stream of the caller's
// is left alone. It runs inside do.
func (w *workspace) record(shape callShape, seed, first uint64, to target) (*recording, error) {
	r := &recording{shape: shape, address: to.address}
	if err := w.capture(r, seed, first, to); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

func (w *workspace) capture(r *recording, seed, first uint64, to target) error {
	q, err := w.m.v.ctx.NewStream()
	if err != nil {
		return err
	}
	defer q.Destroy()
	if err := q.BeginCapture(); err != nil {
		return err
	}
	launched := w.launchAll(q, r.shape.n, seed, first, r.shape.extension, to)
	r.graph, err = q.EndCapture()
	if launched != nil {
		return launched
	}
	if err != nil {
		return err
	}
	if r.ready, err = r.graph.Instantiate(); err != nil {
		return err
	}
	return w.findChanging(r, seed, first, to)
}

// findChanging finds the nodes of a recording that have seed, first sample or the images' place
// among their parameters: those of noise, at the beginning, and those of decode, at the end.
func (w *workspace) findChanging(r *recording, seed, first uint64, to target) error {
	nodes, err := r.graph.Kernels()
	if err != nil {
		return err
	}
	counter := driver.NewRewrite(nil, nil)
	if err := w.launchNoise(counter, r.shape.n, seed, first); err != nil {
		return err
	}
	noise := counter.Again()
	if err := w.launchDecode(counter, 0, r.shape.n, w.decoderInput(), to); err != nil {
		return err
	}
	decode := counter.Again()
	if noise+decode > len(nodes) {
		return fault.New(fault.ErrDevice, "cuda:%d: a graph of %d kernels came out with %d", w.m.v.info.Index, noise+decode, len(nodes))
	}
	r.noise = driver.NewRewrite(r.ready, nodes[:noise])
	last := nodes[len(nodes)-decode:]
	if r.shape.n <= w.decode.chunk { // then the last launch alone writes images
		clear(last[:decode-1])
	}
	r.decode = driver.NewRewrite(r.ready, last)
	return nil
}

// replay launches a recorded call with another seed, first sample and place for the images. It runs
// inside do.
func (w *workspace) replay(r *recording, seed, first uint64, to target) error {
	r.noise.Again()
	if err := w.launchNoise(r.noise, r.shape.n, seed, first); err != nil {
		return err
	}
	if to.address != r.address {
		r.decode.Again()
		r.address = 0 // unknown, should only a part of the launches be changed
		if err := w.launchDecode(r.decode, 0, r.shape.n, w.decoderInput(), to); err != nil {
			return err
		}
		r.address = to.address
	}
	return r.ready.Launch(w.q)
}
