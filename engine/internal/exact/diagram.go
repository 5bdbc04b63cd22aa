package exact

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"brenier/engine/internal/threads"
)

// diagram is the power diagram of points and heights within a source's domain, measured.
type diagram struct {
	mass   []float64 // m [n]
	moment []vector  // integral of x over the cell [n]
	// The cells that touch cell i are neighbours[starts[i]:starts[i+1]], and weights say how much mass
	// moves between them when their heights do: the integral of the density over the common side,
	// divided by |y_i - y_j|.
	starts     []int32 // [n+1]
	neighbours []int32
	weights    []float64
}

// solver makes diagrams of one tree's points, and goes from one to the next.
type solver struct {
	tree   *tree
	source source
	before rings // of the latest whole diagram: the first cuts to try
	spare  rings // for the next one
	blocks []block

	parallel threads.Share
	cutters  sync.Pool

	progress func(Progress) (goOn bool) // may be nil
	at       Progress
	stopped  bool // it said no
}

// newSolver puts the target's points into the order of a tree.
func (t *target) newSolver(parallel threads.Share) *solver {
	tree, order := newTree(t.points)
	t.reorder(order)
	if parallel == nil {
		parallel = threads.Alone
	}
	s := &solver{tree: tree, source: t.source, parallel: parallel}
	s.cutters.New = func() any {
		return &cutter{search: search{tree: tree, marks: make([]int32, len(tree.points))}, before: &s.before}
	}
	return s
}

// goOn tells the caller how far it is, and whether that may go on.
func (s *solver) goOn() bool {
	if s.progress != nil && !s.stopped {
		s.stopped = !s.progress(s.at)
	}
	return !s.stopped
}

const (
	blockCells  = 256 // that one thread makes in a row, whatever their number; they share what they know of their corners
	roundBlocks = 16  // between two calls of the caller's progress function, some milliseconds
)

// block is what is known of the cells of a block besides their masses and moments.
type block struct {
	rings      rings
	starts     []int32 // as those of a diagram
	neighbours []int32
	weights    []float64
}

// diagram measures the cells of heights h [n]. It stops after a cell with a mass below least, or
// when the caller wants it to, and returns nil then.
func (s *solver) diagram(h []float64, least float64) *diagram {
	n := len(h)
	d := &diagram{mass: make([]float64, n), moment: make([]vector, n)}
	s.tree.setHeights(h, s.parallel)
	count := (n + blockCells - 1) / blockCells
	s.blocks = slices.Grow(s.blocks[:0], count)[:count]
	var light atomic.Bool // a mass is below least
	for from := 0; from < count; from += roundBlocks {
		if from > 0 && !s.goOn() {
			return nil
		}
		s.parallel(min(roundBlocks, count-from), func(first, end int) {
			c := s.cutters.Get().(*cutter)
			defer s.cutters.Put(c)
			for k := from + first; k < from+end && !light.Load(); k++ {
				if !s.measure(d, c, k, least) {
					light.Store(true)
				}
			}
		})
		if light.Load() {
			return nil
		}
	}
	s.join(d)
	return d
}

// measure makes the cells of block k, and reports whether no mass is below least.
func (s *solver) measure(d *diagram, c *cutter, k int, least float64) bool {
	b, r := &s.blocks[k], s.source.domain()
	first := int32(k * blockCells)
	b.starts, b.neighbours, b.weights = append(b.starts[:0], 0), b.neighbours[:0], b.weights[:0]
	b.rings.reset(first)
	c.made = &b.rings
	for i := first; i < min(first+blockCells, int32(len(d.mass))); i++ {
		cell := c.cut(i, vector{-r, -r}, vector{r, r})
		d.mass[i], d.moment[i] = integrals(s.source, cell)
		if d.mass[i] < least {
			return false
		}
		b.rings.add(cell)
		for k, corner := range cell {
			if j := corner.side; j != outside {
				length := s.source.segment(corner.at, cell[(k+1)%len(cell)].at)
				b.neighbours = append(b.neighbours, j)
				b.weights = append(b.weights, length/c.tree.points[i].minus(c.tree.points[j]).length())
			}
		}
		b.starts = append(b.starts, int32(len(b.neighbours)))
	}
	return true
}

