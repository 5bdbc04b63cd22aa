package exact

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"testing"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/fault"
	"brenier/engine/internal/threads"
)

// grid is the product of two lists of values and of their masses.
func grid(x, y, nuX, nuY []float64) (points, nu []float64) {
	for i := range x {
		for j := range y {
			points = append(points, x[i], y[j])
			nu = append(nu, nuX[i]*nuY[j])
		}
	}
	return points, nu
}

func TestSolve(t *testing.T) {
	for name, source := range sources {
		for target, point := range targets {
			for _, n := range []int{1, 2, 3, 40, 256, 1000} {
				for _, nu := range [][]float64{nil, zipf(n)} {
					t.Run(fmt.Sprintf("masses_within_1e-10/%s/%s/N=%d/zipf=%v", name, target, n, nu != nil), func(t *testing.T) {
						r := solve(t, Problem{Points: draw(n, point), Dim: 2, Masses: nu, Source: source})
						if !r.Met || r.MaxError > 1e-10 || r.Empty != 0 {
							t.Errorf("error %v, relative %v, rounding %v, %d empty, %d steps", r.MaxError, r.MaxRelativeError, r.Rounding, r.Empty, r.Steps)
						}
						// Rounding of the heights is what is left, and a few roundings of masses.
						if r.MaxError > 8*r.Rounding+1e-13 {
							t.Errorf("error %v with a rounding of %v", r.MaxError, r.Rounding)
						}
						if e := total(r.Masses) - 1; math.Abs(e) > 1e-13 {
							t.Errorf("masses sum to 1 + %v", e)
						}
					})
				}
			}
		}
	}
	for name, source := range sources {
		t.Run("product_of_lines/"+name, func(t *testing.T) {
			x, y := []float64{-2, -0.3, 0, 1, 7}, []float64{0, 0.5, 0.6, 3}
			nuX, nuY := []float64{.1, .2, .3, .25, .15}, []float64{.4, .3, .2, .1}
			points, nu := grid(x, y, nuX, nuY)
			r := solve(t, Problem{Points: points, Dim: 2, Masses: nu, Source: source})
			alongX := solve(t, Problem{Points: x, Dim: 1, Masses: nuX, Source: source})
			alongY := solve(t, Problem{Points: y, Dim: 1, Masses: nuY, Source: source})
			var h, c []float64
			for i := range x {
				for j := range y {
					h = append(h, alongX.Heights[i]+alongY.Heights[j])
					c = append(c, alongX.Centroids[i], alongY.Centroids[j])
				}
			}
			near(t, "heights", r.Heights, h, 1e-14)
			near(t, "centroids", r.Centroids, c, 1e-14)
			near(t, "energy and distance", []float64{r.Energy, r.W2Squared},
				[]float64{alongX.Energy + alongY.Energy, alongX.W2Squared + alongY.W2Squared}, 1e-13)
		})
		t.Run("planted_heights_come_back/"+name, func(t *testing.T) {
			// The masses of known heights, under which no cell is empty, are asked for.
			for target, point := range map[string]func(i int) (x, y float64){
				"circle": func(i int) (x, y float64) { return onACircle(nil, i) },
				"spiral": func(i int) (x, y float64) {
					return float64(i) / 100 * math.Cos(float64(i)), float64(i) / 100 * math.Sin(float64(i))
				},
			} {
				const n = 60
				p := Problem{Dim: 2, Source: source}
				planted := make([]float64, n)
				for i := range n {
					x, y := point(i)
					p.Points = append(p.Points, x, y)
					planted[i] = -(x*x+y*y)/2 + 1e-4*math.Sin(float64(3*i))
				}
				if target == "circle" {
					for i := range planted {
						planted[i] /= 100 // cells are wedges; any small heights do
					}
				}
				m := measure(t, p, planted)
				if m.Empty > 0 {
					t.Fatalf("%s: %d cells are empty under the planted heights", target, m.Empty)
				}
				p.Masses = m.Masses
				r := solve(t, p)
				near(t, target+": heights", r.Heights, centredBy(planted, m.Masses), 1e-10)
			}
		})
		t.Run("symmetric_points_have_symmetric_heights/"+name, func(t *testing.T) {
			// Both sources look the same after a quarter turn and in a mirror.
			var y []float64
			for _, v := range [][2]float64{{1, 0.2}, {0.5, 0.1}, {2, 1}} {
				for range 4 {
					y = append(y, v[0], v[1], v[1], v[0])
					v = [2]float64{-v[1], v[0]}
				}
			}
			r := solve(t, Problem{Points: y, Dim: 2, Source: source})
			for i, h := range r.Heights {
				near(t, "height", []float64{h}, []float64{r.Heights[i/8*8]}, 1e-13)
			}
		})
		t.Run("moving_and_scaling_the_points/"+name, func(t *testing.T) {
			p := Problem{Points: draw(200, eightGaussians), Dim: 2, Masses: zipf(200), Source: source}
			r := solve(t, p)
			for _, scale := range []float64{1e-100, 0.01, 100, 1e100} {
				for _, move := range []float64{0, 1000} {
					q := Problem{Dim: 2, Masses: p.Masses, Source: source}
					for _, v := range p.Points {
						q.Points = append(q.Points, (v+move)*scale)
					}
					s := solve(t, q)
					for i := range s.Heights {
						s.Heights[i] /= scale
					}
					near(t, fmt.Sprintf("heights, moved by %v and scaled by %v", move, scale), s.Heights, r.Heights, 1e-10)
				}
			}
		})
		t.Run("duplicates_share_with_the_first/"+name, func(t *testing.T) {
			y, nu := draw(50, swissRoll), zipf(50)
			once := solve(t, Problem{Points: y, Dim: 2, Masses: nu, Source: source})
			twice, halves := append([]float64(nil), y...), append([]float64(nil), nu...)
			for i := 10; i < 20; i++ {
				twice = append(twice, y[2*i], y[2*i+1])
				halves = append(halves, nu[i]/4)
				halves[i] -= nu[i] / 4
			}
			r := solve(t, Problem{Points: twice, Dim: 2, Masses: halves, Source: source})
			near(t, "heights", r.Heights[:50], once.Heights, 1e-10)
			near(t, "their heights", r.Heights[50:], once.Heights[10:20], 1e-10)
			near(t, "their masses", r.Masses[50:], make([]float64, 10), 0)
			near(t, "their centroids", r.Centroids[100:], r.Centroids[20:40], 0)
			if r.Duplicates != 10 || r.Empty != 0 || !r.Met {
				t.Errorf("got %d duplicates, %d empty cells, met %v", r.Duplicates, r.Empty, r.Met)
			}
		})
	}
	t.Run("points_on_a_line_are_a_problem_on_the_line", func(t *testing.T) {
		// For the gaussian source, which has no directions.
		line, plane := []float64{}, []float64{}
		sin, cos := math.Sincos(0.7)
		for i := range 30 {
			v := math.Sin(float64(i * i))
			line = append(line, v)
			plane = append(plane, cos*v, sin*v)
		}
		r := solve(t, Problem{Points: line, Dim: 1, Masses: zipf(30)})
		s := solve(t, Problem{Points: plane, Dim: 2, Masses: zipf(30)})
		near(t, "heights", s.Heights, r.Heights, 1e-12)
		for i, c := range r.Centroids {
			near(t, "centroid", s.Centroids[2*i:2*i+2], []float64{cos * c, sin * c}, 1e-10)
		}
		near(t, "W2^2", []float64{s.W2Squared}, []float64{r.W2Squared + 1}, 1e-13)
	})
	t.Run("one_point", func(t *testing.T) {
		for name, source := range sources {
			square := newSource(source).square()
			r := solve(t, Problem{Points: []float64{3, 4}, Dim: 2, Source: source})
			near(t, name, append(append(r.Heights, r.Masses...), r.Energy, r.W2Squared), []float64{0, 1, 0, 25 + 2*square}, 1e-14)
			near(t, name+": centroid", r.Centroids, []float64{0, 0}, 1e-15)
		}
	})
	t.Run("heights_to_begin_with", func(t *testing.T) {
		p := Problem{Points: draw(300, gridOfGaussians), Dim: 2, Source: backend.Gaussian}
		want := solve(t, p)
		rounded := make([]float64, 300)
		for i, h := range want.Heights {
			rounded[i] = float64(float32(h)) + 5
		}
		given := append([]float64(nil), rounded...)
		r := solveWith(t, p, Options{Heights: given})
		near(t, "heights", r.Heights, want.Heights, 1e-10)
		near(t, "those given", given, rounded, 0)
		if r.Steps >= want.Steps {
			t.Errorf("%d steps from near the solution, %d from afar", r.Steps, want.Steps)
		}
		// Heights that leave most cells empty are no use, and no harm.
		r = solveWith(t, p, Options{Heights: make([]float64, 300)})
		near(t, "heights", r.Heights, want.Heights, 1e-10)
	})
	t.Run("distance_is_a_bound_from_below_before", func(t *testing.T) {
		p := Problem{Points: draw(100, swissRoll), Dim: 2, Source: backend.Uniform}
		best := solve(t, p)
		for step := 1e-4; step < 1; step *= 4 {
			h := append([]float64(nil), best.Heights...)
			for i := range h {
				h[i] += step * math.Sin(float64(i*i))
			}
			if r := measure(t, p, h); r.W2Squared > best.W2Squared || r.Energy < best.Energy {
				t.Errorf("W2^2 %v above %v, energy %v below %v", r.W2Squared, best.W2Squared, r.Energy, best.Energy)
			}
		}
	})
	t.Run("distance_is_the_cost_of_the_map", func(t *testing.T) {
		p := Problem{Points: draw(50, eightGaussians), Dim: 2, Source: backend.Uniform}
		r := solve(t, p)
		cost := 0.0
		const rows = 400
		for k := range rows * rows {
			x, y := (float64(k%rows)+0.5)/rows-0.5, (float64(k/rows)+0.5)/rows-0.5
			best, at := math.Inf(-1), 0
			for i := range r.Heights {
				if s := x*p.Points[2*i] + y*p.Points[2*i+1] + r.Heights[i]; s > best {
					best, at = s, i
				}
			}
			cost += (math.Pow(x-p.Points[2*at], 2) + math.Pow(y-p.Points[2*at+1], 2)) / (rows * rows)
		}
		near(t, "W2^2", []float64{r.W2Squared}, []float64{cost}, 2e-3)
	})
	t.Run("same_bits_again", func(t *testing.T) {
		p := Problem{Points: draw(200, swissRoll), Dim: 2}
		a, b := solve(t, p), solve(t, p)
		near(t, "heights", a.Heights, b.Heights, 0)
	})
	t.Run("points_a_bit_apart", func(t *testing.T) {
		// Rounding the heights moves more mass than the tolerance allows, which is said and not hidden.
		p := Problem{Points: []float64{0, 0, 1e-14, 0, 2e-14, 0, 1, 1}, Dim: 2}
		r := solve(t, p)
		if r.Met && r.MaxError > 1e-10 || r.MaxError > 8*r.Rounding || r.Rounding < 1e-10 {
			t.Errorf("met %v with the error %v and rounding %v", r.Met, r.MaxError, r.Rounding)
		}
	})
	t.Run("stops_when_told_to", func(t *testing.T) {
		calls := 0
		_, err := Solve(Problem{Points: draw(100, swissRoll), Dim: 2}, Options{Progress: func(p Progress) bool {
			calls++
			return p.Steps < 2
		}})
		if !errors.Is(err, fault.ErrCancelled) || calls != 3 {
			t.Errorf("got %v after %d calls", err, calls)
		}
	})
	t.Run("has_the_same_bits_for_any_number_of_threads", func(t *testing.T) {
		for name, source := range sources {
			p := Problem{Points: draw(3000, swissRoll), Dim: 2, Source: source}
			want := solveWith(t, p, Options{Parallel: threads.Alone})
			for _, threads := range []int{2, 3, 16} {
				if got := solveWith(t, p, Options{Parallel: splitIn(threads)}); !reflect.DeepEqual(got, want) {
					t.Errorf("%s: %d threads come to another result", name, threads)
				}
			}
		}
	})
	t.Run("stops_within_any_diagram", func(t *testing.T) {
		// The start has one of its own, and every step one more at least.
		p := Problem{Points: draw(5000, swissRoll), Dim: 2}
		var all []Progress
		solveWith(t, p, Options{Progress: func(at Progress) bool { all = append(all, at); return true }})
		if first := all[0]; first.Steps != 0 || !math.IsNaN(first.MaxError) {
			t.Errorf("the start does not ask: the first call says %+v", first)
		}
		for last := 0; last < len(all); last += 5 {
			calls := 0
			_, err := Solve(p, Options{Progress: func(Progress) bool { calls++; return calls <= last }})
			if !errors.Is(err, fault.ErrCancelled) || calls != last+1 {
				t.Errorf("got %v after %d calls, want an end at call %d of %d", err, calls, last+1, len(all))
			}
		}
	})
	t.Run("path_falls_to_the_error_reached", func(t *testing.T) {
		r := solve(t, Problem{Points: draw(300, swissRoll), Dim: 2, Masses: zipf(300)})
		if len(r.Path) != r.Steps+1 || r.Path[0] < 1e-3 || r.Path[r.Steps] > 1e-16 {
			t.Errorf("%d steps by way of chi-squared %v", r.Steps, r.Path)
		}
	})
}

