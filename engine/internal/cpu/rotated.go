package cpu

import (
	"brenier/engine/internal/rotated"
	kernels "brenier/kernels/cpu"
)

// rotatedChoices is how many choices a thread draws at a time: enough that reading the rotated
// points for them costs little, few enough that their lists stay near.
const rotatedChoices = 48

// rotatedBlock is how many panels a block of the search has at least: its cells are scored once
// more for every draw whose best is among them, and its maxima are looked through for every draw.
const rotatedBlock = 4

// passBytes are a quarter of a second-level cache: room for a pass, the next one on its way, and what
// the draws themselves take.
const passBytes = 1 << 17

// Rotated is the memory and the state of draws that share a frame; kernels/cpu/rotated.h says what
// they are. It holds the points in the frame's axes, a little more than the packed points are, the
// frame, 14 d^2 bytes, and for every thread some 50 KB, 256 d bytes and, for each cell that a draw is
// asked for, 26 KB to 80 KB by the path. One call at a time.
type Rotated struct {
	m     *Map
	size  int // draws of a group, whole sets
	block int // panels whose cells are told apart last
	pass  int // panels that stay in a cache while the draws of a call go by

	// The group at hand, if any.
	ready       bool
	seed, group uint64
	normals     []float32 // [ceil(d/2)][d+1]
	reflectors  []float64 // like normals
	signs       []float32 // [d]
	frame       []float32 // [d,d], an axis a row
	packed      []float32 // the same, as Rotate reads it
	z           []float32 // [P/pass][d][pass+1][W], the points in the frame's axes

	// The call at work: draws from..from+n-1 of the group.
	from, n, k int
	cells      []int64
	scores     []float64
	x          []float32
	parts      int

	threads chan *rotatedThread // free ones, one for each that can be at work
}

// rotatedThread is what one thread works in.
type rotatedThread struct {
	columns  []float64 // [d][FrameColumns]
	shuffled []int32   // [d]
	normals  []float32 // [choices*RotatedChoice/RotatedFamily]
	axes     []int32   // [choices][RotatedAxes]
	v        []float32 // [choices*RotatedChoice][RotatedAxes]
	tops     []float32 // [choices*RotatedChoice][k][lanes]
	blocks   []int32   // like tops
	cells    []int32   // [choices*RotatedChoice,k]
	scores   []float64 // like cells
}

// NewRotated makes the memory for draws of which `size` share a frame, whole sets.
func (m *Map) NewRotated(size int) *Rotated {
	d, width := m.d, 2*m.path.Lanes()
	normals := (d + 1) / 2 * (d + 1)
	r := &Rotated{
		m: m, size: size,
		normals: make([]float32, normals), reflectors: make([]float64, normals), signs: make([]float32, d),
		frame: alignedFloats(d * d), packed: alignedFloats(d * d),
		threads: make(chan *rotatedThread, m.pool.Threads()),
	}
	block := rotatedBlock
	if m.panelCount >= 1024 { // looking at the last block again is then a small part
		block *= 2
	}
	r.block = (block + m.group - 1) / m.group * m.group
	r.pass = max(1, passBytes/(4*d*width*r.block)) * r.block
	r.z = alignedFloats((m.panelCount + r.pass - 1) / r.pass * d * (r.pass + 1) * width)
	draws := rotatedChoices * kernels.RotatedChoice
	for range m.pool.Threads() {
		r.threads <- &rotatedThread{
			columns:  make([]float64, d*kernels.FrameColumns),
			shuffled: make([]int32, d),
			normals:  make([]float32, draws/kernels.RotatedFamily),
			axes:     make([]int32, rotatedChoices*kernels.RotatedAxes),
			v:        make([]float32, draws*kernels.RotatedAxes),
		}
	}
	return r
}

// Draw makes draws first..first+n-1 of seed, all of one group (draw i is in group i/Group), and
// finds the k best cells of each, best first: cells [n,k], their scores [n,k] and the draws
// themselves x [n,d], both unless nil. Scores are float32 in the order of rotated.h plus the highest
// height.
func (r *Rotated) Draw(n int, seed, first uint64, k int, cells []int64, scores []float64, x []float32) error {
	m := r.m
	if err := m.rotating().Check(r.size, n, first, k, cells, scores, x); err != nil {
		return err
	}
	if n == 0 {
		return nil
	}
	size := uint64(r.size)
	r.enter(seed, first/size)
	r.from, r.n, r.k, r.cells, r.scores, r.x = int(first%size), n, k, cells, scores, x
	choices := r.choiceAfter(n) - r.choiceAfter(0)
	threads := m.pool.Threads()
	r.parts = min((choices+rotatedChoices*threads-1)/(rotatedChoices*threads)*threads, choices)
	m.pool.Run(r.parts, rotatedSearch{r})
	r.cells, r.scores, r.x = nil, nil, nil
	return nil
}

// rotating is what of the map its rotated draws depend on.
func (m *Map) rotating() rotated.Map {
	return rotated.Map{N: m.n, Dim: m.d, Norm: m.norm, Reach: m.reach}
}

