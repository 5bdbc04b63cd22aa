// Package cpu runs the stages on the processor: Go packs the data, splits the work over threads
// and orders the stages; the hot loops are the microkernels of kernels/cpu.
package cpu

import (
	"os"
	"runtime"
	"strings"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/fault"
	kernels "brenier/kernels/cpu"
)

// device is the processor as a backend.
type device struct {
	pool    *Pool
	path    kernels.Path
	threads int
}

// New makes a backend of the given number of threads and instruction set ("" is the best one).
func New(threads int, path string) (backend.Backend, error) {
	p, err := kernels.ParsePath(path)
	if err != nil {
		return nil, fault.Invalid("CPU instruction set: %w", err)
	}
	return &device{pool: NewPool(threads), path: p, threads: threads}, nil
}

func (v *device) Info() backend.Info {
	return backend.Info{Name: "cpu", Device: processorName(), Path: v.path.String(), Threads: v.threads}
}

// Pool is the threads that all work is shared out to.
func (v *device) Pool() *Pool { return v.pool }

// Batches: a few samples at a time, as a game asks for them, take little memory; a large batch lets
// locate read the points from memory seldom.
func (v *device) Batches() []int { return []int{1, 32, 4096} }

func (v *device) Close() error {
	v.pool.Close()
	return nil
}

// Prepare packs the points and folds the networks for this processor.
func (v *device) Prepare(p backend.Parts) (backend.Model, error) {
	m := &model{device: v, source: p.Source, d: p.Dim}
	var err error
	if len(p.Heights) > 0 {
		m.transport, err = NewMap(v.pool, v.path, p.Points, p.Heights, p.Centroids, len(p.Heights), p.Dim)
		if err != nil {
			return nil, err
		}
	}
	if p.Decoder != nil {
		m.decoder, err = NewDecoder(v.pool, v.path, p.Decoder, p.Tensors)
		if err != nil {
			return nil, err
		}
	}
	if p.Encoder != nil {
		m.encoder, err = NewEncoder(v.pool, v.path, p.Encoder, p.EncoderTensors)
		if err != nil {
			return nil, err
		}
	}
	return m, nil
}

// model is a model prepared for the processor.
type model struct {
	device    *device
	source    backend.Source
	d         int
	transport *Map     // nil without a map
	decoder   *Network // nil without a decoder
	encoder   *Network // nil without an encoder
}

// Alone implements [backend.Shared].
func (m *model) Alone() backend.Model {
	device := *m.device
	device.pool, device.threads = NewPool(1), 1 // the caller is its one thread
	alone := &model{device: &device, source: m.source, d: m.d}
	if m.transport != nil {
		alone.transport = m.transport.on(device.pool)
	}
	if m.decoder != nil {
		alone.decoder = m.decoder.on(device.pool)
	}
	if m.encoder != nil {
		alone.encoder = m.encoder.on(device.pool)
	}
	return alone
}

func (m *model) SetHeights(h []float32) error {
	m.transport.SetHeights(h)
	return nil
}

func (m *model) Close() error { return nil }

func (m *model) NewWorkspace(batch, k int) (backend.Workspace, error) {
	w := &workspace{
		model:  m,
		x:      make([]float32, batch*m.d),
		z:      make([]float32, batch*m.d),
		cells:  make([]int32, batch*k),
		scores: make([]float64, batch*k),
	}
	if m.transport != nil {
		w.locate = m.transport.NewScratch(batch)
	}
	if m.decoder != nil {
		w.decode = m.decoder.NewScratch(batch)
	}
	return w, nil
}

// processorName is the processor's own name, or its architecture where the system does not tell.
func processorName() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err == nil {
		for line := range strings.Lines(string(text)) {
			if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
				return strings.TrimSpace(value)
			}
		}
	}
	return runtime.GOARCH
}
