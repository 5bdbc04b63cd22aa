package fit

import (
	"math"
	"sort"
)

const (
	neighbours    = 7    // that a sample's angles are taken to: extension's k = 8, less its own cell
	angleSamples  = 8192 // give a quantile to about 1 %
	angleQuantile = 100  // entries of the table, less one
)

// angles measures the angles between the planes of a sample's cell and of its best neighbours over
// the source. Entry i of the table is the cosine of the angle's quantile i/100; cosines fall as
// angles rise. It is nil where there is a single cell.
func (s *sampler) angles(p Problem) ([]float64, error) {
	n := len(p.Points) / p.Dim
	k := min(neighbours+1, n)
	if k < 2 {
		return nil, nil
	}
	cosines := make([]float64, 0, angleSamples*(k-1))
	for first := 0; first < angleSamples; first += Batch {
		cells := s.cells[:Batch*k]
		if err := s.device.Draw(Batch, streamSeed(s.seed, anglesStream), uint64(first), k, cells, nil, nil); err != nil {
			return nil, err
		}
		for i := range Batch {
			row := cells[i*k : (i+1)*k]
			for _, j := range row[1:] {
				cosines = append(cosines, normalsCosine(p.row(row[0]), p.row(j)))
			}
		}
		if err := s.tick(); err != nil {
			return nil, err
		}
	}
	sort.Sort(sort.Reverse(sort.Float64Slice(cosines)))
	table := make([]float64, angleQuantile+1)
	for i := range table {
		at := float64(i) / angleQuantile * float64(len(cosines)-1)
		low := int(at)
		high := min(low+1, len(cosines)-1)
		table[i] = cosines[low] + float64((at-float64(low))*(cosines[high]-cosines[low]))
		if i > 0 {
			table[i] = min(table[i], table[i-1]) // rounding may not turn the order round
		}
	}
	return table, nil
}

func (p Problem) row(i int64) []float32 { return p.Points[int(i)*p.Dim : (int(i)+1)*p.Dim] }

// normalsCosine is the cosine of the angle between (a,-1) and (b,-1).
func normalsCosine(a, b []float32) float64 {
	dot, aa, bb := 1.0, 1.0, 1.0
	for k := range a {
		u, v := float64(a[k]), float64(b[k])
		dot = math.FMA(u, v, dot)
		aa = math.FMA(u, u, aa)
		bb = math.FMA(v, v, bb)
	}
	return max(-1, min(1, dot/math.Sqrt(aa*bb)))
}
