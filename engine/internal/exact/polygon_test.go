package exact

import "testing"

func area(p polygon) float64 {
	m, _ := uniform{}.polygon(p)
	return m
}

func TestCut(t *testing.T) {
	square := func() polygon { return rectangle(nil, vector{-1, -1}, vector{1, 1}) }
	for _, c := range []struct {
		name         string
		normal       vector
		offset       float64
		area         float64
		corners, new int // sides in all, and with the new label
	}{
		{"misses", vector{1, 0}, 2, 4, 4, 0},
		{"touches_a_side", vector{1, 0}, 1, 4, 4, 0},
		{"touches_a_corner", vector{1, 1}, 2, 4, 4, 0},
		{"halves", vector{1, 0}, 0, 2, 4, 1},
		{"cuts_a_corner_off", vector{1, 1}, 1, 3.5, 5, 1},
		{"leaves_a_corner", vector{1, 1}, -1, 0.5, 3, 1},
		{"passes_through_corners", vector{1, 1}, 0, 2, 3, 1},
		{"leaves_a_side", vector{1, 0}, -1, 0, 0, 0},
		{"leaves_nothing", vector{1, 0}, -2, 0, 0, 0},
		{"is_no_line_and_all_is_inside", vector{}, 1, 4, 4, 0},
		{"is_no_line_and_nothing_is", vector{}, -1, 0, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			var k knife
			p := k.cut(square(), c.normal, c.offset, 7)
			labelled := 0
			for _, corner := range p {
				if corner.side == 7 {
					labelled++
				}
			}
			near(t, "area", []float64{area(p)}, []float64{c.area}, 1e-15)
			if c.area > 0 && (len(p) != c.corners || labelled != c.new) {
				t.Errorf("got %d corners and %d new sides, want %d and %d", len(p), labelled, c.corners, c.new)
			}
		})
	}
	t.Run("labels_lie_where_the_line_is", func(t *testing.T) {
		var k knife
		p := k.cut(square(), vector{1, 0.5}, 0.3, 7)
		for i, corner := range p {
			next := p[(i+1)%len(p)].at
			on := func(v vector) bool { d := 0.3 - v.x - 0.5*v.y; return d < 1e-15 && d > -1e-15 }
			if (corner.side == 7) != (on(corner.at) && on(next)) {
				t.Errorf("side %d from %v to %v has the label %d", i, corner.at, next, corner.side)
			}
		}
	})
	t.Run("keeps_what_is_sure_and_not_what_is_new", func(t *testing.T) {
		p := square()
		for i := range p {
			p[i].sure = true
		}
		var k knife
		for _, corner := range k.cut(p, vector{1, 0}, 0, 7) {
			if corner.sure != (corner.at.x == -1) {
				t.Errorf("corner %+v", corner)
			}
		}
	})
}

func TestNearest(t *testing.T) {
	for _, c := range []struct {
		name string
		p    polygon
		want vector
	}{
		{"origin_inside", shape(vector{-1, -1}, vector{1, -1}, vector{0, 1}), vector{}},
		{"on_a_side", shape(vector{1, -1}, vector{2, -1}, vector{2, 1}, vector{1, 1}), vector{1, 0}},
		{"at_a_corner", shape(vector{1, 2}, vector{3, 2}, vector{3, 3}), vector{1, 2}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := c.p.nearest()
			near(t, "point", []float64{got.x, got.y}, []float64{c.want.x, c.want.y}, 1e-15)
		})
	}
}
