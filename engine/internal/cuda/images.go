//go:build cuda

package cuda

import (
	"unsafe"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/cuda/driver"
	"brenier/engine/internal/fault"
)

// way is how images get to the caller's memory.
type way int

const (
	straight way = iota // the kernels write to it
	staged              // they write to the pinned memory, which is then copied
	copied              // they write to the device's memory, from where the driver copies, in rounds
)

// delivery is where the images of one call go, and how.
type delivery struct {
	way    way
	first  target // where the kernels write the first image
	out    unsafe.Pointer
	stride int  // bytes of an image
	wait   bool // until the images are there
}

// deliver chooses the way of n images to out. It runs inside do.
func (w *workspace) deliver(n int, out backend.Image) (delivery, error) {
	d := delivery{
		first:  targetOf(out),
		out:    out.Data,
		stride: w.m.decoder.elements() * bytesOfType(out.DType),
		wait:   true,
	}
	memory, err := w.m.v.memoryOf(out)
	if err != nil {
		return d, err
	}
	switch {
	case out.Address != 0:
		d.first.address = memory.Address
		d.wait = w.ownsStream // what the caller orders in its own stream comes after the images
	case memory.Kind == driver.Pinned:
		d.first.address = memory.Address
	case n*d.stride <= len(w.staging):
		d.way, d.first.address = staged, w.stagingAt
	default:
		d.way, d.first.address = copied, w.at(w.images)
	}
	return d, nil
}

// memoryOf is what the driver knows of the caller's memory. fault.ErrInvalidArgument where it is not
// what the caller says.
func (v *device) memoryOf(i backend.Image) (driver.Memory, error) {
	p := uintptr(i.Address)
	if p == 0 {
		p = uintptr(i.Data)
	}
	memory, err := v.ctx.MemoryAt(p)
	switch {
	case err != nil:
		return memory, err
	case i.Address != 0 && memory.Kind == driver.Pageable:
		return memory, fault.Invalid("images: %#x is no memory of a CUDA device", p)
	case i.Address != 0 && memory.Kind == driver.OnDevice && memory.Device != v.info.Index:
		return memory, fault.Invalid("images: the memory is that of cuda:%d, and the engine runs on cuda:%d", memory.Device, v.info.Index)
	case i.Address == 0 && memory.Kind == driver.OnDevice:
		return memory, fault.Invalid("images: %#x is memory of a CUDA device, given as the host's; say so with its location", p)
	}
	return memory, nil
}

// bytesOfType is the size of an element.
func bytesOfType(t backend.DType) int {
	switch t {
	case backend.U8:
		return 1
	case backend.F16:
		return 2
	}
	return 4
}

// launchDecode decodes the codes of samples first .. first+n-1 of the batch to a place. in is where the
// call's extend has left them for the decoder, or nowhere.
func (w *workspace) launchDecode(q *driver.Stream, first, n int, in decoderInput, to target) error {
	z := codesAt(w.at(w.z) + driver.Address(4*first*w.m.d))
	input := in.address
	if input != 0 {
		input += driver.Address(first * in.bytes())
	}
	return w.m.decoder.launchInput(q, w.decode, w.base, z, input, n, to)
}

// decodeTo decodes n codes: at once, or in as many rounds as the device's memory for images on
// their way to the host wants.
func (w *workspace) decodeTo(n int, in decoderInput, d delivery) error {
	if d.way != copied {
		return w.launchDecode(w.q, 0, n, in, d.first)
	}
	for at := 0; at < n; at += w.imagesBatch {
		count := min(w.imagesBatch, n-at)
		if err := w.launchDecode(w.q, at, count, in, d.first); err != nil {
			return err
		}
		if err := w.q.ToHost(unsafe.Add(d.out, at*d.stride), d.first.address, count*d.stride); err != nil {
			return err
		}
	}
	return nil
}

// arrive waits for the images of a call and brings them the last part of their way.
func (w *workspace) arrive(n int, d delivery) error {
	if !d.wait {
		return nil
	}
	if err := w.q.Synchronize(); err != nil {
		return err
	}
	if d.way == staged {
		copy(unsafe.Slice((*byte)(d.out), n*d.stride), w.staging)
	}
	return nil
}

func (w *workspace) Decode(n int, out backend.Image) error {
	return w.do(func() error {
		d, err := w.deliver(n, out)
		if err != nil {
			return err
		}
		if err := w.decodeTo(n, decoderInput{}, d); err != nil {
			return err
		}
		return w.arrive(n, d)
	})
}
