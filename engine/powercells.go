package engine

import (
	"math"

	"brenier/engine/internal/exact"
	"brenier/engine/internal/fault"
)

// PowerCell is a power cell of a map of the plane, inside a box.
type PowerCell = exact.Cell

// PowerCells are the power cells of a map of the plane, for drawing: cell i holds where the score
// <x,y_i> + h_i is the highest in the box from low to high and, for the uniform source, within its
// square, in the units of the noise.
func (m *Model) PowerCells(low, high [2]float64) ([]PowerCell, error) {
	if err := m.needPlane(); err != nil {
		return nil, err
	}
	if err := m.gate.enter(); err != nil {
		return nil, err
	}
	defer m.gate.leave()
	parts := m.file.Parts()
	problem := exact.Problem{Points: widen(parts.Points), Dim: 2, Source: m.parts.source}
	return exact.Cells(problem, widen(parts.Heights), low, high)
}

// SingularEdge is a side that two power cells share, across which the map's gradient jumps.
type SingularEdge struct {
	From, To [2]float64 // in the units of the noise
	Cells    [2]int     // on either side, the lower one first
	Angle    float64    // of the planes' normals (y_i,-1) and (y_j,-1), in radians
}

// SingularEdges are the sides of power cells that lie in the singular set, for drawing: those at an angle
// above the extension's theta. Its mode and its number of cells are not read.
func (m *Model) SingularEdges(cells []PowerCell, e Extension) ([]SingularEdge, error) {
	if err := m.needPlane(); err != nil {
		return nil, err
	}
	limit, err := m.resolve(Extension{Mode: Pair, Angle: e.Angle, Theta: e.Theta})
	if err != nil {
		return nil, err
	}
	if err := m.gate.enter(); err != nil {
		return nil, err
	}
	defer m.gate.leave()
	if len(cells) != m.parts.n {
		return nil, fault.Invalid("cells: want all %d of the map, got %d", m.parts.n, len(cells))
	}
	y := widen(m.file.Parts().Points)
	var edges []SingularEdge
	for i, cell := range cells {
		for k, j := range cell.Behind {
			if j < i { // no cell, or the side was met from there
				continue
			}
			if c := cosineOfNormals(y[2*i:2*i+2], y[2*j:2*j+2]); c < limit.MinCosine {
				to := cell.Corners[(k+1)%len(cell.Corners)]
				edges = append(edges, SingularEdge{From: cell.Corners[k], To: to, Cells: [2]int{i, j}, Angle: math.Acos(c)})
			}
		}
	}
	return edges, nil
}

// cosineOfNormals is that of the angle between (a,-1) and (b,-1).
func cosineOfNormals(a, b []float64) float64 {
	product, squareA, squareB := 1.0, 1.0, 1.0
	for k := range a {
		product += float64(a[k] * b[k])
		squareA += float64(a[k] * a[k])
		squareB += float64(b[k] * b[k])
	}
	return max(-1, min(1, product/(math.Sqrt(squareA)*math.Sqrt(squareB))))
}

func (m *Model) needPlane() error {
	if err := m.needMap(); err != nil {
		return err
	}
	if m.parts.d != 2 {
		return fault.New(fault.ErrUnsupported, "power cells are polygons in the plane; the map has dimension %d", m.parts.d)
	}
	return nil
}
