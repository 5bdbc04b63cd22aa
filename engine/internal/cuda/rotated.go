//go:build cuda

package cuda

// #include "rotated.h"
import "C"

import (
	"slices"
	"unsafe"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/cuda/driver"
	"brenier/engine/internal/rotated"
	"brenier/kernels/cpu"
)

const (
	// mostRotatedTops and mostRotatedDraws bound the memory for what a search leaves behind, and for draws
	// on their way to the host.
	mostRotatedTops  = 64 << 20
	mostRotatedDraws = 8 << 20

	// leastRotatedSteps is from how many steps of a tile on two blocks of the search share a
	// multiprocessor: with fewer, what a choice takes besides its scores is too large a part.
	leastRotatedSteps = 3

	// mostAxesShared bounds the shared memory of a block that shuffles axes; every card has as much.
	mostAxesShared = 48 << 10
)

// rotatedStage makes draws that share a frame, and finds their cells: the same bits as the CPU's. It
// serves one map, and any number of workspaces.
type rotatedStage struct {
	v       *device
	t       *transport
	shape   rotated.Shape
	normals *noiseStage

	reflectors, frame, points, axes, scale, noise, search, finish *driver.Function

	wide         bool // the search reads z where it lies
	steps, tiles int
	shared       int // dynamic shared memory of a block of the search
	blocks       int // of the search that the card holds at once
	frameShared  int // dynamic shared memory of a block of the frame; 0: none, the wide one
	axesThreads  int // of a block
}

func newRotatedStage(v *device, t *transport, shape rotated.Shape, wide bool) (*rotatedStage, error) {
	s := &rotatedStage{v: v, t: t, shape: shape, wide: wide}
	var err error
	if s.normals, err = newNoise(v, backend.Gaussian, 0); err != nil {
		return nil, err
	}
	frame := "brenier_cuda_rotated_frame"
	s.frameShared = 8*t.d*C.BRENIER_ROTATED_FRAME_COLUMNS + 8*s.frameRows()*(t.d+1)
	if wide || s.frameShared > v.info.SharedPerBlock {
		frame, s.frameShared = frame+"_wide", 0
	}
	s.axesThreads = max(1, min(C.BRENIER_ROTATED_AXES_THREADS, mostAxesShared/(2*t.d)))
	s.choose()
	search := "brenier_cuda_rotated_search"
	if s.wide {
		search += "_wide"
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
		{&s.scale, "rotated_draws", "brenier_cuda_rotated_scale", 0},
		{&s.noise, "rotated_draws", "brenier_cuda_rotated_noise", 0},
		{&s.search, "rotated_search", search, s.shared},
		{&s.finish, "rotated_search", "brenier_cuda_rotated_finish", 0},
	} {
		if *step.f, err = v.kernel(step.module, step.name, step.shared); err != nil {
			return nil, err
		}
	}
	resident := 0
	err = v.do(func() (err error) {
		resident, err = s.search.BlocksPerMultiprocessor(C.BRENIER_ROTATED_SEARCH_THREADS, s.shared)
		return err
	})
	if err != nil {
		return nil, err
	}
	s.blocks = max(1, resident*v.info.Multiprocessors)
	return s, nil
}

// choose finds the tiles of the search: as many steps as shared memory has room for, in two blocks of a
// multiprocessor where that is enough of them.
func (s *rotatedStage) choose() {
	const reserved = 1024 // of every block, by the driver
	fitting := func(blocks int) int {
		room := min(s.v.info.SharedPerBlock, s.v.info.SharedPerMultiprocessor/blocks-reserved)
		return min(C.BRENIER_ROTATED_STEPS, (room-C.BRENIER_ROTATED_SEARCH_SHARED)/(4*32*s.t.d))
	}
	if s.steps = fitting(2); s.steps < leastRotatedSteps {
		s.steps = fitting(1)
	}
	s.wide = s.wide || s.steps < 1
	if s.wide {
		s.steps = C.BRENIER_ROTATED_STEPS
	}
	s.steps = min(s.steps, (s.t.n+31)/32)
	s.shared = C.BRENIER_ROTATED_SEARCH_SHARED
	if !s.wide {
		s.shared += 4 * 32 * s.t.d * s.steps
	}
	s.tiles = (s.t.n + 32*s.steps - 1) / (32 * s.steps)
}

