package exact

import "math"

// polygon is a convex polygon, corners counter-clockwise; one with fewer than three is empty.
type polygon []corner

// corner is a corner of a cell while the cell is being cut.
type corner struct {
	at   vector
	side int32 // which cell lies behind the side from here to the next corner; or outside
	sure bool  // no other cell is higher here
}

// outside labels the sides of the square or box that a cell was cut from.
const outside = -1

// rectangle is the polygon from one corner, low, to the opposite one, high.
func rectangle(dst polygon, low, high vector) polygon {
	return append(dst[:0],
		corner{at: low, side: outside}, corner{at: vector{high.x, low.y}, side: outside},
		corner{at: high, side: outside}, corner{at: vector{low.x, high.y}, side: outside})
}

// nearest is the point of the polygon that is nearest to the origin.
func (p polygon) nearest() vector {
	var best vector
	inside, least := true, math.Inf(1)
	for k, c := range p {
		a, b := c.at, p[(k+1)%len(p)].at
		along := b.minus(a)
		inside = inside && a.cross(along) >= 0
		t := 0.0
		if square := along.dot(along); square > 0 {
			t = max(0, min(1, -a.dot(along)/square))
		}
		v := a.to(b, t)
		if d := v.dot(v); d < least {
			best, least = v, d
		}
	}
	if inside {
		return vector{}
	}
	return best
}

// bounds are the corners of the smallest box around a polygon that is not empty.
func (p polygon) bounds() (low, high vector) {
	low, high = p[0].at, p[0].at
	for _, c := range p {
		low = vector{min(low.x, c.at.x), min(low.y, c.at.y)}
		high = vector{max(high.x, c.at.x), max(high.y, c.at.y)}
	}
	return low, high
}

// knife cuts polygons and keeps the memory for it.
type knife struct {
	slack []float64
	spare polygon
}

// cut keeps the part of p where offset - <normal, x> >= 0 and labels the new side (Sutherland and
// Hodgman, "Reentrant polygon clipping", CACM 17, 1974). A corner is moved only along a side that it
// lies on, so that rounding cannot carry it away, however flat the angle of the cut. The result uses
// the memory of p or of the knife; p is lost.
func (k *knife) cut(p polygon, normal vector, offset float64, label int32) polygon {
	k.slack = k.slack[:0]
	crossed := false
	for _, c := range p {
		d := offset - normal.dot(c.at)
		crossed = crossed || d < 0
		k.slack = append(k.slack, d)
	}
	if !crossed {
		return p
	}
	kept := k.spare[:0]
	for i, c := range p {
		j := i + 1
		if j == len(p) {
			j = 0
		}
		here, next := k.slack[i], k.slack[j]
		switch {
		case here > 0 && next < 0:
			kept = append(kept, c, corner{at: crossing(c.at, p[j].at, here, next), side: label})
		case here >= 0 && next >= 0:
			kept = append(kept, c)
		case here == 0: // next < 0: the new side begins at the corner itself
			kept = append(kept, corner{at: c.at, side: label, sure: c.sure})
		case next > 0: // here < 0
			kept = append(kept, corner{at: crossing(c.at, p[j].at, here, next), side: c.side})
		}
	}
	if len(kept) < 3 {
		kept = kept[:0]
	}
	k.spare = p
	return kept
}

// crossing is where the slack, linear from here at a to next at b, is 0; from the nearer end.
func crossing(a, b vector, here, next float64) vector {
	if t := here / (here - next); t <= 0.5 {
		return a.to(b, t)
	}
	return b.to(a, next/(next-here))
}
