//go:build cuda

package cuda

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/cuda/double"
	"brenier/engine/internal/cuda/driver"
	"brenier/engine/internal/fault"
)

// What the driver answers.
const (
	cudaInvalidValue   = 1
	cudaOutOfMemory    = 2
	cudaIllegalAddress = 700
)

// needDouble skips a test that orders the driver's double about where there is none.
func needDouble(t *testing.T) {
	t.Helper()
	if err := driver.Load(testConfig(t).Library); err != nil {
		t.Fatal(err)
	}
	if !double.Present() {
		t.Skip("the driver is a real one: this test makes its double's calls fail")
	}
}

// life is one engine from its opening to its close, with every kind of call in between. It goes on
// after errors where a program could.
type life struct {
	c      Config
	parts  backend.Parts
	images []float32 // of the last call that succeeded
}

// errNotUsable is what a call answers with after another one's failure, where it should have
// succeeded.
var errNotUsable = errors.New("the engine is neither usable nor clearly dead")

func (l *life) live() (err error) {
	b, err := Open(l.c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	m, err := b.Prepare(l.parts)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	w, err := m.NewWorkspace(2, 8)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	return l.work(m, w)
}

// work makes every call twice, so that each is a first and a later one. A call that fails is made
// once more.
func (l *life) work(m backend.Model, w backend.Workspace) error {
	const n = 2
	d := l.parts.Dim
	x, cells, z := make([]float32, n*d), make([]int64, n*5), make([]float32, n*d)
	images := make([]float32, n*testPixels)
	var failed error
	for range 2 {
		for _, call := range []func() error{
			func() error { return w.Generate(n, 1, 2, testExtension, hostImage(images, backend.NCHW)) },
			func() error { return m.SetHeights(l.parts.Heights) },
			func() error {
				return errors.Join(w.Noise(n, 1, 2), w.GetNoise(x))
			},
			func() error {
				return errors.Join(w.PutNoise(x), w.Locate(n, 5), w.GetCells(n, 5, cells, nil))
			},
			func() error {
				return errors.Join(w.PutCells(n, 5, 5, cells), w.Extend(n, testExtension), w.GetCodes(z))
			},
			func() error { return errors.Join(w.PutCodes(z), w.Decode(n, hostImage(images, backend.NCHW))) },
		} {
			err := call()
			if err == nil {
				continue
			}
			failed = errors.Join(failed, err)
			if again := call(); again != nil && !errors.Is(again, fault.ErrDevice) {
				return fmt.Errorf("%w: %v, then %v", errNotUsable, err, again)
			} else if again != nil {
				return errors.Join(failed, again) // dead, and says so
			}
		}
	}
	l.images = images
	return failed
}

// Every call of the driver fails in turn, at the opening, at first use and later: the call of the
// engine fails with an error of its kind or does not care, nothing is left behind, and the engine
// goes on or says that it is dead.
func TestEveryDriverCallFailsInTurn(t *testing.T) {
	needDouble(t)
	l := life{c: testConfig(t), parts: testParts(12, 5)}
	if err := l.live(); err != nil { // also loads what is loaded once in a process
		t.Fatal(err)
	}
	want := l.images
	before := double.Objects()
	l.c.SkipSelfCheck = true
	double.Record(true)
	err := l.live()
	double.Record(false)
	calls := double.Calls()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d calls", len(calls))
	all, some := make([]int, len(calls)), []int{}
	times := map[string]int{}
	for i, name := range calls {
		all[i] = i + 1
		if times[name]++; times[name] <= 4 {
			some = append(some, i+1)
		}
	}
	for _, failure := range []struct {
		name   string
		code   int
		sticky bool
		kinds  []error
		calls  []int // to fail, counted from 1
	}{
		{"out of memory", cudaOutOfMemory, false, []error{fault.ErrOutOfMemory}, all},
		{"invalid value", cudaInvalidValue, false, []error{fault.ErrDevice, fault.ErrUnsupported}, some},
		{"illegal address", cudaIllegalAddress, true, []error{fault.ErrDevice}, some},
	} {
		t.Run(failure.name, func(t *testing.T) {
			for _, nth := range failure.calls {
				l.images = nil
				double.Fail("", nth, failure.code, failure.sticky)
				err := l.live()
				double.ClearFailures()
				what := fmt.Sprintf("call %d, %s", nth, calls[nth-1])
				fits := func(kind error) bool { return errors.Is(err, kind) }
				if err != nil && (fits(errNotUsable) || !slices.ContainsFunc(failure.kinds, fits)) {
					t.Errorf("%s: %v", what, err)
				}
				if l.images != nil && !slices.Equal(l.images, want) {
					t.Errorf("%s: other images, and error %v", what, err)
				}
				if after := double.Objects(); after != before {
					t.Fatalf("%s: left behind: %+v, before it was %+v", what, after, before)
				}
			}
		})
	}
}

// A device that is lost between two calls answers every later one, and can be closed.
func TestLostDevice(t *testing.T) {
	needDouble(t)
	before := double.Objects()
	b, err := Open(testConfig(t))
	if err != nil {
		t.Fatal(err)
	}
	m, err := b.Prepare(testParts(12, 5))
	if err != nil {
		t.Fatal(err)
	}
	w, err := m.NewWorkspace(2, 8)
	if err != nil {
		t.Fatal(err)
	}
	double.LoseDevice()
	images := make([]float32, 2*testPixels)
	for range 2 {
		err := w.Generate(2, 1, 2, testExtension, hostImage(images, backend.NCHW))
		if !errors.Is(err, fault.ErrDevice) {
			t.Errorf("got %v, want a device error", err)
		}
	}
	if _, err := b.Prepare(testParts(12, 5)); !errors.Is(err, fault.ErrDevice) {
		t.Errorf("got %v, want a device error", err)
	}
	w.Close()
	m.Close()
	if err := b.Close(); err != nil {
		t.Errorf("closing: %v", err)
	}
	if after := double.Objects(); after != before {
		t.Errorf("left behind: %+v, before it was %+v", after, before)
	}
	double.RestoreDevice()
	if err := (&life{c: testConfig(t), parts: testParts(12, 5)}).live(); err != nil {
		t.Errorf("a new engine: %v", err)
	}
}
