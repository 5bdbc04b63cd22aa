//go:build !cuda

package engine

import (
	"brenier/engine/internal/backend"
	"brenier/engine/internal/fault"
)

const hasCUDA = false

func openCUDA(c Config, _ int) (backend.Backend, error) {
	return nil, fault.New(fault.ErrDevice, "device %q: this build has no CUDA backend; use \"cpu\"", c.Device)
}
