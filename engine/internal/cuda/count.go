//go:build cuda

package cuda

// #include "count.h"
import "C"

import (
	"errors"
	"slices"
	"unsafe"

	"brenier/engine/internal/cuda/driver"
)

// countStage counts draws by cell on the device.
type countStage struct {
	v        *device
	function *driver.Function
}

func newCount(v *device) (*countStage, error) {
	f, err := v.kernel("count", "brenier_cuda_count", 0)
	if err != nil {
		return nil, err
	}
	return &countStage{v, f}, nil
}

// launch adds the draws whose cells are [n,k], best first, to counts [N].
func (s *countStage) launch(q *driver.Stream, cells driver.Address, n, k int, counts driver.Address) error {
	if n == 0 {
		return nil
	}
	const threads = C.BRENIER_COUNT_THREADS
	p := C.brenier_count_params{
		cells: C.uint64_t(cells), counts: C.uint64_t(counts), n: C.uint32_t(n), k: C.uint32_t(k),
	}
	return q.LaunchDependent(s.function, driver.Dim{X: (n + threads - 1) / threads}, driver.Dim{X: threads}, 0, unsafe.Pointer(&p))
}

// checks counts cells that are known.
func (s *countStage) checks() []check {
	return []check{{kernel: s.function.Name, run: func(q *driver.Stream) error {
		const n, k, N = 700, 2, 11
		cells, want := make([]int32, n*k), make([]int32, N)
		for i := range n {
			cell := i * i % N
			cells[i*k] = int32(cell)
			want[cell]++
		}
		base, err := s.v.alloc(4 * (n*k + N))
		if err != nil {
			return err
		}
		defer s.v.free(base)
		counts := base + 4*n*k
		if err := s.v.ctx.ToDevice(base, unsafe.Pointer(&cells[0]), 4*len(cells)); err != nil {
			return err
		}
		if err := q.Clear(counts, 4*N); err != nil {
			return err
		}
		if err := s.launch(q, base, n, k, counts); err != nil {
			return err
		}
		got, err := downloadValues[int32](s.v, q, counts, N)
		if err == nil && !slices.Equal(got, want) {
			err = errors.New("draws are counted wrongly")
		}
		return err
	}}}
}

// drawCounts are those of a workspace.
type drawCounts struct {
	stage   *countStage
	counts  driver.Address // [N] uint32, of the draws since they were taken last
	rotated bool           // some of those share frames
}

// counting is the workspace's counts, made and cleared at the first call.
func (w *workspace) counting() (*drawCounts, error) {
	if w.counts != nil {
		return w.counts, nil
	}
	stage, err := late(w.m, &w.m.count, func() (*countStage, error) { return newCount(w.m.v) })
	if err != nil {
		return nil, err
	}
	counts, err := w.m.v.alloc(4 * w.m.transport.n)
	if err != nil {
		return nil, err
	}
	if err := w.do(func() error { return w.q.Clear(counts, 4*w.m.transport.n) }); err != nil {
		w.m.v.free(counts)
		return nil, err
	}
	w.counts = &drawCounts{stage: stage, counts: counts}
	return w.counts, nil
}

// Count returns as soon as the device has its work.
func (w *workspace) Count(n int, seed, first uint64, rotated bool) error {
	c, err := w.counting()
	if err != nil {
		return err
	}
	if rotated {
		c.rotated = true
		return w.countRotated(c, n, seed, first)
	}
	return w.do(func() error {
		if w.descent != nil {
			if err := w.descent.relevel(w.q); err != nil {
				return err
			}
		}
		if err := w.launchNoise(w.q, n, seed, first); err != nil {
			return err
		}
		if err := w.launchLocate(w.q, n, 1); err != nil {
			return err
		}
		return c.stage.launch(w.q, w.at(w.cells), n, 1, c.counts)
	})
}

func (w *workspace) TakeCounts(counts []int32) error {
	c, err := w.counting()
	if err != nil {
		return err
	}
	if err := w.get(bytesIn(counts), c.counts); err != nil {
		return err
	}
	return w.do(func() error { return w.q.Clear(c.counts, 4*len(counts)) })
}
