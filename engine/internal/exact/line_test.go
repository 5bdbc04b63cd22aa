package exact

import (
	"math"
	"slices"
	"testing"

	"brenier/engine/internal/backend"
)

func TestQuantile(t *testing.T) {
	t.Run("is_the_inverse_of_the_mass_below", func(t *testing.T) {
		for _, s := range []source{gaussian{}, uniform{}} {
			for _, p := range []float64{1e-300, 1e-30, 1e-12, 1e-3, 0.02, 0.3, 0.5} {
				q := s.quantile(p, 1-p)
				below, _ := s.interval(math.Inf(-1), q)
				// The relative error of a tail is about q^2 times that of q.
				if e := math.Abs(below-p) / p; e > 1e-15*(2+q*q) && p > 1e-12 || e > 1e-15*(2+q*q) && s == (gaussian{}) {
					t.Errorf("%T: the mass below %v is %v, want %v", s, q, below, p)
				}
				if up := s.quantile(1-p, p); up != -q {
					t.Errorf("%T: %v with %v above it, but %v with that below it", s, up, p, q)
				}
			}
		}
	})
}

func TestInterval(t *testing.T) {
	t.Run("pieces_sum_to_the_whole", func(t *testing.T) {
		for _, s := range []source{gaussian{}, uniform{}} {
			ends := []float64{math.Inf(-1), -3, -0.5, -0.2, 0, 0.1, 0.5, 2, math.Inf(1)}
			mass, moment := 0.0, 0.0
			for k := range len(ends) - 1 {
				m, c := s.interval(ends[k], ends[k+1])
				mass, moment = mass+m, moment+c
			}
			near(t, "mass and moment", []float64{mass, moment}, []float64{1, 0}, 1e-15)
		}
	})
	t.Run("far_tails_keep_their_digits", func(t *testing.T) {
		m, _ := gaussian{}.interval(20, 21)
		// The continued fraction of the tail, Abramowitz and Stegun 26.2.14, at 20; that at 21 is 1e-9 of it.
		want := 0.0
		for k := 60.0; k > 0; k-- {
			want = k / (20 + want)
		}
		want = density(20) / (20 + want)
		if math.Abs(m/want-1) > 2e-9 {
			t.Errorf("got %v, want %v", m, want)
		}
	})
}

