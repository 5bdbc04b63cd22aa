//go:build cuda

package cuda

import (
	"unsafe"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/cuda/driver"
)

// Encode reads images where they lie, if the device can, else in as many rounds as its memory for images
// wants. They may change once it returns, or, on the caller's stream, once that has come so far.
func (w *workspace) Encode(n int, in backend.Image) error {
	return w.do(func() error {
		memory, err := w.m.v.memoryOf(in)
		if err != nil {
			return err
		}
		from := targetOf(in)
		if memory.Kind != driver.Pageable {
			from.address = memory.Address
			if err := w.launchEncode(0, n, from); err != nil || in.Address != 0 && !w.ownsStream {
				return err
			}
			return w.q.Synchronize()
		}
		from.address = w.at(w.images)
		stride := w.m.encoder.in.Size() * bytesOfType(in.DType)
		for at := 0; at < n; at += w.imagesBatch {
			count := min(w.imagesBatch, n-at)
			data := unsafe.Add(in.Data, at*stride)
			if bytes := count * stride; bytes <= len(w.staging) {
				copy(w.staging, unsafe.Slice((*byte)(data), bytes))
				data = unsafe.Pointer(unsafe.SliceData(w.staging))
			}
			if err := w.q.ToDevice(from.address, data, count*stride); err != nil {
				return err
			}
			if err := w.launchEncode(at, count, from); err != nil {
				return err
			}
			if err := w.q.Synchronize(); err != nil {
				return err
			}
		}
		return nil
	})
}

// launchEncode encodes images to the codes of samples first .. first+n-1 of the batch.
func (w *workspace) launchEncode(first, n int, from target) error {
	z := codesAt(w.at(w.z) + driver.Address(4*first*w.m.d))
	return w.m.encoder.launch(w.q, w.encode, w.base, from, n, z)
}
