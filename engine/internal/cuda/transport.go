//go:build cuda

package cuda

// #include "extend.h"
import "C"

import (
	"math"
	"slices"
	"unsafe"

	"brenier/engine/internal/cuda/driver"
	"brenier/engine/internal/fault"
)

// transport is the map from noise to points on the device, as its stages share it.
type transport struct {
	v    *device
	n, d int // N, d

	points    driver.Address // [N,d] float32
	heights   driver.Address // [N] float32
	centroids driver.Address // [N,d] float32, or 0
	norms     driver.Address // [N] float64, |(y_i,-1)|, the same bits as the CPU's

	highest driver.Address // float64, the largest h_i

	reach float64 // at least the largest |h_i|
	norm  float64 // at least the largest |y_i|; of maps with rotated draws
}

// newTransport copies points [n,d], heights [n] and, unless nil, centroids [n,d] to the device.
func newTransport(v *device, points, heights, centroids []float32, n, d int) (t *transport, err error) {
	switch {
	case n < 1 || d < 1 || n > math.MaxInt32 || d > math.MaxInt32 || len(points) != n*d:
		return nil, fault.Invalid("points: want [%d,%d] with 1 to 2^31-1 rows of dimension 1 or more, got %d values", n, d, len(points))
	case len(heights) != n:
		return nil, fault.Invalid("heights: want one for each of the %d points, got %d", n, len(heights))
	case centroids != nil && len(centroids) != n*d:
		return nil, fault.Invalid("centroids: want [%d,%d] like the points, got %d values", n, d, len(centroids))
	}
	t = &transport{v: v, n: n, d: d}
	t.reachOf(heights)
	defer func() {
		if err != nil {
			t.close()
			t = nil
		}
	}()
	if t.points, err = v.uploadFloats(points); err != nil {
		return t, err
	}
	if t.heights, err = v.uploadFloats(heights); err != nil {
		return t, err
	}
	if t.highest, err = uploadValues(v, []float64{float64(slices.Max(heights))}); err != nil {
		return t, err
	}
	if centroids != nil {
		if t.centroids, err = v.uploadFloats(centroids); err != nil {
			return t, err
		}
	}
	if t.norms, err = v.alloc(8 * n); err != nil {
		return t, err
	}
	return t, t.measure()
}

// measure writes the norms.
func (t *transport) measure() error {
	f, err := t.v.kernel("extend", "brenier_cuda_plane_norms", 0)
	if err != nil {
		return err
	}
	p := C.brenier_plane_norms_params{
		points: C.uint64_t(t.points), norms: C.uint64_t(t.norms), N: C.int32_t(t.n), d: C.int32_t(t.d),
	}
	const threads = C.BRENIER_NORM_THREADS
	return t.v.ask(&check{run: func(q *driver.Stream) error {
		return q.Launch(f, driver.Dim{X: (t.n + threads - 1) / threads}, driver.Dim{X: threads}, 0, unsafe.Pointer(&p))
	}})
}

// setHeights replaces the heights [N]. No launch that reads them may be at work.
func (t *transport) setHeights(h []float32) error {
	if len(h) != t.n {
		return fault.Invalid("heights: want one for each of the %d points, got %d", t.n, len(h))
	}
	t.reachOf(h)
	highest := float64(slices.Max(h))
	return t.v.do(func() error {
		if err := t.v.ctx.ToDevice(t.heights, unsafe.Pointer(&h[0]), 4*len(h)); err != nil {
			return err
		}
		return t.v.ctx.ToDevice(t.highest, unsafe.Pointer(&highest), 8)
	})
}

// reachOf notes how far heights go.
func (t *transport) reachOf(h []float32) {
	t.reach = max(math.Abs(float64(slices.Max(h))), math.Abs(float64(slices.Min(h))))
}

// close frees what the map has on the device; once is enough, twice is harmless.
func (t *transport) close() {
	for _, a := range []*driver.Address{&t.points, &t.heights, &t.highest, &t.centroids, &t.norms} {
		t.v.free(*a)
		*a = 0
	}
}
