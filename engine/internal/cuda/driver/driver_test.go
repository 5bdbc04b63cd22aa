//go:build cuda

package driver

import (
	"errors"
	"testing"
)

// Without a driver the process lives, and says in one sentence what is missing.
func TestLoad(t *testing.T) {
	err := Load("/no/such/libcuda.so.1")
	t.Log(err)
	var e *Error
	if !errors.As(err, &e) {
		t.Fatal(err)
	}
	_, err = DeviceCount()
	t.Log(err)
	t.Log(Images(), Version())
}
