//go:build cuda

package cuda

// #include "row_sums.h"
import "C"

import (
	"errors"
	"math"
	"slices"
	"unsafe"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/cuda/driver"
	"brenier/engine/internal/fault"
	"brenier/kernels/cpu"
)

// sumsAhead is how many calls of Draw may be on their way: those that the host takes at once, and as many that
// the device is at work on meanwhile.
const sumsAhead = 8

// sumStage sums draws by cell on the device.
type sumStage struct {
	v        *device
	function *driver.Function
}

func newSumStage(v *device) (*sumStage, error) {
	f, err := v.kernel("row_sums", "brenier_cuda_row_sums", 0)
	if err != nil {
		return nil, err
	}
	return &sumStage{v, f}, nil
}

func (s *sumStage) launch(q *driver.Stream, p *C.brenier_row_sums_params) error {
	if p.n == 0 {
		return nil
	}
	const threads, rows = C.BRENIER_ROW_SUMS_THREADS, C.BRENIER_ROW_SUMS_ROWS
	return q.LaunchDependent(s.function, driver.Dim{X: (int(p.n) + rows - 1) / rows}, driver.Dim{X: threads}, 0, unsafe.Pointer(p))
}

// wholeUnits is what of float64 ends in units of 2^-exponent; rows.h.
func wholeUnits(exponent int) C.double { return C.double(math.Ldexp(1.5, 52-exponent)) }

// checks sums rows that are known.
func (s *sumStage) checks() []check {
	return []check{{kernel: s.function.Name, run: func(q *driver.Stream) error {
		const n, d, N, exponent = 70, 37, 5, 2
		var p plan
		x, cells, scores, m, sums := p.reserve(4*n*d), p.reserve(4*n), p.reserve(8*n), p.reserve(8*d), p.reserve(8*N*d)
		to := newSumOutputs(&p, n)
		base, err := s.v.alloc(p.bytes)
		if err != nil {
			return err
		}
		defer s.v.free(base)
		rows, of, known, with := make([]float32, n*d), make([]int32, n), make([]float64, n), make([]float64, d)
		for k := range with {
			with[k] = float64(k%7) - 3.25
		}
		wantSums, along, squares := make([]int64, N*d), make([]float64, n), make([]float64, n)
		for i := range n {
			of[i], known[i] = int32(i*i%N), float64(i)/8
			for k := range d {
				rows[i*d+k] = float32((i+3*k)%29-14) / 8 // halves of a unit too
			}
		}
		cpu.RowProducts(cpu.Portable, rows, with, along, squares)
		cpu.RowSums(cpu.Portable, rows, of, d, 0, N, exponent, wantSums)
		for _, part := range []struct {
			to   span
			from unsafe.Pointer
		}{
			{x, unsafe.Pointer(&rows[0])}, {cells, unsafe.Pointer(&of[0])},
			{scores, unsafe.Pointer(&known[0])}, {m, unsafe.Pointer(&with[0])},
		} {
			if err := s.v.ctx.ToDevice(part.to.at(base), part.from, part.to.bytes); err != nil {
				return err
			}
		}
		if err := q.Clear(sums.at(base), sums.bytes); err != nil {
			return err
		}
		params := C.brenier_row_sums_params{
			x: C.uint64_t(x.at(base)), cells: C.uint64_t(cells.at(base)), scores: C.uint64_t(scores.at(base)),
			m: C.uint64_t(m.at(base)), sums: C.uint64_t(sums.at(base)), whole: wholeUnits(exponent), n: n, d: d,
		}
		to.set(&params, base, 0)
		if err := s.launch(q, &params); err != nil {
			return err
		}
		gotSums, err := downloadValues[int64](s.v, q, sums.at(base), N*d)
		if err != nil {
			return err
		}
		gotCells, err := downloadValues[int32](s.v, q, to.cells.at(base), n)
		if err != nil {
			return err
		}
		right := slices.Equal(gotSums, wantSums) && slices.Equal(gotCells, of)
		for _, values := range []struct {
			at   span
			want []float64
		}{{to.scores, known}, {to.along, along}, {to.squares, squares}} {
			got, err := downloadValues[float64](s.v, q, values.at.at(base), n)
			if err != nil {
				return err
			}
			right = right && slices.Equal(got, values.want)
		}
		if !right {
			return errors.New("draws are summed wrongly")
		}
		return nil
	}}}
}

