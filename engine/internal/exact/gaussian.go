package exact

import (
	"math"

	"gonum.org/v1/gonum/integrate/quad"
	"gonum.org/v1/gonum/mathext"
)

// gaussian is N(0,I), with density exp(-|x|^2/2)/(2 pi)^(d/2).
type gaussian struct{}

// reach is where the plane ends for the Gaussian source: beyond it in one coordinate lies a mass of
// 2e-23, which no sum with 1 can show.
const reach = 10

func (gaussian) domain() float64 { return reach }

func (gaussian) square() float64 { return 1 }

// quantile is the routine PPND16 in gonum (Wichura, Algorithm AS 241, Applied Statistics 37, 1988),
// of relative error 1e-16.
func (gaussian) quantile(below, above float64) float64 {
	if below < above {
		return mathext.NormalQuantile(below)
	}
	return -mathext.NormalQuantile(above)
}

// interval has x exp(-x^2/2) as minus the derivative of exp(-x^2/2).
func (gaussian) interval(a, b float64) (mass, moment float64) {
	if a >= b {
		return 0, 0
	}
	return between(a, b), density(a) - density(b)
}

func (gaussian) density(x float64) float64 { return density(x) }

// density is that of N(0,1).
func density(x float64) float64 { return math.Exp(-x*x/2) / math.Sqrt(2*math.Pi) }

// above is the mass of N(0,1) above x.
func above(x float64) float64 { return math.Erfc(x/math.Sqrt2) / 2 }

// between is the mass of N(0,1) between a and b, from the tail that both lie in.
func between(a, b float64) float64 {
	switch {
	case a > 0:
		return above(a) - above(b)
	case b < 0:
		return above(-b) - above(-a)
	}
	return (math.Erf(b/math.Sqrt2) - math.Erf(a/math.Sqrt2)) / 2
}

// segment: along a line at the distance p from the origin the density of the plane is density(p)
// times that of N(0,1) at the position on the line.
func (gaussian) segment(a, b vector) float64 {
	length := b.minus(a).length()
	if length == 0 {
		return 0
	}
	along := b.minus(a).times(1 / length)
	return density(a.cross(along)) * between(a.dot(along), b.dot(along))
}

// polygon integrates by the divergence theorem (derived here). With Q the tail mass [above], the
// field (-Q(x) density(y), 0) has the divergence density(x) density(y), so
//
//	mass = -(integral over the boundary, counter-clockwise, of Q(x) density(y) dy)
//
// which is smooth on the scale of 1 everywhere; polar forms, such as Owen's T function, are not near
// the origin. Axes are turned by right angles so that the polygon lies towards +x, where Q is small:
// the terms are then not much larger than the polygon's own mass, out in the tail too. And since the gradient of the density is -x times it, the moment is
//
//	integral of x = -(sum over the sides of normal * segment)
func (g gaussian) polygon(p polygon) (mass float64, moment vector) {
	if len(p) < 3 {
		return 0, vector{}
	}
	turn := towards(p)
	for k, corner := range p {
		a, b := corner.at, p[(k+1)%len(p)].at
		mass -= flux(turn.of(a), turn.of(b))
		if length := b.minus(a).length(); length > 0 {
			outward := vector{b.y - a.y, a.x - b.x}
			moment = moment.minus(outward.times(g.segment(a, b) / length))
		}
	}
	return mass, moment
}

// turn is a rotation by a multiple of 90 degrees: where it sends the x axis.
type turn vector

func (t turn) of(v vector) vector {
	return vector{t.x*v.x + t.y*v.y, t.x*v.y - t.y*v.x}
}

// towards brings the point of a polygon that is nearest to the origin, where most of its mass lies,
// near the positive x axis.
func towards(p polygon) turn {
	near := p.nearest()
	switch {
	case math.Abs(near.x) >= math.Abs(near.y) && near.x >= 0:
		return turn{1, 0}
	case math.Abs(near.x) >= math.Abs(near.y):
		return turn{-1, 0}
	case near.y >= 0:
		return turn{0, 1}
	}
	return turn{0, -1}
}

// flux integrates Q(x) density(y) dy along a segment, by Gauss-Legendre rules on panels of equal
// lengths.
func flux(a, b vector) float64 {
	if a.y == b.y {
		return 0
	}
	length := b.minus(a).length()
	panels := math.Ceil(length / rules[len(rules)-1].length)
	rule := ruleFor(length / panels)
	total := 0.0
	for panel := range int(panels) {
		from, to := a.to(b, float64(panel)/panels), a.to(b, float64(panel+1)/panels)
		part := 0.0
		for k, t := range rule.at {
			v := from.to(to, t)
			part += rule.weight[k] * above(v.x) * math.Exp(-v.y*v.y/2)
		}
		total += part * (to.y - from.y)
	}
	return total / math.Sqrt(2*math.Pi)
}

// rule is a Gauss-Legendre rule on [0,1].
type rule struct {
	length     float64 // of the longest panel that it serves
	at, weight []float64
}

// rules are chosen by the bound on their error for analytic functions (as in theorem 4.5 of Trefethen,
// "Is Gauss quadrature better than Clenshaw-Curtis?", SIAM Review 50, 2008): with n nodes on a panel of
// length L it is 64/15 M rho^(-2n) / (1 - rho^-2) times L/2, where M bounds the integrand on the
// ellipse around the panel with semi-axes (rho +- 1/rho) L/4. At the height v above the panel Q
// and exp(-y^2/2), of coordinates at right angles, grow by less than exp(v^2) together, so M <= exp(v^2).
// The best rho gives less than 1e-16 a panel for each length below.
var rules = newRules()

func newRules() []rule {
	all := []rule{{length: 0.01}, {length: 0.05}, {length: 0.25}, {length: 0.6}, {length: 1}, {length: 2}, {length: 4}}
	for i, n := range []int{3, 4, 6, 8, 10, 14, 20} {
		all[i].at, all[i].weight = make([]float64, n), make([]float64, n)
		quad.Legendre{}.FixedLocations(all[i].at, all[i].weight, 0, 1)
	}
	return all
}

func ruleFor(length float64) *rule {
	for i := range rules {
		if length <= rules[i].length {
			return &rules[i]
		}
	}
	return &rules[len(rules)-1] // its length, and rounding
}
