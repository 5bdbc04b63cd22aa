//go:build cuda

package cuda

// #include "rotated.h"
import "C"

import (
	"math"
	"slices"
	"unsafe"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/cuda/driver"
	"brenier/engine/internal/rotated"
	"brenier/kernels/cpu"
)

const (
	// mostRotatedMaxima, mostRotatedDraws and mostFrames bound the memory for what a screen leaves behind, for
	// draws on their way to the host, and for frames made at once.
	mostRotatedMaxima = 64 << 20
	mostRotatedDraws  = 16 << 20
	mostFrames        = 64 << 20

	// rotatedFrames is how many groups' frames are made at once at most: a frame is one long chain of sums,
	// and many take as long as one.
	rotatedFrames = 16

	// mostAxesShared bounds the shared memory of a block that shuffles axes; every card has as much.
	mostAxesShared = 48 << 10
)

// rotatedRung is a way to search for the cells of rotated draws.
type rotatedRung int

const (
	rotatedScreened     rotatedRung = iota // on the tensor cores, tiles in shared memory
	rotatedScreenedWide                    // on the tensor cores, tiles where they lie
	rotatedPlain                           // every score as it decides
)

// rotatedStage makes draws that share a frame, and finds their cells: the same bits as the CPU's. It
// serves one map, and any number of workspaces.
type rotatedStage struct {
	v       *device
	t       *transport
	size    int // draws of a group
	rung    rotatedRung
	normals *noiseStage

	reflectors, frame, points, axes, coefficients, noise, screen, finish *driver.Function

	frames       int // groups whose frames are made at once
	units, tiles int // of a tile, of 128 cells; of all
	shared       int // dynamic shared memory of a block of the screen
	blocks       int // of the screen that the card holds at once
	frameShared  int // dynamic shared memory of a block of the frame; 0: none, the wide one
	axesThreads  int // of a block
	mostMaxima   int // bytes for what a screen leaves; more only where one set takes more

	zExponent, vExponent int
	reach                float32
}

func newRotatedStage(v *device, t *transport, size int, rung rotatedRung) (*rotatedStage, error) {
	s := &rotatedStage{v: v, t: t, size: size, rung: rung, mostMaxima: mostRotatedMaxima}
	if v.capability() < 80 { // no m16n8k16
		s.rung = rotatedPlain
	}
	var err error
	if s.normals, err = newNoise(v, backend.Gaussian, 0); err != nil {
		return nil, err
	}
	frame := "brenier_cuda_rotated_frame"
	s.frameShared = 8*t.d*C.BRENIER_ROTATED_FRAME_COLUMNS + 8*s.reflectorValues()
	if rung != rotatedScreened || s.frameShared > v.info.SharedPerBlock {
		frame, s.frameShared = frame+"_wide", 0
	}
	s.axesThreads = max(1, min(C.BRENIER_ROTATED_AXES_THREADS, mostAxesShared/(2*t.d)))
	s.choose()
	module, screen := "rotated_screen", "brenier_cuda_rotated_screen"
	switch s.rung {
	case rotatedScreenedWide:
		screen += "_wide"
	case rotatedPlain:
		module, screen = "rotated_finish", "brenier_cuda_rotated_plain"
	}
	for _, step := range []struct {
		f            **driver.Function
		module, name string
		shared       int
	}{
		{&s.reflectors, "rotated_frame", "brenier_cuda_rotated_reflectors", 0},
		{&s.frame, "rotated_frame", frame, s.frameShared},
		{&s.points, "rotated_points", "brenier_cuda_rotated_points", 0},
		{&s.axes, "rotated_draws", "brenier_cuda_rotated_axes", s.axesShared()},
		{&s.coefficients, "rotated_draws", "brenier_cuda_rotated_coefficients", 0},
		{&s.noise, "rotated_draws", "brenier_cuda_rotated_noise", 0},
		{&s.screen, module, screen, s.shared},
		{&s.finish, "rotated_finish", "brenier_cuda_rotated_finish", 0},
	} {
		if *step.f, err = v.kernel(step.module, step.name, step.shared); err != nil {
			return nil, err
		}
	}
	resident := 0
	err = v.do(func() (err error) {
		resident, err = s.screen.BlocksPerMultiprocessor(s.threads(), s.shared)
		return err
	})
	if err != nil {
		return nil, err
	}
	s.blocks = max(1, resident) * v.info.Multiprocessors
	return s, nil
}

