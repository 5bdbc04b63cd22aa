package exact

import (
	"math"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/fault"
)

// Cells are the polygons of the power cells of heights h [N] inside the box from low to high, and for
// the uniform source inside its square too: for drawing. Polygon i is that of point i, corners
// counter-clockwise; it has none where the cell misses the box, or the point is equal to an earlier
// one. The dimension must be 2.
func Cells(p Problem, heights []float64, low, high [2]float64) ([][][2]float64, error) {
	t, err := newTarget(p)
	if err != nil {
		return nil, err
	}
	if err := p.checkHeights(heights); err != nil {
		return nil, err
	}
	if t.dim != 2 {
		return nil, fault.Invalid("cells: only those of the plane are polygons, the points have dimension %d", t.dim)
	}
	for k, side := range "xy" {
		if !(low[k] < high[k]) || math.Max(math.Abs(low[k]), math.Abs(high[k])) > maxCoordinate {
			return nil, fault.Invalid("box: want a lower and a higher end in %c, up to %g, got %v and %v", side, maxCoordinate, low[k], high[k])
		}
	}
	from, to := vector{low[0], low[1]}, vector{high[0], high[1]}
	if r := t.source.domain(); p.Source == backend.Uniform {
		from = vector{max(from.x, -r), max(from.y, -r)}
		to = vector{min(to.x, r), min(to.y, r)}
	}
	cells := make([][][2]float64, t.n)
	if from.x >= to.x || from.y >= to.y {
		return cells, nil
	}
	c := t.newCutter()
	c.setHeights(t.within(heights))
	for i, place := range t.place {
		if !t.first[i] {
			continue
		}
		for _, corner := range c.cut(place, from, to) {
			cells[i] = append(cells[i], [2]float64{corner.at.x, corner.at.y})
		}
	}
	return cells, nil
}
