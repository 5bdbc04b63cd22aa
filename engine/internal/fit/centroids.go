package fit

import (
	"math"

	kernels "brenier/kernels/cpu"
)

// samplesPerCell is how many samples the mass centres are made of, a cell on average: the error of a
// centre is then the spread of its cell over about 6.
const samplesPerCell = 32

// centres sums samples by cell.
type centres struct {
	target  *target
	counts  []int64   // [N]
	sums    []float64 // [N,d]
	squares []float64 // of the norms [N]
	cells   []int32   // of the samples at hand
}

func newCentres(t *target) *centres {
	return &centres{target: t, counts: make([]int64, t.n), sums: make([]float64, t.n*t.problem.Dim), squares: make([]float64, t.n)}
}

// add takes samples, the squares of whose norms are given.
func (c *centres) add(b drawn, squares []float64, parallel Parallel) {
	t := c.target
	c.cells = c.cells[:0]
	for i, at := range b.cells {
		cell := t.owner[at]
		c.cells = append(c.cells, int32(cell))
		c.squares[cell] += squares[i]
		c.counts[cell]++
	}
	parallel(t.n, func(first, end int) {
		kernels.RowSums(kernels.Best(), b.x, c.cells, t.problem.Dim, first, end, c.sums)
	})
}

// means are the mass centres [N,d] and the root mean square, over the cells that were hit twice and
// more, of their standard errors: that of one centre is the root of its cell's spread over its
// count. A cell that was never hit has the mean that the random-energy model gives it: x given that
// <x, y_i - mean> reaches its level, which is deviation * quantile_i along (y_i - mean)/|y_i -
// mean|. A duplicate has its owner's.
func (c *centres) means() (centroids []float32, standardError float64) {
	t := c.target
	d := t.problem.Dim
	centroids = make([]float32, t.n*d)
	variance, cells := 0.0, 0
	for i, owner := range t.owner {
		row := centroids[i*d : (i+1)*d]
		count := float64(c.counts[owner])
		if count == 0 {
			deviation := t.problem.deviation()
			along := float64(deviation*deviation) * t.quantile[owner] / t.scale[owner]
			for k, v := range t.point(owner) {
				row[k] = float32(along * (float64(v) - t.mean[k]))
			}
			continue
		}
		norm := 0.0
		for k := range row {
			v := c.sums[owner*d+k] / count
			norm += float64(v * v)
			row[k] = float32(v)
		}
		if owner == i && count > 1 {
			variance += max(0, c.squares[i]/count-norm) / (count - 1)
			cells++
		}
	}
	if cells > 0 {
		standardError = math.Sqrt(variance / float64(cells))
	}
	return centroids, standardError
}
