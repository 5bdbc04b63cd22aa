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
	if len(cells) != n || len(cells[1].Corners) != 0 {
		t.Fatalf("%d cells, the duplicate's with %d corners", len(cells), len(cells[1].Corners))
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
		for k, a := range cell.Corners {
			b := cell.Corners[(k+1)%len(cell.Corners)]
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

// Points of a square at distance 1 from the middle: their planes meet on the diagonals, those of opposite
// points only in the middle. The angle of neighbours' normals (1,0,-1) and (0,1,-1) is 60 degrees.
func TestSingularEdges(t *testing.T) {
	e := newEngine(t, Config{})
	m, err := e.FromHeights([]float32{1, 0, 0, 1, -1, 0, 0, -1}, 2, make([]float32, 4), "")
	if err != nil {
		t.Fatal(err)
	}
	cells, err := m.PowerCells([2]float64{-2, -2}, [2]float64{2, 2})
	if err != nil {
		t.Fatal(err)
	}
	for theta, want := range map[float64]int{0: 4, 1.0471: 4, 1.0473: 0, math.Pi: 0} {
		edges, err := m.SingularEdges(cells, Extension{Mode: Cell, Angle: Radians, Theta: theta})
		if err != nil {
			t.Fatal(err)
		}
		if len(edges) != want {
			t.Errorf("above %v: %d edges, want %d", theta, len(edges), want)
		}
		for _, edge := range edges {
			length := math.Hypot(edge.To[0]-edge.From[0], edge.To[1]-edge.From[1])
			if math.Abs(edge.Angle-math.Pi/3) > 1e-15 || math.Abs(length-math.Sqrt(8)) > 1e-12 || edge.Cells[1]-edge.Cells[0] == 2 {
				t.Errorf("edge %+v of length %v", edge, length)
			}
		}
	}
	// The quantiles are of the angles that noise meets: the map's own table counts here.
	fitted, err := e.Fit(planeTargets(60)["eight gaussians"], 2, nil, FitOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if cells, err = fitted.PowerCells([2]float64{-3, -3}, [2]float64{3, 3}); err != nil {
		t.Fatal(err)
	}
	before := math.MaxInt
	for _, q := range []float64{0, 0.5, 0.9, 1} {
		edges, err := fitted.SingularEdges(cells, Extension{Angle: Quantile, Theta: q})
		if err != nil {
			t.Fatal(err)
		}
		if len(edges) >= before {
			t.Errorf("above the quantile %v: %d edges, before %d", q, len(edges), before)
		}
		before = len(edges)
	}
	if before != 0 {
		t.Errorf("%d edges above all angles", before)
	}
	for name, call := range map[string]func() error{
		"too few cells": func() error { _, err := fitted.SingularEdges(cells[:3], Extension{}); return err },
		"no angle":      func() error { _, err := fitted.SingularEdges(cells, Extension{Angle: Radians, Theta: 4}); return err },
	} {
		if err := call(); !errors.Is(err, ErrInvalidArgument) {
			t.Errorf("%s: %v", name, err)
		}
	}
	line, err := e.FromHeights([]float32{1, 2}, 1, []float32{0, 0}, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := line.SingularEdges(nil, Extension{}); !errors.Is(err, ErrUnsupported) {
		t.Errorf("on the line: %v", err)
	}
}