// choose finds the tiles of the screen, one for each multiprocessor where shared memory holds them, the
// scales of its float16, and how many frames are made at once.
func (s *rotatedStage) choose() {
	const pad = C.BRENIER_ROTATED_SCREEN_PAD
	unit := C.BRENIER_ROTATED_UNIT * (8 + 2*s.t.d) // bytes
	fitting := (s.v.info.SharedPerBlock - pad*s.t.d) / unit
	if s.rung == rotatedScreened && fitting < 1 {
		s.rung = rotatedScreenedWide
	}
	if s.rung != rotatedScreened {
		fitting = 16
	}
	all := (s.t.n + C.BRENIER_ROTATED_UNIT - 1) / C.BRENIER_ROTATED_UNIT
	each := (all + s.v.info.Multiprocessors - 1) / s.v.info.Multiprocessors
	s.tiles = (all + min(each, fitting) - 1) / min(each, fitting)
	s.units = (all + s.tiles - 1) / s.tiles
	switch s.rung {
	case rotatedScreened:
		s.shared = s.units*unit + pad*s.t.d
	case rotatedScreenedWide:
		s.shared = s.units*C.BRENIER_ROTATED_UNIT*8 + s.warps()*C.BRENIER_ROTATED_WIDE_BYTES
	}

	if s.t.norm > 0 {
		_, s.zExponent = math.Frexp(s.t.norm)
		s.zExponent = 14 - s.zExponent
	}
	_, s.vExponent = math.Frexp(rotated.MaxRadius(s.t.d))
	s.vExponent = 14 - s.vExponent
	s.reach = float32(math.Ldexp(s.t.norm, s.zExponent) * (1 + 0x1p-20)) // not below it

	frame := bytesOf(10, s.t.d, s.t.d) + bytesOf(s.sets(), 4*cpu.RotatedAxes) + bytesOf(s.families(), 4*(cpu.RotatedAxes+s.t.d%2))
	s.frames = max(1, min(rotatedFrames, mostFrames/frame))
}

// threads are those of a block of the screen.
func (s *rotatedStage) threads() int {
	return [...]int{C.BRENIER_ROTATED_SCREEN_THREADS, C.BRENIER_ROTATED_WIDE_THREADS, C.BRENIER_ROTATED_PLAIN_THREADS}[s.rung]
}

// together are the sets that a warp of the screen has at a time.
func (s *rotatedStage) together() int { return [...]int{C.BRENIER_ROTATED_SCREEN_SETS, 1, 1}[s.rung] }

// bundles are how many times sets are that.
func (s *rotatedStage) bundles(sets int) int { return (sets + s.together() - 1) / s.together() }

// warps are those of a block of the screen.
func (s *rotatedStage) warps() int { return s.threads() / 32 }

func (s *rotatedStage) axesShared() int { return 2 * s.t.d * s.axesThreads }

// sets are those of a group.
func (s *rotatedStage) sets() int { return s.size / cpu.RotatedSet }

// frameRows are the rows of normals, of d+1 each, that a frame is made of.
func (s *rotatedStage) frameRows() int { return (s.t.d + 1) / 2 }

// reflectorValues are the values of a frame's reflectors, and of the normals that they are made of.
func (s *rotatedStage) reflectorValues() int { return s.frameRows() * (s.t.d + 1) }

// frameBlocks are the blocks of a frame's columns.
func (s *rotatedStage) frameBlocks() int {
	return (s.t.d + C.BRENIER_ROTATED_FRAME_COLUMNS - 1) / C.BRENIER_ROTATED_FRAME_COLUMNS
}

// families are those of a group.
func (s *rotatedStage) families() int { return s.size / cpu.RotatedFamily }

// allUnits are those of all tiles.
func (s *rotatedStage) allUnits() int { return s.tiles * s.units }

// cells are those of all tiles.
func (s *rotatedStage) cells() int { return s.allUnits() * C.BRENIER_ROTATED_UNIT }

// maximaBytes is what a screen of one set leaves.
func (s *rotatedStage) maximaBytes() int { return bytesOf(cpu.RotatedSet, s.allUnits(), 4) }