func TestBadInput(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	two := []float64{0, 0, 1, 1}
	for _, c := range []struct {
		name    string
		p       Problem
		o       Options
		message string
	}{
		{"dimension", Problem{Points: two, Dim: 4}, Options{}, "dimension: the exact solver works in 1 and 2, got 4; fit by samples instead"},
		{"dimension_0", Problem{Points: two}, Options{}, "dimension: the exact solver works in 1 and 2, got 0; fit by samples instead"},
		{"no_points", Problem{Dim: 2}, Options{}, "points: want 1 or more, got none"},
		{"half_a_point", Problem{Points: two[:3], Dim: 2}, Options{}, "points: want rows of 2 numbers, got 3 numbers in all"},
		{"less_than_a_point", Problem{Points: two[:1], Dim: 2}, Options{}, "points: want rows of 2 numbers, got 1 numbers in all"},
		{"nan", Problem{Points: []float64{0, 0, 1, nan}, Dim: 2}, Options{}, "points: row 1, column 1 is NaN; want finite numbers up to 1e+150"},
		{"infinity", Problem{Points: []float64{0, inf}, Dim: 1}, Options{}, "points: row 1, column 0 is +Inf; want finite numbers up to 1e+150"},
		{"huge", Problem{Points: []float64{0, -1e200}, Dim: 1}, Options{}, "points: row 1, column 0 is -1e+200; want finite numbers up to 1e+150"},
		{"few_masses", Problem{Points: two, Dim: 2, Masses: []float64{1}}, Options{}, "masses: want [2], one for each point, got 1"},
		{"mass_0", Problem{Points: two, Dim: 2, Masses: []float64{1, 0}}, Options{}, "masses: row 1 is 0; want finite masses above 0: leave such a point out"},
		{"mass_below_0", Problem{Points: two, Dim: 2, Masses: []float64{2, -1}}, Options{}, "masses: row 1 is -1; want finite masses above 0: leave such a point out"},
		{"mass_nan", Problem{Points: two, Dim: 2, Masses: []float64{nan, 1}}, Options{}, "masses: row 0 is NaN; want finite masses above 0: leave such a point out"},
		{"mass_sum", Problem{Points: two, Dim: 2, Masses: []float64{.5, .6}}, Options{}, "masses: want a sum of 1, got 1.1; divide them by it"},
		{"tolerance", Problem{Points: two, Dim: 2}, Options{Tolerance: -1}, "tolerance: want a number above 0, or 0 for the default, got -1"},
		{"tolerance_nan", Problem{Points: two, Dim: 2}, Options{Tolerance: nan}, "tolerance: want a number above 0, or 0 for the default, got NaN"},
		{"few_heights", Problem{Points: two, Dim: 2}, Options{Heights: []float64{1}}, "heights: want [2], one for each point, got 1"},
		{"height_nan", Problem{Points: two, Dim: 2}, Options{Heights: []float64{1, nan}}, "heights: row 1 is NaN; want finite numbers"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Solve(c.p, c.o)
			if !errors.Is(err, fault.ErrInvalidArgument) || err.Error() != c.message {
				t.Errorf("got %v, want %s", err, c.message)
			}
		})
	}
	t.Run("measure", func(t *testing.T) {
		if _, err := Measure(Problem{Points: two, Dim: 2}, []float64{0}, nil); !errors.Is(err, fault.ErrInvalidArgument) {
			t.Errorf("got %v", err)
		}
		if _, err := Measure(Problem{Points: two, Dim: 3}, []float64{0, 0}, nil); !errors.Is(err, fault.ErrInvalidArgument) {
			t.Errorf("got %v", err)
		}
	})
}
