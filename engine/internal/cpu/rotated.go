package cpu

import (
	"math"

	"brenier/engine/internal/fault"
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

// RotatedShape is how draws share: Axes of the d coordinates for a choice, one frame for Group
// draws. The zero value is none: dense draws cost less.
type RotatedShape struct {
	Axes  int // s: 8 or 16
	Group int // P, a multiple of a choice's draws
}

// ShapeFor is the shape for N points of dimension d; the same on every machine, as draws depend on it.
//
// Measured on two cores of a Zen 3 with AVX2, fitted heights. Worth is what a draw counts for in
// independent ones (BenchmarkRotatedWorth); products are d^2/P + s/4 for a point and draw, over the
// worth, where a dense draw takes d.
//
//	worth (products)            s=8, P=3072  s=16, P=3072  P=6144        P=12288
//	MNIST codes d=64, N=200     0.67         0.90          0.83          0.71
//	                  N=2000    0.69 (4.9)   0.91 (5.9)    0.84 (5.6)    0.73 (5.9)
//	                  N=60000   0.88 (3.8)   0.98 (5.5)    0.96 (4.9)    0.92 (4.7)
//	terrain codes d=128, N=200  0.77         0.93          0.87          0.78
//	                  N=2000    0.76 (9.6)   0.93 (10.0)   0.88 (7.6)    0.79 (6.8)
//	                  N=46800   0.88 (8.3)   0.97 (9.6)    0.95 (7.0)    0.92 (5.8)
//
// With s=8 a search takes two thirds of the time of s=16, not half, as what is not products stays:
// the same per worth. So s is 16, which leaves draws closer to independent, and P is the smallest
// of 3072 2^i for which rotating the points is at most 8/3 products a draw, twice that from N =
// 16,384 on. Below 16 dimensions there are no 16 axes to share, and dense draws are cheap.
func ShapeFor(n, d int) RotatedShape {
	const axes, smallest, largest = 16, 3072, 24576
	if d < axes {
		return RotatedShape{}
	}
	size := smallest
	for size < largest && 3*d*d > 8*size {
		size *= 2
	}
	if n >= 16384 {
		size = min(2*size, largest)
	}
	return RotatedShape{Axes: axes, Group: size}
}

// Rotated is the memory and the state of draws that share a frame; kernels/cpu/rotated.h says what
// they are. It holds the points in the frame's axes, a little more than the packed points are, the
// frame, 14 d^2 bytes, and for every thread some 50 KB, 256 d bytes and, for each cell that a draw is
// asked for, 26 KB to 80 KB by the path. One call at a time.
type Rotated struct {
	m     *Map
	shape RotatedShape
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
	normals  []float32
	axes     []int32   // [choices][s]
	v        []float32 // [choices*RotatedChoice][s]
	tops     []float32 // [choices*RotatedChoice][k][lanes]
	blocks   []int32   // like tops
	cells    []int32   // [choices*RotatedChoice,k]
	scores   []float64 // like cells
}

// NewRotated makes the memory for draws of a shape.
func (m *Map) NewRotated(shape RotatedShape) *Rotated {
	d, width := m.d, 2*m.path.Lanes()
	normals := (d + 1) / 2 * (d + 1)
	r := &Rotated{
		m: m, shape: shape,
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
			normals:  make([]float32, draws/kernels.RotatedFamily*(shape.Axes+1)),
			axes:     make([]int32, rotatedChoices*shape.Axes),
			v:        make([]float32, draws*shape.Axes),
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
	size := uint64(r.shape.Group)
	if n < 0 || first%size+uint64(n) > size {
		return fault.Invalid("rotated draws: want at most %d from draw %d on, to the end of its group of %d, got %d",
			size-first%size, first, size, n)
	}
	if k < 1 || k > min(m.n, kernels.RotatedK) {
		return fault.Invalid("rotated draws: want 1 to %d cells for each, got %d", min(m.n, kernels.RotatedK), k)
	}
	if len(cells) != n*k || scores != nil && len(scores) != n*k || x != nil && len(x) != n*m.d {
		return fault.Invalid("rotated draws: want cells and scores [%d,%d] and x [%d,%d], got %d, %d and %d values",
			n, k, n, m.d, len(cells), len(scores), len(x))
	}
	if !m.rotatable() || 2*m.reach > math.MaxFloat32/4 {
		return fault.New(fault.ErrUnsupported, "rotated draws: points of norm %.3g and heights up to %.3g are beyond float32 scores; scale them down", m.norm, m.reach)
	}
	if n == 0 {
		return nil
	}
	r.enter(seed, first/size)
	r.from, r.n, r.k, r.cells, r.scores, r.x = int(first%size), n, k, cells, scores, x
	choices := r.choiceAfter(n) - r.choiceAfter(0)
	threads := m.pool.Threads()
	r.parts = min((choices+rotatedChoices*threads-1)/(rotatedChoices*threads)*threads, choices)
	m.pool.Run(r.parts, rotatedSearch{r})
	r.cells, r.scores, r.x = nil, nil, nil
	return nil
}

// maxRadius is more than the norm of any draw: of 32-bit words, a normal's square is at most 41 and
// what two degrees add to the norm's at most 2 ln 2^33 = 46.
func maxRadius(d int) float64 { return math.Sqrt(46 * float64(d+1)) }

// rotatable reports whether no product of a draw with a point overflows float32.
func (m *Map) rotatable() bool { return m.norm*maxRadius(m.d) < math.MaxFloat32/16 }

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
	m, s, k := r.m, r.shape.Axes, r.k
	choices := end - first
	kernels.RotatedDraws(m.path, r.seed, r.group, r.shape.Group/kernels.RotatedChoice, first, choices, m.d, s,
		t.shuffled, t.normals, t.axes, t.v)

	draws := choices * kernels.RotatedChoice
	if most := rotatedChoices * kernels.RotatedChoice * k; len(t.cells) < most {
		t.cells, t.scores = make([]int32, most), make([]float64, most)
		t.tops, t.blocks = alignedFloats(most*m.path.Lanes()), make([]int32, most*m.path.Lanes())
	}
	step := max(1, screenWork/(draws*s/kernels.RotatedFamily*2*m.path.Lanes()*r.pass)) * r.pass
	for p := 0; p < m.panelCount; p += step {
		kernels.RotatedSearch(m.path, r.z, m.levels, m.d, r.pass, r.block, p, min(p+step, m.panelCount),
			t.axes, t.v, choices, s, k, t.tops, t.blocks)
	}
	cells, scores := t.cells, t.scores
	kernels.RotatedFinish(m.path, r.z, m.levels, m.n, m.d, m.group, r.pass, r.block,
		t.axes, t.v, draws, s, k, t.tops, t.blocks, cells, scores)

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
		kernels.RotatedNoise(m.path, r.frame, t.axes, t.v, begin-at, m.d, s, r.x[begin*m.d:stop*m.d])
	}
}
