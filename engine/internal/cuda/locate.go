//go:build cuda

package cuda

// #include "locate.h"
import "C"

import (
	"errors"
	"unsafe"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/cuda/driver"
	"brenier/engine/internal/fault"
)

const (
	// mostScreenScratch bounds the memory for what the screens keep of one piece of a batch.
	mostScreenScratch = 128 << 20

	// mostPieceRows bounds the samples of a piece; more do not fill a card any better.
	mostPieceRows = 65536

	// listCapacity is the candidates that a row's list in one split has room for: some ten times as
	// many as real maps leave, counting those that a better one later rules out.
	listCapacity = 16

	// mostLifted bounds the dimension of samples that select keeps in shared memory.
	mostLifted = 4096
)

// rungs are the ways to locate that may be used beside the plain one.
type rungs struct{ few, wgmma, mma bool }

// locateStage finds the k best cells of samples: screens on the tensor cores where the card has them,
// and exact scores of what they leave. Which kernel serves which batch is chosen once.
type locateStage struct {
	v     *device
	t     *transport
	allow rungs

	plain *locatePlain
	m     *packedMap  // nil: plain alone
	few   *fewScreen  // for few samples; nil: none
	tiles *tileScreen // for more; nil: none

	samples, selects, selectsWide, rescore *driver.Function
	lifted                                 int // dynamic shared memory of select
}

func newLocate(v *device, t *transport) (*locateStage, error) {
	return newLocateOf(v, t, rungs{few: true, wgmma: true, mma: true})
}

