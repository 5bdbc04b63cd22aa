package exact

import "math"

// vector is a point of the plane.
type vector struct{ x, y float64 }

func (a vector) plus(b vector) vector          { return vector{a.x + b.x, a.y + b.y} }
func (a vector) minus(b vector) vector         { return vector{a.x - b.x, a.y - b.y} }
func (a vector) times(s float64) vector        { return vector{a.x * s, a.y * s} }
func (a vector) dot(b vector) float64          { return a.x*b.x + a.y*b.y }
func (a vector) cross(b vector) float64        { return a.x*b.y - a.y*b.x }
func (a vector) length() float64               { return math.Hypot(a.x, a.y) }
func (a vector) turned() vector                { return vector{-a.y, a.x} } // a quarter turn
func (a vector) to(b vector, t float64) vector { return vector{a.x + t*(b.x-a.x), a.y + t*(b.y-a.y)} }
