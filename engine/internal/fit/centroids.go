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
	target   *target
	parallel Parallel
	sums     []float64 // [N,d]
	squares  []float64 // of the norms [N]
}

func newCentres(t *target, parallel Parallel) *centres {
	return &centres{target: t, parallel: parallel, sums: make([]float64, t.n*t.problem.Dim), squares: make([]float64, t.n)}
}

// add takes samples x [n,d], the cells that they are in and the squares of their norms.
func (c *centres) add(x []float32, cells []int32, squares []float64) {
	c.parallel(c.target.n, func(first, end int) {
		for i, cell := range cells {
			if first <= int(cell) && int(cell) < end {
				c.squares[cell] += squares[i]
			}
		}
		kernels.RowSums(kernels.Best(), x, cells, c.target.problem.Dim, first, end, c.sums)
	})
}

// means are the mass centres [N,d] of all samples that were added, counts [N] of them by cell, and the
// root mean square, over the cells that were hit twice and more, of their standard errors: that of one
// centre is the root of its cell's spread over its count. A cell that was never hit has the mean that
// the random-energy model gives it: x given that <x, y_i - mean> reaches its level, which is
// deviation * quantile_i along (y_i - mean)/|y_i - mean|. A duplicate has its owner's.
func (c *centres) means(counts []int64) (centroids []float32, standardError float64) {
	t := c.target
	d := t.problem.Dim
	centroids = make([]float32, t.n*d)
	variance, cells := 0.0, 0
	for i, owner := range t.owner {
		row := centroids[i*d : (i+1)*d]
		count := float64(counts[owner])
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
