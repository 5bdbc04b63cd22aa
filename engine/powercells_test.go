package engine

import (
	"errors"
	"math"
	"testing"
)

// The uniform source's cells have areas, which are the masses that the heights are made for.
func TestPowerCells(t *testing.T) {
	const n = 60
	e := newEngine(t, Config{})
	points := planeTargets(n)["swiss roll"]
	copy(points[2:4], points[:2]) // a duplicate
	m, err := e.Fit(points, 2, nil, FitOptions{Source: "uniform"})
	if err != nil {
		t.Fatal(err)
	}
	cells, err := m.PowerCells([2]float64{-2, -2}, [2]float64{2, 2})
	if err != nil {
		t.Fatal(err)
	}
	if len(cells) != n || len(cells[1]) != 0 {
		t.Fatalf("%d cells, the duplicate's with %d corners", len(cells), len(cells[1]))
	}
	for i, cell := range cells {
		want := 1. / n
		switch i {
		case 0:
			want = 2. / n
		case 1:
			want = 0
		}
		area := 0.0
		for k, a := range cell {
			b := cell[(k+1)%len(cell)]
			area += (a[0]*b[1] - a[1]*b[0]) / 2
		}
		if math.Abs(area-want) > 1e-5 {
			t.Errorf("cell %d has the area %v, want %v", i, area, want)
		}
	}
	if _, err := m.PowerCells([2]float64{1, 1}, [2]float64{0, 2}); !errors.Is(err, ErrInvalidArgument) {
		t.Errorf("a box inside out: %v", err)
	}
	line, err := e.FromHeights([]float32{1, 2}, 1, []float32{0, 0}, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := line.PowerCells([2]float64{-1, -1}, [2]float64{1, 1}); !errors.Is(err, ErrUnsupported) {
		t.Errorf("on the line: %v", err)
	}
}
