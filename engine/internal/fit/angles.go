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
func (s *sampler) angles(t *target, threads int) (table []float64, standardError float64, p *plan, err error) {
	k := min(neighbours+1, t.n)
	n := planSamples(t.cells, s.d)
	p = newPlan(t, n, k)
	cosines := make([]float64, n*(k-1))
	planes := newNormals(&t.problem)
	s.align(anglesStream)
	for drawn := 0; drawn < n; {
		b, err := s.draw(anglesStream, n-drawn, k, true)
		if err != nil {
			return nil, 0, nil, err
		}
		p.add(b)
		to := cosines[drawn*(k-1):]
		share(threads, b.n, func(first, end int) {
			for i := first; i < end; i++ {
				row := b.cells[i*k : (i+1)*k]
				for j, cell := range row[1:] {
					to[i*(k-1)+j] = planes.cosine(int(row[0]), int(cell))
				}
			}
		})
		drawn += b.n
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

// normals are the planes' normals (a,-1), a being the points.
type normals struct {
	problem *Problem
	along   []float64 // <point - shift, shift> [N]; nil: no shift
	shift   float64   // the square of its norm
	squares []float64 // of the normals' norms [N]
}

func newNormals(p *Problem) *normals {
	n := len(p.Points) / p.Dim
	m := &normals{problem: p, squares: make([]float64, n)}
	if p.Shift != nil {
		m.along, m.shift = make([]float64, n), inner(p.Shift, p.Shift)
		for i := range m.along {
			m.along[i] = inner(m.point(i), p.Shift)
		}
	}
	for i := range m.squares {
		m.squares[i] = m.inner(i, i)
	}
	return m
}

func (m *normals) point(i int) []float32 {
	return m.problem.Points[i*m.problem.Dim : (i+1)*m.problem.Dim]
}

// cosine is that of the angle between the normals i and j.
func (m *normals) cosine(i, j int) float64 {
	return max(-1, min(1, m.inner(i, j)/math.Sqrt(float64(m.squares[i]*m.squares[j]))))
}

func (m *normals) inner(i, j int) float64 {
	dot := 1 + inner(m.point(i), m.point(j))
	if m.along != nil {
		dot += (m.along[i] + m.along[j]) + m.shift
	}
	return dot
}
