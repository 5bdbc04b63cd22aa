package exact

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

// cutter makes the cells of a diagram one after the other.
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
// next ones two: the latest neighbours cut first, and cells that share a corner ask once.
type cutter struct {
	tree   *tree
	source source
	knife  knife
	cell   polygon
	used   []int32 // the latest cell, plus 1, that was cut by this one [n]
	rings  rings   // of the cells made so far
	before rings   // of the latest whole diagram: the first cuts to try

	progress func(Progress) (goOn bool) // may be nil
	at       Progress
	stopped  bool // it said no
}

// goOn tells the caller how far it is, and whether that may go on.
func (c *cutter) goOn() bool {
	if c.progress != nil && !c.stopped {
		c.stopped = !c.progress(c.at)
	}
	return !c.stopped
}

// askEvery is the cells between two calls of the caller's progress function, some milliseconds.
const askEvery = 1024

// newCutter puts the target's points into the order of a tree.
func (t *target) newCutter() *cutter {
	tree, order := newTree(t.points)
	t.reorder(order)
	return &cutter{tree: tree, source: t.source, used: make([]int32, len(t.points))}
}

// diagram measures the cells of heights h [n]. It stops at the first cell with a mass below least, or
// when the caller wants it to, and returns nil then.
func (c *cutter) diagram(h []float64, least float64) *diagram {
	n := len(h)
	d := &diagram{
		mass: make([]float64, n), moment: make([]vector, n), starts: make([]int32, n+1),
		neighbours: make([]int32, 0, len(c.before.sides)+64), weights: make([]float64, 0, len(c.before.sides)+64),
	}
	c.setHeights(h)
	r := c.source.domain()
	for i := range int32(n) {
		if i%askEvery == askEvery-1 && !c.goOn() {
			return nil
		}
		cell := c.cut(i, vector{-r, -r}, vector{r, r})
		d.mass[i], d.moment[i] = integrals(c.source, cell)
		if d.mass[i] < least {
			return nil
		}
		c.rings.add(cell)
		for k, corner := range cell {
			if j := corner.side; j != outside {
				length := c.source.segment(corner.at, cell[(k+1)%len(cell)].at)
				d.neighbours = append(d.neighbours, j)
				d.weights = append(d.weights, length/c.tree.points[i].minus(c.tree.points[j]).length())
			}
		}
		d.starts[i+1] = int32(len(d.neighbours))
	}
	c.rings, c.before = c.before, c.rings
	return d
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

func (c *cutter) setHeights(h []float64) {
	c.tree.setHeights(h)
	clear(c.used)
	c.rings.reset()
}

// cut is the part of the box from low to high that belongs to cell i. It is valid until the next
// call.
func (c *cutter) cut(i int32, low, high vector) polygon {
	c.cell = rectangle(c.cell, low, high)
	c.used[i] = i + 1
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
		j := c.tree.highest(corner.at, i, c.used, i+1)
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
	return c.rings.meet(min(a, b), i, max(a, b))
}

// by cuts the cell of i where j is higher, unless that was done.
func (c *cutter) by(i, j int32) {
	if c.used[j] == i+1 {
		return
	}
	c.used[j] = i + 1
	t := c.tree
	c.cell = c.knife.cut(c.cell, t.points[j].minus(t.points[i]), t.heights[i]-t.heights[j], j)
}