func TestLine(t *testing.T) {
	// A closed form of the semi-discrete tests of Python Optimal Transport: the source uniform on
	// [1/2,3/2], atoms (j+1)/m, cost |x-y|^2/2: g_j = j(1/(2m^2) - 1/(2m)). With our source, one to the
	// left, h = g - y^2/2 + y.
	t.Run("atoms_on_a_shifted_interval", func(t *testing.T) {
		const m = 10
		y, want := make([]float64, m), make([]float64, m)
		for j := range want {
			y[j] = float64(j+1) / m
			want[j] = float64(j)*(1/(2.*m*m)-1/(2.*m)) - y[j]*y[j]/2 + y[j]
		}
		r := solve(t, Problem{Points: y, Dim: 1, Source: backend.Uniform})
		near(t, "heights", r.Heights, centredBy(want, equal(m)), 1e-15)
		near(t, "masses", r.Masses, equal(m), 1e-15)
	})
	t.Run("two_points", func(t *testing.T) {
		// The boundary is where the source has the mass of the lower point, b; h_1 - h_0 = -(3-1) b.
		nu := []float64{0.8413447460685429, 0.15865525393145707} // below and above 1
		r := solve(t, Problem{Points: []float64{1, 3}, Dim: 1, Masses: nu})
		near(t, "heights", r.Heights, centredBy([]float64{0, -2}, nu), 1e-14)
		// c = -density(1)/nu_0 and density(1)/nu_1.
		near(t, "centroids", r.Centroids, []float64{-density(1) / nu[0], density(1) / nu[1]}, 1e-14)
		near(t, "edge", []float64{r.Edges[0].Weight}, []float64{density(1) / 2}, 1e-15)
	})
	t.Run("masses_are_met", func(t *testing.T) {
		r := random()
		for name, source := range sources {
			for _, n := range []int{1, 2, 3, 100, 3000} {
				y := make([]float64, n)
				for i := range y {
					y[i] = 100 + r.NormFloat64()
				}
				s := solve(t, Problem{Points: y, Dim: 1, Masses: zipf(n), Source: source})
				if !s.Met || s.MaxError > 4*s.Rounding+1e-15 || s.Empty != 0 {
					t.Errorf("%s, %d points: error %v, rounding %v, %d empty", name, n, s.MaxError, s.Rounding, s.Empty)
				}
				if m := total(s.Heights); len(y) > 1 && slices.Equal(s.Heights, make([]float64, n)) {
					t.Errorf("%s: heights are all 0, of sum %v", name, m)
				}
			}
		}
	})
	t.Run("tiny_masses_at_both_ends", func(t *testing.T) {
		nu := []float64{1e-13, 0.5, 0.5 - 2e-13, 1e-13}
		r := solve(t, Problem{Points: []float64{-1, 0, 1, 2}, Dim: 1, Masses: nu})
		for _, i := range []int{0, 3} {
			if math.Abs(r.Masses[i]/nu[i]-1) > 1e-4 { // 1 - sum of the others is known to 1e-16 only
				t.Errorf("mass %d is %v, want %v", i, r.Masses[i], nu[i])
			}
		}
	})
	t.Run("order_does_not_matter", func(t *testing.T) {
		r := solve(t, Problem{Points: []float64{3, -1, 2, 0}, Dim: 1, Masses: []float64{.1, .2, .3, .4}})
		s := solve(t, Problem{Points: []float64{-1, 0, 2, 3}, Dim: 1, Masses: []float64{.2, .4, .3, .1}})
		near(t, "heights", r.Heights, []float64{s.Heights[3], s.Heights[0], s.Heights[2], s.Heights[1]}, 0)
	})
	t.Run("duplicates_share_with_the_first", func(t *testing.T) {
		r := solve(t, Problem{Points: []float64{5, 1, 5, 5}, Dim: 1, Masses: []float64{.1, .4, .2, .3}})
		near(t, "masses", r.Masses, []float64{.6, .4, 0, 0}, 1e-15)
		near(t, "heights", []float64{r.Heights[2], r.Heights[3]}, []float64{r.Heights[0], r.Heights[0]}, 0)
		near(t, "centroids", []float64{r.Centroids[2], r.Centroids[3]}, []float64{r.Centroids[0], r.Centroids[0]}, 0)
		if r.Duplicates != 2 || r.Empty != 0 {
			t.Errorf("got %d duplicates and %d empty cells", r.Duplicates, r.Empty)
		}
	})
	t.Run("distance_to_a_fine_copy_of_the_source", func(t *testing.T) {
		// n equal masses at the midpoints of n intervals: W2^2 = 1/(12 n^2).
		const n = 100
		y := make([]float64, n)
		for i := range y {
			y[i] = (float64(i)+0.5)/n - 0.5
		}
		r := solve(t, Problem{Points: y, Dim: 1, Source: backend.Uniform})
		near(t, "W2^2", []float64{r.W2Squared}, []float64{1 / (12. * n * n)}, 1e-16)
	})
}

func TestMeasureLine(t *testing.T) {
	t.Run("hidden_points_have_no_cell", func(t *testing.T) {
		for _, h := range [][]float64{{0, -5, 0}, {0, 0, 0}} { // below the others; and through their corner
			r := measure(t, Problem{Points: []float64{-1, 0, 1}, Dim: 1}, h)
			near(t, "masses", r.Masses, []float64{.5, 0, .5}, 1e-15)
			if r.Empty != 1 || !math.IsNaN(r.Centroids[1]) || len(r.Edges) != 1 || r.Edges[0].I != 0 || r.Edges[0].J != 2 {
				t.Errorf("got %+v", r)
			}
		}
	})
	t.Run("counts_on_a_fine_grid", func(t *testing.T) {
		r := random()
		const n, grid = 30, 1 << 18
		y, h, count := make([]float64, n), make([]float64, n), make([]float64, n)
		for i := range n {
			y[i], h[i] = r.NormFloat64(), 0.1*r.NormFloat64()
		}
		for k := range grid {
			x := (float64(k)+0.5)/grid - 0.5
			best := 0
			for i := range n {
				if x*y[i]+h[i] > x*y[best]+h[best] {
					best = i
				}
			}
			count[best] += 1. / grid
		}
		m := measure(t, Problem{Points: y, Dim: 1, Source: backend.Uniform}, h)
		near(t, "masses", m.Masses, count, 2./grid)
	})
}
