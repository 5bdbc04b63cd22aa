package exact

import (
	"math"
	"slices"
	"sync"

	"brenier/engine/internal/threads"
)

// laplacian solves with the Hessian of the energy, d m_i / d h_j: for neighbours i and j minus the
// diagram's weight, on the diagonal the sum of the row's weights (Aurenhammer, Hoffmann and Aronov,
// "Minkowski-type theorems and least-squares clustering", Algorithmica 20, 1998; Kitagawa, Merigot and
// Thibert, "Convergence of a Newton algorithm for semi-discrete optimal transport", JEMS 21, 2019). It
// is the Laplacian of the graph of neighbours: symmetric, and zero for the constants alone where no
// cell is empty.
//
// The graph is planar, with its vertices at the points, so few edges cross a line and the tree's
// halves make a nested dissection (George, "Nested dissection of a regular finite element mesh", SIAM
// J. Numer. Anal. 10, 1973): L D L^T has O(N log N) entries. Conjugate gradients need as many
// iterations as there are points where these lie along a curve, and a tolerance.
type laplacian struct {
	order    []int32 // the cell in each row of L; the last one is held fixed [n]
	row      []int32 // of each cell [n]
	parent   []int32 // of each row in the elimination tree; -1: none
	starts   []int32 // of the columns of L
	rows     []int32
	values   []float64 // L below its diagonal of ones
	diagonal []float64 // D

	// Rows that may be factored at the same time, once those of the depths below are: whole parts of the plane at
	// the greatest depth, what separates two of them above it.
	levels [levels][]stretch
}

// levels are the depths of the tree that are told apart: 16 parts of the plane are enough for as many threads.
const levels = 5

// stretch is the rows first .. end-1.
type stretch struct{ first, end int32 }

// set makes it the Hessian of a diagram whose points are in the tree's order, factored, in the room of the one before.
func (l *laplacian) set(t *tree, d *diagram, parallel threads.Share) {
	l.order, l.levels = l.order[:0], [levels][]stretch{}
	l.row = slices.Grow(l.row[:0], len(d.mass))[:len(d.mass)]
	for i := range l.row {
		l.row[i] = -1
	}
	l.dissect(t, d, 0, 0)
	l.count(d)
	l.factor(d, parallel)
}

// dissect gives rows to the cells of node k, at a depth, that have none: first to each half without those that
// touch the other, then to these. Rounding may let a cell touch one that does not touch it.
func (l *laplacian) dissect(t *tree, d *diagram, k int32, depth int) {
	n := &t.nodes[k]
	whole := int32(len(l.order))
	if n.left == 0 {
		for i := n.first; i < n.end; i++ {
			if l.row[i] == -1 {
				l.append(i)
			}
		}
		if depth < levels {
			l.levels[depth] = append(l.levels[depth], stretch{whole, int32(len(l.order))})
		}
		return
	}
	const separates = -2
	middle := t.nodes[n.left].end
	var separator []int32
	collect := func(first, end, otherFirst, otherEnd int32) {
		for i := first; i < end; i++ {
			if l.row[i] != -1 {
				continue
			}
			for _, j := range d.neighbours[d.starts[i]:d.starts[i+1]] {
				if j >= otherFirst && j < otherEnd && l.row[j] == -1 {
					l.row[i] = separates
					separator = append(separator, i)
					break
				}
			}
		}
	}
	collect(n.first, middle, middle, n.end)
	collect(middle, n.end, n.first, middle)
	l.dissect(t, d, n.left, depth+1)
	l.dissect(t, d, n.right, depth+1)
	first := int32(len(l.order))
	for _, i := range separator {
		l.append(i)
	}
	switch end := int32(len(l.order)); {
	case depth < levels-1:
		l.levels[depth] = append(l.levels[depth], stretch{first, end})
	case depth == levels-1:
		l.levels[depth] = append(l.levels[depth], stretch{whole, end})
	}
}

func (l *laplacian) append(i int32) {
	l.row[i] = int32(len(l.order))
	l.order = append(l.order, i)
}

