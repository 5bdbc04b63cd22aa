//go:build cuda

package cuda

// #include "locate.h"
import "C"

import (
	"unsafe"

	"brenier/engine/internal/cuda/driver"
)

// tileScreen is a rung of locate that screens whole tiles of samples: locate_mma.cu, locate_wgmma.cu.
type tileScreen struct {
	name       string // of the rung
	candidates *driver.Function
	maxima     *driver.Function
	threads    int  // of a block
	shared     int  // its dynamic shared memory
	rowTiles   int  // that a block takes at a time
	blocks     int  // that the card holds at once
	persistent bool // a block takes one unit (row tiles, split) after another; otherwise it takes one
	resident   bool // the samples' slices stay in shared memory; mma alone asks
}

// newMMAScreen is the screen on mma.sync, for cards of compute capability 8.0 and later and any d.
func newMMAScreen(v *device, slices int) (*tileScreen, error) {
	const stages, threads = 3, 128
	levels := stages
	if slices > 1 {
		levels = 2
	}
	bytes := func(resident, streamed int) int {
		return (resident+stages*streamed)*C.BRENIER_LOCATE_SLICE_BYTES + levels*C.BRENIER_LOCATE_TILE*4
	}
	s := &tileScreen{name: "locate_mma", threads: threads, rowTiles: 1}
	if s.shared = bytes(slices, 1); s.shared <= v.info.SharedPerBlock {
		s.resident = true
	} else {
		s.shared = bytes(0, 2)
	}
	return s, s.load(v, "brenier_cuda_locate_mma_candidates", "brenier_cuda_locate_mma_maxima")
}

// load finds the screen's kernels in the module of its name, and how many blocks the card holds.
func (s *tileScreen) load(v *device, candidates, maxima string) (err error) {
	if s.candidates, err = v.kernel(s.name, candidates, s.shared); err != nil {
		return err
	}
	if s.maxima, err = v.kernel(s.name, maxima, s.shared); err != nil {
		return err
	}
	return v.do(func() error {
		resident, err := s.candidates.BlocksPerMultiprocessor(s.threads, s.shared)
		s.blocks = max(1, resident*v.info.Multiprocessors)
		return err
	})
}

// splits is in how many parts the cells are cut so that the blocks of `rowTiles` row tiles fill the
// card: the number that takes the fewest tiles of cells one after another, each split being a little
// more work by itself.
func (s *tileScreen) splits(rowTiles, tiles int) int {
	const each = 3 // tiles of cells that beginning a split costs
	units := (rowTiles + s.rowTiles - 1) / s.rowTiles
	best, least := 1, 0
	for splits := 1; splits <= tiles && (splits == 1 || units*splits <= 4*s.blocks); splits++ {
		waves := (units*splits + s.blocks - 1) / s.blocks
		time := waves * ((tiles+splits-1)/splits + each)
		if splits == 1 || time < least {
			best, least = splits, time
		}
	}
	return best
}

// launch screens; `all` the maxima of all groups, otherwise the candidates for k = 1.
func (s *tileScreen) launch(q *driver.Stream, p *C.brenier_locate_screen_params, all bool) error {
	f := s.candidates
	if all {
		f = s.maxima
	}
	p.resident = 0
	if s.resident {
		p.resident = 1
	}
	grid := driver.Dim{X: int(p.row_tiles), Y: int(p.splits)}
	if s.persistent {
		units := (int(p.row_tiles) + s.rowTiles - 1) / s.rowTiles * int(p.splits)
		grid = driver.Dim{X: min(units, s.blocks)}
	}
	return q.LaunchDependent(f, grid, driver.Dim{X: s.threads}, s.shared, unsafe.Pointer(p))
}

// fewScreen is the rung of locate for few samples, locate_few.cu.
type fewScreen struct {
	variants []fewVariant // smaller first
}

type fewVariant struct {
	rows     int // at most
	function *driver.Function
	shared   int
	blocks   int // that the card holds at once
}

// newFewScreen is the screen for few samples, for cards of compute capability 8.0 and later; nil where
// d is too large for shared memory.
func newFewScreen(v *device, slices int) (*fewScreen, error) {
	s := &fewScreen{}
	for _, variant := range []struct {
		rows int
		name string
	}{{8, "8"}, {16, "16"}, {32, "32"}, {64, "64"}} {
		shared := bytesOf(slices, variant.rows/8, 1024)
		if shared > v.info.SharedPerBlock-1024 { // what the kernels have besides
			break
		}
		f, err := v.kernel("locate_few", "brenier_cuda_locate_few_"+variant.name, shared)
		if err != nil {
			return nil, err
		}
		resident := 0
		err = v.do(func() (err error) {
			resident, err = f.BlocksPerMultiprocessor(fewThreads, shared)
			return err
		})
		if err != nil {
			return nil, err
		}
		s.variants = append(s.variants, fewVariant{variant.rows, f, shared, max(1, resident*v.info.Multiprocessors)})
	}
	if len(s.variants) == 0 {
		return nil, nil
	}
	return s, nil
}

const fewThreads = 256 // of a block of locate_few.cu

// of returns the smallest variant for n samples, or nil.
func (s *fewScreen) of(n int) *fewVariant {
	for i := range s.variants {
		if n <= s.variants[i].rows {
			return &s.variants[i]
		}
	}
	return nil
}

// packsItself says whether the kernel reads the samples as they are.
func (f *fewVariant) packsItself() bool { return f.rows == 8 }

func (f *fewVariant) launch(q *driver.Stream, p *C.brenier_locate_few_params) error {
	grid := driver.Dim{X: min(f.blocks, int(p.tiles))}
	return q.LaunchDependent(f.function, grid, driver.Dim{X: fewThreads}, f.shared, unsafe.Pointer(p))
}