func (s *rotatedStage) axesShared() int { return 2 * s.t.d * s.axesThreads }

// choices are those of a group.
func (s *rotatedStage) choices() int { return s.shape.Group / cpu.RotatedChoice }

// frameRows are the rows of normals, of d+1 each, that a frame is made of.
func (s *rotatedStage) frameRows() int { return (s.t.d + 1) / 2 }

// width is the normals of a family: one more than its axes where d is as much odd.
func (s *rotatedStage) width() int { return s.shape.Axes + (s.t.d-s.shape.Axes)%2 }

// frameBlocks are the blocks of a frame's columns.
func (s *rotatedStage) frameBlocks() int {
	return (s.t.d + C.BRENIER_ROTATED_FRAME_COLUMNS - 1) / C.BRENIER_ROTATED_FRAME_COLUMNS
}

// families are those of a group.
func (s *rotatedStage) families() int { return s.shape.Group / cpu.RotatedFamily }

// topBytes is what a search of one choice for the k best cells leaves.
func (s *rotatedStage) topBytes(k int) int {
	return bytesOf(cpu.RotatedChoice, s.tiles, k, C.sizeof_brenier_rotated_top)
}

// rotatedScratch is what a workspace keeps for these draws: the points once more, in the frame's axes,
// 16 d^2 bytes or more for the frame, and up to 80 MB for what a search leaves.
type rotatedScratch struct {
	axes  span // [choices][16] int32, of the group
	v     span // [choices*3][16] float32
	frame span // [d,d] float32
	z     span // [tiles][d][32 steps] float32

	// While a group is entered.
	normals    span // float32, of the frame, then of the families
	reflectors span // float64
	signs      span // [d] float32
	columns    span // float64, of a wide frame

	// While draws are searched for and brought to the host.
	tops   span // as many choices as there is room for
	cells  span // [group,8] int32
	scores span // [group,8] float64
	x      span // [rows,d] float32, as many rows as there is room for
}

func (s *rotatedStage) newScratch(p *plan) *rotatedScratch {
	r := &rotatedScratch{}
	d, choices := s.t.d, s.choices()
	r.axes = p.reserve(bytesOf(choices, s.shape.Axes, 4))
	r.v = p.reserve(bytesOf(s.families(), s.shape.Axes, 4))
	r.frame = p.reserve(bytesOf(d, d, 4))
	r.z = p.reserve(bytesOf(s.tiles, d, 32*s.steps, 4))
	p.alternatives(
		func(p *plan) {
			r.normals = p.reserve(max(bytesOf(s.frameRows(), d+1, 4), bytesOf(s.families(), s.width(), 4)))
			r.reflectors = p.reserve(bytesOf(s.frameRows(), d+1, 8))
			r.signs = p.reserve(bytesOf(d, 4))
			if s.frameShared == 0 {
				r.columns = p.reserve(bytesOf(s.frameBlocks(), d, C.BRENIER_ROTATED_FRAME_COLUMNS, 8))
			}
		},
		func(p *plan) {
			r.tops = p.reserve(max(s.topBytes(cpu.RotatedK), min(mostRotatedTops, bytesOf(choices, s.topBytes(cpu.RotatedK)))))
			r.cells = p.reserve(bytesOf(s.shape.Group, cpu.RotatedK, 4))
			r.scores = p.reserve(bytesOf(s.shape.Group, cpu.RotatedK, 8))
			r.x = p.reserve(max(bytesOf(d, 4), min(mostRotatedDraws, bytesOf(s.shape.Group, d, 4))))
		},
	)
	return r
}

