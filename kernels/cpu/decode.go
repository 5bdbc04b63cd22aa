package cpu

// #include "conv.h"
// #include "image.h"
// #include "pointwise.h"
import "C"

import "unsafe"

// ConvPhase is one phase of a convolution: brenier_phase of conv.h, field by field.
type ConvPhase struct {
	InHeight, InWidth, InChannels    int32
	OutHeight, OutWidth, OutChannels int32
	Rows, Cols                       int32
	OutY, OutX, OutStepY, OutStepX   int32
	InStepY, InStepX                 int32
	Taps                             int32
	FewOutputs                       int32
}

// ConvTap is the input pixel that a tap reads: brenier_tap.
type ConvTap struct{ DY, DX int32 }

// ConvPanel is output channels that are computed together: brenier_panel.
type ConvPanel struct {
	Weights, Bias         int64
	FirstIn, InChannels   int32
	FirstOut, OutChannels int32
}

// Activation is brenier_activation of activation.h.
type Activation struct {
	Kind             int32
	Alpha, Low, High float32
}

// The kinds of Activation.
const (
	Linear  = C.BRENIER_LINEAR // clamp(max(x,0) + alpha min(x,0), low, high)
	Silu    = C.BRENIER_SILU
	Tanh    = C.BRENIER_TANH
	Sigmoid = C.BRENIER_SIGMOID
)

// MaxFewOutputs is the most output channels of a phase with FewOutputs.
const MaxFewOutputs = C.BRENIER_FEW_OUTPUTS

// PanelWidths returns the output channels of a panel, and the most it can have: where no more are left
// it takes them all.
func PanelWidths(p Path) (usual, most int) {
	return C.BRENIER_PANEL_VECTORS * p.Lanes(), C.BRENIER_PANEL_VECTORS_MOST * p.Lanes()
}

// The Go types and those of the headers are the same memory.
var (
	_ = [1]struct{}{}[unsafe.Sizeof(ConvPhase{})-C.sizeof_brenier_phase]
	_ = [1]struct{}{}[unsafe.Sizeof(ConvTap{})-C.sizeof_brenier_tap]
	_ = [1]struct{}{}[unsafe.Sizeof(ConvPanel{})-C.sizeof_brenier_panel]
	_ = [1]struct{}{}[unsafe.Sizeof(Activation{})-C.sizeof_brenier_activation]
)

// Conv computes panels of one phase for pixels of its pixels from first on. residual may be nil.
// See conv.h.
func Conv(p Path, phase *ConvPhase, taps []ConvTap, panels []ConvPanel, a *Activation,
	weights, bias, zeros, in, out, residual []float32, first, pixels int) {
	C.brenier_conv(C.int(p), (*C.brenier_phase)(unsafe.Pointer(phase)),
		(*C.brenier_tap)(unsafe.Pointer(unsafe.SliceData(taps))),
		(*C.brenier_panel)(unsafe.Pointer(&panels[0])), C.int64_t(len(panels)),
		(*C.brenier_activation)(unsafe.Pointer(a)), optional(weights), floats(bias), floats(zeros),
		floats(in), floats(out), optional(residual), C.int64_t(first), C.int64_t(pixels))
}

// Affine computes activation(in*scale + shift) for count elements from first on; scale and shift,
// which repeat, may be nil. See pointwise.h.
func Affine(p Path, scale, shift []float32, a *Activation, in, out []float32, first, count int) {
	C.brenier_affine(C.int(p), optional(scale), optional(shift), C.int64_t(len(scale)),
		(*C.brenier_activation)(unsafe.Pointer(a)), floats(in), floats(out), C.int64_t(first), C.int64_t(count))
}

// Add computes activation(x + y) for all of out.
func Add(p Path, a *Activation, x, y, out []float32) { binary(p, 0, a, x, y, out) }

// Mul computes activation(x * y) for all of out.
func Mul(p Path, a *Activation, x, y, out []float32) { binary(p, 1, a, x, y, out) }

func binary(p Path, multiply C.int, a *Activation, x, y, out []float32) {
	C.brenier_binary(C.int(p), multiply, (*C.brenier_activation)(unsafe.Pointer(a)), floats(x), floats(y),
		floats(out), C.int64_t(len(out)))
}

// GroupNorm normalises channels first to first+count-1 of one image [pixels,channels]. See
// pointwise.h.
func GroupNorm(p Path, channels, first, count int, epsilon float64, scale, shift []float32,
	a *Activation, in, out []float32) {
	C.brenier_group_norm(C.int(p), C.int64_t(len(out)/channels), C.int64_t(channels), C.int64_t(first),
		C.int64_t(count), C.double(epsilon), floats(scale), floats(shift),
		(*C.brenier_activation)(unsafe.Pointer(a)), floats(in), floats(out))
}

// ImageF32 writes in [pixels,channels] to out, as [channels,pixels] with planar. See image.h.
func ImageF32(p Path, planar bool, channels int, in []float32, out unsafe.Pointer) {
	C.brenier_image_f32(C.int(p), flag(planar), C.int64_t(len(in)/channels), C.int64_t(channels),
		floats(in), (*C.float)(out))
}

// ImageF16 is ImageF32 in half precision.
func ImageF16(p Path, planar bool, channels int, in []float32, out unsafe.Pointer) {
	C.brenier_image_f16(C.int(p), flag(planar), C.int64_t(len(in)/channels), C.int64_t(channels),
		floats(in), (*C.uint16_t)(out))
}

// ImageU8 writes in*scale + shift as bytes, rounded and clamped.
func ImageU8(p Path, planar bool, channels int, scale, shift float32, in []float32, out unsafe.Pointer) {
	C.brenier_image_u8(C.int(p), flag(planar), C.int64_t(len(in)/channels), C.int64_t(channels),
		C.float(scale), C.float(shift), floats(in), (*C.uint8_t)(out))
}

func optional(s []float32) *C.float { return (*C.float)(unsafe.Pointer(unsafe.SliceData(s))) }

func flag(b bool) C.int {
	if b {
		return 1
	}
	return 0
}