// newLocateOf is newLocate with some rungs only.
func newLocateOf(v *device, t *transport, allow rungs) (s *locateStage, err error) {
	s = &locateStage{v: v, t: t, allow: allow}
	if s.plain, err = newLocatePlain(v, t); err != nil {
		return nil, err
	}
	if v.capability() < 80 { // no m16n8k16
		s.allow = rungs{}
	}
	if err = s.choose(); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// choose finds the kernels of the best rungs that are allowed and that this build has.
func (s *locateStage) choose() (err error) {
	s.few, s.tiles = nil, nil
	if s.allow == (rungs{}) {
		s.close()
		return nil
	}
	if s.m == nil {
		if s.m, err = newPackedMap(s.t); err != nil {
			return err
		}
		if err = s.loadSteps(); err != nil {
			return err
		}
	}
	if s.allow.few {
		if s.few, err = newFewScreen(s.v, s.m.slices); missing(err) {
			s.few = nil
		} else if err != nil {
			return err
		}
	}
	makers := []struct {
		allowed bool
		make    func(v *device, slices int) (*tileScreen, error) // nil where it does not fit
	}{
		{s.allow.wgmma, newWGMMAScreen},
		{s.allow.mma, newMMAScreen},
	}
	for _, maker := range makers {
		if !maker.allowed || s.tiles != nil {
			continue
		}
		if s.tiles, err = maker.make(s.v, s.m.slices); missing(err) {
			s.tiles = nil
		} else if err != nil {
			return err
		}
	}
	if s.few == nil && s.tiles == nil { // none fits
		s.close()
	}
	return nil
}

// missing says whether a kernel is not in this build, or does not load on this card.
func missing(err error) bool { return errors.Is(err, fault.ErrUnsupported) }

// loadSteps finds the kernels before and after the screens.
func (s *locateStage) loadSteps() (err error) {
	if s.t.d <= mostLifted {
		s.lifted = (8*s.t.d + 15) / 16 * 16 // compilers load two at a time where only one will be used
	}
	for _, step := range []struct {
		f            **driver.Function
		module, name string
		shared       int
	}{
		{&s.samples, "locate_samples", "brenier_cuda_locate_samples", 0},
		{&s.selects, "locate_select", "brenier_cuda_locate_select", s.lifted},
		{&s.selectsWide, "locate_select", "brenier_cuda_locate_select_wide", s.lifted},
		{&s.rescore, "locate_rescore", "brenier_cuda_locate_rescore", 0},
	} {
		if *step.f, err = s.v.kernel(step.module, step.name, step.shared); err != nil {
			return err
		}
	}
	return nil
}

// setHeights replaces the heights [N]. No launch of the stage may be at work.
func (s *locateStage) setHeights(h []float32) error {
	if err := s.t.setHeights(h); err != nil || s.m == nil {
		return err
	}
	return s.m.setHeights()
}

// kernels says which kernels serve.
func (s *locateStage) kernels() []backend.Kernel {
	var list []backend.Kernel
	if s.few != nil {
		list = append(list, backend.Kernel{Part: "locate, few samples", Name: "locate_few"})
	}
	name := "locate_plain"
	if s.tiles != nil {
		name = s.tiles.name
	}
	return append(list, backend.Kernel{Part: "locate", Name: name})
}

// close frees what the stage has on the device; twice is harmless.
func (s *locateStage) close() {
	if s.m != nil {
		s.m.close()
		s.m = nil
	}
}

// locateScratch is what a workspace keeps for locate.
type locateScratch struct {
	plain *locatePlainScratch // nil where few samples are all that there can be

	piece   int  // samples that are packed at once, whole tiles; 0: none
	samples span // [piece/128][slices][16384]
	rows    span // [piece] brenier_locate_row
	exact   span // [piece] int32, rows that are scored exactly
	count   span // uint32, how many of them

	// What a screen keeps: maxima, or lists.
	maxima             span
	best, counts, kept span
}

// newScratch plans for up to batch samples with up to k cells each.
func (s *locateStage) newScratch(p *plan, batch, k int) *locateScratch {
	scratch := &locateScratch{}
	few := 0 // rows that the screen for few samples writes at most
	for n := 1; s.few != nil && n <= batch; n++ {
		f := s.few.of(n)
		if f == nil {
			break
		}
		few = f.rows
		if !f.packsItself() {
			scratch.piece = C.BRENIER_LOCATE_TILE
		}
	}
	all := s.few != nil && s.few.of(batch) != nil // few serves every call
	if !all {
		scratch.plain = s.plain.newScratch(p, k)
		if s.tiles != nil {
			scratch.piece = s.pieceRows(batch, k)
		}
	}
	tiles := scratch.piece / C.BRENIER_LOCATE_TILE
	scratch.samples = p.reserve(bytesOf(tiles, s.slices(), C.BRENIER_LOCATE_SLICE_BYTES))
	scratch.rows = p.reserve(bytesOf(max(few, scratch.piece), C.sizeof_brenier_locate_row))
	scratch.exact = p.reserve(bytesOf(scratch.piece, 4))
	scratch.count = p.reserve(4)
	p.alternatives(
		func(p *plan) {
			rows := few
			if k > 1 && !all && s.tiles != nil {
				rows = max(few, scratch.piece)
			}
			scratch.maxima = p.reserve(bytesOf(rows, s.rowMaxima()))
		},
		func(p *plan) {
			lists := 0 // rows times splits; fewer rows are cut into more splits
			for t := 1; t <= tiles && !all && s.tiles != nil; t++ {
				lists = max(lists, t*C.BRENIER_LOCATE_TILE*s.tiles.splits(t, s.m.tiles))
			}
			scratch.best = p.reserve(bytesOf(lists, 4))
			scratch.counts = p.reserve(bytesOf(lists, 4))
			scratch.kept = p.reserve(bytesOf(lists, listCapacity, C.sizeof_brenier_locate_candidate))
		},
	)
	return scratch
}

// slices is how many slices of 64 dimensions the packed map has, if there is one.
func (s *locateStage) slices() int {
	if s.m == nil {
		return 0
	}
	return s.m.slices
}

// rowMaxima is the bytes of a row's maxima.
func (s *locateStage) rowMaxima() int {
	if s.m == nil {
		return 0
	}
	return bytesOf(s.m.tiles, C.BRENIER_LOCATE_GROUPS, 4)
}

// pieceRows is how many samples of a batch go through a screen of tiles at once: whole tiles, pieces
// of nearly one size.
func (s *locateStage) pieceRows(batch, k int) int {
	const tile = C.BRENIER_LOCATE_TILE
	most := mostPieceRows
	if k > 1 {
		most = max(1, min(mostPieceRows, mostScreenScratch/s.rowMaxima())/tile) * tile
	}
	pieces := max(1, (batch+most-1)/most)
	return ((batch+pieces-1)/pieces + tile - 1) / tile * tile
}

// launch writes the k best cells [n,k] int32 of the samples x [n,d] float32, best first, and their
// scores [n,k] float64: the argmax of s_i = h_i + <x,y_i> in float64, an fma chain over dimensions
// 0..d-1 that starts at h_i. Ties go to the lower index. n and k are at most what the scratch was
// planned for, and k at most N.
func (s *locateStage) launch(q *driver.Stream, scratch *locateScratch, base, x driver.Address, n, k int, cells, scores driver.Address) error {
	if n == 0 {
		return nil
	}
	if s.few != nil {
		if f := s.few.of(n); f != nil {
			d := s.decision(scratch, base, x, n, k, cells, scores)
			return s.launchFew(q, f, scratch, base, &d)
		}
	}
	if s.tiles == nil {
		return s.plain.launch(q, scratch.plain, base, x, n, k, cells, scores)
	}
	if err := s.plain.clear(q, scratch.plain, base); err != nil {
		return err
	}
	for first := 0; first < n; first += scratch.piece {
		rows := min(scratch.piece, n-first)
		at := func(a driver.Address, bytes int) driver.Address { return a + driver.Address(first*bytes) }
		err := s.launchPiece(q, scratch, base, at(x, 4*s.t.d), rows, k, at(cells, 4*k), at(scores, 8*k))
		if err != nil {
			return err
		}
	}
	return nil
}

// decision is what select and rescore are told of n samples.
func (s *locateStage) decision(scratch *locateScratch, base, x driver.Address, n, k int, cells, scores driver.Address) C.brenier_locate_decide_params {
	return C.brenier_locate_decide_params{
		x: C.uint64_t(x), points: C.uint64_t(s.t.points), heights: C.uint64_t(s.t.heights),
		rows: C.uint64_t(scratch.rows.at(base)), packed_cells: C.uint64_t(s.m.packed),
		packed_samples: C.uint64_t(scratch.samples.at(base)), levels: C.uint64_t(s.m.levels),
		maxima: C.uint64_t(scratch.maxima.at(base)),
		best:   C.uint64_t(scratch.best.at(base)), counts: C.uint64_t(scratch.counts.at(base)),
		candidates: C.uint64_t(scratch.kept.at(base)),
		best_cells: C.uint64_t(cells), best_scores: C.uint64_t(scores),
		cells: C.int64_t(s.t.n), row_count: C.int32_t(n), dim: C.int32_t(s.t.d), tiles: C.int32_t(s.m.tiles),
		slices: C.int32_t(s.m.slices), k: C.int32_t(k), capacity: listCapacity, lifted: C.int32_t(min(s.lifted, 1)),
	}
}

// launchFew screens few samples and decides them.
func (s *locateStage) launchFew(q *driver.Stream, f *fewVariant, scratch *locateScratch, base driver.Address, d *C.brenier_locate_decide_params) error {
	if err := s.screenFew(q, f, scratch, base, d); err != nil {
		return err
	}
	return s.launchSelect(q, d, true)
}

// screenFew screens few samples.
func (s *locateStage) screenFew(q *driver.Stream, f *fewVariant, scratch *locateScratch, base driver.Address, d *C.brenier_locate_decide_params) error {
	if !f.packsItself() {
		if err := s.launchSamples(q, scratch, base, d); err != nil {
			return err
		}
	}
	p := C.brenier_locate_few_params{
		cells: C.uint64_t(s.m.packed), levels: C.uint64_t(s.m.levels), _map: C.uint64_t(s.m.known),
		x: d.x, samples: C.uint64_t(scratch.samples.at(base)), rows: d.rows, maxima: d.maxima,
		row_count: d.row_count, dim: d.dim, tiles: d.tiles, slices: C.int32_t(s.m.slices),
	}
	return f.launch(q, &p)
}

// launchPiece screens samples in whole tiles and decides them.
func (s *locateStage) launchPiece(q *driver.Stream, scratch *locateScratch, base, x driver.Address, n, k int, cells, scores driver.Address) error {
	d := s.decision(scratch, base, x, n, k, cells, scores)
	d.exact_count, d.exact_rows = C.uint64_t(scratch.count.at(base)), C.uint64_t(scratch.exact.at(base))
	if err := q.Clear(scratch.count.at(base), scratch.count.bytes); err != nil {
		return err
	}
	if err := s.launchSamples(q, scratch, base, &d); err != nil {
		return err
	}
	rowTiles := (n + C.BRENIER_LOCATE_TILE - 1) / C.BRENIER_LOCATE_TILE
	d.splits = C.int32_t(s.tiles.splits(rowTiles, s.m.tiles))
	screen := C.brenier_locate_screen_params{
		cells: C.uint64_t(s.m.packed), levels: C.uint64_t(s.m.levels),
		samples: C.uint64_t(scratch.samples.at(base)), rows: d.rows,
		maxima: d.maxima, best: d.best, counts: d.counts, candidates: d.candidates,
		tiles: d.tiles, row_tiles: C.int32_t(rowTiles), slices: C.int32_t(s.m.slices),
		steps:  C.int32_t((s.t.d + C.BRENIER_LOCATE_STEP - 1) / C.BRENIER_LOCATE_STEP),
		splits: d.splits, capacity: d.capacity,
	}
	if err := s.tiles.launch(q, &screen, k > 1); err != nil {
		return err
	}
	var err error
	if k > 1 {
		err = s.launchSelect(q, &d, n <= s.v.info.Multiprocessors)
	} else {
		err = s.launchRescore(q, &d)
	}
	if err != nil {
		return err
	}
	return s.plain.launchRows(q, scratch.plain, base, x, scratch.exact.at(base), scratch.count.at(base), n, k, cells, scores)
}

// launchSamples packs samples into whole tiles.
func (s *locateStage) launchSamples(q *driver.Stream, scratch *locateScratch, base driver.Address, d *C.brenier_locate_decide_params) error {
	const warps = 8 // of a block, a row each
	rowTiles := (int(d.row_count) + C.BRENIER_LOCATE_TILE - 1) / C.BRENIER_LOCATE_TILE
	p := C.brenier_locate_samples_params{
		x: d.x, _map: C.uint64_t(s.m.known), packed: C.uint64_t(scratch.samples.at(base)), rows: d.rows,
		exact_count: d.exact_count, exact_rows: d.exact_rows,
		row_count: d.row_count, dim: d.dim, slices: C.int32_t(s.m.slices),
	}
	grid := driver.Dim{X: rowTiles * C.BRENIER_LOCATE_TILE / warps}
	return q.LaunchDependent(s.samples, grid, driver.Dim{X: 32 * warps}, 0, unsafe.Pointer(&p))
}

// launchSelect decides rows from maxima, a block a row: a large one where there are few rows, which
// reads the samples as they are.
func (s *locateStage) launchSelect(q *driver.Stream, d *C.brenier_locate_decide_params, wide bool) error {
	f, threads := s.selects, 128
	if wide {
		f, threads = s.selectsWide, 512
	}
	return q.LaunchDependent(f, driver.Dim{X: int(d.row_count)}, driver.Dim{X: threads}, s.lifted, unsafe.Pointer(d))
}

// launchRescore decides rows from candidates, a warp a row.
func (s *locateStage) launchRescore(q *driver.Stream, d *C.brenier_locate_decide_params) error {
	const warps = 8
	grid := driver.Dim{X: (int(d.row_count) + warps - 1) / warps}
	return q.LaunchDependent(s.rescore, grid, driver.Dim{X: 32 * warps}, 0, unsafe.Pointer(d))
}