// enter makes the frame of a group, the points in its axes, and the axes and coefficients of all of its
// choices.
func (s *rotatedStage) enter(q *driver.Stream, r *rotatedScratch, base driver.Address, seed, group uint64) error {
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
	points := C.brenier_rotated_points_params{
		points: C.uint64_t(s.t.points), frame: frame.frame, z: C.uint64_t(r.z.at(base)),
		N: C.int32_t(s.t.n), d: C.int32_t(d), tiles: C.int32_t(s.tiles), steps: C.int32_t(s.steps),
	}
	draws := C.brenier_rotated_draws_params{
		axes: C.uint64_t(r.axes.at(base)), normals: frame.normals, v: C.uint64_t(r.v.at(base)),
		seed: C.uint64_t(seed), group: C.uint64_t(group), choices: C.int32_t(s.choices()), d: C.int32_t(d),
	}
	each := d / s.shape.Axes // choices of a shuffle
	shuffles := (s.choices() + each - 1) / each
	blocks := func(items, size int) int { return (items + size - 1) / size }
	normals := *s.normals

	normals.d = d + 1
	err := normals.launchOn(q, r.normals.at(base), rows, seed, group*uint64(rows), cpu.FrameStream)
	if err == nil {
		err = q.LaunchDependent(s.reflectors, driver.Dim{X: s.frameBlocks()}, driver.Dim{X: columns}, 0, unsafe.Pointer(&frame))
	}
	if err == nil {
		err = q.LaunchDependent(s.frame, driver.Dim{X: s.frameBlocks()}, driver.Dim{X: frameThreads}, s.frameShared, unsafe.Pointer(&frame))
	}
	if err == nil {
		grid := driver.Dim{X: blocks(s.tiles*32*s.steps, C.BRENIER_ROTATED_POINTS_CELLS), Y: blocks(d, C.BRENIER_ROTATED_POINTS_AXES)}
		err = q.LaunchDependent(s.points, grid, driver.Dim{X: C.BRENIER_ROTATED_POINTS_THREADS}, 0, unsafe.Pointer(&points))
	}
	if err == nil {
		grid := driver.Dim{X: blocks(shuffles, s.axesThreads)}
		err = q.LaunchDependent(s.axes, grid, driver.Dim{X: s.axesThreads}, s.axesShared(), unsafe.Pointer(&draws))
	}
	if err == nil {
		normals.d = s.width()
		err = normals.launchOn(q, r.normals.at(base), s.families(), seed, group*uint64(s.families()), cpu.DirectionStream)
	}
	if err == nil {
		const threads = C.BRENIER_ROTATED_SCALE_THREADS
		err = q.LaunchDependent(s.scale, driver.Dim{X: blocks(s.families(), threads)}, driver.Dim{X: threads}, 0, unsafe.Pointer(&draws))
	}
	return err
}

// piece is how many draws from draw `from` of the group on are searched for at once.
func (s *rotatedStage) piece(r *rotatedScratch, from, k int) int {
	return min(s.choices(), r.tops.bytes/s.topBytes(k))*cpu.RotatedChoice - from%cpu.RotatedChoice
}

// locate writes the k best cells [n,k] of draws from..from+n-1 of the group at hand, and their scores. n
// is at most piece.
func (s *rotatedStage) locate(q *driver.Stream, r *rotatedScratch, base driver.Address, from, n, k int) error {
	first := from / cpu.RotatedChoice
	choices := (from+n+cpu.RotatedChoice-1)/cpu.RotatedChoice - first
	axes := s.shape.Axes
	p := C.brenier_rotated_search_params{
		z: C.uint64_t(r.z.at(base)), heights: C.uint64_t(s.t.heights),
		axes: C.uint64_t(r.axes.at(base)) + C.uint64_t(4*axes*first),
		v:    C.uint64_t(r.v.at(base)) + C.uint64_t(4*axes*first*cpu.RotatedChoice/cpu.RotatedFamily),
		tops: C.uint64_t(r.tops.at(base)), cells: C.uint64_t(r.cells.at(base)), scores: C.uint64_t(r.scores.at(base)),
		highest: C.uint64_t(s.t.highest), N: C.int32_t(s.t.n), d: C.int32_t(s.t.d),
		tiles: C.int32_t(s.tiles), steps: C.int32_t(s.steps), choices: C.int32_t(choices), k: C.int32_t(k),
		skip: C.int32_t(from - first*cpu.RotatedChoice), draws: C.int32_t(n),
	}
	units := s.tiles * ((choices + C.BRENIER_ROTATED_QUAD - 1) / C.BRENIER_ROTATED_QUAD)
	err := q.LaunchDependent(s.search, driver.Dim{X: min(units, s.blocks)}, driver.Dim{X: C.BRENIER_ROTATED_SEARCH_THREADS},
		s.shared, unsafe.Pointer(&p))
	if err != nil {
		return err
	}
	const threads = C.BRENIER_ROTATED_FINISH_THREADS
	return q.LaunchDependent(s.finish, driver.Dim{X: (32*n + threads - 1) / threads}, driver.Dim{X: threads}, 0, unsafe.Pointer(&p))
}

