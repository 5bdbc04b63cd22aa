package reference

import (
	"math"
	"sort"
)

// Score is s_i = h + <x,y> in float64: an fma chain over the dimensions in order, from h.
func Score(x, y []float32, h float32) float64 {
	sum := float64(h)
	for i := range x {
		sum = math.FMA(float64(x[i]), float64(y[i]), sum)
	}
	return sum
}

// Locate returns the k best cells of the sample x [d] among points [N,d] with heights [N]: score
// descending, then index ascending.
func Locate(x, points, heights []float32, k int) (cells []int32, scores []float64) {
	d := len(x)
	all := make([]float64, len(heights))
	order := make([]int32, len(heights))
	for i, h := range heights {
		all[i] = Score(x, points[i*d:(i+1)*d], h)
		order[i] = int32(i)
	}
	sort.SliceStable(order, func(a, b int) bool { return all[order[a]] > all[order[b]] })
	for _, cell := range order[:k] {
		cells = append(cells, cell)
		scores = append(scores, all[cell])
	}
	return cells, scores
}