// rotatedScratch is what a workspace keeps for these draws: the points once and a half more, in the frame's
// axes, up to 64 MB for frames, and up to 90 MB for what a screen leaves.
type rotatedScratch struct {
	axes  span // [frames][sets][16] int32
	v     span // [frames][sets*12][16] float32
	frame span // [frames][d,d] float32
	z     span // [tiles][d][units*128] float32, of the group at hand
	z16   span // [tiles][d][units*128] float16

	// While frames are made.
	normals    span // float32, of the frames, then of the families
	reflectors span // float64
	signs      span // [frames][d] float32
	columns    span // float64, of wide frames

	// While draws are searched for and brought to the host.
	maxima span // as many sets as there is room for
	cells  span // [group,8] int32
	scores span // [group,8] float64
	x      span // [rows,d] float32, as many rows as there is room for
}

func (s *rotatedStage) newScratch(p *plan) *rotatedScratch {
	r := &rotatedScratch{}
	d := s.t.d
	r.axes = p.reserve(bytesOf(s.frames, s.sets(), cpu.RotatedAxes, 4))
	r.v = p.reserve(bytesOf(s.frames, s.families(), cpu.RotatedAxes, 4))
	r.frame = p.reserve(bytesOf(s.frames, d, d, 4))
	r.z = p.reserve(bytesOf(s.cells(), d, 4))
	r.z16 = p.reserve(bytesOf(s.cells(), d, 2))
	p.alternatives(
		func(p *plan) {
			r.normals = p.reserve(bytesOf(s.frames, max(s.reflectorValues(), d%2*s.families()), 4))
			r.reflectors = p.reserve(bytesOf(s.frames, s.reflectorValues(), 8))
			r.signs = p.reserve(bytesOf(s.frames, d, 4))
			if s.frameShared == 0 {
				r.columns = p.reserve(bytesOf(s.frames, s.frameBlocks(), d, C.BRENIER_ROTATED_FRAME_COLUMNS, 8))
			}
		},
		func(p *plan) {
			r.maxima = p.reserve(max(s.maximaBytes(), min(s.mostMaxima, bytesOf(s.sets(), s.maximaBytes()))))
			r.cells = p.reserve(bytesOf(s.size, cpu.RotatedK, 4))
			r.scores = p.reserve(bytesOf(s.size, cpu.RotatedK, 8))
			r.x = p.reserve(max(bytesOf(d, 4), min(mostRotatedDraws, bytesOf(s.size, d, 4))))
		},
	)
	return r
}

// makeFrames makes the frames of groups, and the axes and coefficients of all of their sets.
func (s *rotatedStage) makeFrames(q *driver.Stream, r *rotatedScratch, base driver.Address, seed, group uint64, groups int) error {
	const columns = C.BRENIER_ROTATED_FRAME_COLUMNS
	d, rows := s.t.d, s.frameRows()
	frame := C.brenier_rotated_frame_params{
		normals: C.uint64_t(r.normals.at(base)), reflectors: C.uint64_t(r.reflectors.at(base)),
		signs: C.uint64_t(r.signs.at(base)), frame: C.uint64_t(r.frame.at(base)), d: C.int32_t(d),
	}
	frameThreads := C.BRENIER_ROTATED_FRAME_THREADS
	if s.frameShared == 0 {
		frame.columns = C.uint64_t(r.columns.at(base))
		frameThreads = columns
	}
	draws := C.brenier_rotated_draws_params{
		axes: C.uint64_t(r.axes.at(base)), normals: frame.normals, v: C.uint64_t(r.v.at(base)),
		seed: C.uint64_t(seed), group: C.uint64_t(group), sets: C.int32_t(s.sets()), d: C.int32_t(d),
	}
	each := d / cpu.RotatedAxes // sets of a shuffle
	shuffles := (s.sets() + each - 1) / each
	grid := func(items, size int) driver.Dim { return driver.Dim{X: (items + size - 1) / size, Y: groups} }
	normals := *s.normals

	normals.d = d + 1
	err := normals.launchOn(q, r.normals.at(base), groups*rows, seed, group*uint64(rows), cpu.FrameStream)
	if err == nil {
		err = q.LaunchDependent(s.reflectors, grid(d, columns), driver.Dim{X: columns}, 0, unsafe.Pointer(&frame))
	}
	if err == nil {
		err = q.LaunchDependent(s.frame, grid(d, columns), driver.Dim{X: frameThreads}, s.frameShared, unsafe.Pointer(&frame))
	}
	if err == nil {
		err = q.LaunchDependent(s.axes, grid(shuffles, s.axesThreads), driver.Dim{X: s.axesThreads}, s.axesShared(), unsafe.Pointer(&draws))
	}
	if err == nil && d%2 != 0 {
		normals.d = 1
		err = normals.launchOn(q, r.normals.at(base), groups*s.families(), seed, group*uint64(s.families()), cpu.DegreeStream)
	}
	if err == nil {
		const threads = C.BRENIER_ROTATED_COEFFICIENTS_THREADS
		err = q.LaunchDependent(s.coefficients, grid(s.families(), threads), driver.Dim{X: threads}, 0, unsafe.Pointer(&draws))
	}
	return err
}