// sumOutputs is what the host is told of draws.
type sumOutputs struct {
	scores, along, squares span // float64
	cells                  span // int32
}

func newSumOutputs(p *plan, n int) sumOutputs {
	return sumOutputs{p.reserve(8 * n), p.reserve(8 * n), p.reserve(8 * n), p.reserve(4 * n)}
}

// set lets a launch write from draw `first` on.
func (o *sumOutputs) set(p *C.brenier_row_sums_params, base driver.Address, first int) {
	p.scores_out = C.uint64_t(o.scores.at(base)) + C.uint64_t(8*first)
	p.along = C.uint64_t(o.along.at(base)) + C.uint64_t(8*first)
	p.squares = C.uint64_t(o.squares.at(base)) + C.uint64_t(8*first)
	p.cells_out = C.uint64_t(o.cells.at(base)) + C.uint64_t(4*first)
}

// drawSums implements [backend.Sums]: draws are written into pinned memory, an event says when.
type drawSums struct {
	w     *workspace
	slots *sumSlots

	stage   *sumStage // nil: draws are only told
	whole   C.double
	base    driver.Address
	m, sums span // [d] float64, [N,d] int64

	most   int // draws of a call
	taken  int // calls of Take
	queued int // calls of Draw
}

// sumSlots are where draws are written, a slot for each call that may be on its way. A workspace keeps them.
type sumSlots struct {
	most   int // draws of a call that there is room for
	pinned unsafe.Pointer
	at     driver.Address // the same memory, as the device addresses it
	slots  [sumsAhead]sumSlot
}

type sumSlot struct {
	outputs sumOutputs
	written *driver.Event
	n       int
}

// openSlots makes slots. It runs inside do, as close does.
func openSlots(ctx *driver.Context, most int) (*sumSlots, error) {
	s := &sumSlots{most: most}
	var p plan
	for i := range s.slots {
		s.slots[i].outputs = newSumOutputs(&p, most)
	}
	err := func() (err error) {
		if s.pinned, err = ctx.AllocPinned(p.bytes); err != nil {
			return err
		}
		memory, err := ctx.MemoryAt(uintptr(s.pinned))
		if err != nil {
			return err
		}
		s.at = memory.Address
		for i := range s.slots {
			if s.slots[i].written, err = ctx.NewEvent(false); err != nil {
				return err
			}
		}
		return nil
	}()
	if err != nil {
		s.close(ctx)
		return nil, err
	}
	return s, nil
}

func (s *sumSlots) close(ctx *driver.Context) {
	for _, slot := range s.slots {
		if slot.written != nil {
			slot.written.Destroy()
		}
	}
	if s.pinned != nil {
		ctx.FreePinned(s.pinned)
	}
}

// place is where the host reads what the device writes.
func (s *sumSlots) place(of span) unsafe.Pointer { return unsafe.Add(s.pinned, of.offset) }

