package safetensors

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/x448/float16"
)

// Len is the number of elements.
func (t *Tensor) Len() int {
	n := 1
	for _, extent := range t.Shape {
		n *= extent
	}
	return n
}

// Float32s returns the elements as float32, in memory of its own: F32, F16 and BF16 exactly, F64
// rounded to nearest (beyond float32's range to an infinity). Other dtypes are refused.
func (t *Tensor) Float32s() ([]float32, error) {
	switch t.DType {
	case F32, F16, BF16, F64:
	default:
		return nil, fmt.Errorf("%s: want F32, F16, BF16 or F64, got %s", t.Name, t.DType)
	}
	values := make([]float32, t.Len()) // at most twice the data that is there
	data := t.Data
	switch t.DType {
	case F32:
		for i := range values {
			values[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
		}
	case F16:
		for i := range values {
			values[i] = float16.Frombits(binary.LittleEndian.Uint16(data[2*i:])).Float32()
		}
	case BF16:
		for i := range values {
			values[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(data[2*i:])) << 16)
		}
	case F64:
		for i := range values {
			values[i] = float32(math.Float64frombits(binary.LittleEndian.Uint64(data[8*i:])))
		}
	}
	return values, nil
}

// appendValue appends v in a dtype of F32, F16 or BF16, rounded to nearest even.
func appendValue(data []byte, dtype DType, v float32) []byte {
	switch dtype {
	case F16:
		return binary.LittleEndian.AppendUint16(data, float16.Fromfloat32(v).Bits())
	case BF16:
		return binary.LittleEndian.AppendUint16(data, bfloat16(v))
	}
	return binary.LittleEndian.AppendUint32(data, math.Float32bits(v))
}

// bfloat16 rounds to nearest even the upper half of v, which is not NaN.
func bfloat16(v float32) uint16 {
	u := math.Float32bits(v)
	return uint16((u + 0x7fff + u>>16&1) >> 16)
}

// overflows is the first magnitude that rounds to an infinity: half a unit in the last place beyond
// the largest finite number.
var overflows = map[DType]float64{
	F16:  65520,
	BF16: math.Ldexp(511, 128-9), // (2 - 2^-8) 2^127
	F32:  math.Inf(1),
}