// Where the frame that is number `at` among those made has its parts.
func (r *rotatedScratch) frameAt(base driver.Address, at, d int) C.uint64_t {
	return C.uint64_t(r.frame.at(base) + driver.Address(4*d*d*at))
}
func (s *rotatedStage) axesAt(r *rotatedScratch, base driver.Address, at int) C.uint64_t {
	return C.uint64_t(r.axes.at(base) + driver.Address(4*cpu.RotatedAxes*s.sets()*at))
}
func (s *rotatedStage) coefficientsAt(r *rotatedScratch, base driver.Address, at int) C.uint64_t {
	return C.uint64_t(r.v.at(base) + driver.Address(4*cpu.RotatedAxes*s.families()*at))
}

// rotate brings the points to the axes of a frame that was made.
func (s *rotatedStage) rotate(q *driver.Stream, r *rotatedScratch, base driver.Address, at int) error {
	p := C.brenier_rotated_points_params{
		points: C.uint64_t(s.t.points), frame: r.frameAt(base, at, s.t.d),
		z: C.uint64_t(r.z.at(base)), z16: C.uint64_t(r.z16.at(base)),
		N: C.int32_t(s.t.n), d: C.int32_t(s.t.d), units: C.int32_t(s.units), z_exponent: C.int32_t(s.zExponent),
	}
	grid := driver.Dim{X: s.cells() / C.BRENIER_ROTATED_POINTS_CELLS, Y: (s.t.d + C.BRENIER_ROTATED_POINTS_AXES - 1) / C.BRENIER_ROTATED_POINTS_AXES}
	return q.LaunchDependent(s.points, grid, driver.Dim{X: C.BRENIER_ROTATED_POINTS_THREADS}, 0, unsafe.Pointer(&p))
}

// piece is how many draws from draw `from` of the group on are searched for at once: of those for which there
// is room, whole rounds of the screen where there are several.
func (s *rotatedStage) piece(r *rotatedScratch, from int) int {
	sets := min(s.sets(), r.maxima.bytes/s.maximaBytes())
	if whole := s.warps() * s.together(); sets < s.sets() && sets > whole {
		sets -= sets % whole
	}
	return sets*cpu.RotatedSet - from%cpu.RotatedSet
}

// locate writes the k best cells [n,k] of draws from..from+n-1 of the group at hand, whose frame is number
// `at`, and their scores; and adds the draws to counts [N] of uint32, unless 0, by the best. n is at most piece.
func (s *rotatedStage) locate(q *driver.Stream, r *rotatedScratch, base driver.Address, at, from, n, k int, counts driver.Address) error {
	p := s.search(r, base, at, from, n, k, counts)
	if err := s.launchScreen(q, &p); err != nil {
		return err
	}
	return s.launchFinish(q, &p)
}

// search is what both kernels that locate are told.
func (s *rotatedStage) search(r *rotatedScratch, base driver.Address, at, from, n, k int, counts driver.Address) C.brenier_rotated_search_params {
	first := from / cpu.RotatedSet
	sets := (from+n+cpu.RotatedSet-1)/cpu.RotatedSet - first
	axes := cpu.RotatedAxes
	round := min(s.warps(), (s.tiles*s.bundles(sets)+s.blocks-1)/s.blocks) // fewer than warps where some blocks had none
	return C.brenier_rotated_search_params{
		z: C.uint64_t(r.z.at(base)), z16: C.uint64_t(r.z16.at(base)),
		heights: C.uint64_t(s.t.heights), highest: C.uint64_t(s.t.highest),
		axes:   s.axesAt(r, base, at) + C.uint64_t(4*axes*first),
		v:      s.coefficientsAt(r, base, at) + C.uint64_t(4*axes*first*cpu.RotatedSet/cpu.RotatedFamily),
		maxima: C.uint64_t(r.maxima.at(base)), cells: C.uint64_t(r.cells.at(base)), scores: C.uint64_t(r.scores.at(base)),
		counts: C.uint64_t(counts), N: C.int32_t(s.t.n), d: C.int32_t(s.t.d),
		tiles: C.int32_t(s.tiles), units: C.int32_t(s.units), sets: C.int32_t(sets), round: C.int32_t(round), k: C.int32_t(k),
		skip: C.int32_t(from - first*cpu.RotatedSet), draws: C.int32_t(n),
		z_exponent: C.int32_t(s.zExponent), v_exponent: C.int32_t(s.vExponent), reach: C.float(s.reach),
	}
}

