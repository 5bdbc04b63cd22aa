//go:build cuda

package cuda

// #include "locate_plain.h"
import "C"

import (
	"unsafe"

	"brenier/engine/internal/cuda/driver"
)

// locatePlain finds cells from the exact scores of all of them: the plainest rung of locate, and the
// one that serves the rows which a screen leaves undecided.
type locatePlain struct {
	t        *transport
	function *driver.Function
	blocks   int // that the card holds at once
}

func newLocatePlain(v *device, t *transport) (*locatePlain, error) {
	f, err := v.kernel("locate_plain", "brenier_cuda_locate_plain", 0)
	if err != nil {
		return nil, err
	}
	resident := 0
	err = v.do(func() (err error) {
		resident, err = f.BlocksPerMultiprocessor(C.BRENIER_LOCATE_PLAIN_THREADS, 0)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &locatePlain{t, f, max(1, resident*v.info.Multiprocessors)}, nil
}

// locatePlainScratch is where blocks that share a sample leave what they found.
type locatePlainScratch struct {
	scores   span // [blocks*rows,k] float64
	cells    span // [blocks*rows,k] int32
	finished span // [blocks] uint32
}

// newScratch plans for any number of samples with up to k cells each.
func (l *locatePlain) newScratch(p *plan, k int) *locatePlainScratch {
	entries := l.blocks * C.BRENIER_LOCATE_PLAIN_ROWS * k
	return &locatePlainScratch{p.reserve(8 * entries), p.reserve(4 * entries), p.reserve(4 * l.blocks)}
}

// clear readies the scratch for launchRows, which leaves it ready.
func (l *locatePlain) clear(q *driver.Stream, s *locatePlainScratch, base driver.Address) error {
	return q.Clear(s.finished.at(base), s.finished.bytes)
}

// launch writes the k best cells [n,k] int32 of samples x [n,d] and their scores [n,k] float64.
func (l *locatePlain) launch(q *driver.Stream, s *locatePlainScratch, base, x driver.Address, n, k int, cells, scores driver.Address) error {
	if err := l.clear(q, s, base); err != nil {
		return err
	}
	return l.launchRows(q, s, base, x, 0, 0, n, k, cells, scores)
}

// launchRows is launch for those of the rows alone that the device lists: rows [*count] int32, count
// uint32, at most n. Where rows is 0 they are 0, 1, ...; where count is 0 there are n. The scratch
// has been cleared once.
func (l *locatePlain) launchRows(q *driver.Stream, s *locatePlainScratch, base, x, rows, count driver.Address, n, k int, cells, scores driver.Address) error {
	if n == 0 {
		return nil
	}
	p := C.brenier_locate_plain_params{
		x: C.uint64_t(x), points: C.uint64_t(l.t.points), heights: C.uint64_t(l.t.heights),
		rows: C.uint64_t(rows), count: C.uint64_t(count), cells: C.uint64_t(cells), scores: C.uint64_t(scores),
		partial_scores: C.uint64_t(s.scores.at(base)), partial_cells: C.uint64_t(s.cells.at(base)),
		finished: C.uint64_t(s.finished.at(base)),
		n:        C.int32_t(n), N: C.int32_t(l.t.n), d: C.int32_t(l.t.d), k: C.int32_t(k),
	}
	return q.LaunchDependent(l.function, driver.Dim{X: l.blocks}, driver.Dim{X: C.BRENIER_LOCATE_PLAIN_THREADS}, 0, unsafe.Pointer(&p))
}
