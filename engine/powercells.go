package engine

import (
	"brenier/engine/internal/exact"
	"brenier/engine/internal/fault"
)

// PowerCells are the power cells of a map of the plane, for drawing: polygon i holds where the score
// <x,y_i> + h_i is the highest in the box from low to high and, for the uniform source, within its
// square. Corners are counter-clockwise, in the units of the noise; a polygon has none where the cell
// misses the box, or the point is equal to an earlier one.
func (m *Model) PowerCells(low, high [2]float64) ([][][2]float64, error) {
	if err := m.needMap(); err != nil {
		return nil, err
	}
	if m.parts.d != 2 {
		return nil, fault.New(fault.ErrUnsupported, "power cells are polygons in the plane; the map has dimension %d", m.parts.d)
	}
	if err := m.gate.enter(); err != nil {
		return nil, err
	}
	defer m.gate.leave()
	parts := m.file.Parts()
	problem := exact.Problem{Points: widen(parts.Points), Dim: 2, Source: m.parts.source}
	return exact.Cells(problem, widen(parts.Heights), low, high)
}
