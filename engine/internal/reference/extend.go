package reference

import (
	"math"

	"brenier/engine/internal/backend"
)

// Cosine is the cosine of the angle between the planes of two points, the one between the normals
// (a,-1) and (b,-1): fma chains over the dimensions that start at 1.
func Cosine(a, b []float32) float64 {
	return Score(a, b, 1) / float64(math.Sqrt(Score(a, a, 1))*math.Sqrt(Score(b, b, 1)))
}

// Extend is the code of the sample x [d] with cells [k], best first, of points and centroids [N,d].
func Extend(x []float32, cells []int32, points, centroids []float32, e backend.Extension) []float32 {
	d := len(x)
	point := func(cell int32) []float32 { return points[int(cell)*d : int(cell+1)*d] }
	best := point(cells[0])
	kept := cells[:1:1]
	for _, cell := range cells[1:] {
		if Cosine(best, point(cell)) >= e.MinCosine {
			kept = append(kept, cell)
		}
	}
	z := append([]float32(nil), best...)
	switch {
	case e.Mode == backend.Cell || len(kept) == 1:
	case e.Mode == backend.Pair:
		for i, y := range point(kept[1]) {
			z[i] = float32(math.FMA(e.Blend, float64(y), float64((1-e.Blend)*float64(best[i]))))
		}
	case e.Mode == backend.Simplex:
		sums, total := make([]float64, d), 0.0
		for _, cell := range kept {
			square := 0.0
			for i, c := range centroids[int(cell)*d : int(cell+1)*d] {
				gap := float64(x[i]) - float64(c)
				square = math.FMA(gap, gap, square)
			}
			if square == 0 {
				return append([]float32(nil), point(cell)...)
			}
			weight := 1 / math.Sqrt(square)
			total += weight
			for i, y := range point(cell) {
				sums[i] = math.FMA(weight, float64(y), sums[i])
			}
		}
		for i := range z {
			z[i] = float32(sums[i] / total)
		}
	}
	return z
}
