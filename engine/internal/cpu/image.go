package cpu

import (
	"unsafe"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/fault"
	kernels "brenier/kernels/cpu"
)

// imageStep turns a network's last value, [H,W,C] float32, into pixels in the caller's memory.
type imageStep struct {
	path         kernels.Path
	out          backend.Image
	planar       bool // channels apart
	direct       bool // the pixels are the value as it is: no conversion, the last step writes them
	channels     int
	size         int // elements of an image
	first        int // image of the call that the chunk begins with
	scale, shift float32
}

// set takes over the caller's wishes for one Decode.
func (s *imageStep) set(d *Network, out backend.Image) error {
	*s = imageStep{
		path: d.path, out: out, channels: d.shape.C, size: d.shape.Size(),
		planar: out.Layout == backend.NCHW && d.shape.C > 1 && d.shape.Pixels() > 1,
	}
	switch {
	case out.Layout != backend.NCHW && out.Layout != backend.NHWC:
		return fault.Invalid("image: no layout has number %d", out.Layout)
	case out.DType == backend.F32:
		s.direct = !s.planar
	case out.DType == backend.F16:
	case out.DType == backend.U8:
		if !(out.High > out.Low) {
			return fault.Invalid("image: want the output's range as low < high, got %g and %g", out.Low, out.High)
		}
		s.scale = float32(255 / (out.High - out.Low))
		s.shift = float32(-out.Low * 255 / (out.High - out.Low))
	default:
		return fault.Invalid("image: no element type has number %d", out.DType)
	}
	return nil
}

// parts gives each a few whole images.
func (s *imageStep) parts(n, _ int) int { return min(n, elementParts(n*s.size)) }

func (s *imageStep) run(w *stepWork, part int) {
	first, end := share(w.n, part, s.parts(w.n, w.threads))
	for i := first; i < end; i++ {
		in := w.in[0][i*s.size : (i+1)*s.size]
		at := (s.first + i) * s.size
		switch s.out.DType {
		case backend.F32:
			kernels.ImageF32(s.path, s.planar, s.channels, in, unsafe.Add(s.out.Data, 4*at))
		case backend.F16:
			kernels.ImageF16(s.path, s.planar, s.channels, in, unsafe.Add(s.out.Data, 2*at))
		case backend.U8:
			kernels.ImageU8(s.path, s.planar, s.channels, s.scale, s.shift, in, unsafe.Add(s.out.Data, at))
		}
	}
}