func (s *rotatedStage) launchScreen(q *driver.Stream, p *C.brenier_rotated_search_params) error {
	sets, round := int(p.sets), int(p.round)
	grid := min(s.tiles*((s.bundles(sets)+round-1)/round), s.blocks)
	if s.rung == rotatedPlain {
		grid = (32*s.allUnits()*sets + s.threads() - 1) / s.threads()
	}
	return q.LaunchDependent(s.screen, driver.Dim{X: grid}, driver.Dim{X: s.threads()}, s.shared, unsafe.Pointer(p))
}

func (s *rotatedStage) launchFinish(q *driver.Stream, p *C.brenier_rotated_search_params) error {
	const draws = C.BRENIER_ROTATED_FINISH_DRAWS
	return q.LaunchDependent(s.finish, driver.Dim{X: (int(p.draws) + draws - 1) / draws}, driver.Dim{X: C.BRENIER_ROTATED_FINISH_THREADS}, 0, unsafe.Pointer(p))
}

// draw writes draws from..from+n-1 of the group whose frame is number `at` to x [n,d].
func (s *rotatedStage) draw(q *driver.Stream, r *rotatedScratch, base driver.Address, at, from, n int) error {
	p := C.brenier_rotated_noise_params{
		frame: r.frameAt(base, at, s.t.d), axes: s.axesAt(r, base, at), v: s.coefficientsAt(r, base, at),
		x: C.uint64_t(r.x.at(base)), first: C.int64_t(from), rows: C.int64_t(n), d: C.int32_t(s.t.d),
	}
	const threads = C.BRENIER_ROTATED_NOISE_THREADS
	return q.LaunchDependent(s.noise, driver.Dim{X: (n*s.t.d + threads - 1) / threads}, driver.Dim{X: threads}, 0, unsafe.Pointer(&p))
}

// rotatedDraws are a workspace's draws that share a frame: their memory, made at the first of them, and
// the group at hand.
type rotatedDraws struct {
	stage   *rotatedStage
	scratch *rotatedScratch
	base    driver.Address

	seed   uint64
	first  uint64 // of the groups whose frames are made
	frames int    // as many
	at     int    // number of the one that the points are in; -1: none
}

// enter makes a group the one at hand. Of groups one after another ever more frames are made at once.
func (r *rotatedDraws) enter(w *workspace, seed, group uint64) error {
	number := group - r.first // below r.frames for those made
	made := r.seed == seed && group >= r.first && number < uint64(r.frames)
	if made && r.at == int(number) {
		return nil
	}
	frames := 1
	if r.frames > 0 && r.seed == seed && number == uint64(r.frames) {
		frames = min(2*r.frames, r.stage.frames)
	}
	at := int(number)
	if !made {
		at = 0
	}
	r.at = -1
	err := w.do(func() error {
		if !made {
			r.frames = 0
			if err := r.stage.makeFrames(w.q, r.scratch, r.base, seed, group, frames); err != nil {
				return err
			}
			r.seed, r.first, r.frames = seed, group, frames
		}
		return r.stage.rotate(w.q, r.scratch, r.base, at)
	})
	if err == nil {
		r.at = at
	}
	return err
}

// locate finds the k best cells of draws from draw `from` of the group on, their scores too unless nil.
func (r *rotatedDraws) locate(w *workspace, from, n, k int, cells []int64, scores []float64) error {
	for at := 0; at < n; {
		count := min(n-at, r.stage.piece(r.scratch, from+at))
		first, end := at*k, (at+count)*k
		err := w.do(func() error { return r.stage.locate(w.q, r.scratch, r.base, r.at, from+at, count, k, 0) })
		if err == nil {
			err = w.getCells(cells[first:end], r.scratch.cells.at(r.base))
		}
		if err == nil && scores != nil {
			err = w.get(bytesIn(scores[first:end]), r.scratch.scores.at(r.base))
		}
		if err != nil {
			return err
		}
		at += count
	}
	return nil
}

