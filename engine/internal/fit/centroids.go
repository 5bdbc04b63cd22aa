package fit

import (
	"math"

	"brenier/engine/internal/rotated"
	"brenier/engine/internal/threads"
	kernels "brenier/kernels/cpu"
)

// samplesPerCell is how many samples the mass centres are made of, a cell on average: the error of a
// centre is then the spread of its cell over about 6.
const samplesPerCell = 32

// centres sums samples by cell: on a device that can leave them there, else here.
//
// Sums are whole numbers of units, of one size for all: in any order and on any device they are the same.
type centres struct {
	target   *target
	sampler  *sampler
	parallel threads.Share
	exponent int       // of the units: 2^-exponent
	sums     []int64   // [N,d]; of a device's, after total
	squares  []float64 // of the norms, by cell [N]

	onDevice *ahead  // nil: here
	cells    []int32 // of a batch, here

	along, square []float64 // of a batch, here
}

func newCentres(t *target, s *sampler, parallel threads.Share) (*centres, error) {
	c := &centres{
		target: t, sampler: s, parallel: parallel, exponent: t.problem.sumExponent(),
		squares: make([]float64, t.n),
	}
	var err error
	if c.onDevice, err = s.newAhead(t.mean, c.exponent); err != nil || c.onDevice != nil {
		return c, err
	}
	c.sums, c.cells = make([]int64, t.n*t.problem.Dim), make([]int32, s.most)
	c.along, c.square = make([]float64, s.most), make([]float64, s.most)
	return c, nil
}

// sumExponent is that of the units of sums: no value of a sample is 2^31 units, so that 2^32 samples have
// room. Of gaussian samples of dimension 64 a unit is 2^-25 and a centre off by half of that at most, what
// rounding to float32 does to a value of 1/4 .. 1/2, while its sampling error is some tenths over 6.
func (p Problem) sumExponent() int {
	most := 0.5
	if !p.Uniform {
		most = rotated.MaxRadius(p.Dim)
	}
	_, above := math.Frexp(most)
	return 31 - above
}

// draw makes the next draws of the test stream, of those that are left.
func (c *centres) draw(left int) (drawn, error) {
	s := c.sampler
	if c.onDevice != nil {
		return c.onDevice.draw(left)
	}
	b, err := s.draw(testStream, left, 1, true)
	if err != nil {
		return b, err
	}
	b.along, b.squares = c.along[:b.n], c.square[:b.n]
	c.parallel(b.n, func(first, end int) {
		kernels.RowProducts(kernels.Best(), b.x[first*s.d:end*s.d], c.target.mean, b.along[first:end], b.squares[first:end])
	})
	return b, nil
}

// add takes samples.
func (c *centres) add(b drawn) {
	for i, cell := range b.cells {
		cell = c.target.ownerOf(cell)
		c.squares[cell] += b.squares[i]
		if c.onDevice == nil {
			c.cells[i] = int32(cell)
		}
	}
	if c.onDevice != nil {
		return
	}
	cells := c.cells[:len(b.cells)]
	c.parallel(c.target.n, func(first, end int) {
		kernels.RowSums(kernels.Best(), b.x, cells, c.target.problem.Dim, first, end, c.exponent, c.sums)
	})
}

// total brings the sums of a device here, those of a duplicate to its owner's, and lets go of it.
func (c *centres) total() error {
	if c.onDevice == nil {
		return nil
	}
	d := c.target.problem.Dim
	c.sums = c.sampler.summed()
	if err := c.onDevice.sums.Total(c.sums); err != nil {
		return err
	}
	for i, owner := range c.target.owner {
		if owner != i {
			for k := range d {
				c.sums[owner*d+k] += c.sums[i*d+k]
			}
		}
	}
	return c.close()
}

// close lets go of the device, whatever is on its way there.
func (c *centres) close() error {
	if c.onDevice == nil {
		return nil
	}
	device := c.onDevice.sums
	c.onDevice = nil
	return device.Close()
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
	unit := math.Ldexp(1, -c.exponent)
	variances := make([]float64, t.n) // of those cells; else negative
	c.parallel(t.n, func(first, end int) {
		for i := first; i < end; i++ {
			variances[i] = -1
			owner, row := t.owner[i], centroids[i*d:(i+1)*d]
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
				v := float64(float64(c.sums[owner*d+k])*unit) / count
				norm += float64(v * v)
				row[k] = float32(v)
			}
			if owner == i && count > 1 {
				variances[i] = max(0, c.squares[i]/count-norm) / (count - 1)
			}
		}
	})
	variance, cells := 0.0, 0
	for _, v := range variances {
		if v >= 0 {
			variance += v
			cells++
		}
	}
	if cells > 0 {
		standardError = math.Sqrt(variance / float64(cells))
	}
	return centroids, standardError
}
