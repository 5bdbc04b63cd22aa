package cpu

import (
	"unsafe"

	"github.com/x448/float16"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/fault"
	"brenier/engine/internal/lower"
)

// pixelStep turns the caller's images into a network's first value, [H,W,C] float32: the way back of
// imageStep. It takes some hundredths of what the first convolution does.
type pixelStep struct {
	in       backend.Image
	planar   bool // channels apart
	direct   bool // the pixels are the value as it is, and are read where they lie
	channels int
	size     int          // elements of an image
	first    int          // image of the call that the chunk begins with
	bytes    [256]float32 // what U8 stands for
}

// set takes over what the caller says of the images of one call.
func (s *pixelStep) set(shape lower.Shape, in backend.Image) error {
	s.in, s.channels, s.size = in, shape.C, shape.Size()
	s.planar = in.Layout == backend.NCHW && shape.C > 1 && shape.Pixels() > 1
	s.direct = in.DType == backend.F32 && !s.planar
	switch {
	case in.Layout != backend.NCHW && in.Layout != backend.NHWC:
		return fault.Invalid("image: no layout has number %d", in.Layout)
	case in.DType == backend.F32 || in.DType == backend.F16:
	case in.DType == backend.U8:
		if !(in.High > in.Low) {
			return fault.Invalid("image: want the range as low < high, got %g and %g", in.Low, in.High)
		}
		for b := range s.bytes {
			s.bytes[b] = float32(in.Low + float64(float64(b)*(in.High-in.Low))/255)
		}
	default:
		return fault.Invalid("image: no element type has number %d", in.DType)
	}
	return nil
}

// parts gives each a few whole images.
func (s *pixelStep) parts(n, _ int) int { return min(n, elementParts(n*s.size)) }

func (s *pixelStep) run(w *stepWork, part int) {
	first, end := share(w.n, part, s.parts(w.n, w.threads))
	out, from := w.out[first*s.size:end*s.size], (s.first+first)*s.size
	switch s.in.DType {
	case backend.F32:
		in := elementsOf[float32](s, from, len(out))
		for i := range out {
			out[i] = in[s.place(i)]
		}
	case backend.F16:
		in := elementsOf[float16.Float16](s, from, len(out))
		for i := range out {
			out[i] = in[s.place(i)].Float32()
		}
	case backend.U8:
		in := elementsOf[uint8](s, from, len(out))
		for i := range out {
			out[i] = s.bytes[in[s.place(i)]]
		}
	}
}

// elementsOf are count elements of the caller's, from number `from` on.
func elementsOf[T any](s *pixelStep, from, count int) []T {
	return unsafe.Slice((*T)(s.in.Data), from+count)[from:]
}

// place is where element i of images [H,W,C] lies among the caller's.
func (s *pixelStep) place(i int) int {
	if !s.planar {
		return i
	}
	image, pixel, channel := i/s.size, i%s.size/s.channels, i%s.channels
	return image*s.size + channel*(s.size/s.channels) + pixel
}
