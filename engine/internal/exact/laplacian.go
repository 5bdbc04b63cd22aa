package exact

import "math"

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
}

// newLaplacian factors the Hessian of a diagram whose points are in the tree's order.
func newLaplacian(t *tree, d *diagram) *laplacian {
	l := &laplacian{row: make([]int32, len(d.mass))}
	for i := range l.row {
		l.row[i] = -1
	}
	l.dissect(t, d, 0)
	l.count(d)
	l.factor(d)
	return l
}

// dissect gives rows to the cells of node k that have none: first to each half without those that
// touch the other, then to these.
func (l *laplacian) dissect(t *tree, d *diagram, k int32) {
	n := &t.nodes[k]
	if n.left == 0 {
		for i := n.first; i < n.end; i++ {
			if l.row[i] == -1 {
				l.append(i)
			}
		}
		return
	}
	const separates = -2
	middle := t.nodes[n.left].end
	var separator []int32
	for i := n.first; i < middle; i++ {
		if l.row[i] != -1 {
			continue
		}
		for _, j := range d.neighbours[d.starts[i]:d.starts[i+1]] {
			if j >= middle && j < n.end && l.row[j] == -1 {
				l.row[i] = separates
				separator = append(separator, i)
				break
			}
		}
	}
	l.dissect(t, d, n.left)
	l.dissect(t, d, n.right)
	for _, i := range separator {
		l.append(i)
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
	l.parent, l.starts = make([]int32, n), make([]int32, n+1)
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
// (Davis, "Algorithm 849: a concise sparse Cholesky factorization package", ACM TOMS 31, 2005).
func (l *laplacian) factor(d *diagram) {
	n := int32(len(l.parent))
	l.rows, l.values = make([]int32, l.starts[n]), make([]float64, l.starts[n])
	l.diagonal = make([]float64, n)
	ends := append([]int32(nil), l.starts[:n]...) // of the columns so far
	dense := make([]float64, n)                   // row k of L D
	seen := make([]int32, n)
	path, pattern := make([]int32, n), make([]int32, n) // the row's columns, in an order that the tree allows
	for k := range n {
		seen[k] = k
		top := n
		l.each(d, k, func(i int32, weight float64) {
			dense[i] -= weight
			length := 0
			for ; seen[i] != k; i = l.parent[i] {
				path[length] = i
				length++
				seen[i] = k
			}
			for length > 0 {
				top--
				length--
				pattern[top] = path[length]
			}
		})
		total := 0.0
		cell := l.order[k]
		for _, weight := range d.weights[d.starts[cell]:d.starts[cell+1]] {
			total += weight
		}
		pivot := total
		for _, i := range pattern[top:n] {
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
