package fit

import (
	"math"
	"slices"
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
	p = newPlan(t, n, k)
	cosines := make([]float64, 0, n*(k-1))
	squares := t.problem.normalSquares()
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
				cosines = append(cosines, t.problem.normalsCosine(squares, int(row[0]), int(j)))
			}
		}
	}
	if k < 2 {
		return nil, 0, p, nil
	}
	slices.Sort(cosines)
	slices.Reverse(cosines)
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

// normalSquares are the squares of the norms of (a,-1), a being the points [N].
func (p Problem) normalSquares() []float64 {
	squares := make([]float64, len(p.Points)/p.Dim)
	for i := range squares {
		squares[i] = p.normalsDot(i, i)
	}
	return squares
}

// normalsCosine is the cosine of the angle between (a,-1) and (b,-1), a and b being points i and j.
func (p Problem) normalsCosine(squares []float64, i, j int) float64 {
	return max(-1, min(1, p.normalsDot(i, j)/math.Sqrt(squares[i]*squares[j])))
}

// normalsDot is the inner product of (a,-1) and (b,-1).
func (p Problem) normalsDot(i, j int) float64 {
	a, b := p.Points[i*p.Dim:(i+1)*p.Dim], p.Points[j*p.Dim:(j+1)*p.Dim]
	dot := 1.0
	if p.Shift == nil {
		for k := range a {
			dot = math.FMA(float64(a[k]), float64(b[k]), dot)
		}
		return dot
	}
	for k, shift := range p.Shift {
		dot = math.FMA(float64(a[k])+shift, float64(b[k])+shift, dot)
	}
	return dot
}
