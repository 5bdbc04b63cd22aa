//go:build cuda

package cuda

import (
	"math"
	"unsafe"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/cuda/driver"
	"brenier/engine/internal/fault"
)

const (
	// mostStaging bounds a workspace's pinned memory. What is longer comes in halves of it, and is copied to
	// the device by the driver, from memory that is not pinned.
	mostStaging = 1 << 20

	// mostImages bounds the memory for images on their way to the host.
	mostImages = 64 << 20
)

// workspace holds one batch of samples on the device, from noise to image and back to the code: one allocation, one
// stream, and pinned memory of the host for what goes to and fro.
type workspace struct {
	m    *model
	q    *driver.Stream
	base driver.Address

	x, z   span // [batch,d] float32
	cells  span // [batch,k] int32, rows of the last Locate or PutCells
	scores span // [batch,k] float64
	locate *locateScratch
	input  span // [batch] codes as the decoder reads them, between extend and decode of one call

	decode      *networkScratch
	encode      *networkScratch
	images      span // [imagesBatch,C,H,W] of the widest element, on their way to the host or from it
	imagesBatch int

	staging    []byte         // pinned
	stagingAt  driver.Address // the same memory, as the device addresses it
	ownsStream bool
	recordings recordings

	rotated *rotatedDraws // nil before the first rotated draw
	counts  *drawCounts   // nil before the first draw that is counted
	descent *descent      // nil before the first step of one
	slots   *sumSlots     // nil before the first sums
}

// NewWorkspace makes a workspace. All of its memory is allocated here.
func (m *model) NewWorkspace(batch, k int) (backend.Workspace, error) {
	w := &workspace{m: m}
	var p plan
	w.x = p.reserve(bytesOf(4, batch, m.d))
	w.z = p.reserve(bytesOf(4, batch, m.d))
	staging := bytesOf(4, batch, m.d)
	if m.transport != nil {
		w.cells = p.reserve(bytesOf(4, batch, k))
		w.scores = p.reserve(bytesOf(8, batch, k))
		staging += bytesOf(8, batch, k)
	}
	if m.decoder != nil {
		image := bytesOf(4, m.decoder.elements())
		w.imagesBatch = max(1, min(batch, mostImages/image))
		w.images = p.reserve(bytesOf(w.imagesBatch, image))
		staging = max(staging, bytesOf(batch, image))
	}
	if m.transport != nil && m.decoder != nil && m.decoder.input.value != 0 {
		w.input = p.reserve(bytesOf(batch, m.decoder.input.bytes()))
	}
	p.alternatives(
		func(p *plan) {
			if m.transport != nil {
				w.locate = m.locate.newScratch(p, batch, k)
			}
		},
		func(p *plan) {
			if m.decoder != nil {
				w.decode = m.decoder.newScratch(p, batch)
			}
		},
		func(p *plan) {
			if m.encoder != nil {
				w.encode = m.encoder.newScratch(p, batch)
			}
		},
	)
	var err error
	if w.base, err = m.v.alloc(p.bytes); err != nil {
		return nil, err
	}
	if err := m.v.do(func() error { return w.open(min(staging, mostStaging)) }); err != nil {
		w.Close()
		return nil, err
	}
	return w, nil
}

// open makes what is not device memory. It runs inside do.
func (w *workspace) open(staging int) error {
	ctx := w.m.v.ctx
	if w.m.stream != 0 {
		w.q = driver.WrapStream(w.m.stream)
	} else {
		q, err := ctx.NewStream()
		if err != nil {
			return err
		}
		w.q, w.ownsStream = q, true
	}
	if w.input.bytes > 0 { // what lies between runs is read, though multiplied by nothing
		if err := w.q.Clear(w.at(w.input), w.input.bytes); err != nil {
			return err
		}
	}
	memory, err := ctx.AllocPinned(staging)
	if err != nil {
		return err
	}
	w.staging = unsafe.Slice((*byte)(memory), staging)
	pinned, err := ctx.MemoryAt(uintptr(memory))
	if err == nil && pinned.Kind != driver.Pinned {
		err = fault.New(fault.ErrDevice, "cuda:%d: the driver does not know the pinned memory that it gave", w.m.v.info.Index)
	}
	w.stagingAt = pinned.Address
	return err
}

// Close waits for what is still at work and frees everything. A lost device has nothing to give
// back.
func (w *workspace) Close() error {
	err := w.m.v.do(func() error {
		var err error
		if w.q != nil {
			err = w.q.Synchronize()
		}
		w.recordings.close()
		if w.ownsStream {
			w.q.Destroy()
		}
		if w.staging != nil {
			w.m.v.ctx.FreePinned(unsafe.Pointer(unsafe.SliceData(w.staging)))
		}
		if w.slots != nil {
			w.slots.close(w.m.v.ctx)
		}
		return err
	})
	w.recordings.close() // what of them is the host's, should the device be lost
	w.m.v.free(w.base)
	if w.rotated != nil {
		w.m.v.free(w.rotated.base)
	}
	if w.counts != nil {
		w.m.v.free(w.counts.counts)
	}
	if w.descent != nil {
		w.descent.close()
	}
	return err
}

// bytesOf is a product of sizes, math.MaxInt where it is more.
func bytesOf(sizes ...int) int {
	product := 1
	for _, size := range sizes {
		if size > 0 && product > math.MaxInt/size {
			return math.MaxInt
		}
		product *= size
	}
	return product
}

// do runs f with the device's context current. When f fails, what it has launched before is waited
// for, so that nothing writes to the caller's memory any more.
func (w *workspace) do(f func() error) error {
	return w.m.v.do(func() error {
		err := f()
		if err != nil {
			_ = w.q.Synchronize() // f's error came first
		}
		return err
	})
}

