package exact

import (
	"cmp"
	"math"
	"slices"

	"brenier/engine/internal/threads"
)

// tree finds the highest score at a position without looking at every point: a k-d tree over the
// points (Bentley, "Multidimensional binary search trees used for associative searching", CACM 18,
// 1975) whose boxes lie along the principal axes of what they hold, so that points on a line have
// boxes without width.
//
// A node around c bounds its heights by a plane, h_j <= top + <slope, y_j - c>, so that
//
//	s_j(v) - s_i(v) <= <v, c - y_i> + top - h_i + max over the node's box of <v + slope, y - c>
//
// Scores are compared by such differences alone: points that are close to one another, and far from
// the origin, differ by less than the rounding of their scores.
//
// Heights of a map lie on a concave surface over the points, and scores near their maximum are flat:
// with the slope fitted to the node, the bound is above the scores by the square of the node's size
// only, where one with the slope 0 is by its size.
type tree struct {
	points  []vector // y, in the order of the leaves [n]
	heights []float64
	nodes   []node
}

type node struct {
	first, end  int32  // its points
	left, right int32  // nodes; 0 in a leaf
	centre      vector // of its box
	axis        vector // of length 1, along the box; the other one is a quarter turn on
	half        vector // half the sides of the box, along the axes
	slope       vector // in the plane's own axes
	top         float64
}

// visit is a node to look at, and its bound.
type visit struct {
	node  int32
	bound float64
}

const leafSize = 8

// newTree reorders the points; order receives for each place the index that was there before.
func newTree(points []vector) (t *tree, order []int) {
	order = make([]int, len(points))
	for i := range order {
		order[i] = i
	}
	t = &tree{points: make([]vector, len(points)), heights: make([]float64, len(points))}
	t.split(points, order, 0)
	for place, i := range order {
		t.points[place] = points[i]
	}
	return t, order
}

// split makes the node of order and those below it; first is the place of order[0].
func (t *tree) split(points []vector, order []int, first int) int32 {
	at := int32(len(t.nodes))
	n := box(points, order)
	n.first, n.end = int32(first), int32(first+len(order))
	t.nodes = append(t.nodes, n)
	if len(order) <= leafSize {
		return at
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(n.axis.dot(points[a]), n.axis.dot(points[b])), cmp.Compare(a, b))
	})
	half := len(order) / 2
	left := t.split(points, order[:half], first)
	right := t.split(points, order[half:], first+half)
	t.nodes[at].left, t.nodes[at].right = left, right
	return at
}

// box is a node with the box of the points that order lists.
func box(points []vector, order []int) node {
	mean := vector{}
	for _, i := range order {
		mean = mean.plus(points[i])
	}
	mean = mean.times(1 / float64(len(order)))
	var xx, xy, yy float64
	for _, i := range order {
		v := points[i].minus(mean)
		xx, xy, yy = xx+v.x*v.x, xy+v.x*v.y, yy+v.y*v.y
	}
	sin, cos := math.Sincos(math.Atan2(2*xy, xx-yy) / 2)
	n := node{axis: vector{cos, sin}}
	low, high := vector{math.Inf(1), math.Inf(1)}, vector{math.Inf(-1), math.Inf(-1)}
	for _, i := range order {
		u := n.inBox(points[i].minus(mean))
		low = vector{min(low.x, u.x), min(low.y, u.y)}
		high = vector{max(high.x, u.x), max(high.y, u.y)}
	}
	middle := low.to(high, 0.5)
	n.centre = mean.plus(n.axis.times(middle.x)).plus(n.axis.turned().times(middle.y))
	for _, i := range order { // once more, as the centre is rounded
		u := n.inBox(points[i].minus(n.centre))
		n.half = vector{max(n.half.x, math.Abs(u.x)), max(n.half.y, math.Abs(u.y))}
	}
	return n
}

// inBox is a direction in the axes of the box.
func (n *node) inBox(v vector) vector {
	return vector{n.axis.x*v.x + n.axis.y*v.y, n.axis.x*v.y - n.axis.y*v.x}
}

