//go:build cuda

package cuda

import (
	"unsafe"

	"brenier/engine/internal/cuda/driver"
)

// downloadValues waits for what q has been given and returns n values of the device's memory. It
// runs inside do.
func downloadValues[T any](v *device, q *driver.Stream, from driver.Address, n int) ([]T, error) {
	values := make([]T, n)
	if err := q.Synchronize(); err != nil || n == 0 {
		return values, err
	}
	return values, v.ctx.ToHost(unsafe.Pointer(&values[0]), from, n*int(unsafe.Sizeof(values[0])))
}
