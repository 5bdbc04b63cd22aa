package fit

import (
	"math"
	"slices"
)

// Histogram counts cells by their relative mass c_i/(B nu_i), c_i of B samples being theirs, beside
// what exact masses would show. Bins of one width go from Low to High; the first and the last one also
// hold what lies beyond. A count c is spread over c-1/2 .. c+1/2, so that bins do not show how many
// whole numbers they happen to hold.
type Histogram struct {
	Low, High float64
	Cells     []float64 // [histogramBins]; duplicates left out
	Noise     []float64 // expected for exact masses [histogramBins]
}

const histogramBins = 40

// relativeMasses is the histogram of the tally, or nil for a single cell. The noise is that of Poisson
// counts, of as many independent samples as these are worth and with the variance of binomial ones:
// of mean B nu/(1-nu), relative to it.
func (t *tally) relativeMasses() *Histogram {
	if t.target.cells < 2 {
		return nil
	}
	b, worth := float64(t.samples), t.worth()
	var off, deviation []float64
	for i, nu := range t.target.mass {
		if nu > 0 {
			off = append(off, math.Abs(float64(t.counts[i])/float64(b*nu)-1))
			deviation = append(deviation, math.Sqrt((1-nu)/float64(worth*nu)))
		}
	}
	slices.Sort(off)
	slices.Sort(deviation)
	most := len(off) * 99 / 100 // the few of the largest error lie in the end bins
	half := max(1.2*off[most], 3.5*deviation[most])
	h := &Histogram{
		Low: max(0, 1-half), High: 1 + half,
		Cells: make([]float64, histogramBins), Noise: make([]float64, histogramBins),
	}
	noise, mass := make([]float64, histogramBins), math.NaN() // of the latest mass, for masses are mostly equal
	for i, nu := range t.target.mass {
		if nu == 0 {
			continue
		}
		mean := float64(b * nu)
		h.spread(h.Cells, (float64(t.counts[i])-0.5)/mean, (float64(t.counts[i])+0.5)/mean, 1)
		if nu != mass {
			mass = nu
			h.poisson(noise, float64(worth*nu)/(1-nu))
		}
		for k, v := range noise {
			h.Noise[k] += v
		}
	}
	return h
}

// poisson makes dst the histogram of a Poisson count relative to its mean.
func (h *Histogram) poisson(dst []float64, mean float64) {
	clear(dst)
	reach := float64(8*math.Sqrt(mean)) + 8
	first, last := math.Floor(max(0, mean-reach)), math.Ceil(mean+reach)
	gamma, _ := math.Lgamma(first + 1)
	p := math.Exp(float64(first*math.Log(mean)) - mean - gamma)
	for count := first; count <= last; count++ {
		h.spread(dst, (count-0.5)/mean, (count+0.5)/mean, p)
		p *= mean / (count + 1)
	}
}

// spread adds a weight to dst, evenly between two relative masses.
func (h *Histogram) spread(dst []float64, from, to, weight float64) {
	width := (h.High - h.Low) / histogramBins
	bin := func(at float64) int { return int(max(0, min(histogramBins-1, (at-h.Low)/width))) }
	for k, last := bin(from), bin(to); k <= last; k++ {
		low, high := h.Low+float64(float64(k)*width), h.Low+float64(float64(k+1)*width)
		if k == 0 {
			low = math.Inf(-1)
		}
		if k == histogramBins-1 {
			high = math.Inf(1)
		}
		dst[k] += float64(weight*max(0, min(high, to)-max(low, from))) / (to - from)
	}
}
