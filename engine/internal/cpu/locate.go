package cpu

import (
	"sync/atomic"

	"brenier/engine/internal/backend"
	kernels "brenier/kernels/cpu"
)

// Samples of one screening pass over the map: each pass reads all points, so more is better, but
// their group maxima (up to 32 KB a sample) have to stay near.
const blockRows = 252

// A call with fewer samples a thread than this has its cells shared out, otherwise its samples.
const sharedCellsBelow = 48

// screenWork is how many multiply-adds one call into C screens, about 1 ms. Go's runtime may look
// after a longer call from a thread that wakes every 20 us, up to 5 % of a core that has other work.
const screenWork = 1 << 27

// partWork is how many multiply-adds a part has at least: some 2 us, well above what sharing costs.
const partWork = 200_000

// searchRows is how many samples a part that searches has at least: some 50 us.
const searchRows = 64

// LocateScratch is the memory of one Locate call at a time.
type LocateScratch struct {
	m       *Map
	threads chan *locateThread // free ones, one for each that can be at work

	// The call at work.
	x      []float32
	n, k   int
	cells  []int32
	scores []float64
	parts  int
	drawn  bool // the samples are made by the call, of these:
	draws  drawing

	searched atomic.Int64 // samples that the tree has found the cells of, the first ones

	// The block of samples whose cells are shared out.
	rows    int       // samples that maxima has room for
	maxima  []float32 // [rows,G]
	blockAt int       // its first sample
}

// locateThread is what one thread works in.
type locateThread struct {
	rows    int       // samples that maxima has room for
	maxima  []float32 // [rows,G]
	packed  []float32 // [rows,d], of these or of the block's samples
	kept    []int32   // [2G]
	reached []float32 // [max(G,64)]
}

// NewScratch makes scratch for batches of up to batch samples. It serves any k.
func (m *Map) NewScratch(batch int) *LocateScratch {
	threads := m.pool.Threads()
	tile := m.tileRows()
	padded := func(rows int) int { return min(m.tiles(rows), blockRows/tile) * tile }
	s := &LocateScratch{m: m, threads: make(chan *locateThread, threads), rows: padded(max(1, min(batch, sharedCellsBelow*threads)))}
	s.maxima = alignedFloats(s.rows * m.groups)
	for range threads {
		t := &locateThread{kept: make([]int32, 2*m.groups), reached: make([]float32, max(m.groups, 64))}
		if batch >= sharedCellsBelow*threads {
			t.rows = padded((batch + threads - 1) / threads)
		}
		t.maxima = alignedFloats(t.rows * m.groups)
		t.packed = alignedFloats(max(s.rows, t.rows) * m.d)
		s.threads <- t
	}
	return s
}

// Locate writes the k best cells of the samples x [n,d], k <= 32 and k <= N, best first, to cells
// [n,k] and their scores to scores [n,k]: the argmax of s_i = h_i + <x,y_i> in float64, an fma
// chain over dimensions 0..d-1 that starts at h_i. Ties go to the lower index. x is finite.
func (m *Map) Locate(s *LocateScratch, x []float32, n, k int, cells []int32, scores []float64) {
	s.x, s.n, s.k, s.cells, s.scores = x, n, k, cells, scores
	if done := s.search(); done < n {
		s.screenFrom(done)
	}
	s.x, s.cells, s.scores = nil, nil, nil
}

// screenFrom locates the samples from `first` on by a look at all cells.
func (s *LocateScratch) screenFrom(first int) {
	m := s.m
	s.x, s.cells, s.scores = s.x[first*m.d:], s.cells[first*s.k:], s.scores[first*s.k:]
	s.n -= first
	s.draws.first += uint64(first)
	n := s.n
	if threads := m.pool.Threads(); n >= sharedCellsBelow*threads {
		share := threads * (blockRows / m.tileRows()) // tiles that all threads take at once
		s.parts = (m.tiles(n) + share - 1) / share * threads
		m.pool.Run(s.parts, shareSamples{s})
	} else {
		for s.blockAt = 0; s.blockAt < n; s.blockAt += s.rows {
			s.locateBlock()
		}
	}
}

// search locates samples by the map's tree, and returns how many, the first ones; the others cost more
// than a look at all cells, or there is no tree.
func (s *LocateScratch) search() int {
	m := s.m
	if m.tree == nil || m.tree.useless.Load() {
		return 0
	}
	s.parts = max(1, min((s.n+searchRows-1)/searchRows, 16*m.pool.Threads()))
	s.searched.Store(int64(s.n))
	m.pool.Run(s.parts, shareSearch{s})
	return int(s.searched.Load())
}

// shareSearch: a part is a run of samples, searched for by one thread.
type shareSearch struct{ *LocateScratch }

func (s shareSearch) Do(part int) {
	m, k := s.m, s.k
	first, stop := part*s.n/s.parts, (part+1)*s.n/s.parts
	if m.tree.useless.Load() {
		s.leave(first)
		return
	}
	x := s.x[first*m.d : stop*m.d]
	if s.drawn {
		kernels.Noise(m.path, kernelSource(s.draws.source), x, m.d, s.draws.seed, s.draws.first+uint64(first), 0)
	}
	t := m.tree
	done, beyond := kernels.TreeSearch(m.path, x, m.d, m.n, t.blocks, t.points, t.height, t.cells, t.top, m.norm, m.reach, t.extent,
		k, t.budget(stop-first), s.cells[first*k:stop*k], s.scores[first*k:stop*k])
	if done < stop-first {
		if !beyond {
			t.useless.Store(true)
		}
		s.leave(first + done)
	}
}

