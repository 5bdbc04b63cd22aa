package engine

import (
	"sync"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/modelfile"
)

// Info describes the device of an [Engine].
type Info = backend.Info

// Engine runs models on one device. Its methods may be called from any goroutine.
type Engine struct {
	device  backend.Backend
	note    string // why "auto" chose as it did, or ""
	threads int    // of the processor
	gate    gate

	mu     sync.Mutex
	models map[*Model]struct{}
}

// New makes an engine on the device that the configuration and the environment name.
func New(c Config) (*Engine, error) {
	c, err := c.withEnvironment()
	if err != nil {
		return nil, err
	}
	device, note, err := openDevice(c)
	if err != nil {
		return nil, err
	}
	return &Engine{device: device, note: note, threads: c.Threads, models: map[*Model]struct{}{}}, nil
}

// Info describes the engine's device.
func (e *Engine) Info() Info {
	info := e.device.Info()
	if info.Note == "" {
		info.Note = e.note
	}
	return info
}

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
