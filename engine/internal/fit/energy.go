package fit

import "math"

// meanOf estimates the mean of a value over the source with the squared norm of the sample, whose
// mean d sigma^2 is known, as control variate: of value - beta (|x|^2 - d sigma^2) with beta by
// least squares. The standard error is that of the means of blocks, in which samples that depend on
// one another lie together.
type meanOf struct {
	block  int     // samples of a block
	square float64 // mean of |x|^2

	n                int
	sum, sumSquare   float64 // of value and of |x|^2 - square
	cross, deviation float64 // of their product and of the latter's square
	blocks           [][2]float64
	inBlock          int
}

func (m *meanOf) add(value, square float64) {
	off := square - m.square
	if m.inBlock == 0 {
		m.blocks = append(m.blocks, [2]float64{})
	}
	last := &m.blocks[len(m.blocks)-1]
	last[0] += value / float64(m.block)
	last[1] += off / float64(m.block)
	if m.inBlock++; m.inBlock == m.block {
		m.inBlock = 0
	}
	m.n++
	m.sum += value
	m.sumSquare += off
	m.cross += float64(value * off)
	m.deviation += float64(off * off)
}

// estimate is the mean and its standard error.
func (m *meanOf) estimate() (mean, sd float64) {
	n := float64(m.n)
	mean, off := m.sum/n, m.sumSquare/n
	beta := 0.0
	if variance := m.deviation/n - float64(off*off); variance > 0 {
		beta = (m.cross/n - float64(mean*off)) / variance
	}
	mean -= float64(beta * off)
	whole := m.blocks
	if m.inBlock > 0 {
		whole = whole[:len(whole)-1]
	}
	if len(whole) < 2 {
		return mean, math.Inf(1)
	}
	for _, b := range whole {
		e := b[0] - float64(beta*b[1]) - mean
		sd += float64(e * e)
	}
	return mean, math.Sqrt(sd / float64(len(whole)-1) / (n / float64(m.block)))
}
