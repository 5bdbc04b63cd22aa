package exact

import (
	"errors"
	"math"
	"testing"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/fault"
)

func TestCells(t *testing.T) {
	polygonOf := func(corners [][2]float64) polygon {
		var p polygon
		for _, c := range corners {
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
		if len(cells[2]) != 0 {
			t.Errorf("a duplicate has the cell %v", cells[2])
		}
		cells, err = Cells(p, make([]float64, 3), [2]float64{2, 2}, [2]float64{5, 5})
		if err != nil || len(cells) != 3 || len(cells[0])+len(cells[1]) != 0 {
			t.Errorf("outside the square: got %v, %v", cells, err)
		}
	})
	t.Run("bad_input", func(t *testing.T) {
		plane, line := Problem{Points: []float64{0, 0}, Dim: 2}, Problem{Points: []float64{0}, Dim: 1}
		one, low, high := []float64{0}, [2]float64{-1, -1}, [2]float64{1, 1}
		for name, call := range map[string]func() ([][][2]float64, error){
			"dimension": func() ([][][2]float64, error) { return Cells(line, one, low, high) },
			"points":    func() ([][][2]float64, error) { return Cells(Problem{Dim: 2}, nil, low, high) },
			"heights":   func() ([][][2]float64, error) { return Cells(plane, nil, low, high) },
			"order":     func() ([][][2]float64, error) { return Cells(plane, one, high, low) },
			"nan":       func() ([][][2]float64, error) { return Cells(plane, one, low, [2]float64{1, math.NaN()}) },
			"infinity":  func() ([][][2]float64, error) { return Cells(plane, one, low, [2]float64{math.Inf(1), 1}) },
		} {
			if _, err := call(); !errors.Is(err, fault.ErrInvalidArgument) {
				t.Errorf("%s: got %v", name, err)
			}
		}
	})
}
