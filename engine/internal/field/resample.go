package field

// Reach is how many pixels beyond its own a resampled pixel reads on either side.
const Reach = 2

// taps are the weights of the pixels -Reach .. +Reach from the one that holds the point.
type taps [2*Reach + 1]float32

// Resampler reads an octave of 2^scale pixels of level 0 a pixel at a level up to scale: bicubic, with
// the mean over the level's pixel taken into the weights.
//
// Pixel x of level 0, whose middle is at x + 1/2, reads the octave at (x + 1/2)/2^scale by cubic
// convolution with a = -1/2 (Keys, "Cubic convolution interpolation for digital image processing",
// IEEE Transactions on Acoustics, Speech and Signal Processing 29, 1981). A pixel of a level is the
// mean of the 2^level x 2^level pixels of level 0 that it covers. They lie in one pixel of the octave,
// so that the mean is one sum of five taps an axis, with weights of their own for each of the
// 2^(scale-level) pixels of the level that share it.
type Resampler struct {
	shift   int // scale - level
	weights []taps
}

// NewResampler makes the weights; 0 <= level <= scale.
func NewResampler(scale, level int) *Resampler {
	r := &Resampler{shift: scale - level, weights: make([]taps, 1<<(scale-level))}
	size := float64(int64(1) << scale)
	for phase := range r.weights {
		var sum [len(taps{})]float64
		for m := phase << level; m < (phase+1)<<level; m++ {
			t := (float64(m)+0.5)/size - 0.5 // from the middle of the octave's pixel
			first := 1                       // the taps of a point beyond the middle begin one before it
			if t < 0 {
				first, t = 0, t+1
			}
			for k, w := range keys(t) {
				sum[first+k] += w
			}
		}
		for k, w := range sum {
			r.weights[phase][k] = float32(w / float64(int64(1)<<level))
		}
	}
	return r
}

// keys are the weights of cubic convolution at t in [0,1) from the second of four pixels.
func keys(t float64) [4]float64 {
	t2 := float64(t * t)
	t3 := float64(t2 * t)
	return [4]float64{
		t2 - float64(0.5*(t3+t)),
		float64(1.5*t3) - float64(2.5*t2) + 1,
		float64(2*t2) - float64(1.5*t3) + float64(0.5*t),
		float64(0.5 * (t3 - t2)),
	}
}

// same says that octave and level are pixel for pixel the same.
func (r *Resampler) same() bool { return r.shift == 0 && r.weights[0] == taps{Reach: 1} }

// Span is the octave's pixels that n of the level's from at on read along one axis.
func (r *Resampler) Span(at int64, n int) (first int64, length int) {
	if r.same() {
		return at, n
	}
	first = at>>r.shift - Reach
	return first, int((at+int64(n)-1)>>r.shift + Reach - first + 1)
}

// Read writes the level's rectangle dst, whose place and size are set, from the octave's, which must
// hold its spans. scratch is used and returned for use again.
func (r *Resampler) Read(dst, octave *Plane, scratch []float32) []float32 {
	if r.same() {
		for c := range dst.C {
			for y := range dst.H {
				from := octave.Channel(c)[(int(dst.Y-octave.Y)+y)*octave.W+int(dst.X-octave.X):]
				copy(dst.Channel(c)[y*dst.W:(y+1)*dst.W], from)
			}
		}
		return scratch
	}
	mask := int64(len(r.weights) - 1)
	top, rows := r.Span(dst.Y, dst.H)
	scratch = Grow(scratch, rows*dst.W)
	for c := range dst.C {
		for row := range rows { // along x first
			from := octave.Channel(c)[(int(top-octave.Y)+row)*octave.W:][:octave.W]
			to := scratch[row*dst.W:][:dst.W]
			for i := range to {
				x := dst.X + int64(i)
				k := int(x>>r.shift - Reach - octave.X)
				to[i] = r.weights[x&mask].sum(from[k], from[k+1], from[k+2], from[k+3], from[k+4])
			}
		}
		for j := range dst.H {
			y := dst.Y + int64(j)
			w := &r.weights[y&mask]
			from := scratch[int(y>>r.shift-Reach-top)*dst.W:]
			a, b, m, d, e := from[:dst.W], from[dst.W:2*dst.W], from[2*dst.W:3*dst.W], from[3*dst.W:4*dst.W], from[4*dst.W:5*dst.W]
			for i := range dst.Channel(c)[j*dst.W : (j+1)*dst.W] {
				dst.Channel(c)[j*dst.W+i] = w.sum(a[i], b[i], m[i], d[i], e[i])
			}
		}
	}
	return scratch
}

func (t *taps) sum(a, b, c, d, e float32) float32 {
	return float32(t[0]*a) + float32(t[1]*b) + float32(t[2]*c) + float32(t[3]*d) + float32(t[4]*e)
}
