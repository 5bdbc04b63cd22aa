package exact

import (
	"errors"
	"fmt"
	"math"
	"testing"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/fault"
)

func TestCells(t *testing.T) {
	polygonOf := func(cell Cell) polygon {
		var p polygon
		for _, c := range cell.Corners {
			p = append(p, corner{at: vector{c[0], c[1]}})
		}
		return p
	}
	t.Run("are_what_masses_are_of", func(t *testing.T) {
		for name, s := range sources {
			p := Problem{Points: draw(300, swissRoll), Dim: 2, Source: s}
			r := solve(t, p)
			cells, err := Cells(p, r.Heights, [2]float64{-reach, -reach}, [2]float64{reach, reach})
			if err != nil {
				t.Fatal(err)
			}
			masses := make([]float64, len(cells))
			for i, c := range cells {
				masses[i], _ = newSource(s).polygon(polygonOf(c))
			}
			near(t, name, masses, r.Masses, 1e-13)
		}
	})
	t.Run("fill_the_box", func(t *testing.T) {
		p := Problem{Points: draw(100, eightGaussians), Dim: 2}
		r := solve(t, p)
		for _, box := range [][2][2]float64{{{-3, -2}, {4, 1}}, {{-1e6, -1e6}, {1e6, 1e6}}, {{0.1, 0.1}, {0.11, 0.2}}} {
			cells, err := Cells(p, r.Heights, box[0], box[1])
			if err != nil {
				t.Fatal(err)
			}
			sum := 0.0
			for _, c := range cells {
				sum += area(polygonOf(c))
			}
			want := (box[1][0] - box[0][0]) * (box[1][1] - box[0][1])
			near(t, "area", []float64{sum / want}, []float64{1}, 1e-12)
		}
	})
	t.Run("uniform_ones_end_at_the_square", func(t *testing.T) {
		p := Problem{Points: []float64{0, 0, 1, 0, 0, 0}, Dim: 2, Source: backend.Uniform}
		cells, err := Cells(p, make([]float64, 3), [2]float64{-5, -5}, [2]float64{5, 0.25})
		if err != nil {
			t.Fatal(err)
		}
		near(t, "areas", []float64{area(polygonOf(cells[0])), area(polygonOf(cells[1]))}, []float64{.375, .375}, 1e-15)
		if len(cells[2].Corners) != 0 {
			t.Errorf("a duplicate has the cell %v", cells[2])
		}
		cells, err = Cells(p, make([]float64, 3), [2]float64{2, 2}, [2]float64{5, 5})
		if err != nil || len(cells) != 3 || len(cells[0].Corners)+len(cells[1].Corners) != 0 {
			t.Errorf("outside the square: got %v, %v", cells, err)
		}
	})
	t.Run("of_a_grid_have_its_neighbours_behind", func(t *testing.T) {
		// Heights -|y|^2/2 make squares around the points; a square's sides are crossed to the points beside.
		const side = 7
		p, h := Problem{Dim: 2}, []float64(nil)
		for i := range side * side {
			x, y := float64(i%side-side/2), float64(i/side-side/2)
			p.Points, h = append(p.Points, x, y), append(h, -(x*x+y*y)/2)
		}
		reach := side/2 + 0.5
		cells, err := Cells(p, h, [2]float64{-reach, -reach}, [2]float64{reach, reach})
		if err != nil {
			t.Fatal(err)
		}
		for i, cell := range cells {
			got := map[int][4]float64{}
			for k, j := range cell.Behind {
				a, b := cell.Corners[k], cell.Corners[(k+1)%len(cell.Corners)]
				if j != Outside && math.Hypot(b[0]-a[0], b[1]-a[1]) > 1e-9 { // four squares meet in a corner, but for rounding
					got[j] = [4]float64{a[0], a[1], b[0], b[1]}
				}
			}
			x, y := p.Points[2*i], p.Points[2*i+1]
			for _, beside := range [][2]int{{1, 0}, {0, 1}, {-1, 0}, {0, -1}} {
				dx, dy := float64(beside[0])/2, float64(beside[1])/2
				if math.Abs(x+dx) == reach || math.Abs(y+dy) == reach {
					continue
				}
				j := i + beside[0] + side*beside[1]
				ends, want := got[j], []float64{x + dx + dy, y + dy - dx, x + dx - dy, y + dy + dx}
				near(t, fmt.Sprintf("side from %d to %d", i, j), ends[:], want, 1e-12)
				delete(got, j)
			}
			if len(got) > 0 {
				t.Errorf("cell %d has more sides: %v", i, got)
			}
		}
	})
	t.Run("meet_where_both_scores_are_the_highest", func(t *testing.T) {
		// By brute force over all points, at places along every side.
		for name, points := range map[string][]float64{"swiss roll": draw(120, swissRoll), "eight gaussians": draw(120, eightGaussians)} {
			p := Problem{Points: points, Dim: 2}
			h := solve(t, p).Heights
			cells, err := Cells(p, h, [2]float64{-4, -3}, [2]float64{3, 4})
			if err != nil {
				t.Fatal(err)
			}
			score := func(i int, x, y float64) float64 { return p.Points[2*i]*x + p.Points[2*i+1]*y + h[i] }
			sides := map[[2]int]float64{}
			for i, cell := range cells {
				for k, j := range cell.Behind {
					a, b := cell.Corners[k], cell.Corners[(k+1)%len(cell.Corners)]
					for _, along := range []float64{0.1, 0.5, 0.9} {
						x, y := a[0]+along*(b[0]-a[0]), a[1]+along*(b[1]-a[1])
						if j == Outside {
							if math.Min(math.Min(math.Abs(x+4), math.Abs(x-3)), math.Min(math.Abs(y+3), math.Abs(y-4))) > 1e-12 {
								t.Errorf("%s: cell %d ends at (%v, %v), within the box", name, i, x, y)
							}
							continue
						}
						best := math.Inf(-1)
						for other := range cells {
							best = max(best, score(other, x, y))
						}
						if best-score(i, x, y) > 1e-12 || best-score(j, x, y) > 1e-12 {
							t.Errorf("%s: at (%v, %v) between %d and %d another cell is higher", name, x, y, i, j)
						}
					}
					if j != Outside {
						sides[[2]int{i, j}] = math.Hypot(b[0]-a[0], b[1]-a[1])
					}
				}
			}
			for pair, length := range sides {
				if back := sides[[2]int{pair[1], pair[0]}]; math.Abs(back-length) > 1e-9 {
					t.Errorf("%s: the side of %d to %d has the length %v, back %v", name, pair[0], pair[1], length, back)
				}
			}
		}
	})
	t.Run("bad_input", func(t *testing.T) {
		plane, line := Problem{Points: []float64{0, 0}, Dim: 2}, Problem{Points: []float64{0}, Dim: 1}
		one, low, high := []float64{0}, [2]float64{-1, -1}, [2]float64{1, 1}
		for name, call := range map[string]func() ([]Cell, error){
			"dimension": func() ([]Cell, error) { return Cells(line, one, low, high) },
			"points":    func() ([]Cell, error) { return Cells(Problem{Dim: 2}, nil, low, high) },
			"heights":   func() ([]Cell, error) { return Cells(plane, nil, low, high) },
			"order":     func() ([]Cell, error) { return Cells(plane, one, high, low) },
			"nan":       func() ([]Cell, error) { return Cells(plane, one, low, [2]float64{1, math.NaN()}) },
			"infinity":  func() ([]Cell, error) { return Cells(plane, one, low, [2]float64{math.Inf(1), 1}) },
		} {
			if _, err := call(); !errors.Is(err, fault.ErrInvalidArgument) {
				t.Errorf("%s: got %v", name, err)
			}
		}
	})
}
