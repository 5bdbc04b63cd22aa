package engine

import (
	"brenier/engine/internal/fault"
)

// The kinds of error. Each one returned by this package matches exactly one of these with
// [errors.Is], and the C interface maps each to its own status.
var (
	ErrInvalidArgument = fault.ErrInvalidArgument // a size, a range, a NaN in the input
	ErrShortBuffer     = fault.ErrShortBuffer     // the caller's memory is smaller than the result
	ErrBadModel        = fault.ErrBadModel        // the file is not a sound model
	ErrIO              = fault.ErrIO              // the file system said no
	ErrUnsupported     = fault.ErrUnsupported     // the model lacks a part, or the device an ability
	ErrOutOfMemory     = fault.ErrOutOfMemory
	ErrDevice          = fault.ErrDevice // no such device, or it failed
	ErrClosed          = fault.ErrClosed // the engine or model was closed before
	ErrCancelled       = fault.ErrCancelled
)
