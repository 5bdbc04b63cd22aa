package fit

import (
	"math"
	"sort"
)

const (
	neighbours    = 7   // that a sample's angles are taken to: extension's k = 8, less its own cell
	angleQuantile = 100 // entries of the table, less one
)

// angles measures the angles between the planes of a sample's cell and of its best neighbours over
// the source. Entry i of the table is the cosine of the angle's quantile i/100; cosines fall as
// angles rise. It is nil where there is a single cell. The samples become a plan too.
//
// The error of the quantile q is half the angle between the quantiles q -+ sqrt(q (1-q)/n), n being
// the samples: the angles of one sample depend on one another, and count once.
func (s *sampler) angles(t *target) (table []float64, standardError float64, p *plan, err error) {
	k := min(neighbours+1, t.n)
	n := planSamples(t.cells, s.d)
	p = &plan{target: t, k: k}
	cosines := make([]float64, 0, n*(k-1))
	s.align(anglesStream)
	for drawn := 0; drawn < n; {
		b, err := s.draw(anglesStream, n-drawn, k, true)
		if err != nil {
			return nil, 0, nil, err
		}
		drawn += b.n
		p.add(b)
		for i := range b.n {
			row := b.cells[i*k : (i+1)*k]
			for _, j := range row[1:] {
				cosines = append(cosines, t.problem.normalsCosine(int(row[0]), int(j)))
			}
		}
	}
	if k < 2 {
		return nil, 0, p, nil
	}
	sort.Sort(sort.Reverse(sort.Float64Slice(cosines)))
	at := func(q float64) float64 {
		place := float64(max(0, min(1, q)) * float64(len(cosines)-1))
		low := int(place)
		high := min(low+1, len(cosines)-1)
		return cosines[low] + float64((place-float64(low))*(cosines[high]-cosines[low]))
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
	return table, standardError, p, nil
}

// normalsCosine is the cosine of the angle between (a,-1) and (b,-1), a and b being points i and j.
func (p Problem) normalsCosine(i, j int) float64 {
	a, b := p.Points[i*p.Dim:(i+1)*p.Dim], p.Points[j*p.Dim:(j+1)*p.Dim]
	dot, aa, bb := 1.0, 1.0, 1.0
	for k := range a {
		u, v := float64(a[k]), float64(b[k])
		if p.Shift != nil {
			u, v = u+p.Shift[k], v+p.Shift[k]
		}
		dot = math.FMA(u, v, dot)
		aa = math.FMA(u, u, aa)
		bb = math.FMA(v, v, bb)
	}
	return max(-1, min(1, dot/math.Sqrt(aa*bb)))
}