// leave leaves the samples from `first` on to the screen.
func (s *LocateScratch) leave(first int) {
	for {
		searched := s.searched.Load()
		if int64(first) >= searched || s.searched.CompareAndSwap(searched, int64(first)) {
			return
		}
	}
}

// drawing says which samples of a source are made.
type drawing struct {
	source      backend.Source
	seed, first uint64
}

// Draw makes samples first .. first+n-1 of seed in x [n,d], as Noise does, and locates them. Where
// samples are shared out, a thread makes its own just before it reads them.
func (m *Map) Draw(s *LocateScratch, source backend.Source, seed, first uint64, x []float32, n, k int, cells []int32, scores []float64) {
	if n < sharedCellsBelow*m.pool.Threads() {
		Noise(m.pool, m.path, source, x, m.d, seed, first, 0)
	} else {
		s.drawn, s.draws = true, drawing{source, seed, first}
	}
	m.Locate(s, x, n, k, cells, scores)
	s.drawn = false
}

// locateBlock locates one block of samples, sharing out first its cells, then its samples.
func (s *LocateScratch) locateBlock() {
	m := s.m
	rows := min(s.rows, s.n-s.blockAt)
	panelGroups := m.groups / m.path.Lanes()
	s.parts = max(1, min(rows*m.n*m.d/partWork, 4*m.pool.Threads(), panelGroups))
	m.pool.Run(s.parts, shareCells{s})
	s.parts = min(rows, m.pool.Threads(), 1+rows*m.groups/partWork)
	m.pool.Run(s.parts, shareSelection{s})
}

// shareSamples: a part is a run of samples, screened and selected by one thread.
type shareSamples struct{ *LocateScratch }

func (s shareSamples) Do(part int) {
	m := s.m
	t := <-s.threads
	tile, tiles := m.tileRows(), m.tiles(s.n)
	end := min((part+1)*tiles/s.parts*tile, s.n)
	for first := part * tiles / s.parts * tile; first < end; first += t.rows {
		stop := min(first+t.rows, end)
		x := s.x[first*m.d : stop*m.d]
		if s.drawn {
			kernels.Noise(m.path, kernelSource(s.draws.source), x, m.d, s.draws.seed, s.draws.first+uint64(first), 0)
		}
		m.screen(t, x, 0, m.panelCount, t.maxima)
		s.choose(t, t.maxima, first, stop)
	}
	s.threads <- t
}

// shareCells: a part is a range of panel groups, screened for all samples of the block.
type shareCells struct{ *LocateScratch }

func (s shareCells) Do(part int) {
	m := s.m
	t := <-s.threads
	panelGroups := m.groups / m.path.Lanes()
	first, end := part*panelGroups/s.parts*m.group, (part+1)*panelGroups/s.parts*m.group
	stop := min(s.blockAt+s.rows, s.n)
	m.screen(t, s.x[s.blockAt*m.d:stop*m.d], first, end, s.maxima)
	s.threads <- t
}

// shareSelection: a part is some samples of the block that shareCells has screened.
type shareSelection struct{ *LocateScratch }

func (s shareSelection) Do(part int) {
	t := <-s.threads
	rows := min(s.rows, s.n-s.blockAt)
	first, stop := part*rows/s.parts, (part+1)*rows/s.parts
	s.choose(t, s.maxima[first*s.m.groups:], s.blockAt+first, s.blockAt+stop)
	s.threads <- t
}

// screen writes to maxima the group maxima of panels first..end-1 for samples x [rows,d].
func (m *Map) screen(t *locateThread, x []float32, first, end int, maxima []float32) {
	kernels.LocatePackSamples(m.path, x, m.d, t.packed)
	width := 2 * m.path.Lanes()
	step := max(1, screenWork/(len(x)*width*m.group)) * m.group
	for ; first < end; first += step {
		kernels.LocateScreen(m.path, t.packed, len(x)/m.d, m.d, m.panels, m.levels, first, min(first+step, end),
			m.group, maxima, m.groups)
	}
}

// tileRows is the number of samples in a tile of the screen, tiles the number of tiles for n samples.
func (m *Map) tileRows() int   { return kernels.LocateTileRows(m.path) }
func (m *Map) tiles(n int) int { return (n + m.tileRows() - 1) / m.tileRows() }

// choose selects the cells of samples first..stop-1 from their group maxima.
func (s *LocateScratch) choose(t *locateThread, maxima []float32, first, stop int) {
	m := s.m
	kernels.LocateSelect(m.path, s.x[first*m.d:stop*m.d], m.d, m.points, m.heights, m.norm, m.reach,
		maxima, m.groups, m.group, m.groups, s.k, t.kept, t.reached,
		s.cells[first*s.k:stop*s.k], s.scores[first*s.k:stop*s.k])
}
