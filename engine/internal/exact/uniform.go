package exact

// uniform is the uniform distribution on [-1/2,1/2]^d: masses are lengths and areas.
type uniform struct{}

func (uniform) quantile(below, above float64) float64 {
	if below < above {
		return below - 0.5
	}
	return 0.5 - above
}

func (uniform) interval(a, b float64) (mass, moment float64) {
	a, b = max(a, -0.5), min(b, 0.5)
	if a >= b {
		return 0, 0
	}
	return b - a, (b - a) * (a + b) / 2
}

func (uniform) density(x float64) float64 {
	if x < -0.5 || x > 0.5 {
		return 0
	}
	return 1
}

func (uniform) domain() float64 { return 0.5 }

func (uniform) square() float64 { return 1. / 12 }

// polygon adds the triangles of a fan. They lie about a corner of the polygon, not about the origin,
// so that a small polygon has a small error.
func (uniform) polygon(p polygon) (mass float64, moment vector) {
	if len(p) < 3 {
		return 0, vector{}
	}
	apex := p[0].at
	for k := 1; k+1 < len(p); k++ {
		a, b := p[k].at.minus(apex), p[k+1].at.minus(apex)
		area := a.cross(b) / 2
		mass += area
		moment = moment.plus(a.plus(b).times(area / 3))
	}
	return mass, moment.plus(apex.times(mass))
}

func (uniform) segment(a, b vector) float64 { return b.minus(a).length() }
