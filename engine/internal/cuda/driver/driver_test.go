//go:build cuda

package driver

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Without a driver the process lives, and says in one sentence what is missing. In a process of its own,
// since this one may have a driver already.
func TestLoad(t *testing.T) {
	const marker = "BRENIER_TEST_WITHOUT_DRIVER"
	if os.Getenv(marker) == "" {
		command := exec.Command(os.Args[0], "-test.run=^TestLoad$", "-test.v")
		command.Env = append(os.Environ(), marker+"=1")
		out, err := command.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "PASS: TestLoad/again") {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}

	const missing = "/no/such/libcuda.so.1"
	t.Run("missing", func(t *testing.T) {
		err := Load(missing)
		var e *Error
		if !errors.As(err, &e) || e.Call != "Load" || e.Code >= 0 {
			t.Fatalf("want an *Error of Load with a negative code, got %#v", err)
		}
		if !strings.HasPrefix(err.Error(), "the CUDA driver "+missing+" cannot be loaded: ") || strings.Contains(err.Error(), "\n") {
			t.Errorf("got %q", err)
		}
	})
	t.Run("no driver at all", func(t *testing.T) {
		err := Load(os.Args[0]) // a program, not a library
		if err == nil || !strings.Contains(err.Error(), os.Args[0]) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("calls", func(t *testing.T) {
		for call, err := range map[string]error{
			"cuDeviceGetCount": second(DeviceCount()),
			"cuDeviceGet":      second(OpenDevice(0)),
			"cuCtxPushCurrent": second(WrapContext(1)),
			"cuLaunchKernel":   new(Stream).Launch(new(Function), Dim{}, Dim{}, 0, nil),
		} {
			want := call + " failed: no CUDA driver is loaded (CUDA_ERROR_NOT_INITIALIZED, 3)"
			if err == nil || err.Error() != want {
				t.Errorf("want %q, got %v", want, err)
			}
			if IsLost(err) || IsOutOfMemory(err) {
				t.Errorf("%s: want neither lost nor out of memory", call)
			}
		}
		if v := Version(); v != 0 {
			t.Errorf("version: want 0, got %d", v)
		}
		if Symbol("cuInit") != nil {
			t.Error("want no symbol of a driver")
		}
	})
	t.Run("again", func(t *testing.T) {
		library := os.Getenv("BRENIER_CUDA_DRIVER")
		if err := Load(library); err != nil {
			if library != "" {
				t.Fatal(err)
			}
			return // a machine without a driver
		}
		if err := Load(library); err != nil {
			t.Errorf("the same again: %v", err)
		}
		if err := Load(missing); err == nil || !strings.Contains(err.Error(), "is loaded already") {
			t.Errorf("another: want an error, got %v", err)
		}
		if n, err := DeviceCount(); err != nil || n < 1 {
			t.Errorf("want a device, got %d, %v", n, err)
		}
	})
}

func second[T any](_ T, err error) error { return err }