// at is where a span of this workspace is.
func (w *workspace) at(s span) driver.Address { return s.at(w.base) }

func (w *workspace) Noise(n int, seed, first uint64) error {
	return w.do(func() error { return w.launchNoise(w.q, n, seed, first) })
}

func (w *workspace) Locate(n, k int) error {
	return w.do(func() error { return w.launchLocate(w.q, n, k) })
}

func (w *workspace) Draw(n, k int, seed, first uint64, x []float32) error {
	err := w.do(func() error {
		if err := w.launchNoise(w.q, n, seed, first); err != nil {
			return err
		}
		return w.launchLocate(w.q, n, k)
	})
	if err != nil || x == nil {
		return err
	}
	return w.GetNoise(x)
}

func (w *workspace) Extend(n int, e backend.Extension) error {
	return w.do(func() error { return w.launchExtend(w.q, n, e) })
}

func (w *workspace) launchNoise(q *driver.Stream, n int, seed, first uint64) error {
	return w.m.noise.launch(q, w.at(w.x), n, seed, first)
}

func (w *workspace) launchLocate(q *driver.Stream, n, k int) error {
	return w.m.locate.launch(q, w.locate, w.base, w.at(w.x), n, k, w.at(w.cells), w.at(w.scores))
}

func (w *workspace) launchExtend(q *driver.Stream, n int, e backend.Extension) error {
	return w.m.extend.launch(q, w.at(w.x), w.at(w.cells), n, e, w.at(w.z), decoderInput{})
}

// decoderInput is where this workspace has codes for the decoder.
func (w *workspace) decoderInput() decoderInput {
	if w.input.bytes == 0 {
		return decoderInput{}
	}
	in := w.m.decoder.input
	in.address = w.at(w.input)
	return in
}

func (w *workspace) PutNoise(x []float32) error { return w.put(w.at(w.x), bytesIn(x)) }
func (w *workspace) GetNoise(x []float32) error { return w.get(bytesIn(x), w.at(w.x)) }
func (w *workspace) PutCodes(z []float32) error { return w.put(w.at(w.z), bytesIn(z)) }
func (w *workspace) GetCodes(z []float32) error { return w.get(bytesIn(z), w.at(w.z)) }

// put brings bytes of the host to the device; they may change once it returns.
func (w *workspace) put(to driver.Address, from []byte) error {
	if len(from) == 0 {
		return nil
	}
	return w.do(func() error {
		data := from
		if len(from) <= len(w.staging) {
			data = w.staging[:copy(w.staging, from)]
		}
		if err := w.q.ToDevice(to, unsafe.Pointer(&data[0]), len(data)); err != nil {
			return err
		}
		return w.q.Synchronize()
	})
}

// get brings bytes of the device to the host, when the stages before it are done: in parts, each copied out of
// the pinned memory while the next is on its way.
func (w *workspace) get(to []byte, from driver.Address) error {
	if len(to) == 0 {
		return nil
	}
	return w.do(func() error {
		part := len(w.staging)
		if len(to) > part {
			part /= 2
		}
		var there []byte // the part before
		for first := 0; first < len(to); first += part {
			next := w.staging[first%(2*part):][:min(part, len(to)-first)]
			if err := w.q.ToHost(unsafe.Pointer(&next[0]), from+driver.Address(first), len(next)); err != nil {
				return err
			}
			copy(to[max(0, first-part):], there)
			if err := w.q.Synchronize(); err != nil {
				return err
			}
			there = next
		}
		copy(to[len(to)-len(there):], there)
		return nil
	})
}

// PutCells narrows the cells to 32 bits in the pinned memory, as many rows at once as fit there.
func (w *workspace) PutCells(n, k, use int, cells []int64) error {
	return w.do(func() error {
		staged := unsafe.Slice((*int32)(unsafe.Pointer(&w.staging[0])), len(w.staging)/4)
		rows := len(staged) / use
		for first := 0; first < n; first += rows {
			count := min(rows, n-first)
			for i := range count {
				for j, c := range cells[(first+i)*k : (first+i)*k+use] {
					staged[i*use+j] = int32(c)
				}
			}
			to := w.at(w.cells) + driver.Address(4*first*use)
			if err := w.q.ToDevice(to, unsafe.Pointer(&staged[0]), 4*count*use); err != nil {
				return err
			}
			if err := w.q.Synchronize(); err != nil {
				return err
			}
		}
		return nil
	})
}

func (w *workspace) GetCells(n, k int, cells []int64, scores []float64) error {
	if err := w.getCells(cells, w.at(w.cells)); err != nil || scores == nil {
		return err
	}
	return w.get(bytesIn(scores[:n*k]), w.at(w.scores))
}

// getCells widens cells of the device from 32 bits in the pinned memory, as many at once as fit there.
func (w *workspace) getCells(cells []int64, from driver.Address) error {
	return w.do(func() error {
		staged := unsafe.Slice((*int32)(unsafe.Pointer(&w.staging[0])), len(w.staging)/4)
		for first := 0; first < len(cells); first += len(staged) {
			part := cells[first:min(first+len(staged), len(cells))]
			if err := w.q.ToHost(unsafe.Pointer(&staged[0]), from+driver.Address(4*first), 4*len(part)); err != nil {
				return err
			}
			if err := w.q.Synchronize(); err != nil {
				return err
			}
			for i := range part {
				part[i] = int64(staged[i])
			}
		}
		return nil
	})
}

// bytesIn is the memory of values without pointers.
func bytesIn[T any](values []T) []byte {
	var one T
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(values))), len(values)*int(unsafe.Sizeof(one)))
}
