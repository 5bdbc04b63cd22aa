package engine

import (
	"runtime"
	"strings"
	"sync"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/cpu"
	"brenier/engine/internal/fault"
	"brenier/engine/internal/modelfile"
)

// Info describes the device of an [Engine].
type Info = backend.Info

// Engine runs models on one device. Its methods may be called from any goroutine.
type Engine struct {
	device backend.Backend
	gate   gate

	mu     sync.Mutex
	models map[*Model]struct{}
}

// New makes an engine on the device that the configuration and the environment name.
func New(c Config) (*Engine, error) {
	c, err := c.withEnvironment()
	if err != nil {
		return nil, err
	}
	device, err := open(c)
	if err != nil {
		return nil, err
	}
	return &Engine{device: device, models: map[*Model]struct{}{}}, nil
}

func open(c Config) (backend.Backend, error) {
	switch {
	case c.Device == "cpu", c.Device == "auto":
		threads := c.Threads
		if threads == 0 {
			threads = runtime.GOMAXPROCS(0)
		}
		return cpu.New(threads, c.Path)
	case c.Device == "cuda", strings.HasPrefix(c.Device, "cuda:"):
		return nil, fault.New(fault.ErrDevice, "device %q: this build has no CUDA backend; use \"cpu\"", c.Device)
	}
	return nil, fault.Invalid("device: want auto, cpu, cuda or cuda:N, got %q", c.Device)
}

// Info describes the engine's device.
func (e *Engine) Info() Info { return e.device.Info() }

// Open reads, checks and prepares the model file at path.
func (e *Engine) Open(path string) (*Model, error) {
	if err := e.gate.enter(); err != nil {
		return nil, err
	}
	defer e.gate.leave()
	file, err := modelfile.Open(path)
	if err != nil {
		return nil, err
	}
	return e.prepare(file)
}

// OpenBytes is Open for a model file in memory, which may change once it returns.
func (e *Engine) OpenBytes(data []byte) (*Model, error) {
	if err := e.gate.enter(); err != nil {
		return nil, err
	}
	defer e.gate.leave()
	file, err := modelfile.Parse(append([]byte(nil), data...))
	if err != nil {
		return nil, err
	}
	return e.prepare(file)
}

// prepare makes a model of a checked file, which it takes over: it is closed on failure, and with
// the model.
func (e *Engine) prepare(file *modelfile.File) (*Model, error) {
	device, err := e.device.Prepare(file.Parts())
	if err != nil {
		file.Close()
		return nil, err
	}
	m := newModel(e, file, device)
	e.mu.Lock()
	e.models[m] = struct{}{}
	e.mu.Unlock()
	return m, nil
}

// Close waits for the calls in flight, closes the engine's models and gives back its device. A
// second call does nothing.
func (e *Engine) Close() error {
	if !e.gate.close() {
		return nil
	}
	e.mu.Lock()
	models := make([]*Model, 0, len(e.models))
	for m := range e.models {
		models = append(models, m)
	}
	e.mu.Unlock()
	for _, m := range models {
		m.Close()
	}
	return e.device.Close()
}