// join puts the blocks of a whole diagram together.
func (s *solver) join(d *diagram) {
	total := 0
	for k := range s.blocks {
		total += len(s.blocks[k].neighbours)
	}
	d.starts = append(make([]int32, 0, len(d.mass)+1), 0)
	d.neighbours, d.weights = make([]int32, 0, total), make([]float64, 0, total)
	s.spare.reset(0)
	for k := range s.blocks {
		b := &s.blocks[k]
		for _, start := range b.starts[1:] {
			d.starts = append(d.starts, int32(len(d.neighbours))+start)
		}
		d.neighbours, d.weights = append(d.neighbours, b.neighbours...), append(d.weights, b.weights...)
		s.spare.join(&b.rings)
	}
	s.spare, s.before = s.before, s.spare
}

// cutter makes cells one after the other, on one thread.
//
// A cell starts as the whole domain. At a corner that has not been looked at, the tree is asked for
// the highest score: if another cell is higher there than this one, the cell is cut by the plane where
// the two are equal; if not, the corner stands. A linear function that is highest on all corners of a
// convex polygon is highest within, so a cell whose corners all stand is exact. Each cut serves once,
// so rounding cannot keep it going.
//
// Nothing is built of more than two points at a time, and nothing needs to be in general position:
// ties, points on a line and cells without area are cut like any other. A triangulation, the hull of
// the lifted points, would take fewer operations, but exact predicates and rules for ties, hidden
// points and points on a line; and its corners, where three planes meet, are ill-conditioned just
// where cells are thin.
//
// To ask takes O(log N). In the first diagram ten to twenty corners of a cell are asked about, in the
// next ones two or three: the latest neighbours cut first, and cells of a block that share a corner ask once.
type cutter struct {
	search        // marked are the points that have cut the latest cell
	before *rings // the first cuts to try
	made   *rings // of the block's cells so far
	knife  knife
	cell   polygon
}

// integrals are those of 1 and x over a cell, of which there may be so little that rounding has made the
// mass negative or the mass centre lie outside.
func integrals(s source, p polygon) (mass float64, moment vector) {
	mass, moment = s.polygon(p)
	if !(mass > 0) {
		return 0, vector{}
	}
	low, high := p.bounds()
	moment.x = max(low.x*mass, min(high.x*mass, moment.x))
	moment.y = max(low.y*mass, min(high.y*mass, moment.y))
	return mass, moment
}

// cut is the part of the box from low to high that belongs to cell i. It is valid until the next
// call.
func (c *cutter) cut(i int32, low, high vector) polygon {
	c.cell = rectangle(c.cell, low, high)
	if c.mark == math.MaxInt32 {
		clear(c.marks)
		c.mark = 0
	}
	c.mark++
	c.marks[i] = c.mark
	if ring := c.before.of(i); len(ring) > 0 {
		for _, j := range ring {
			if j != outside {
				c.by(i, j)
			}
		}
	} else {
		leaf := c.tree.leafOf(i)
		for j := leaf.first; j < leaf.end; j++ {
			c.by(i, j)
		}
	}
	for k := 0; k < len(c.cell); {
		corner := &c.cell[k]
		if corner.sure || c.known(i, k) {
			corner.sure = true
			k++
			continue
		}
		j := c.highest(corner.at, i)
		if j < 0 {
			corner.sure = true
			k++
			continue
		}
		c.by(i, j)
		k = 0
	}
	return c.cell
}

// known reports whether corner k of the cell of i stood when a cell that shares it was made.
func (c *cutter) known(i int32, k int) bool {
	a, b := c.cell[(k+len(c.cell)-1)%len(c.cell)].side, c.cell[k].side
	if a == outside || b == outside {
		return false
	}
	return c.made.meet(min(a, b), i, max(a, b))
}

// by cuts the cell of i where j is higher, unless that was done.
func (c *cutter) by(i, j int32) {
	if c.marks[j] == c.mark {
		return
	}
	c.marks[j] = c.mark
	t := c.tree
	c.cell = c.knife.cut(c.cell, t.points[j].minus(t.points[i]), t.heights[i]-t.heights[j], j)
}
