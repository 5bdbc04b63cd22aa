package engine

import (
	"os"
	"runtime"
	"strconv"

	"brenier/engine/internal/fault"
)

// Config says how an [Engine] is made. The zero value takes every default.
type Config struct {
	Device  string // "auto", "cpu", "cuda", "cuda:1"; "": BRENIER_DEVICE, else "auto"
	Threads int    // CPU threads; 0: BRENIER_THREADS, else all processors
	Path    string // CPU instruction set "portable", "avx2", "avx512"; "": BRENIER_CPU, else the best
	CUDA    CUDAConfig

	// Getenv looks up a variable of the environment; nil: os.Getenv. A program that embeds Go may
	// change its environment where Go does not see it.
	Getenv func(name string) string
}

// CUDAConfig says how an engine uses its CUDA device. The zero value is a context and streams of the
// engine's own, all the memory that is free but for a reserve, and float16. The CPU, which computes
// in float32 always, ignores it.
type CUDAConfig struct {
	// Context is a CUcontext of the caller's on the engine's device, which must outlive the engine.
	Context uintptr
	// Stream is a CUstream of the caller's: all work of the engine is ordered in it, and what goes
	// to device memory is written in the stream's order, which a call does not wait for.
	Stream uintptr
	// Memory is how many bytes the engine may allocate on the device.
	Memory int
	// Precision is the type of the networks' activations: "f16", which "" means too, "bf16" or "f32".
	// Sums are float32 in all. Every element of an image is within 2e-3 of the output's range of a
	// float64 decode for f16, 1.6e-2 for bf16 (6e-3 on the trained decoders of the tests), 1e-5 for
	// f32. bf16 is for decoders whose activations leave float16's range, +-65504. f32 is done by the
	// plain kernels, without tensor cores, and so are all three on cards before compute capability
	// 8.0. Nothing but images depends on it.
	Precision string
}

// withEnvironment fills what is not set from the environment.
func (c Config) withEnvironment() (Config, error) {
	if c.Device == "" {
		c.Device = c.getenv("BRENIER_DEVICE")
	}
	if c.Device == "" {
		c.Device = "auto"
	}
	if c.Path == "" {
		c.Path = c.getenv("BRENIER_CPU")
	}
	if c.CUDA.Memory < 0 {
		return c, fault.Invalid("memory: want a number of bytes, or 0 for what is free, got %d", c.CUDA.Memory)
	}
	switch c.CUDA.Precision {
	case "", "f16", "bf16", "f32":
	default:
		return c, fault.Invalid("precision: want f16, bf16 or f32, got %q", c.CUDA.Precision)
	}
	if c.Threads < 0 {
		return c, fault.Invalid("threads: want 1 or more, or 0 for the default, got %d", c.Threads)
	}
	if text := c.getenv("BRENIER_THREADS"); c.Threads == 0 && text != "" {
		threads, err := strconv.Atoi(text)
		if err != nil || threads < 1 {
			return c, fault.Invalid("BRENIER_THREADS: want a whole number from 1, got %q", text)
		}
		c.Threads = threads
	}
	if c.Threads == 0 {
		c.Threads = runtime.GOMAXPROCS(0)
	}
	return c, nil
}

// getenv looks up a variable of the environment.
func (c Config) getenv(name string) string {
	if c.Getenv == nil {
		return os.Getenv(name)
	}
	return c.Getenv(name)
}
