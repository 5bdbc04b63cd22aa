package cpu

import (
	"cmp"
	"math"
	"slices"
	"sync/atomic"

	"brenier/engine/internal/cholesky"
	kernels "brenier/kernels/cpu"
)

// A map's cells are found by a tree from treeLeast cells on, four times as many with each dimension: measured
// in BenchmarkTree, that is where a search takes less time than a look at all cells.
const (
	treeLeast = 64
	treeWork  = 400 // multiply-adds of a look at all cells in half of the time of a look at a block
)

const treeWidth, treeRows = kernels.TreeWidth, kernels.TreeRows

// tree finds cells without a look at all of them, as kernels/cpu/locate_tree.h describes it: cells that
// are near one another lie together, in leaves of 16 and blocks of 16 parts each.
type tree struct {
	n, d   int
	blocks []float32 // [blocks][5d+1][16]
	fits   []float32 // [blocks][16][d][16]
	cells  []int32   // [leaves][16]
	points []float32 // [leaves][d][16]
	height []float32 // [leaves][16]
	extent float64   // at least the largest |centre| + |half|
	top    float64   // the highest height

	// useless is set once a search at these heights took so long that a look at all cells is faster.
	useless atomic.Bool
}

// treeFits reports whether a map is of a kind that a tree serves.
func treeFits(n, d int) bool { return d <= kernels.TreeMost && n >= treeLeast<<(2*d) }

// treeParts is how many of a level there are above n of the one below.
func treeParts(n int) int { return (n + treeWidth - 1) / treeWidth }

// newTree puts points [n,d] in order and makes boxes around them. It has no heights yet.
func newTree(pool *Pool, points []float32, n, d int) *tree {
	leaves := treeParts(n)
	blocks, span := 0, treeWidth // parts below the top; cells of one of them
	for level := leaves; ; {
		level = treeParts(level)
		blocks += level
		if level == 1 {
			break
		}
		span *= treeWidth
	}
	t := &tree{
		n: n, d: d,
		blocks: alignedFloats(blocks * (treeRows*d + 1) * treeWidth),
		fits:   alignedFloats(blocks * treeWidth * d * treeWidth),
		cells:  make([]int32, leaves*treeWidth),
		points: alignedFloats(leaves * d * treeWidth),
		height: alignedFloats(leaves * treeWidth),
	}
	for i := range t.cells {
		t.cells[i] = -1
	}
	for i := range n {
		t.cells[i] = int32(i)
	}
	ordered := placed{d, t.cells[:n], slices.Clone(points)}
	ordered.order(pool, span)
	for block := range blocks {
		roofs := t.block(block)[treeRows*d*treeWidth:]
		for m := range roofs {
			roofs[m] = float32(math.Inf(-1))
		}
	}
	pool.Share(treeParts(leaves), func(first, end int) {
		for leaf := first * treeWidth; leaf < min(end*treeWidth, leaves); leaf++ {
			t.fillLeaf(ordered.points, leaf)
		}
	})
	for base, below := 0, leaves; ; {
		level := treeParts(below)
		for part := range below {
			t.extent = max(t.extent, t.size(base, part))
		}
		if level == 1 {
			break
		}
		for block := range level {
			t.enclose(base, block, min(treeWidth, below-block*treeWidth), base+level)
		}
		base, below = base+level, level
	}
	t.extent *= 1 + 0x1p-20
	return t
}

// block is what a block holds, all its parts [5d+1][16].
func (t *tree) block(number int) []float32 {
	size := (treeRows*t.d + 1) * treeWidth
	return t.blocks[number*size : (number+1)*size]
}

// placed are cells and their points [n,d], which are put in order together: so both are read as they lie in memory.
type placed struct {
	d      int
	cells  []int32
	points []float32
}

func (p placed) part(first, end int) placed {
	return placed{p.d, p.cells[first:end], p.points[first*p.d : end*p.d]}
}

func (p placed) swap(i, j int) {
	p.cells[i], p.cells[j] = p.cells[j], p.cells[i]
	a, b := p.points[i*p.d:(i+1)*p.d], p.points[j*p.d:(j+1)*p.d]
	for k, v := range a {
		a[k], b[k] = b[k], v
	}
}

// order puts cells in such an order that every `span` of them, but for the last, lie together, and so within them
// down to the cells of a leaf.
func (p placed) order(pool *Pool, span int) {
	var stretches []placed
	var halve func(p placed)
	halve = func(p placed) {
		parts := (len(p.cells) + span - 1) / span
		if parts == 1 {
			stretches = append(stretches, p)
			return
		}
		at := parts / 2 * span
		p.divide(at)
		halve(p.part(0, at))
		halve(p.part(at, len(p.cells)))
	}
	halve(p)
	if span == treeWidth {
		return
	}
	pool.Share(len(stretches), func(first, end int) {
		for _, p := range stretches[first:end] {
			p.order(pool, span/treeWidth)
		}
	})
}

// divide puts those `at` cells first that come first along the dimension in which they are spread widest.
func (p placed) divide(at int) {
	d, widest, spread := p.d, 0, float32(-1)
	for k := range d {
		low, high := p.points[k], p.points[k]
		for i := k; i < len(p.points); i += d {
			v := p.points[i]
			low, high = min(low, v), max(high, v)
		}
		if high-low > spread {
			widest, spread = k, high-low
		}
	}
	key := func(i int) float32 { return p.points[i*d+widest] }
	for first, end := 0, len(p.cells); end-first > 1; { // Hoare's selection (Algorithm 65, CACM 4, 1961)
		middle := first + (end-first)/2
		pivot := median(key(first), key(middle), key(end-1))
		i, j := first, end-1
		for i <= j {
			for key(i) < pivot {
				i++
			}
			for key(j) > pivot {
				j--
			}
			if i <= j {
				p.swap(i, j)
				i++
				j--
			}
		}
		switch {
		case at <= j:
			end = j + 1
		case at >= i:
			first = i
		default:
			return
		}
	}
}

