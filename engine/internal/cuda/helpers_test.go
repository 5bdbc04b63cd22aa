//go:build cuda

package cuda

import (
	"os"
	"testing"
	"unsafe"

	"brenier/engine/internal/cuda/driver"
)

// newTestDevice opens the device that the tests run on: the driver's double, or what else
// BRENIER_CUDA_DRIVER names, or the machine's own GPU. It skips the test where there is neither.
// When the test ends nothing may be allocated on it any more.
func newTestDevice(t testing.TB) *device {
	t.Helper()
	v, err := openDevice(testConfig(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if v.used != 0 {
			t.Errorf("%d bytes in %d allocations are left on the device", v.used, len(v.sizes))
		}
		if err := v.close(); err != nil {
			t.Errorf("closing the device: %v", err)
		}
	})
	return v
}

// testConfig is the configuration of the device that the tests run on; it skips where there is none.
func testConfig(t testing.TB) Config {
	t.Helper()
	library := os.Getenv("BRENIER_CUDA_DRIVER")
	if library == "" && driver.Load("") != nil {
		t.Skip("no GPU: this machine has no CUDA driver, and BRENIER_CUDA_DRIVER does not name its double")
	}
	return Config{Library: library}
}

// onStream runs f with the device's context current and a stream of its own, and waits for what f
// launched there.
func onStream(t testing.TB, v *device, f func(q *driver.Stream) error) {
	t.Helper()
	err := v.do(func() error {
		q, err := v.ctx.NewStream()
		if err != nil {
			return err
		}
		err = f(q)
		if waited := q.Synchronize(); err == nil {
			err = waited
		}
		if destroyed := q.Destroy(); err == nil {
			err = destroyed
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// onDevice is a copy of the values on the device until the test ends.
func onDevice[T any](t testing.TB, v *device, values []T) driver.Address {
	t.Helper()
	a, err := uploadValues(v, values)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.free(a) })
	return a
}

// scratchOn is memory of a number of bytes, its contents undefined, until the test ends.
func scratchOn(t testing.TB, v *device, bytes int) driver.Address {
	t.Helper()
	a, err := v.alloc(bytes)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.free(a) })
	return a
}

// fromDevice is a copy of n values on the host.
func fromDevice[T any](t testing.TB, v *device, a driver.Address, n int) []T {
	t.Helper()
	values := make([]T, n)
	if n == 0 {
		return values
	}
	bytes := n * int(unsafe.Sizeof(values[0]))
	if err := v.do(func() error { return v.ctx.ToHost(unsafe.Pointer(&values[0]), a, bytes) }); err != nil {
		t.Fatal(err)
	}
	return values
}
