package cpu

import (
	kernels "brenier/kernels/cpu"
)

// Samples of one screening pass over the map: each pass reads all points, so more is better, but
// their group maxima (up to 32 KB a sample) have to stay near.
const blockRows = 192

// A call with fewer samples a thread than this has its cells shared out, otherwise its samples.
const sharedCellsBelow = 48

// partWork is how many multiply-adds a part has at least: some 2 us, well above what sharing costs.
const partWork = 200_000

// LocateScratch is the memory of one Locate call at a time.
type LocateScratch struct {
	m       *Map
	rows    int                // samples of a block
	threads chan *locateThread // free ones; as many as threads can be at work

	// The call at work.
	x       []float32
	n, k    int
	cells   []int32
	scores  []float64
	parts   int
	maxima  []float32 // of the block whose cells are shared out
	blockAt int       // its first sample
}

// locateThread is what one thread works in.
type locateThread struct {
	packed  []float32 // [rows,d]
	maxima  []float32 // [rows,G]
	kept    []int32   // [2G]
	reached []float32 // [G]
}

// NewScratch makes scratch for batches of up to batch samples. It serves any k.
func (m *Map) NewScratch(batch, k int) *LocateScratch {
	rows := kernels.LocatePaddedRows(m.path, min(max(batch, 1), blockRows))
	s := &LocateScratch{m: m, rows: rows, threads: make(chan *locateThread, m.pool.Threads()+1)}
	for range cap(s.threads) {
		s.threads <- &locateThread{
			packed:  alignedFloats(rows * m.d),
			maxima:  alignedFloats(rows * m.groups),
			kept:    make([]int32, 2*m.groups),
			reached: make([]float32, m.groups),
		}
	}
	return s
}

// Locate writes the k best cells of the samples x [n,d], k <= 32 and k <= N, best first, to cells
// [n,k] and their scores to scores [n,k]: the argmax of s_i = h_i + <x,y_i> in float64, an fma
// chain over dimensions 0..d-1 that starts at h_i. Ties go to the lower index. x is finite.
func (m *Map) Locate(s *LocateScratch, x []float32, n, k int, cells []int32, scores []float64) {
	s.x, s.n, s.k, s.cells, s.scores = x, n, k, cells, scores
	tile := kernels.LocatePaddedRows(m.path, 1)
	if n >= sharedCellsBelow*m.pool.Threads() {
		tiles := (n + tile - 1) / tile
		blocks := (tiles*tile + s.rows - 1) / s.rows
		s.parts = (blocks + m.pool.Threads() - 1) / m.pool.Threads() * m.pool.Threads()
		s.parts = min(s.parts, tiles)
		m.pool.Run(s.parts, shareSamples{s})
	} else {
		for s.blockAt = 0; s.blockAt < n; s.blockAt += s.rows {
			s.locateBlock()
		}
	}
	s.x, s.cells, s.scores = nil, nil, nil
}

// locateBlock locates one block of samples, sharing out first its cells, then its samples.
func (s *LocateScratch) locateBlock() {
	m := s.m
	t := <-s.threads
	s.maxima = t.maxima
	rows := min(s.rows, s.n-s.blockAt)
	panelGroups := m.groups / m.path.Lanes()
	s.parts = max(1, min(rows*m.n*m.d/partWork, 4*m.pool.Threads(), panelGroups))
	m.pool.Run(s.parts, shareCells{s})
	s.parts = min(rows, m.pool.Threads(), 1+rows*m.groups/partWork)
	m.pool.Run(s.parts, shareSelection{s})
	s.threads <- t
}

// shareSamples: a part is a run of samples, screened and selected by one thread.
type shareSamples struct{ *LocateScratch }

func (s shareSamples) Do(part int) {
	m := s.m
	t := <-s.threads
	tile := kernels.LocatePaddedRows(m.path, 1)
	tiles := (s.n + tile - 1) / tile
	end := min((part+1)*tiles/s.parts*tile, s.n)
	for first := part * tiles / s.parts * tile; first < end; first += s.rows {
		stop := min(first+s.rows, end)
		kernels.LocateScreen(m.path, s.x[first*m.d:stop*m.d], m.d, m.panels, m.levels, 0, m.panelCount,
			m.group, t.packed, t.maxima, m.groups)
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
	kernels.LocateScreen(m.path, s.x[s.blockAt*m.d:stop*m.d], m.d, m.panels, m.levels, first, end,
		m.group, t.packed, s.maxima, m.groups)
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

// choose selects the cells of samples first..stop-1 from their group maxima.
func (s *LocateScratch) choose(t *locateThread, maxima []float32, first, stop int) {
	m := s.m
	kernels.LocateSelect(m.path, s.x[first*m.d:stop*m.d], m.d, m.points, m.heights, m.norm, m.reach,
		maxima, m.groups, m.group, m.groups, s.k, t.kept, t.reached,
		s.cells[first*s.k:stop*s.k], s.scores[first*s.k:stop*s.k])
}
