package engine

import (
	"unsafe"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/fault"
)

// DType is the element type of an [Image].
type DType = backend.DType

// The element types. U8 scales the output's range to 0..255, rounds to nearest and clamps.
const (
	F32 = backend.F32
	F16 = backend.F16
	U8  = backend.U8
)

// Layout is the order of an [Image]'s axes.
type Layout = backend.Layout

// The layouts.
const (
	NCHW = backend.NCHW
	NHWC = backend.NHWC
)

// Image is the memory that images are written to or read from, one after another without a gap: the
// caller's, aligned to the element, at least as long as the images.
type Image struct {
	Data   []byte       // on the host; nil: on the device
	Device DeviceMemory // of the engine's CUDA device
	DType  DType
	Layout Layout
}

// DeviceMemory is memory of a CUDA device. The zero value is none.
type DeviceMemory struct {
	Address uint64 // a CUdeviceptr
	Bytes   int
}

// Float32Image is an Image over float32 values.
func Float32Image(values []float32, layout Layout) Image {
	return Image{
		Data:  unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(values))), 4*len(values)),
		DType: F32, Layout: layout,
	}
}

// images is an Image that was checked against a model.
type images struct {
	backend.Image
	stride int // bytes of one image
}

func (i images) from(at int) backend.Image {
	out := i.Image
	if out.Address != 0 {
		out.Address += uint64(at * i.stride)
	} else {
		out.Data = unsafe.Add(out.Data, at*i.stride)
	}
	return out
}

// images checks the memory of n images.
func (m *Model) images(out Image, n int) (images, error) {
	s := m.parts
	var size int
	switch out.DType {
	case F32:
		size = 4
	case F16:
		size = 2
	case U8:
		size = 1
	default:
		return images{}, fault.Invalid("images: want dtype F32, F16 or U8, got %d", out.DType)
	}
	if out.Layout != NCHW && out.Layout != NHWC {
		return images{}, fault.Invalid("images: want layout NCHW or NHWC, got %d", out.Layout)
	}
	stride := s.c * s.h * s.w * size
	bytes, address := len(out.Data), out.Device.Address
	data := unsafe.Pointer(unsafe.SliceData(out.Data))
	if address != 0 {
		if out.Data != nil {
			return images{}, fault.Invalid("images: want memory of the host or of the device, got both")
		}
		bytes = out.Device.Bytes
	}
	if n < 0 || n > bytes/stride {
		return images{}, fault.New(fault.ErrShortBuffer, "images: %d of %d bytes each do not fit in %d bytes", n, stride, bytes)
	}
	if (uint64(uintptr(data))|address)%uint64(size) != 0 {
		return images{}, fault.Invalid("images: the memory is not aligned to its elements of %d bytes", size)
	}
	return images{
		Image:  backend.Image{Data: data, Address: address, DType: out.DType, Layout: out.Layout, Low: s.low, High: s.high},
		stride: stride,
	}, nil
}

// Decode makes the images of codes z [n,d], n = len(z)/d.
func (m *Model) Decode(z []float32, out Image) error {
	return m.do(Task{Kind: DecodeTask}, Part{In: z, Images: out})
}
