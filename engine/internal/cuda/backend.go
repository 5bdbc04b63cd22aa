//go:build cuda

// Package cuda runs the stages on an NVIDIA GPU: Go plans the memory, chooses the kernels and
// launches them; the kernels are those of kernels/cuda. It reaches the driver through package
// driver alone, so that the driver's double can stand in for a card.
package cuda

import (
	"errors"
	"fmt"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/fault"
)

// gpu is a device as a backend.
type gpu struct {
	v       *device
	config  Config
	element element // of decoders
}

// Open opens a GPU as a backend. fault.ErrDevice, with one sentence, where there is no driver, no
// such device, or one that answers wrongly; fault.ErrInvalidArgument for an unknown precision.
func Open(c Config) (backend.Backend, error) {
	e, err := elementOf(c.Precision)
	if err != nil {
		return nil, err
	}
	v, err := openDevice(c)
	if err != nil {
		return nil, err
	}
	b := &gpu{v, c, e}
	if !c.SkipSelfCheck {
		if err := b.askNoise(); err != nil {
			v.close()
			if errors.Is(err, fault.ErrUnsupported) { // of a device without a model, that is all
				err = fault.New(fault.ErrDevice, "%v", err)
			}
			return nil, err
		}
	}
	return b, nil
}

// askNoise asks the kernels that every model uses, so that a device that computes nothing rightly
// is known before there is a model.
func (b *gpu) askNoise() error {
	for _, source := range []backend.Source{backend.Gaussian, backend.Uniform} {
		noise, err := newNoise(b.v, source, 1)
		if err != nil {
			return err
		}
		if _, err := b.v.selfCheck(noise); err != nil {
			return err
		}
	}
	return nil
}

func (b *gpu) Info() backend.Info {
	info := b.v.info
	path := fmt.Sprintf("sm_%d", b.v.capability())
	if b.v.capability() == 90 {
		path += "a" // the kernels that use what only this architecture has
	}
	note := ""
	if info.Double {
		note = "a double of the CUDA driver: the kernels run on the processor, and no time means anything"
	}
	return backend.Info{Name: fmt.Sprintf("cuda:%d", info.Index), Device: info.Name, Path: path, Note: note}
}

// Batches: one image of a frame, a few, and enough to fill the chip with the stages before decode.
func (b *gpu) Batches() []int { return []int{1, 32, 1024, 65536} }

func (b *gpu) Close() error { return b.v.close() }

// Prepare uploads the map, packs the decoder, and asks the kernels that they will use.
func (b *gpu) Prepare(p backend.Parts) (backend.Model, error) {
	m := &model{v: b.v, stream: b.config.Stream, d: p.Dim, selfCheck: !b.config.SkipSelfCheck}
	if err := m.prepare(p, b.element); err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}