// count finds the elimination tree and the entries of each column: entry (k,i) of the matrix fills row
// k of L along the way from i up the tree to k (Liu, "The role of elimination trees in sparse
// factorization", SIAM J. Matrix Anal. Appl. 11, 1990).
func (l *laplacian) count(d *diagram) {
	n := int32(len(l.order)) - 1
	l.parent, l.starts = slices.Grow(l.parent[:0], int(n))[:n], slices.Grow(l.starts[:0], int(n)+1)[:n+1]
	clear(l.starts)
	seen := make([]int32, n) // the latest row that came by
	for k := range n {
		l.parent[k], seen[k] = -1, k
		l.each(d, k, func(i int32, _ float64) {
			for ; seen[i] != k; i = l.parent[i] {
				if l.parent[i] == -1 {
					l.parent[i] = k
				}
				l.starts[i+1]++
				seen[i] = k
			}
		})
	}
	for k := range n {
		l.starts[k+1] += l.starts[k]
	}
}

// each visits the entries left of the diagonal in row k.
func (l *laplacian) each(d *diagram, k int32, visit func(i int32, weight float64)) {
	cell := l.order[k]
	for at := d.starts[cell]; at < d.starts[cell+1]; at++ {
		if i := l.row[d.neighbours[at]]; i < k {
			visit(i, d.weights[at])
		}
	}
}

// factor computes L and D row by row: row k of L D solves a triangular system with the rows before it
// (Davis, "Algorithm 849: a concise sparse Cholesky factorization package", ACM TOMS 31, 2005). A part of the plane
// has no entries in the columns of another, so that parts are factored at the same time.
func (l *laplacian) factor(d *diagram, parallel threads.Share) {
	n := int32(len(l.parent))
	entries := int(l.starts[n])
	l.rows, l.values = slices.Grow(l.rows[:0], entries)[:entries], slices.Grow(l.values[:0], entries)[:entries]
	l.diagonal = slices.Grow(l.diagonal[:0], int(n))[:n]
	ends := slices.Clone(l.starts[:n]) // of the columns so far
	factors := sync.Pool{New: func() any {
		return &rowFactor{
			laplacian: l, diagram: d, ends: ends, dense: make([]float64, n), seen: make([]int32, n),
			path: make([]int32, n), pattern: make([]int32, n),
		}
	}}
	for _, stretches := range slices.Backward(l.levels[:]) {
		parallel(len(stretches), func(first, end int) {
			f := factors.Get().(*rowFactor)
			defer factors.Put(f)
			for _, s := range stretches[first:end] {
				for k := s.first; k < min(s.end, n); k++ {
					f.row(k)
				}
			}
		})
	}
}

// rowFactor factors rows, on one thread.
type rowFactor struct {
	*laplacian
	diagram       *diagram
	ends          []int32
	dense         []float64 // row k of L D
	seen          []int32
	path, pattern []int32 // the row's columns, in an order that the tree allows
}

func (f *rowFactor) row(k int32) {
	l, d, dense, ends := f.laplacian, f.diagram, f.dense, f.ends
	n := int32(len(l.parent))
	f.seen[k] = k
	top := n
	l.each(d, k, func(i int32, weight float64) {
		dense[i] -= weight
		length := 0
		for ; f.seen[i] != k; i = l.parent[i] {
			f.path[length] = i
			length++
			f.seen[i] = k
		}
		for length > 0 {
			top--
			length--
			f.pattern[top] = f.path[length]
		}
	})
	total := 0.0
	cell := l.order[k]
	for _, weight := range d.weights[d.starts[cell]:d.starts[cell+1]] {
		total += weight
	}
	pivot := total
	for _, i := range f.pattern[top:n] {
		v := dense[i]
		dense[i] = 0
		for at := l.starts[i]; at < ends[i]; at++ {
			dense[l.rows[at]] -= l.values[at] * v
		}
		entry := v / l.diagonal[i]
		pivot -= entry * v
		l.rows[ends[i]], l.values[ends[i]] = k, entry
		ends[i]++
	}
	// Rounding may eat the pivot of cells that hardly touch the others.
	l.diagonal[k] = max(pivot, 0x1p-52*total, math.SmallestNonzeroFloat64)
}

// solve finds v [n] with H v = g, for a g [n] of sum 0, but for a constant.
func (l *laplacian) solve(v, g []float64) {
	n := len(l.parent)
	x := make([]float64, n+1)
	for k := range n {
		x[k] = g[l.order[k]]
	}
	for k := range n {
		for at := l.starts[k]; at < l.starts[k+1]; at++ {
			x[l.rows[at]] -= l.values[at] * x[k]
		}
	}
	for k := n - 1; k >= 0; k-- {
		x[k] /= l.diagonal[k]
		for at := l.starts[k]; at < l.starts[k+1]; at++ {
			x[k] -= l.values[at] * x[l.rows[at]]
		}
	}
	for k, i := range l.order {
		v[i] = x[k]
	}
}
