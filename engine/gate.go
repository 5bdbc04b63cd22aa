package engine

import (
	"sync"

	"brenier/engine/internal/fault"
)

// gate lets calls in until it is closed; closing waits for those inside. The zero gate is open.
type gate struct {
	mu     sync.RWMutex
	closed bool
}

// enter fails with ErrClosed once close was called; otherwise the caller must leave.
func (g *gate) enter() error {
	g.mu.RLock()
	if g.closed {
		g.mu.RUnlock()
		return fault.New(fault.ErrClosed, "the engine or model was closed before this call")
	}
	return nil
}

func (g *gate) leave() { g.mu.RUnlock() }

// close waits for the calls inside and reports whether this call was the one that closed the gate.
func (g *gate) close() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.closed = true
	return true
}
