//go:build cuda

package cuda

// Config says which GPU is used, and how. The zero value is the first one, with a context and
// streams of the engine's own.
type Config struct {
	Library string  // the driver's file; "": libcuda.so.1
	Index   int     // of the device, as the driver counts them
	Context uintptr // the caller's CUcontext on that device; 0: one of the engine's own
	Stream  uintptr // the caller's CUstream, which all work then goes to; 0: one for each workspace
	Memory  int     // bytes that the engine may allocate; 0: what is free, less a reserve

	Precision string // of a decoder's activations: "f16", which "" means too, "bf16" or "f32"

	SkipSelfCheck bool // believe the card without asking
}
