package fit

import (
	"math"

	"brenier/engine/internal/threads"
	kernels "brenier/kernels/cpu"
)

const (
	neighbours    = 7   // that a sample's angles are taken to: extension's k = 8, less its own cell
	angleQuantile = 100 // entries of the table, less one
)

// cosines are those of the angles between the planes of a sample's cell and of its best neighbours, over the
// samples of the plan [n,k-1]; none where there is a single cell.
func (p *plan) cosines(parallel threads.Share) []float64 {
	const atOnce = 256
	t, k, path := p.target, p.k, kernels.Best()
	points, d := t.problem.given(), t.problem.Dim
	norms := make([]float64, t.n)
	kernels.PlaneNorms(path, points, d, norms)
	cosines := make([]float64, p.samples()*(k-1))
	parallel(p.samples(), func(first, end int) {
		ofRows := make([]float64, atOnce*k)
		for at := first; at < end; at += atOnce {
			rows := min(atOnce, end-at)
			kernels.Cosines(path, p.cells[at*k:(at+rows)*k], d, k, points, norms, ofRows[:rows*k])
			for i := range rows {
				copy(cosines[(at+i)*(k-1):], ofRows[i*k+1:(i+1)*k]) // less that of its cell with itself
			}
		}
	})
	return cosines
}

// angleTable is of the cosines of n samples: entry i is the cosine of the angle's quantile i/100;
// cosines fall as angles rise. It is nil where there are none.
//
// The error of the quantile q is half the angle between the quantiles q -+ sqrt(q (1-q)/n): the angles
// of one sample depend on one another, and count once.
func angleTable(cosines []float64, n int, parallel threads.Share) (table []float64, standardError float64) {
	if len(cosines) == 0 {
		return nil, 0
	}
	falling := func(c float64) float64 { return -c }
	cosines = sortByKey(parallel, cosines, falling, func(_, _ float64) int { return 0 })
	at := func(q float64) float64 {
		place := float64(max(0, min(1, q)) * float64(len(cosines)-1))
		low := int(place)
		high := min(low+1, len(cosines)-1)
		c := cosines[low] + float64((place-float64(low))*(cosines[high]-cosines[low]))
		return max(-1, min(1, c)) // of planes that nearly are one, rounding may be beyond
	}
	table = make([]float64, angleQuantile+1)
	for i := range table {
		q := float64(i) / angleQuantile
		table[i] = at(q)
		if i > 0 {
			table[i] = min(table[i], table[i-1]) // rounding may not turn the order round
		}
		if i >= 5 && i <= 95 {
			off := math.Sqrt(float64(q*(1-q)) / float64(n))
			standardError = max(standardError, (math.Acos(at(q+off))-math.Acos(at(q-off)))/2)
		}
	}
	return table, standardError
}
