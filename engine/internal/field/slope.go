package field

import "math"

// SlopeReach is how many pixels beyond its own a pixel's slope reads on either side.
const SlopeReach = 3

// Slope writes the slope of octave, which is larger by SlopeReach on every side, to dst:
//
//	sqrt(blur(dx^2 + dy^2))
//
// in the values' unit a pixel of the octave, with dx and dy half the difference of the neighbours on
// either side, and blur the binomial filter (1 4 6 4 1)/16 along both axes. A pixel of the planes is
// step pixels of the octave wide. scratch is used and returned for use again.
func Slope(dst, octave *Plane, step int, scratch []float32) []float32 {
	const blur = SlopeReach - 1
	w, h := dst.W+2*blur, dst.H+2*blur
	scratch = Grow(scratch, w*h+dst.W*h)
	squares, along := scratch[:w*h], scratch[w*h:]
	unit := 1 / float32(2*step)
	for c := range dst.C {
		from := octave.Channel(c)
		for y := range h {
			above, here, below := from[y*octave.W:][:octave.W], from[(y+1)*octave.W:][:octave.W], from[(y+2)*octave.W:][:octave.W]
			for x := range w {
				dx := float32((here[x+2] - here[x]) * unit)
				dy := float32((below[x+1] - above[x+1]) * unit)
				squares[y*w+x] = float32(dx*dx) + float32(dy*dy)
			}
		}
		for y := range h {
			row := squares[y*w:][:w]
			for x := range dst.W {
				along[y*dst.W+x] = binomial(row[x], row[x+1], row[x+2], row[x+3], row[x+4])
			}
		}
		to := dst.Channel(c)
		for y := range dst.H {
			for x := range dst.W {
				at := y*dst.W + x
				square := binomial(along[at], along[at+dst.W], along[at+2*dst.W], along[at+3*dst.W], along[at+4*dst.W])
				to[at] = float32(math.Sqrt(float64(square)))
			}
		}
	}
	return scratch
}

func binomial(a, b, c, d, e float32) float32 {
	return float32((a + e + float32(4*(b+d)) + float32(6*c)) * 0.0625)
}
