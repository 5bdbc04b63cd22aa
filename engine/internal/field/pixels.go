package field

import (
	"encoding/binary"
	"math"

	"github.com/x448/float16"
)

// Format is how a value is stored. All but floats are the value rounded to the nearest whole number,
// ties to even, and clamped.
type Format int

// The formats.
const (
	F32 Format = iota
	F16
	U8
	U16
)

// Bytes is the size of a value.
func (f Format) Bytes() int { return [...]int{F32: 4, F16: 2, U8: 1, U16: 2}[f] }

// Store writes offset + scale * v for the values to every stride-th byte of dst.
func Store(dst []byte, stride int, f Format, values []float32, offset, scale float64) {
	for i, v := range values {
		value := offset + float64(scale*float64(v))
		to := dst[i*stride:]
		switch f {
		case F32:
			binary.NativeEndian.PutUint32(to, math.Float32bits(float32(value)))
		case F16:
			binary.NativeEndian.PutUint16(to, uint16(float16.Fromfloat32(float32(value))))
		case U8:
			to[0] = uint8(whole(value, math.MaxUint8))
		case U16:
			binary.NativeEndian.PutUint16(to, uint16(whole(value, math.MaxUint16)))
		}
	}
}

// whole is the whole number in 0 .. most nearest to a value; 0 for a NaN.
func whole(value, most float64) float64 {
	if !(value > 0) {
		return 0
	}
	return math.RoundToEven(min(value, most))
}
