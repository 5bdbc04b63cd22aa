//go:build cuda

package cuda

import (
	"strings"
	"testing"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/cuda/driver"
	"brenier/engine/internal/reference"
)

// located returns the k best cells of each sample, [n,k].
func (c mapCase) located(k int) (cells []int32) {
	for at := 0; at < len(c.x); at += c.d {
		best, _ := reference.Locate(c.x[at:at+c.d], c.points, c.heights, k)
		cells = append(cells, best...)
	}
	return cells
}

// extended returns the oracle's codes [n,d].
func (c mapCase) extended(cells []int32, e backend.Extension) (z []float32) {
	for row := range len(c.x) / c.d {
		z = append(z, reference.Extend(c.x[row*c.d:(row+1)*c.d], cells[row*e.K:(row+1)*e.K], c.points, c.centroids, e)...)
	}
	return z
}

// extendOn makes the codes on a device.
func extendOn(t testing.TB, v *device, m *transport, x []float32, cells []int32, e backend.Extension) []float32 {
	t.Helper()
	s, err := newExtend(v, m)
	if err != nil {
		t.Fatal(err)
	}
	xs, cs, z := onDevice(t, v, x), onDevice(t, v, cells), scratchOn(t, v, 4*len(x))
	onStream(t, v, func(q *driver.Stream) error { return s.launch(q, xs, cs, len(x)/m.d, e, z, decoderInput{}) })
	return fromDevice[float32](t, v, z, len(x))
}

var extensions = []backend.Extension{
	{Mode: backend.Cell},
	{Mode: backend.Simplex, MinCosine: -1},
	{Mode: backend.Simplex, MinCosine: 0.1},
	{Mode: backend.Simplex, MinCosine: 2},
	{Mode: backend.Pair, MinCosine: 0.1, Blend: 0.3},
	{Mode: backend.Pair, MinCosine: 2, Blend: 0.3},
}

// The oracle's bits in all modes: every k, dimensions around the 4 that a load takes, the 16 that are
// fetched at a time and the 32 lanes, batches around a warp's and a block's samples.
func TestExtend_same_bits_as_the_oracle(t *testing.T) {
	v := newTestDevice(t)
	check := func(N, d, n, k int) {
		c := randomMap(N, d, n)
		m, cells := c.on(t, v), c.located(k)
		for _, e := range extensions {
			e.K = k
			if got := extendOn(t, v, m, c.x, cells, e); !sameBits(got, c.extended(cells, e)) {
				t.Errorf("N=%d d=%d n=%d %+v: differs from the oracle", N, d, n, e)
			}
		}
	}
	for k := 1; k <= 32; k++ {
		check(60, 5+k%2, 21, k)
	}
	for _, d := range []int{1, 2, 3, 4, 8, 15, 16, 17, 31, 32, 33, 64, 100, 1030} {
		check(40, d, 9, 8)
	}
	for _, n := range []int{1, 2, 3, 4, 5, 63, 64, 65} {
		check(40, 6, n, 2)
	}
}

// Points and samples whose float32 are subnormal, or as large as they come.
func TestExtend_any_magnitude(t *testing.T) {
	v := newTestDevice(t)
	for _, scale := range []float32{0x1p-149, 0x1p-140, 0x1p-126, 0x1p-60, 0x1p60, 0x1p120} {
		for _, d := range []int{4, 7} {
			c := randomMap(30, d, 10)
			for _, values := range [][]float32{c.points, c.centroids, c.x} {
				for i := range values {
					values[i] *= scale
				}
			}
			m, cells := c.on(t, v), c.located(8)
			for _, e := range extensions {
				e.K = 8
				if got := extendOn(t, v, m, c.x, cells, e); !sameBits(got, c.extended(cells, e)) {
					t.Errorf("scale %v d=%d %+v: differs from the oracle", scale, d, e)
				}
			}
		}
	}
}

// A sample on a centroid gets that cell's point, the first of several; one across the singular set
// does not count.
func TestExtend_sample_on_a_centroid(t *testing.T) {
	v := newTestDevice(t)
	const d, k = 4, 3
	c := randomMap(3, d, 1)
	cells := []int32{2, 0, 1}
	for _, equal := range [][]int{{0}, {1}, {2}, {0, 1}, {1, 2}, {0, 1, 2}} { // centroids that x is on
		c.centroids = normal(3*d, 0.5, 3)
		for _, i := range equal {
			copy(c.centroids[i*d:(i+1)*d], c.x)
		}
		m := c.on(t, v)
		for _, minCosine := range []float64{-1, 0.1, 2} {
			e := backend.Extension{Mode: backend.Simplex, K: k, MinCosine: minCosine}
			got, want := extendOn(t, v, m, c.x, cells, e), c.extended(cells, e)
			if !sameBits(got, want) {
				t.Errorf("x on centroids %v, least cosine %v: z = %v, want %v", equal, minCosine, got, want)
			}
		}
	}
}

func TestExtend_refuses(t *testing.T) {
	v := newTestDevice(t)
	c := randomMap(5, 2, 1)
	c.centroids = nil
	s, err := newExtend(v, c.on(t, v))
	if err != nil {
		t.Fatal(err)
	}
	for want, e := range map[string]backend.Extension{
		"centroids": {Mode: backend.Simplex, K: 2},
		"got 0":     {Mode: backend.Cell, K: 0},
		"got 33":    {Mode: backend.Cell, K: 33},
		"mode 7":    {Mode: 7, K: 1},
	} {
		onStream(t, v, func(q *driver.Stream) error {
			if err := s.launch(q, 0, 0, 1, e, 0, decoderInput{}); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%+v: got error %v, want one with %q", e, err, want)
			}
			return nil
		})
	}
}

// The answer that a card has to give before it is believed is the one that this one gives.
func TestExtend_self_check(t *testing.T) {
	v := newTestDevice(t)
	c := randomMap(5, 2, 1)
	s, err := newExtend(v, c.on(t, v))
	if err != nil {
		t.Fatal(err)
	}
	if replaced, err := v.selfCheck(s); err != nil || len(replaced) != 0 {
		t.Errorf("replaced %q, error %v", replaced, err)
	}
}