// setHeights [n] bounds them in every node.
func (t *tree) setHeights(h []float64, parallel threads.Share) {
	copy(t.heights, h)
	parallel(len(t.nodes), func(first, end int) {
		for k := first; k < end; k++ {
			t.limit(&t.nodes[k])
		}
	})
}

// limit bounds the heights in a node.
func (t *tree) limit(n *node) {
	n.slope = t.fit(n)
	n.top = math.Inf(-1)
	largest := 0.0
	for i := n.first; i < n.end; i++ {
		plane := n.slope.dot(t.points[i].minus(n.centre))
		n.top = max(n.top, t.heights[i]-plane)
		largest = max(largest, math.Abs(t.heights[i])+math.Abs(plane))
	}
	n.top += roundings * largest
}

// fit is the slope of the plane through the node's heights by least squares, in the axes of the box,
// where the coordinates are uncorrelated. The bound holds with any slope, so points on a line need no
// more than a denominator that keeps rounding small.
func (t *tree) fit(n *node) vector {
	height := 0.0
	for i := n.first; i < n.end; i++ {
		height += t.heights[i]
	}
	height /= float64(n.end - n.first)
	var square, product vector
	for i := n.first; i < n.end; i++ {
		u, h := n.inBox(t.points[i].minus(n.centre)), t.heights[i]-height
		square = vector{square.x + u.x*u.x, square.y + u.y*u.y}
		product = vector{product.x + u.x*h, product.y + u.y*h}
	}
	ridge := 1e-9 * (square.x + square.y)
	if ridge == 0 { // a single point
		return vector{}
	}
	along, across := product.x/(square.x+ridge), product.y/(square.y+ridge)
	return n.axis.times(along).plus(n.axis.turned().times(across))
}

// roundings is more than the relative error of the few operations in a bound, which must not be below
// a score by rounding.
const roundings = 0x1p-49

// bound is at least s_j(v) - s_i(v) for the points j of node k.
func (t *tree) bound(k, i int32, v vector) float64 {
	n := &t.nodes[k]
	x, y := v.x+n.slope.x, v.y+n.slope.y
	between := v.x*(n.centre.x-t.points[i].x) + v.y*(n.centre.y-t.points[i].y)
	within := math.Abs(n.axis.x*x+n.axis.y*y)*n.half.x + math.Abs(n.axis.x*y-n.axis.y*x)*n.half.y
	return between + (n.top - t.heights[i]) + within + roundings*(math.Abs(between)+within)
}

// search looks for high scores, on one thread.
type search struct {
	tree  *tree
	marks []int32 // points that are passed over have the mark [n]
	mark  int32
	todo  []visit
}

// highest is the point whose score at v exceeds that of i the most, or -1.
func (s *search) highest(v vector, i int32) int32 {
	t := s.tree
	best, excess := int32(-1), 0.0
	y, h := t.points[i], t.heights[i]
	s.todo = append(s.todo[:0], visit{0, math.Inf(1)})
	for len(s.todo) > 0 {
		next := s.todo[len(s.todo)-1]
		s.todo = s.todo[:len(s.todo)-1]
		if next.bound <= excess {
			continue
		}
		n := &t.nodes[next.node]
		if n.left == 0 {
			for j := n.first; j < n.end; j++ {
				if e := v.dot(t.points[j].minus(y)) + (t.heights[j] - h); e > excess && s.marks[j] != s.mark {
					best, excess = j, e
				}
			}
			continue
		}
		near, far := visit{n.left, t.bound(n.left, i, v)}, visit{n.right, t.bound(n.right, i, v)}
		if near.bound < far.bound {
			near, far = far, near
		}
		if far.bound > excess {
			s.todo = append(s.todo, far)
		}
		if near.bound > excess {
			s.todo = append(s.todo, near)
		}
	}
	return best
}

// leafOf is the leaf that holds point i.
func (t *tree) leafOf(i int32) *node {
	k := int32(0)
	for t.nodes[k].left != 0 {
		if i < t.nodes[t.nodes[k].left].end {
			k = t.nodes[k].left
		} else {
			k = t.nodes[k].right
		}
	}
	return &t.nodes[k]
}
