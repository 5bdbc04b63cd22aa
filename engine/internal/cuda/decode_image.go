//go:build cuda

package cuda

// #include "image.h"
import "C"

import (
	"unsafe"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/cuda/driver"
	"brenier/engine/internal/fault"
	"brenier/engine/internal/lower"
)

// imageTarget is the caller's memory as the kernels write it, or read it.
type imageTarget struct {
	out   C.brenier_cuda_out // of image 0
	size  int                // elements of an image
	bytes int                // of an element
	first int                // image of the call that the chunk begins with
}

// newImageTarget resolves the caller's wishes. fault.ErrInvalidArgument for what is no element
// type, layout or range.
func newImageTarget(s lower.Shape, t target) (imageTarget, error) {
	i := imageTarget{size: s.Size(), bytes: 4}
	i.out.data = C.uint64_t(t.address)
	i.out.image_step = C.int32_t(s.Size())
	switch t.layout {
	case backend.NCHW:
		i.out.pixel_step, i.out.channel_step = 1, C.int32_t(s.Pixels())
		if s.C == 1 { // the channels of a matrix may be the image's pixels
			i.out.channel_step = 1
		}
	case backend.NHWC:
		i.out.pixel_step, i.out.channel_step = C.int32_t(s.C), 1
	default:
		return i, fault.Invalid("image: no layout has number %d", t.layout)
	}
	switch t.dtype {
	case backend.F32:
		i.out.kind = C.BRENIER_CUDA_OUT_F32
	case backend.F16:
		i.out.kind, i.bytes = C.BRENIER_CUDA_OUT_F16, 2
	case backend.U8:
		if !(t.high > t.low) {
			return i, fault.Invalid("image: want the output's range as low < high, got %g and %g", t.low, t.high)
		}
		i.out.kind, i.bytes = C.BRENIER_CUDA_OUT_U8, 1
		i.out.scale = C.float(255 / (t.high - t.low))
		i.out.shift = C.float(-t.low * 255 / (t.high - t.low))
	default:
		return i, fault.Invalid("image: no element type has number %d", t.dtype)
	}
	return i, nil
}

// newImageSource is newImageTarget for images that are read.
func newImageSource(s lower.Shape, t target) (imageTarget, error) {
	i, err := newImageTarget(s, t)
	if t.dtype == backend.U8 {
		i.out.scale, i.out.shift = C.float((t.high-t.low)/255), C.float(t.low)
	}
	return i, err
}

// chunk is the output of a chunk that begins with image first.
func (i *imageTarget) chunk() C.brenier_cuda_out {
	out := i.out
	out.data += C.uint64_t(i.first * i.size * i.bytes)
	return out
}

// valueOut is a value as an output of pixels of `pitch` elements.
func valueOut(at driver.Address, image, pitch int) C.brenier_cuda_out {
	return C.brenier_cuda_out{
		data: C.uint64_t(at), kind: C.BRENIER_CUDA_OUT_VALUE,
		image_step: C.int32_t(image), pixel_step: C.int32_t(pitch), channel_step: 1,
	}
}

// codeStep turns the code into a value.
type codeStep struct {
	f      *driver.Function
	to     layout
	params C.brenier_cuda_code
}

func (d *network) newCode(to layout) (operation, error) {
	f, err := d.v.kernel("image", "brenier_cuda_code_"+d.element.String(), 0)
	return &codeStep{f, to, C.brenier_cuda_code{
		dim: C.int32_t(to.size), run: C.int32_t(to.run), pitch: C.int32_t(to.pitch()),
	}}, err
}

func (s *codeStep) kernel() string { return s.f.Name }

func (s *codeStep) launch(q *driver.Stream, w *stepWork) error {
	p := s.params
	p.z, p.out, p.n = w.from.chunk().data, C.uint64_t(w.out), C.int32_t(w.n)
	return launchElements(q, s.f, w.n*s.to.elements(), threads, unsafe.Pointer(&p))
}

// pixelStep turns the caller's images into a value.
type pixelStep struct {
	f      *driver.Function
	to     layout
	params C.brenier_cuda_pixels
}

func (d *network) newPixels(to layout) (operation, error) {
	f, err := d.v.kernel("image", "brenier_cuda_pixels_"+d.element.String(), 0)
	return &pixelStep{f, to, C.brenier_cuda_pixels{
		size: C.int32_t(to.size), channels: C.int32_t(d.in.C), run: C.int32_t(to.run), pitch: C.int32_t(to.pitch()),
	}}, err
}

func (s *pixelStep) kernel() string { return s.f.Name }

func (s *pixelStep) launch(q *driver.Stream, w *stepWork) error {
	p := s.params
	p.in, p.out, p.n = w.from.chunk(), C.uint64_t(w.out), C.int32_t(w.n)
	return launchElements(q, s.f, w.n*s.to.elements(), threads, unsafe.Pointer(&p))
}

// imageStep writes a value to the caller's memory.
type imageStep struct {
	f      *driver.Function
	size   int
	params C.brenier_cuda_image
}

func (d *network) newImage(from layout) (operation, error) {
	f, err := d.v.kernel("image", "brenier_cuda_image_"+d.element.String(), 0)
	return &imageStep{f, from.size, C.brenier_cuda_image{
		pixels: C.int32_t(d.shape.Pixels()), channels: C.int32_t(d.shape.C),
		run: C.int32_t(from.run), pitch: C.int32_t(from.pitch()),
	}}, err
}

func (s *imageStep) kernel() string { return s.f.Name }

func (s *imageStep) launch(q *driver.Stream, w *stepWork) error {
	p := s.params
	p.in, p.out, p.n = C.uint64_t(w.in[0]), w.image.chunk(), C.int32_t(w.n)
	return launchElements(q, s.f, w.n*s.size, threads, unsafe.Pointer(&p))
}
