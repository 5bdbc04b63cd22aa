package fit

import (
	"math"

	kernels "brenier/kernels/cpu"
)

const (
	neighbours    = 7   // that a sample's angles are taken to: extension's k = 8, less its own cell
	angleQuantile = 100 // entries of the table, less one
)

// angles measures the cosines of the angles between the planes of a sample's cell and of its best
// neighbours over the source, in no order; none where there is a single cell. The samples become a plan
// too.
func (s *sampler) angles(t *target, parallel Parallel) (cosines []float64, p *plan, err error) {
	k := min(neighbours+1, t.n)
	n := planSamples(t.cells, s.d)
	p = newPlan(t, n, k)
	cosines = make([]float64, 0, n*(k-1))
	points, path := t.problem.given(), kernels.Best()
	norms, ofRows := make([]float64, t.n), make([]float64, s.batch*k)
	kernels.PlaneNorms(path, points, s.d, norms)
	s.align(anglesStream)
	for drawn := 0; drawn < n; {
		first := s.next[anglesStream]
		b := p.next(s.atOnce(first, n-drawn), s.cells)
		if err := s.drawInto(b, anglesStream, first, k); err != nil {
			return nil, nil, err
		}
		s.next[anglesStream] += uint64(b.n)
		p.add(b)
		cells := p.cells[drawn*k:]
		parallel(b.n, func(first, end int) {
			kernels.Cosines(path, cells[first*k:end*k], s.d, k, points, norms, ofRows[first*k:end*k])
		})
		for i := range b.n {
			cosines = append(cosines, ofRows[i*k+1:(i+1)*k]...) // less that of its cell with itself
		}
		drawn += b.n
	}
	return cosines, p, nil
}

// angleTable is of the cosines of n samples: entry i is the cosine of the angle's quantile i/100;
// cosines fall as angles rise. It is nil where there are none.
//
// The error of the quantile q is half the angle between the quantiles q -+ sqrt(q (1-q)/n): the angles
// of one sample depend on one another, and count once.
func angleTable(cosines []float64, n int, parallel Parallel) (table []float64, standardError float64) {
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
