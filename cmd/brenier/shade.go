package main

import (
	"image"
	"image/color"
	"math"

	"brenier/engine"
)

// paint is a map of a region: colours by height above the sea, in standard deviations, and relief lit
// from the north-west. A pixel of the map depends on its place alone, as the field's do.
func (o *fieldOutput) paint(s *fieldSource, r engine.Region) (image.Image, error) {
	if s.channels != 1 {
		return nil, usagef("--shade: paints one channel, these are %d; choose by --channel and --channels 1", s.channels)
	}
	wide := r // with a pixel more on every side, for the slopes
	wide.X, wide.Y, wide.Width, wide.Height = r.X-1, r.Y-1, r.Width+2, r.Height+2
	memory, err := s.read(wide, engine.F32, 4, true, nil)
	if err != nil {
		return nil, err
	}
	heights := floatsOf(memory)
	picture := image.NewNRGBA(image.Rect(0, 0, r.Width, r.Height))
	unit := o.relief / math.Ldexp(2, r.Level) // a difference over two pixels, as a slope
	for y := range r.Height {
		for x := range r.Width {
			at := (y+1)*wide.Width + x + 1
			height := float64(heights[at]) - o.sea
			dx := float64(heights[at+1]-heights[at-1]) * unit
			dy := float64(heights[at+wide.Width]-heights[at-wide.Width]) * unit
			light := 1.0
			if height > 0 {
				light = lit(dx, dy)
			}
			picture.SetNRGBA(x, y, paintAt(height, light))
		}
	}
	return picture, nil
}

// lit is how bright a surface with these slopes is, against one that is flat: Lambert's cosine law for
// light from the north-west, 45 degrees above the horizon, and a third of light from everywhere.
func lit(dx, dy float64) float64 {
	cosine := (dx + dy + math.Sqrt2) / (2 * math.Sqrt(dx*dx+dy*dy+1)) // of the normal (-dx,-dy,1) and (-1,-1,sqrt 2)/2
	return (max(cosine, 0)*math.Sqrt2*2 + 1) / 3
}

// tint is a colour of the map at a height above the sea.
type tint struct {
	height  float64
	r, g, b float64
}

var tints = []tint{
	{-2, 16, 38, 78}, {-0.4, 34, 84, 132}, {0, 96, 160, 186},
	{0, 206, 190, 142}, {0.08, 128, 152, 84}, {0.5, 92, 128, 70}, {1.1, 142, 124, 92}, {1.8, 150, 142, 136}, {2.4, 226, 228, 234},
}

// paintAt is the colour of a height above the sea in some light.
func paintAt(height, light float64) color.NRGBA {
	next := 1
	for next < len(tints)-1 && height >= tints[next].height {
		next++
	}
	a, b := tints[next-1], tints[next]
	t := 1.0
	if b.height > a.height {
		t = max(0, min(1, (height-a.height)/(b.height-a.height)))
	}
	mix := func(a, b float64) uint8 { return uint8(max(0, min(255, math.Round((a+t*(b-a))*light)))) }
	return color.NRGBA{mix(a.r, b.r), mix(a.g, b.g), mix(a.b, b.b), 255}
}
