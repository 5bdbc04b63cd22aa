//go:build cuda

package cuda

import (
	"bytes"
	"strings"
	"testing"
	"unsafe"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/reference"
	"brenier/kernels/cpu"
)

// sameBits tells values apart that == does not, and takes a NaN for itself.
func sameBits[T float32 | float64](a, b []T) bool {
	raw := func(values []T) []byte {
		return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(values))), len(values)*int(unsafe.Sizeof(T(0))))
	}
	return bytes.Equal(raw(a), raw(b))
}

// mapCase is a map with samples on it.
type mapCase struct {
	points, heights, centroids []float32 // [N,d] [N] [N,d]
	x                          []float32 // [n,d]
	d                          int
}

// normal returns n gaussian values of a deviation.
func normal(n int, deviation float32, seed uint64) []float32 {
	values := make([]float32, n)
	reference.Noise(backend.Gaussian, values, 1, seed, 0, 0)
	for i := range values {
		values[i] *= deviation
	}
	return values
}

func randomMap(N, d, n int) mapCase {
	return mapCase{
		points: normal(N*d, 1, 1), heights: normal(N, 0.3, 2), centroids: normal(N*d, 0.5, 3),
		x: normal(n*d, 1, 4), d: d,
	}
}

// on puts the case's map on a device until the test ends.
func (c mapCase) on(t testing.TB, v *device) *transport {
	t.Helper()
	m, err := newTransport(v, c.points, c.heights, c.centroids, len(c.heights), c.d)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.close)
	return m
}

func TestTransport_norms_same_bits_as_the_cpu(t *testing.T) {
	v := newTestDevice(t)
	for _, size := range [][2]int{{1, 1}, {130, 3}, {257, 8}, {40, 1030}} {
		N, d := size[0], size[1]
		c := randomMap(N, d, 1)
		c.points[0] = 0x1p-149              // subnormal
		c.points[len(c.points)-1] = 0x1p127 // nearly the largest
		want := make([]float64, N)
		cpu.PlaneNorms(cpu.Best(), c.points, d, want)
		if got := fromDevice[float64](t, v, c.on(t, v).norms, N); !sameBits(got, want) {
			t.Errorf("N=%d d=%d: norms differ from the CPU's", N, d)
		}
	}
}

func TestTransport_heights_are_replaced(t *testing.T) {
	v := newTestDevice(t)
	c := randomMap(50, 3, 1)
	m := c.on(t, v)
	h := normal(50, 2, 9)
	if err := m.setHeights(h); err != nil {
		t.Fatal(err)
	}
	if got := fromDevice[float32](t, v, m.heights, 50); !sameBits(got, h) {
		t.Error("heights are not the new ones")
	}
	if err := m.setHeights(h[:49]); err == nil || !strings.Contains(err.Error(), "50") {
		t.Errorf("49 heights for 50 points: %v", err)
	}
}

func TestTransport_refuses_wrong_sizes(t *testing.T) {
	v := newTestDevice(t)
	for name, c := range map[string]struct{ points, heights, centroids, n, d int }{
		"points":       {5, 2, 0, 2, 3},
		"no_points":    {0, 0, 0, 0, 3},
		"no_dimension": {0, 2, 0, 2, 0},
		"heights":      {6, 3, 0, 2, 3},
		"centroids":    {6, 2, 5, 2, 3},
	} {
		var centroids []float32
		if c.centroids > 0 {
			centroids = make([]float32, c.centroids)
		}
		if m, err := newTransport(v, make([]float32, c.points), make([]float32, c.heights), centroids, c.n, c.d); err == nil {
			m.close()
			t.Errorf("%s: want an error", name)
		}
	}
}
