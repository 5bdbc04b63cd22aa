//go:build cuda

package engine

import (
	"brenier/engine/internal/backend"
	"brenier/engine/internal/cuda"
)

const hasCUDA = true

func openCUDA(c Config, index int) (backend.Backend, error) {
	return cuda.Open(cuda.Config{
		Library: c.getenv("BRENIER_CUDA_DRIVER"), Index: index,
		Context: c.CUDA.Context, Stream: c.CUDA.Stream, Memory: c.CUDA.Memory,
		Precision:     c.CUDA.Precision,
		SkipSelfCheck: c.getenv("BRENIER_SELF_CHECK") == "0",
	})
}
