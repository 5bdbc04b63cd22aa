//go:build cuda

package cuda

import (
	"slices"
	"sync"
	"sync/atomic"

	"brenier/engine/internal/backend"
)

// model is a model prepared for a GPU.
type model struct {
	v      *device
	stream uintptr // the caller's, or 0
	d      int

	noise     *noiseStage
	transport *transport // nil without a map, as are locate and extend
	locate    *locateStage
	extend    *extendStage
	fewMap    *fewMap
	decoder   *network // nil without a decoder
	encoder   *network // nil without an encoder

	rotating  int // draws that share a frame; 0 without a map that has them
	selfCheck bool
	heights   atomic.Uint64 // how often they were replaced

	mu      sync.Mutex
	notes   []string      // on kernels that failed their self-check
	rotated *rotatedStage // nil before the first rotated draw
	count   *countStage   // nil before the first draw that is counted
	descend *descendStage // nil before the first step of a descent
	sums    *sumStage     // nil before the first draw that is summed
}

// prepare makes the stages of a model's parts, and networks of elements e.
func (m *model) prepare(p backend.Parts, e element) (err error) {
	if m.noise, err = newNoise(m.v, p.Source, p.Dim); err != nil {
		return err
	}
	stages := []checked{m.noise}
	if n := len(p.Heights); n > 0 {
		if m.transport, err = newTransport(m.v, p.Points, p.Heights, p.Centroids, n, p.Dim); err != nil {
			return err
		}
		if m.locate, err = newLocate(m.v, m.transport); err != nil {
			return err
		}
		if m.extend, err = newExtend(m.v, m.transport); err != nil {
			return err
		}
		if m.fewMap, err = newFewMap(m.locate, m.extend); err != nil {
			return err
		}
		if m.rotating, err = m.transport.rotatedGroup(p.Source); err != nil {
			return err
		}
		stages = append(stages, m.locate, m.extend, m.fewMap)
	}
	if p.Decoder != nil {
		if m.decoder, err = newDecoder(m.v, e, p.Decoder, p.Tensors); err != nil {
			return err
		}
		defer m.decoder.settle()
		stages = append(stages, m.decoder)
	}
	if p.Encoder != nil {
		if m.encoder, err = newEncoder(m.v, e, p.Encoder, p.EncoderTensors); err != nil {
			return err
		}
		defer m.encoder.settle()
		stages = append(stages, m.encoder)
	}
	if !m.selfCheck {
		return nil
	}
	for _, stage := range stages {
		notes, err := m.v.selfCheck(stage)
		if err != nil {
			return err
		}
		m.notes = append(m.notes, notes...)
	}
	return nil
}

// late is a stage that is made at the first call: models that images are made of never need it.
func late[T any, S interface {
	*T
	checked
}](m *model, stage *S, make func() (S, error)) (S, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if *stage != nil {
		return *stage, nil
	}
	made, err := make()
	if err != nil {
		return nil, err
	}
	if m.selfCheck {
		notes, err := m.v.selfCheck(made)
		if err != nil {
			return nil, err
		}
		m.notes = append(m.notes, notes...)
	}
	*stage = made
	return made, nil
}

// SetHeights replaces the heights on the device. What workspaces have recorded of the old ones is
// recorded anew when it is next used.
func (m *model) SetHeights(h []float32) error {
	m.heights.Add(1)
	return m.locate.setHeights(h)
}

// Kernels says which kernel serves locate and each step of the networks.
func (m *model) Kernels() []backend.Kernel {
	var kernels []backend.Kernel
	if m.locate != nil {
		kernels = append(kernels, m.locate.kernels()...)
		kernels = append(kernels, m.fewMap.kernels()...)
	}
	if m.decoder != nil {
		kernels = append(kernels, m.decoder.kernels()...)
	}
	if m.encoder != nil {
		kernels = append(kernels, m.encoder.kernels()...)
	}
	return kernels
}

// Notes is a sentence on each kernel that failed its self-check.
func (m *model) Notes() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.notes)
}

// Close frees what the stages own, however far prepare has come.
func (m *model) Close() error {
	if m.decoder != nil {
		m.decoder.close()
	}
	if m.encoder != nil {
		m.encoder.close()
	}
	if m.locate != nil {
		m.locate.close()
	}
	if m.transport != nil {
		m.transport.close()
	}
	return nil
}