func median[T cmp.Ordered](a, b, c T) T { return max(min(a, b), min(max(a, b), c)) }

// fillLeaf takes the points [n,d] of a leaf's cells from those of all in order, and makes the leaf's box and fit.
func (t *tree) fillLeaf(ordered []float32, leaf int) {
	d := t.d
	members := min(treeWidth, t.n-leaf*treeWidth)
	to := t.points[leaf*d*treeWidth : (leaf+1)*d*treeWidth]
	for m := range members {
		for k := range d {
			to[k*treeWidth+m] = ordered[(leaf*treeWidth+m)*d+k]
		}
	}
	block, part := t.block(leaf/treeWidth), leaf%treeWidth
	at := make([]float64, d*treeWidth)
	for k := range d {
		row := to[k*treeWidth : k*treeWidth+members]
		low, high := row[0], row[0]
		for m, v := range row {
			low, high = min(low, v), max(high, v)
			at[k*treeWidth+m] = float64(v)
		}
		setBox(block[treeRows*k*treeWidth+part:], float64(low), float64(high))
	}
	t.fit(at, members, t.fits[leaf*d*treeWidth:(leaf+1)*d*treeWidth])
}

// enclose makes the box and the fit of a block of the level that begins with block `base`, as a part of the
// level above, which begins with block `above`.
func (t *tree) enclose(base, number, members, above int) {
	d := t.d
	from, block, part := t.block(base+number), t.block(above+number/treeWidth), number%treeWidth
	at := make([]float64, d*treeWidth)
	for k := range d {
		low, high := math.Inf(1), math.Inf(-1)
		for m := range members {
			centre, half := float64(from[treeRows*k*treeWidth+m]), float64(from[(treeRows*k+1)*treeWidth+m])
			low, high = min(low, centre-half), max(high, centre+half)
			at[k*treeWidth+m] = centre
		}
		setBox(block[treeRows*k*treeWidth+part:], low, high)
	}
	fits := (above+number/treeWidth)*treeWidth + part
	t.fit(at, members, t.fits[fits*d*treeWidth:(fits+1)*d*treeWidth])
}

// setBox writes the middle of low .. high and, a row on, what reaches both ends from there.
func setBox(to []float32, low, high float64) {
	centre := float32((low + high) / 2)
	half := max(high-float64(centre), float64(centre)-low) * (1 + 0x1p-40)
	rounded := float32(half)
	if float64(rounded) < half {
		rounded = math.Nextafter32(rounded, math.MaxFloat32)
	}
	to[0], to[treeWidth] = centre, rounded
}

// size is |centre| + |half| of a part of the level that begins with block `base`.
func (t *tree) size(base, part int) float64 {
	block, m := t.block(base+part/treeWidth), part%treeWidth
	centre, half := 0.0, 0.0
	for k := range t.d {
		c, h := float64(block[treeRows*k*treeWidth+m]), float64(block[(treeRows*k+1)*treeWidth+m])
		centre, half = centre+float64(c*c), half+float64(h*h)
	}
	return math.Sqrt(centre) + math.Sqrt(half)
}

// fit writes the matrix by which the heights of members at positions [d][16] become the slope of a plane
// through them, by least squares with a ridge that bears members on a line.
func (t *tree) fit(at []float64, members int, to []float32) {
	const ridge = 1e-6
	d := t.d
	scatter, trace := make([]float64, d*d), 0.0
	for k := range d {
		row := at[k*treeWidth : k*treeWidth+members]
		mean := 0.0
		for _, v := range row {
			mean += v / float64(members)
		}
		for m := range row {
			row[m] -= mean
			trace += float64(row[m] * row[m])
		}
	}
	if !(trace > 0 && trace < math.MaxFloat32) {
		return
	}
	for k := range d {
		for l := range k + 1 {
			for m := range members {
				scatter[k*d+l] += float64(at[k*treeWidth+m] * at[l*treeWidth+m])
			}
		}
		scatter[k*d+k] += float64(ridge * trace)
	}
	if !cholesky.Factor(scatter, d) {
		return
	}
	column := make([]float64, d)
	for m := range members {
		for k := range d {
			column[k] = at[k*treeWidth+m]
		}
		cholesky.Solve(scatter, d, column)
		for k, v := range column {
			to[k*treeWidth+m] = float32(v)
		}
	}
}

// setHeights takes heights [n], of which top is the highest.
func (t *tree) setHeights(pool *Pool, h []float32, path kernels.Path, top float64) {
	t.top = top
	t.useless.Store(false)
	pool.Share(treeParts(treeParts(t.n)), func(first, end int) {
		kernels.TreeLower(path, t.d, h, top, first, end, t.blocks, t.fits, t.points, t.height, t.cells)
	})
	kernels.TreeUpper(path, t.n, t.d, t.blocks, t.fits)
}

// budget is how many leaves and blocks a search for some samples may look at: what takes about half as
// long as a look at all cells.
func (t *tree) budget(samples int) int {
	return max(samples, treeWidth) * (t.n*(t.d+2)/treeWork + 2*treeWidth)
}
