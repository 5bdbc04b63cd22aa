//go:build cuda

package cuda

import (
	"math"

	"github.com/x448/float16"

	"brenier/engine/internal/fault"
)

// element is the type of a decoder's activations on the device. Sums are float32 in all.
type element int

const (
	f16 element = iota
	bf16
	f32
)

// elementOf is the element type that a [Config] names.
func elementOf(precision string) (element, error) {
	if precision == "" {
		return f16, nil
	}
	for _, e := range []element{f16, bf16, f32} {
		if e.String() == precision {
			return e, nil
		}
	}
	return 0, fault.Invalid("precision: want f16, bf16 or f32, got %q", precision)
}

// octet is how many elements a run is padded to a multiple of: 16 bytes of 16-bit ones, what the
// kernels copy at once.
const octet = 8

func (e element) bytes() int {
	if e == f32 {
		return 4
	}
	return 2
}

func (e element) String() string { return [...]string{"f16", "bf16", "f32"}[e] }

// bits is a 16-bit element, rounded to nearest even.
func (e element) bits(x float32) uint16 {
	if e == f16 {
		return float16.Fromfloat32(x).Bits()
	}
	b := math.Float32bits(x)
	if x != x {
		return uint16(b>>16) | 0x40 // stays a NaN
	}
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}

func padded(n int) int { return (n + octet - 1) / octet * octet }

func ceil(n, by int) int { return (n + by - 1) / by }