// draw brings draws from draw `from` of the group on to x [n,d].
func (r *rotatedDraws) draw(w *workspace, from int, x []float32) error {
	d := w.m.d
	for at := 0; at*d < len(x); {
		count := min(len(x)/d-at, r.scratch.x.bytes/(4*d))
		err := w.do(func() error { return r.stage.draw(w.q, r.scratch, r.base, r.at, from+at, count) })
		if err == nil {
			err = w.get(bytesIn(x[at*d:(at+count)*d]), r.scratch.x.at(r.base))
		}
		if err != nil {
			return err
		}
		at += count
	}
	return nil
}

// Group implements [backend.RotatedDrawer].
func (w *workspace) Group() int { return w.m.rotating }

// DrawRotated implements [backend.RotatedDrawer].
func (w *workspace) DrawRotated(n int, seed, first uint64, k int, cells []int64, scores []float64, x []float32) error {
	size := w.Group()
	if err := rotated.CheckMap(size); err != nil {
		return err
	}
	if err := w.m.transport.rotating().Check(size, n, first, k, cells, scores, x); err != nil || n == 0 {
		return err
	}
	return w.inGroup(n, seed, first, func(r *rotatedDraws, from int) error {
		if err := r.locate(w, from, n, k, cells, scores); err != nil {
			return err
		}
		return r.draw(w, from, x)
	})
}

// countRotated counts draws that share a frame.
func (w *workspace) countRotated(c *drawCounts, n int, seed, first uint64) error {
	return w.inGroup(n, seed, first, func(r *rotatedDraws, from int) error {
		return w.do(func() error {
			for at := 0; at < n; {
				count := min(n-at, r.stage.piece(r.scratch, from+at))
				if err := r.stage.locate(w.q, r.scratch, r.base, r.at, from+at, count, 1, c.counts); err != nil {
					return err
				}
				at += count
			}
			return nil
		})
	})
}

// inGroup does something with draws first..first+n-1, which must lie in one group, its frame at hand.
func (w *workspace) inGroup(n int, seed, first uint64, do func(r *rotatedDraws, from int) error) error {
	size := w.Group()
	if err := rotated.CheckMap(size); err != nil {
		return err
	}
	if err := w.m.transport.rotating().CheckDraws(size, n, first, 1); err != nil || n == 0 {
		return err
	}
	if w.rotated == nil {
		r, err := w.m.newRotatedDraws()
		if err != nil {
			return err
		}
		w.rotated = r
	}
	r, group, from := w.rotated, first/uint64(size), int(first%uint64(size))
	if err := r.enter(w, seed, group); err != nil {
		return err
	}
	if err := do(r, from); err != nil {
		return err
	}
	if from+n < size {
		return nil
	}
	return r.enter(w, seed, group+1) // likely the next, and made while the caller is at work on these
}

// newRotatedDraws makes what the first rotated draw of a workspace asks for.
func (m *model) newRotatedDraws() (*rotatedDraws, error) {
	s, err := late(m, &m.rotated, func() (*rotatedStage, error) {
		return newRotatedStage(m.v, m.transport, m.rotating, rotatedScreened)
	})
	if err != nil {
		return nil, err
	}
	return s.newDraws()
}

func (s *rotatedStage) newDraws() (*rotatedDraws, error) {
	var p plan
	r := &rotatedDraws{stage: s, scratch: s.newScratch(&p), at: -1}
	var err error
	r.base, err = s.v.alloc(p.bytes)
	return r, err
}

// rotating is what of the map its rotated draws depend on.
func (t *transport) rotating() rotated.Map {
	return rotated.Map{N: t.n, Dim: t.d, Norm: t.norm, Reach: t.reach}
}

// rotatedGroup is how many draws of a source share a frame; 0 where there are none of this kind. It asks the
// device for the norms of the points.
func (t *transport) rotatedGroup(source backend.Source) (int, error) {
	size := rotated.GroupFor(t.n, t.d)
	if source != backend.Gaussian || size == 0 {
		return 0, nil
	}
	norms := make([]float64, t.n)
	err := t.v.do(func() error { return t.v.ctx.ToHost(unsafe.Pointer(&norms[0]), t.norms, 8*t.n) })
	if err != nil {
		return 0, err
	}
	t.norm = slices.Max(norms) * (1 + 0x1p-20) // above the rounding of its sum
	if !t.rotating().Rotatable() {
		return 0, nil
	}
	return size, nil
}