// draw writes draws from..from+n-1 of the group at hand to x [n,d].
func (s *rotatedStage) draw(q *driver.Stream, r *rotatedScratch, base driver.Address, from, n int) error {
	p := C.brenier_rotated_noise_params{
		frame: C.uint64_t(r.frame.at(base)), axes: C.uint64_t(r.axes.at(base)), v: C.uint64_t(r.v.at(base)),
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

	ready       bool
	seed, group uint64
}

// enter makes a group the one at hand.
func (r *rotatedDraws) enter(w *workspace, seed, group uint64) error {
	if r.ready && r.seed == seed && r.group == group {
		return nil
	}
	r.ready, r.seed, r.group = false, seed, group
	err := w.do(func() error { return r.stage.enter(w.q, r.scratch, r.base, r.seed, r.group) })
	r.ready = err == nil
	return err
}

// locate finds the k best cells of draws from draw `from` of the group on, their scores too unless nil.
func (r *rotatedDraws) locate(w *workspace, from, n, k int, cells []int64, scores []float64) error {
	for at := 0; at < n; {
		count := min(n-at, r.stage.piece(r.scratch, from+at, k))
		first, end := at*k, (at+count)*k
		err := w.do(func() error { return r.stage.locate(w.q, r.scratch, r.base, from+at, count, k) })
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
		err := w.do(func() error { return r.stage.draw(w.q, r.scratch, r.base, from+at, count) })
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
func (w *workspace) Group() int { return w.m.rotating.Group }

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
	size := w.Group()
	if err := rotated.CheckMap(size); err != nil {
		return err
	}
	if err := w.m.transport.rotating().CheckDraws(size, n, first, 1); err != nil || n == 0 {
		return err
	}
	return w.inGroup(n, seed, first, func(r *rotatedDraws, from int) error {
		return w.do(func() error {
			for at := 0; at < n; {
				count := min(n-at, r.stage.piece(r.scratch, from+at, 1))
				if err := r.stage.locate(w.q, r.scratch, r.base, from+at, count, 1); err != nil {
					return err
				}
				if err := c.stage.launch(w.q, r.scratch.cells.at(r.base), count, 1, c.counts); err != nil {
					return err
				}
				at += count
			}
			return nil
		})
	})
}

// inGroup does something with draws first..first+n-1, which lie in one group, its frame at hand.
func (w *workspace) inGroup(n int, seed, first uint64, do func(r *rotatedDraws, from int) error) error {
	if w.rotated == nil {
		r, err := w.m.newRotatedDraws()
		if err != nil {
			return err
		}
		w.rotated = r
	}
	size := w.Group()
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
		return newRotatedStage(m.v, m.transport, m.rotating, false)
	})
	if err != nil {
		return nil, err
	}
	return s.newDraws()
}

func (s *rotatedStage) newDraws() (*rotatedDraws, error) {
	var p plan
	r := &rotatedDraws{stage: s, scratch: s.newScratch(&p)}
	var err error
	r.base, err = s.v.alloc(p.bytes)
	return r, err
}

// rotating is what of the map its rotated draws depend on.
func (t *transport) rotating() rotated.Map {
	return rotated.Map{N: t.n, Dim: t.d, Norm: t.norm, Reach: t.reach}
}

// rotatedShape is how rotated draws of a source share a frame; none where there are no such draws. It
// asks the device for the norms of the points.
func (t *transport) rotatedShape(source backend.Source) (rotated.Shape, error) {
	shape := rotated.ShapeFor(t.n, t.d)
	if source != backend.Gaussian || shape.Group == 0 {
		return rotated.Shape{}, nil
	}
	norms := make([]float64, t.n)
	err := t.v.do(func() error { return t.v.ctx.ToHost(unsafe.Pointer(&norms[0]), t.norms, 8*t.n) })
	if err != nil {
		return rotated.Shape{}, err
	}
	t.norm = slices.Max(norms) * (1 + 0x1p-20) // above the rounding of its sum
	if !t.rotating().Rotatable() {
		return rotated.Shape{}, nil
	}
	return shape, nil
}
