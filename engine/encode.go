package engine

import (
	"unsafe"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/fault"
)

// Encode makes the codes z [n,d] of n images, n = len(z)/d. The images are as Decode writes them: U8
// stands for the output's range, 0 for its lower end and 255 for its upper; of the others, those of the
// host must be finite.
func (m *Model) Encode(in Image, z []float32) error {
	if err := m.needEncoder(); err != nil {
		return err
	}
	d := m.parts.d
	n, err := rows("codes", len(z), d)
	if err != nil {
		return err
	}
	from, err := m.images(in, n)
	if err != nil {
		return err
	}
	if err := from.finite(n); err != nil {
		return err
	}
	return m.inBatches(n, func(w backend.Workspace, at, count int) error {
		if err := w.Encode(count, from.from(at)); err != nil {
			return err
		}
		return w.GetCodes(z[at*d : (at+count)*d])
	})
}

// finite refuses NaN and infinities among the first n images, naming the first that has one. What lies
// on a device is not looked through.
func (i images) finite(n int) error {
	if n == 0 || i.Data == nil {
		return nil
	}
	bad := -1
	size := 4
	switch i.DType {
	case F32:
		bad = withExponent(unsafe.Slice((*uint32)(i.Data), n*i.stride/4), 0x7f800000)
	case F16:
		size = 2
		bad = withExponent(unsafe.Slice((*uint16)(i.Data), n*i.stride/2), 0x7c00)
	}
	if bad < 0 {
		return nil
	}
	return fault.Invalid("images: element %d of image %d is a NaN or an infinity; want finite values", bad%(i.stride/size), bad/(i.stride/size))
}

// withExponent is the first number with all bits of the exponent set, or -1.
func withExponent[T uint16 | uint32](bits []T, exponent T) int {
	for i, b := range bits {
		if b&exponent == exponent {
			return i
		}
	}
	return -1
}
