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
	sum, sumSquare   float64      // of value and of |x|^2 - square
	cross, deviation float64      // of their product and of the latter's square
	blocks           [][2]float64 // their sums of value and of |x|^2 - square
	inBlock          int
}

// add takes the scores of samples, whose value is that less what they have along the mean, and their
// squared norms.
func (m *meanOf) add(scores, along, squares []float64) {
	along, squares = along[:len(scores)], squares[:len(scores)]
	for first := 0; first < len(scores); {
		if m.inBlock == 0 {
			m.blocks = append(m.blocks, [2]float64{})
		}
		last := &m.blocks[len(m.blocks)-1]
		end := min(first+m.block-m.inBlock, len(scores))
		var sum, sumSquare, cross, deviation float64
		for i := first; i < end; i++ {
			value, off := scores[i]-along[i], squares[i]-m.square
			sum += value
			sumSquare += off
			cross += float64(value * off)
			deviation += float64(off * off)
		}
		last[0] += sum
		last[1] += sumSquare
		m.sum += sum
		m.sumSquare += sumSquare
		m.cross += cross
		m.deviation += deviation
		m.inBlock = (m.inBlock + end - first) % m.block
		first = end
	}
	m.n += len(scores)
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
		e := (b[0]-float64(beta*b[1]))/float64(m.block) - mean
		sd += float64(e * e)
	}
	return mean, math.Sqrt(sd / float64(len(whole)-1) / (n / float64(m.block)))
}
