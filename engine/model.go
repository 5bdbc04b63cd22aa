package engine

import (
	"math"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/fault"
	"brenier/engine/internal/modelfile"
)

// MaxK is the largest number of cells that locate returns for a sample.
const MaxK = 32

// Model is a map, a decoder with or without an encoder, or both, prepared on an engine's device. Its methods may be called
// from any goroutine, many at once; they allocate nothing once as many workspaces exist as there
// are callers.
type Model struct {
	engine *Engine
	file   *modelfile.File
	device backend.Model
	parts  shape
	gate   gate
	shared lane // of the methods here
	alone  lane // of a Worker and of a Reading

	statistics imageStatistics
}

// lane is a way to the device: a prepared model, and workspaces of it that no call uses.
type lane struct {
	device backend.Model
	spare  *workspaces
}

// shape is what the stages need to know of a model to check their arguments.
type shape struct {
	n, d      int // points and dimension; n is 0 without a map
	centroids bool
	decoder   bool
	encoder   bool
	c, h, w   int
	low, high float64
	source    backend.Source
}

func newModel(e *Engine, file *modelfile.File, device backend.Model) *Model {
	p := file.Parts()
	s := shape{d: p.Dim, centroids: p.Centroids != nil, decoder: p.Decoder != nil, encoder: p.Encoder != nil, source: p.Source}
	s.n = len(p.Heights)
	if out := file.Output(); out != nil {
		s.c, s.h, s.w, s.low, s.high = out.Channels, out.Height, out.Width, out.Low(), out.High()
	}
	m := &Model{engine: e, file: file, device: device, parts: s}
	m.statistics.mean, m.statistics.deviation = file.Model().Mean, file.Model().Deviation
	m.shared = lane{device, newWorkspaces(e.device.Batches(), p.Dim)}
	m.alone = m.shared
	if shared, ok := device.(backend.Shared); ok {
		m.alone = lane{shared.Alone(), newWorkspaces(e.device.Batches(), p.Dim)}
	}
	return m
}

// Close waits for the calls in flight and frees the model. A second call does nothing.
func (m *Model) Close() error {
	if !m.gate.close() {
		return nil
	}
	m.engine.mu.Lock()
	delete(m.engine.models, m)
	m.engine.mu.Unlock()
	m.shared.spare.close()
	m.alone.spare.close()
	err := m.device.Close()
	if fileErr := m.file.Close(); err == nil {
		err = fileErr
	}
	return err
}

// Save writes the model to a file, by way of a temporary file that is renamed. The mean and the deviation
// of the model's images are in it where they are known: they were in its own file, or [Model.MeasureImages]
// or a field took them.
func (m *Model) Save(path string) error {
	if err := m.gate.enter(); err != nil {
		return err
	}
	defer m.gate.leave()
	content := *m.file.Model()
	content.Mean, content.Deviation = m.statistics.known()
	return modelfile.Write(path, &content)
}

// inBatches passes n samples through one workspace: do is called for samples at .. at+count-1 of
// them, batch after batch, and ends it with its first error.
func (m *Model) inBatches(n int, do func(w backend.Workspace, at, count int) error) error {
	return m.inBatchesOn(&m.shared, n, do)
}

// inBatchesOn is inBatches on a lane.
func (m *Model) inBatchesOn(l *lane, n int, do func(w backend.Workspace, at, count int) error) error {
	w, err := m.begin(l, n)
	if err != nil {
		return err
	}
	defer m.end(l, w)
	for at := 0; at < n; at += w.batch {
		if err := do(w, at, min(w.batch, n-at)); err != nil {
			return err
		}
	}
	return nil
}

// begin takes a workspace of a lane for one call with n samples; end gives it back.
func (m *Model) begin(l *lane, n int) (w *workspace, err error) {
	if err := m.gate.enter(); err != nil {
		return nil, err
	}
	defer func() {
		if w == nil { // for an error or a panic: the model can still be closed
			m.gate.leave()
		}
	}()
	class := l.spare.classFor(n)
	if w := l.spare.take(class); w != nil {
		return w, nil
	}
	return l.spare.make(class, l.device, min(MaxK, max(m.parts.n, 1)))
}

func (m *Model) end(l *lane, w *workspace) {
	l.spare.give(w)
	m.gate.leave()
}

func (m *Model) needMap() error {
	if m.parts.n == 0 {
		return fault.New(fault.ErrUnsupported, "the model has no map (no ot.points, ot.heights); fit one to its codes first")
	}
	return nil
}

func (m *Model) needDecoder() error {
	if !m.parts.decoder {
		return fault.New(fault.ErrUnsupported, "the model has no decoder; import one, or ask for codes")
	}
	return nil
}

func (m *Model) needEncoder() error {
	if !m.parts.encoder {
		return fault.New(fault.ErrUnsupported, "the model has no encoder; import one with the decoder, or encode the images elsewhere")
	}
	return nil
}

// rows returns how many rows of d an array holds.
func rows(name string, length, d int) (int, error) {
	if length%d != 0 {
		return 0, fault.Invalid("%s: want rows of %d, got %d values", name, d, length)
	}
	return length / d, nil
}

// finite refuses NaN and infinities, naming the first row that has one; the first of all is number
// row.
func finite(name string, values []float32, d, row int) error {
	for i, v := range values {
		if v-v != 0 { // NaN for both
			return fault.Invalid("%s: row %d, column %d is %v; want finite values", name, row+i/d, i%d, float64(v))
		}
	}
	return nil
}

func checkFirst(n int, first uint64) error {
	if n < 0 || first > math.MaxUint64-uint64(n) {
		return fault.Invalid("samples %d and %d more: the index does not fit 64 bits", first, n)
	}
	return nil
}