// NewSums implements [backend.Summer].
func (w *workspace) NewSums(m []float64, exponent, most int) (backend.Sums, error) {
	s := &drawSums{w: w, most: most}
	err := w.do(func() error { return s.open() })
	if err == nil && m != nil {
		err = s.begin(m, exponent)
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// open makes the slots that the workspace has not yet. It runs inside do.
func (s *drawSums) open() (err error) {
	w, ctx := s.w, s.w.m.v.ctx
	if w.slots != nil && w.slots.most < s.most {
		w.slots.close(ctx)
		w.slots = nil
	}
	if w.slots == nil {
		w.slots, err = openSlots(ctx, s.most)
	}
	s.slots = w.slots
	return err
}

// begin makes sums of none.
func (s *drawSums) begin(m []float64, exponent int) (err error) {
	w, t := s.w, s.w.m.transport
	if s.stage, err = late(w.m, &w.m.sums, func() (*sumStage, error) { return newSumStage(w.m.v) }); err != nil {
		return err
	}
	s.whole = wholeUnits(exponent)
	var p plan
	s.m, s.sums = p.reserve(bytesOf(8, t.d)), p.reserve(bytesOf(8, t.n, t.d))
	if s.base, err = w.m.v.alloc(p.bytes); err != nil {
		return err
	}
	return w.do(func() error {
		if err := w.m.v.ctx.ToDevice(s.m.at(s.base), unsafe.Pointer(&m[0]), s.m.bytes); err != nil {
			return err
		}
		return w.q.Clear(s.sums.at(s.base), s.sums.bytes)
	})
}

func (s *drawSums) Ahead() int { return sumsAhead }

// Draw implements [backend.Sums].
func (s *drawSums) Draw(n int, seed, first uint64, frames bool) error {
	w := s.w
	if n > s.most || s.queued-s.taken == sumsAhead {
		return fault.Invalid("sums: want at most %d draws at once, and %d times that on their way, got %d after %d times",
			s.most, sumsAhead, n, s.queued-s.taken)
	}
	slot := &s.slots.slots[s.queued%sumsAhead]
	slot.n = n
	var err error
	if frames {
		err = s.drawRotated(slot, n, seed, first)
	} else {
		err = w.do(func() error {
			if err := w.launchNoise(w.q, n, seed, first); err != nil {
				return err
			}
			if err := w.launchLocate(w.q, n, 1); err != nil {
				return err
			}
			if err := s.add(slot, 0, n, w.at(w.x), w.at(w.cells), w.at(w.scores)); err != nil {
				return err
			}
			return w.q.Record(slot.written)
		})
	}
	if err == nil {
		s.queued++
	}
	return err
}

func (s *drawSums) drawRotated(slot *sumSlot, n int, seed, first uint64) error {
	w := s.w
	return w.inGroup(n, seed, first, func(r *rotatedDraws, from int) error {
		scratch := r.scratch
		return w.do(func() error {
			for at := 0; at < n; {
				count := min(n-at, r.stage.piece(scratch, from+at), scratch.x.bytes/(4*w.m.d))
				if err := r.stage.locate(w.q, scratch, r.base, r.at, from+at, count, 1, 0); err != nil {
					return err
				}
				if s.stage != nil {
					if err := r.stage.draw(w.q, scratch, r.base, r.at, from+at, count); err != nil {
						return err
					}
				}
				err := s.add(slot, at, count, scratch.x.at(r.base), scratch.cells.at(r.base), scratch.scores.at(r.base))
				if err != nil {
					return err
				}
				at += count
			}
			return w.q.Record(slot.written)
		})
	})
}

// add takes n draws x [n,d], their cells and scores, as those from the slot's draw `first` on.
func (s *drawSums) add(slot *sumSlot, first, n int, x, cells, scores driver.Address) error {
	if s.stage == nil {
		q, to := s.w.q, &slot.outputs
		if err := q.ToHost(unsafe.Add(s.slots.place(to.cells), 4*first), cells, 4*n); err != nil {
			return err
		}
		return q.ToHost(unsafe.Add(s.slots.place(to.scores), 8*first), scores, 8*n)
	}
	p := C.brenier_row_sums_params{
		x: C.uint64_t(x), cells: C.uint64_t(cells), scores: C.uint64_t(scores),
		m: C.uint64_t(s.m.at(s.base)), sums: C.uint64_t(s.sums.at(s.base)),
		whole: s.whole, n: C.uint32_t(n), d: C.uint32_t(s.w.m.d),
	}
	slot.outputs.set(&p, s.slots.at, first)
	return s.stage.launch(s.w.q, &p)
}

// Take implements [backend.Sums].
func (s *drawSums) Take(cells []int64, scores, along, squares []float64) error {
	slot := &s.slots.slots[s.taken%sumsAhead]
	if s.taken == s.queued || len(cells) != slot.n {
		return fault.Invalid("sums: %d draws are asked for, and none or others are the next", len(cells))
	}
	if err := s.w.do(slot.written.Synchronize); err != nil {
		return err
	}
	s.taken++
	for _, part := range []struct {
		to []float64
		at span
	}{{scores, slot.outputs.scores}, {along, slot.outputs.along}, {squares, slot.outputs.squares}} {
		copy(part.to, unsafe.Slice((*float64)(s.slots.place(part.at)), slot.n))
	}
	for i, cell := range unsafe.Slice((*int32)(s.slots.place(slot.outputs.cells)), slot.n) {
		cells[i] = int64(cell)
	}
	return nil
}

// Total implements [backend.Sums].
func (s *drawSums) Total(sums []int64) error {
	if s.stage == nil {
		return fault.Invalid("sums: the draws are not added up")
	}
	return s.w.get(bytesIn(sums), s.sums.at(s.base))
}

// Close waits for what is still at work.
func (s *drawSums) Close() error {
	err := s.w.m.v.do(s.w.q.Synchronize)
	s.w.m.v.free(s.base)
	return err
}
