package field

// Plane is a rectangle of an octave, in pixels of its own.
type Plane struct {
	X, Y    int64     // its first column and row
	W, H, C int       // columns, rows, channels
	Values  []float32 // [C,H,W]
}

// Reset makes it a rectangle of zeros; the memory is used again where it is large enough.
func (p *Plane) Reset(x, y int64, w, h, c int) {
	p.X, p.Y, p.W, p.H, p.C = x, y, w, h, c
	p.Values = Grow(p.Values, c*h*w)
	clear(p.Values)
}

// Grow is memory for n values: that of v where it is large enough.
func Grow(v []float32, n int) []float32 {
	if cap(v) < n {
		return make([]float32, n)
	}
	return v[:n]
}

// Channel is one channel's values [H,W].
func (p *Plane) Channel(c int) []float32 { return p.Values[c*p.H*p.W : (c+1)*p.H*p.W] }

// Add adds a tile [C,h,w], whose first pixel is at column x and row y, where they overlap. Whoever adds
// tiles row by row from the first column on has every pixel's four summed in the same order, whatever
// the rectangle.
func (p *Plane) Add(tile []float32, h, w int, x, y int64) {
	left, right := max(x, p.X), min(x+int64(w), p.X+int64(p.W))
	top, bottom := max(y, p.Y), min(y+int64(h), p.Y+int64(p.H))
	if left >= right {
		return
	}
	n := int(right - left)
	for c := range p.C {
		for row := top; row < bottom; row++ {
			from := tile[(c*h+int(row-y))*w+int(left-x):][:n]
			to := p.Values[(c*p.H+int(row-p.Y))*p.W+int(left-p.X):][:n]
			for k, v := range from {
				to[k] += v
			}
		}
	}
}

// floorDiv is the quotient of a division by b > 0 that is rounded down.
func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// Lattice returns which tiles, first to last, of a lattice of a step touch pixels at .. at+n-1 along
// one axis: tile i covers pixels i*step .. (i+2)*step-1.
func Lattice(at int64, n, step int) (first, last int64) {
	return floorDiv(at, int64(step)) - 1, floorDiv(at+int64(n)-1, int64(step))
}
