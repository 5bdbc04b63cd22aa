package fit

import "math"

// meanOf estimates the mean of a value over the source with the squared norm of the sample, whose
// mean d sigma^2 is known, as control variate: of value - beta (|x|^2 - d sigma^2) with beta by
// least squares. The standard error is that of the means of blocks, in which samples that depend on
// one another lie together.
type meanOf struct {
	block  int     // samples of a block
	square float64 // mean of |x|^2

	n      int
	all    products   // of the blocks that are complete
	last   products   // of the one at hand
	blocks []products // that are complete
}

// products are sums over samples: of value and of |x|^2 - square, of their product, and of the latter's square.
type products struct{ value, off, cross, square float64 }

func (p *products) add(q products) {
	p.value += q.value
	p.off += q.off
	p.cross += q.cross
	p.square += q.square
}

// add takes the scores of samples, whose value is that less what they have along the mean, and their
// squared norms. How samples are handed over in turn changes no bit.
func (m *meanOf) add(scores, along, squares []float64) {
	along, squares = along[:len(scores)], squares[:len(scores)]
	for first := 0; first < len(scores); {
		end := min(first+m.block-m.n%m.block, len(scores))
		last := m.last
		for i := first; i < end; i++ {
			value, off := scores[i]-along[i], squares[i]-m.square
			last.value += value
			last.off += off
			last.cross += float64(value * off)
			last.square += float64(off * off)
		}
		m.last = last
		m.n += end - first
		if m.n%m.block == 0 {
			m.all.add(last)
			m.blocks = append(m.blocks, last)
			m.last = products{}
		}
		first = end
	}
}

// estimate is the mean and its standard error.
func (m *meanOf) estimate() (mean, sd float64) {
	n, all := float64(m.n), m.all
	all.add(m.last)
	mean, off := all.value/n, all.off/n
	beta := 0.0
	if variance := all.square/n - float64(off*off); variance > 0 {
		beta = (all.cross/n - float64(mean*off)) / variance
	}
	mean -= float64(beta * off)
	if len(m.blocks) < 2 {
		return mean, math.Inf(1)
	}
	for _, b := range m.blocks {
		e := (b.value-float64(beta*b.off))/float64(m.block) - mean
		sd += float64(e * e)
	}
	return mean, math.Sqrt(sd / float64(len(m.blocks)-1) / (n / float64(m.block)))
}