// enter makes the frame of a group and rotates the points, unless that is the group at hand.
func (r *Rotated) enter(seed, group uint64) {
	if r.ready && r.seed == seed && r.group == group {
		return
	}
	m := r.m
	r.ready, r.seed, r.group = true, seed, group
	r.parts = min((m.d+1)/2, 4*m.pool.Threads())
	m.pool.Run(r.parts, frameReflectors{r})
	m.pool.Run((m.d+kernels.FrameColumns-1)/kernels.FrameColumns, frameColumns{r})
	r.parts = min(m.panelCount, 4*m.pool.Threads())
	m.pool.Run(r.parts, rotatePanels{r})
}

// frameReflectors: a part is some rows of normals, made reflectors.
type frameReflectors struct{ *Rotated }

func (r frameReflectors) Do(part int) {
	d := r.m.d
	rows := (d + 1) / 2
	first, end := part*rows/r.parts, (part+1)*rows/r.parts
	kernels.Noise(r.m.path, kernels.Gaussian, r.normals[first*(d+1):end*(d+1)], d+1, r.seed,
		r.group*uint64(rows)+uint64(first), kernels.FrameStream)
	kernels.FrameReflectors(r.normals, first, end, d, r.reflectors, r.signs)
}

// frameColumns: a part is a block of the frame's columns.
type frameColumns struct{ *Rotated }

func (r frameColumns) Do(part int) {
	t := <-r.threads
	kernels.FrameColumnBlock(r.m.path, r.reflectors, r.signs, r.m.d, part, t.columns, r.frame, r.packed)
	r.threads <- t
}

// rotatePanels: a part is some panels.
type rotatePanels struct{ *Rotated }

func (r rotatePanels) Do(part int) {
	m := r.m
	first, end := part*m.panelCount/r.parts, (part+1)*m.panelCount/r.parts
	step := max(1, screenWork/(2*m.path.Lanes()*m.d*m.d))
	for ; first < end; first += step {
		kernels.Rotate(m.path, r.packed, m.d, m.panels, first, min(first+step, end), r.pass, r.z)
	}
}

// choiceAfter is the number of choices of the group that hold its draws before draw i of the call,
// the last one perhaps in part.
func (r *Rotated) choiceAfter(i int) int {
	if i == 0 {
		return r.from / kernels.RotatedChoice
	}
	return (r.from + i + kernels.RotatedChoice - 1) / kernels.RotatedChoice
}

// rotatedSearch: a part is a run of choices, drawn and searched by one thread.
type rotatedSearch struct{ *Rotated }

func (r rotatedSearch) Do(part int) {
	t := <-r.threads
	begin := r.choiceAfter(0)
	all := r.choiceAfter(r.n) - begin
	first, end := begin+part*all/r.parts, begin+(part+1)*all/r.parts
	for ; first < end; first += rotatedChoices {
		r.search(t, first, min(first+rotatedChoices, end))
	}
	r.threads <- t
}

// search draws choices first..end-1, finds their cells and hands out those that the call wants.
func (r *Rotated) search(t *rotatedThread, first, end int) {
	m, k := r.m, r.k
	choices := end - first
	kernels.RotatedDraws(m.path, r.seed, r.group, r.size/kernels.RotatedChoice, first, choices, m.d,
		t.shuffled, t.normals, t.axes, t.v)

	draws := choices * kernels.RotatedChoice
	if most := rotatedChoices * kernels.RotatedChoice * k; len(t.cells) < most {
		t.cells, t.scores = make([]int32, most), make([]float64, most)
		t.tops, t.blocks = alignedFloats(most*m.path.Lanes()), make([]int32, most*m.path.Lanes())
	}
	step := max(1, screenWork/(draws*kernels.RotatedAxes/kernels.RotatedFamily*2*m.path.Lanes()*r.pass)) * r.pass
	for p := 0; p < m.panelCount; p += step {
		kernels.RotatedSearch(m.path, r.z, m.levels, m.d, r.pass, r.block, p, min(p+step, m.panelCount),
			t.axes, t.v, choices, k, t.tops, t.blocks)
	}
	cells, scores := t.cells, t.scores
	kernels.RotatedFinish(m.path, r.z, m.levels, m.n, m.d, m.group, r.pass, r.block,
		t.axes, t.v, draws, k, t.tops, t.blocks, cells, scores)

	// The first and the last choice may hold draws before and after the call's.
	at := first*kernels.RotatedChoice - r.from // the call's draw that these start at
	begin, stop := max(0, at), min(r.n, at+draws)
	for i := begin * k; i < stop*k; i++ {
		r.cells[i] = int64(cells[i-at*k])
	}
	if r.scores != nil {
		for i := begin * k; i < stop*k; i++ {
			r.scores[i] = m.highest + scores[i-at*k]
		}
	}
	if r.x != nil {
		kernels.RotatedNoise(m.path, r.frame, t.axes, t.v, begin-at, m.d, r.x[begin*m.d:stop*m.d])
	}
}
