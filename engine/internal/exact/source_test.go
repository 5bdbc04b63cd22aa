package exact

import (
	"math"
	"testing"

	"gonum.org/v1/gonum/integrate/quad"
)

// shape is the polygon with the given corners, counter-clockwise.
func shape(corners ...vector) polygon {
	var p polygon
	for _, v := range corners {
		p = append(p, corner{at: v, side: outside})
	}
	return p
}

// regular is a regular polygon.
func regular(n int, centre vector, radius, angle float64) polygon {
	var p polygon
	for k := range n {
		sin, cos := math.Sincos(angle + 2*math.Pi*float64(k)/float64(n))
		p = append(p, corner{at: centre.plus(vector{cos, sin}.times(radius))})
	}
	return p
}

func rotated(p polygon, angle float64) polygon {
	sin, cos := math.Sincos(angle)
	var q polygon
	for _, c := range p {
		q = append(q, corner{at: vector{cos*c.at.x - sin*c.at.y, sin*c.at.x + cos*c.at.y}})
	}
	return q
}

func TestPolygonMass(t *testing.T) {
	boxes := [][4]float64{
		{-reach, reach, -reach, reach}, {0, reach, 0, reach}, {-1, 2, -0.5, 0.25}, {1e-3, 2e-3, -1e-3, 1e-3},
		{3, 4, 5, 5.5}, {-7, -6.5, -0.1, 0}, {-reach, 0.3, -reach, reach}, {-0.3, 0.3, 8, reach},
	}
	t.Run("a_box_is_a_product", func(t *testing.T) {
		for _, s := range []source{gaussian{}, uniform{}} {
			for _, b := range boxes {
				if r := s.domain(); s == (uniform{}) {
					b = [4]float64{max(b[0], -r), min(b[1], r), max(b[2], -r), min(b[3], r)}
				}
				if b[0] >= b[1] || b[2] >= b[3] {
					continue
				}
				p := rectangle(nil, vector{b[0], b[2]}, vector{b[1], b[3]})
				m, c := s.polygon(p)
				mx, cx := s.interval(b[0], b[1])
				my, cy := s.interval(b[2], b[3])
				near(t, "mass and moment", []float64{m, c.x, c.y}, []float64{mx * my, cx * my, mx * cy}, 1e-16+4e-15*mx*my)
				if math.Abs(m/(mx*my)-1) > 1e-12 {
					t.Errorf("box %v has the mass %v, want %v", b, m, mx*my)
				}
			}
		}
	})
	t.Run("gaussian_wedges_are_angles", func(t *testing.T) {
		for _, angle := range []float64{1e-6, 0.01, 1, 2, 3} {
			sin, cos := math.Sincos(angle)
			p := shape(vector{}, vector{reach, 0}, vector{reach * cos, reach * sin})
			if angle > 2 { // the triangle would leave out too much of it
				p = shape(vector{}, vector{reach, 0}, vector{reach, reach}, vector{-reach, reach}, vector{reach * cos, reach * sin})
			}
			if angle == 2 {
				p = shape(vector{}, vector{reach, 0}, vector{reach, reach}, vector{reach * cos, reach * sin})
			}
			m, _ := gaussian{}.polygon(p)
			near(t, "mass", []float64{m}, []float64{angle / (2 * math.Pi)}, 2e-16)
		}
	})
	t.Run("gaussian_turned", func(t *testing.T) {
		// The density is that of the distance alone, but the field is not: every angle is another sum.
		for _, p := range []polygon{
			regular(3, vector{0.1, 0.2}, 1, 0), regular(7, vector{1, -2}, 0.03, 0.1), regular(4, vector{}, 6, 0.3),
			regular(5, vector{-3, 1}, 2, 1), shape(vector{}, vector{0.5, 0}, vector{0.2, 1}), regular(3, vector{4, 0}, 1, 0),
		} {
			m, c := gaussian{}.polygon(p)
			for angle := 0.1; angle < 7; angle += 0.37 {
				turned, d := gaussian{}.polygon(rotated(p, angle))
				sin, cos := math.Sincos(angle)
				near(t, "mass and moment", []float64{turned, d.x, d.y}, []float64{m, cos*c.x - sin*c.y, sin*c.x + cos*c.y}, 5e-16)
			}
		}
	})
	t.Run("gaussian_disc", func(t *testing.T) {
		// A regular n-gon has the mass 1 - (n/pi) integral_0^(pi/n) exp(-a^2/(2 cos^2 s)) ds, a its inner
		// radius: the polar form.
		for _, n := range []int{3, 6, 50} {
			for _, radius := range []float64{0.01, 1, 3} {
				a := radius * math.Cos(math.Pi/float64(n))
				want := quad.Fixed(func(s float64) float64 { return -math.Expm1(-a * a / (2 * math.Pow(math.Cos(s), 2))) },
					0, math.Pi/float64(n), 60, nil, 0) * float64(n) / math.Pi
				m, c := gaussian{}.polygon(regular(n, vector{}, radius, 0.2))
				near(t, "mass and moment", []float64{m, c.x, c.y}, []float64{want, 0, 0}, 4e-16)
			}
		}
	})
	t.Run("halves_sum_to_the_whole", func(t *testing.T) {
		for _, s := range []source{gaussian{}, uniform{}} {
			for k := range 20 {
				p := regular(5, vector{0.1, -0.05}, 0.3, 0.4)
				m, c := s.polygon(p)
				sin, cos := math.Sincos(float64(k))
				var left, right knife
				m1, c1 := s.polygon(left.cut(append(polygon(nil), p...), vector{cos, sin}, 0.05, 1))
				m2, c2 := s.polygon(right.cut(append(polygon(nil), p...), vector{-cos, -sin}, -0.05, 1))
				near(t, "mass and moment", []float64{m1 + m2, c1.x + c2.x, c1.y + c2.y}, []float64{m, c.x, c.y}, 2e-16)
			}
		}
	})
	t.Run("nothing_has_no_mass", func(t *testing.T) {
		for _, s := range []source{gaussian{}, uniform{}} {
			for _, p := range []polygon{nil, shape(vector{1, 1}), shape(vector{}, vector{.1, .1}), shape(vector{}, vector{.1, .1}, vector{.2, .2})} {
				if m, c := s.polygon(p); math.Abs(m) > 1e-16 || c.length() > 1e-16 {
					t.Errorf("%T: %v has the mass %v and moment %v", s, p, m, c)
				}
			}
		}
	})
	t.Run("every_rule_is_exact_to_rounding", func(t *testing.T) {
		for _, r := range rules {
			for _, x := range []float64{-2, 0, 1, 3} {
				for angle := 0.0; angle < 6; angle += 0.7 {
					sin, cos := math.Sincos(angle)
					a := vector{x, -0.5 * x}
					b := a.plus(vector{cos, sin}.times(r.length * (1 - 1e-9)))
					fine := 0.0
					for k := range 16 {
						fine += flux(a.to(b, float64(k)/16), a.to(b, float64(k+1)/16))
					}
					near(t, "flux", []float64{flux(a, b)}, []float64{fine}, 2e-16+4e-16*math.Abs(fine))
				}
			}
		}
	})
}

func TestSegment(t *testing.T) {
	t.Run("is_the_integral_of_the_density", func(t *testing.T) {
		for _, ends := range [][2]vector{{{0, 0}, {1, 0}}, {{0.3, 0.4}, {-1, 0.2}}, {{2, 3}, {2.001, 3.001}}, {{-3, -5}, {4, 2}}, {{1, 1}, {1, 1}}} {
			a, b := ends[0], ends[1]
			want := quad.Fixed(func(s float64) float64 {
				v := a.to(b, s)
				return density(v.x) * density(v.y)
			}, 0, 1, 60, nil, 0) * b.minus(a).length()
			near(t, "segment", []float64{gaussian{}.segment(a, b)}, []float64{want}, 1e-16)
		}
		near(t, "segment", []float64{uniform{}.segment(vector{0, 0}, vector{.3, .4})}, []float64{.5}, 1e-16)
	})
}
