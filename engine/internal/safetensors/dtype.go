package safetensors

// DType is an element type by the format's name.
type DType string

// The element types of the format that the engine reads values of; Parse knows the others by
// their size, so that a file may hold them beside.
const (
	F16  DType = "F16"
	BF16 DType = "BF16"
	F32  DType = "F32"
	F64  DType = "F64"
)

// bits is the width of an element, as in the format's reference (safetensors/src/tensor.rs).
var bits = map[DType]int64{
	"BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8,
	"F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
	"U16": 16, "I16": 16, F16: 16, BF16: 16,
	"U32": 32, "I32": 32, F32: 32,
	"U64": 64, "I64": 64, F64: 64, "C64": 64,
}
