package sgd

import (
	"math"
	"testing"
)

// Against the formula, with powers in the place of cube roots.
func TestTake(t *testing.T) {
	const samples, batch, steepness = 4000., 1000., 2.
	for name, c := range map[string]struct {
		n    int     // cells
		hits int64   // H of one of them
		step float64 // s_i, its bound applied
	}{
		"a_share":         {1000, 60, 0.1 * math.Pow(1+4./30, -2./3)},
		"fewer_hits":      {100, 7, 0.5 / 10},
		"none_of_a_light": {4000, 0, 0.1},
		"a_heavy_cell":    {2, 3000, 0.5 / 500},
	} {
		t.Run(name, func(t *testing.T) {
			nu := 1 / float64(c.n)
			s := State{Rates: make([]float64, c.n), Hits: make([]int64, c.n), H: make([]float64, c.n)}
			for a := range s.Averages {
				s.Averages[a] = make([]float64, c.n)
			}
			s.Rates[0], s.Hits[0], s.H[0] = 3, c.hits, 5
			s.Averages[0][0], s.Averages[1][0] = 1, 2
			counts := make([]int32, c.n)
			counts[0] = 4
			s.Take(Step{Pace: PaceOf(samples, batch, nu, steepness), Weights: [Averages]float64{0.25, 0.5}}, counts)
			h := 5 - 3*min(c.step, 0.5/(batch*nu))/steepness*(4-batch*nu)
			for _, v := range [][2]float64{{s.H[0], h}, {s.Averages[0][0], 1 + 0.25*(h-1)}, {s.Averages[1][0], 2 + 0.5*(h-2)}} {
				if math.Abs(v[0]-v[1]) > 1e-12 {
					t.Errorf("got %v, want %v", v[0], v[1])
				}
			}
			if s.Hits[0] != c.hits+4 {
				t.Errorf("%d hits, want %d", s.Hits[0], c.hits+4)
			}
		})
	}
}

// Hits beyond the table have steps, too, and go on from it.
func TestMove_beyond_the_table(t *testing.T) {
	move := func(hits int64) float64 {
		s := State{Rates: []float64{1}, Hits: []int64{hits}, H: []float64{0}}
		s.Move(0, 1, Pace{Share: 1 << 20, Bound: 1, Steepness: 1}, []int32{1})
		return -s.H[0]
	}
	for _, hits := range []int64{0, Known - 1, Known, 3 * Known} {
		if got, want := move(hits), 0.1*math.Pow(1+float64(hits)/30, -2./3); math.Abs(got-want) > 1e-14 {
			t.Errorf("after %d hits: step %v, want %v", hits, got, want)
		}
	}
}
