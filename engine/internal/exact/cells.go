package exact

import (
	"math"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/fault"
)

// Cell is a power cell of the plane, inside a box.
type Cell struct {
	Corners [][2]float64 // counter-clockwise; none where the cell misses the box, or the point is equal to an earlier one
	Behind  []int        // the point whose cell is behind the side from a corner to the next one; [Outside]: the box ends there
}

// Outside is behind the sides of the box.
const Outside = -1

// Cells are the power cells of heights h [N] inside the box from low to high, and for the uniform source
// inside its square too: for drawing. Cell i is that of point i. The dimension must be 2.
func Cells(p Problem, heights []float64, low, high [2]float64) ([]Cell, error) {
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
	cells := make([]Cell, t.n)
	if from.x >= to.x || from.y >= to.y {
		return cells, nil
	}
	s := t.newSolver(nil)
	s.tree.setHeights(t.within(heights), s.parallel)
	c := s.cutters.Get().(*cutter)
	c.made = &rings{}
	index := t.indices()
	for i, place := range t.place {
		if !t.first[i] {
			continue
		}
		for _, corner := range c.cut(place, from, to) {
			behind := Outside
			if corner.side != outside {
				behind = index[corner.side]
			}
			cells[i].Corners = append(cells[i].Corners, [2]float64{corner.at.x, corner.at.y})
			cells[i].Behind = append(cells[i].Behind, behind)
		}
	}
	return cells, nil
}
