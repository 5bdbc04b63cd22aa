package fit

import (
	"math"
	"testing"
)

func TestCentroids(t *testing.T) {
	t.Run("halves_of_the_line", func(t *testing.T) {
		// y = -1, 1 and equal masses: the cells are the half-lines, of mean -+sqrt(2/pi).
		r := solve(t, Problem{Points: []float32{-1, 1}, Dim: 1}, Options{Tolerance: 1e-4})
		want := math.Sqrt(2 / math.Pi)
		for i, sign := range []float64{-1, 1} {
			if got := float64(r.Centroids[i]); math.Abs(got-sign*want) > 0.02 {
				t.Errorf("centroid %d is %.4f, want %.4f", i, got, sign*want)
			}
		}
	})
	t.Run("a_cell_without_samples_gets_the_model's_mean", func(t *testing.T) {
		p := Problem{Points: []float32{-3, 0, 3, 0, 0, 4, 0, -4}, Dim: 2, Uniform: true}
		c := newCentres(newTarget(p), inTwo)
		c.add([]float32{0.25, 0, 0, 0.25, 0, -0.25}, []int32{1, 2, 3}, []float64{0.0625, 0.0625, 0.0625})
		got, _ := c.means([]int64{0, 1, 1, 1})
		// sigma q (y - mean)/|y - mean| with q = PHI^-1(3/4) = 0.6745 and sigma^2 = 1/12
		if math.Abs(float64(got[0])+0.6744898/math.Sqrt(12)) > 1e-6 || got[1] != 0 {
			t.Errorf("centroid %v", got[:2])
		}
	})
}
