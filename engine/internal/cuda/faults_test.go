//go:build cuda

package cuda

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/cuda/double"
	"brenier/engine/internal/cuda/driver"
	"brenier/engine/internal/fault"
)

// CUresults that the tests order.
const (
	outOfMemory       = 2
	deviceUnavailable = 46
	operatingSystem   = 304 // of no special meaning to the engine
	launchFailed      = 719
)

// doubleConfig is a configuration on the driver's double; it skips the test where there is none.
func doubleConfig(t *testing.T) Config {
	t.Helper()
	c := testConfig(t)
	if err := driver.Load(c.Library); err != nil {
		t.Fatal(err)
	}
	if !double.Present() {
		t.Skip("failures cannot be ordered of a GPU; BRENIER_CUDA_DRIVER does not name the driver's double")
	}
	t.Cleanup(func() {
		double.ClearFailures()
		double.RestoreDevice()
	})
	return c
}

const (
	lifeCells = 20
	lifeDim   = 16 // the least that has rotated draws
	lifeBatch = 3
)

// lifetime is an engine's, in phases, each of which makes driver calls of its own.
type lifetime struct {
	config Config
	parts  backend.Parts
	b      backend.Backend
	m      backend.Model
	w      backend.Workspace
	images []float32 // of the last phase that made some
	codes  []float32
}

func newLifetime(c Config) *lifetime {
	return &lifetime{config: c, parts: testParts(lifeCells, lifeDim), images: make([]float32, lifeBatch*testPixels)}
}

type phase struct {
	name string
	do   func(l *lifetime) error
}

// phases of a life, each of which may be done again after it has failed.
var phases = []phase{
	{"open", func(l *lifetime) (err error) { l.b, err = Open(l.config); return err }},
	{"prepare", func(l *lifetime) (err error) { l.m, err = l.b.Prepare(l.parts); return err }},
	{"workspace", func(l *lifetime) (err error) { l.w, err = l.m.NewWorkspace(lifeBatch, testExtension.K); return err }},
	{"first generate", (*lifetime).generate},
	{"generate again", (*lifetime).generate},
	{"stage by stage", func(l *lifetime) error {
		r, err := stages(l.w, lifeBatch, lifeDim, 7, 100, testExtension)
		if err != nil {
			return err
		}
		l.codes = r.z
		for _, step := range []func() error{
			func() error { return l.w.PutNoise(r.x) },
			func() error { return l.w.PutCells(lifeBatch, testExtension.K, testExtension.K, r.cells) },
			func() error { return l.w.PutCodes(r.z) },
			func() error { return l.w.Decode(lifeBatch, hostImage(l.images, backend.NCHW)) },
		} {
			if err := step(); err != nil {
				return err
			}
		}
		return nil
	}},
	{"new heights", func(l *lifetime) error {
		if err := l.m.SetHeights(l.parts.Heights); err != nil {
			return err
		}
		return l.generate()
	}},
	{"rotated draws", func(l *lifetime) error {
		l.m.(*model).rotating = 48 // a set: the same calls as for some thousand draws
		drawer, n := l.w.(backend.RotatedDrawer), 5
		cells, x := make([]int64, 2*n), make([]float32, lifeDim*n)
		return drawer.DrawRotated(n, 7, uint64(drawer.Group()-n), 2, cells, make([]float64, 2*n), x)
	}},
	{"counted draws", func(l *lifetime) error {
		for _, rotated := range []bool{false, true} {
			if err := l.w.Count(lifeBatch, 7, 0, rotated); err != nil {
				return err
			}
		}
		return l.w.TakeCounts(make([]int32, lifeCells))
	}},
	{"descent", func(l *lifetime) error {
		w, state := l.w.(*workspace), askedDescent(lifeCells)
		if err := w.StartDescent(state); err != nil {
			return err
		}
		w.descent.steps = ahead - 2 // the second step is one that waits
		for _, do := range []func() error{
			func() error { return w.StepDescent(askedStep(lifeCells, 0)) },
			func() error { return w.Count(lifeBatch, 7, 0, false) },
			func() error { return w.StepDescent(askedStep(lifeCells, 1)) },
			func() error { return w.FetchDescent(state) },
		} {
			if err := do(); err != nil {
				return err
			}
		}
		return nil
	}},
	{"summed draws", func(l *lifetime) error {
		for _, m := range [][]float64{nil, make([]float64, lifeDim)} { // only told, and added up
			sums, err := l.w.(backend.Summer).NewSums(m, 20, lifeBatch)
			if err != nil {
				return err
			}
			draw := func() error {
				for _, rotated := range []bool{false, true} {
					if err := sums.Draw(lifeBatch, 7, 0, rotated); err != nil {
						return err
					}
				}
				values := make([]float64, 3*lifeBatch)
				for range 2 {
					if err := sums.Take(make([]int64, lifeBatch), values[:3], values[3:6], values[6:]); err != nil {
						return err
					}
				}
				if m == nil {
					return nil
				}
				return sums.Total(make([]int64, lifeCells*lifeDim))
			}
			err = draw()
			if closed := sums.Close(); err == nil {
				err = closed
			}
			if err != nil {
				return err
			}
		}
		return nil
	}},
}

func (l *lifetime) generate() error {
	clear(l.images)
	return l.w.Generate(lifeBatch, 7, 100, testExtension, hostImage(l.images, backend.NCHW))
}

// close ends the life wherever it stands.
func (l *lifetime) close() error {
	var errs []error
	if l.w != nil {
		errs = append(errs, l.w.Close())
	}
	if l.m != nil {
		errs = append(errs, l.m.Close())
	}
	if l.b != nil {
		errs = append(errs, l.b.Close())
	}
	l.w, l.m, l.b = nil, nil, nil
	return errors.Join(errs...)
}

// live does the phases up to the named one, which it leaves out; all of them for "".
func (l *lifetime) live(t *testing.T, until string) {
	t.Helper()
	for _, p := range phases {
		if p.name == until {
			return
		}
		if err := p.do(l); err != nil {
			t.Fatalf("%s, with nothing made to fail: %v", p.name, err)
		}
	}
}

// checkNothingLeft checks that the process has no object of the driver any more.
func checkNothingLeft(t *testing.T, what string) {
	t.Helper()
	if left := double.Objects(); left != (double.Counts{}) {
		t.Errorf("%s: left behind: %+v", what, left)
	}
}

// checkSentence checks that an error is one of the engine, a sentence that holds the driver's answer.
func checkSentence(t *testing.T, what string, err error, code int) {
	t.Helper()
	var told *fault.Error
	var failed *driver.Error
	switch {
	case !errors.As(err, &told):
		t.Errorf("%s: got %v (%T), want an error of the engine", what, err, err)
	case !errors.Is(err, fault.ErrDevice) && !errors.Is(err, fault.ErrOutOfMemory) && !errors.Is(err, fault.ErrUnsupported):
		t.Errorf("%s: got an error of the kind %q: %v", what, told.Kind, err)
	case strings.Contains(err.Error(), "\n") || len(err.Error()) > 400:
		t.Errorf("%s: want one sentence, got %q", what, err)
	case !errors.As(err, &failed) || failed.Code != code:
		t.Errorf("%s: want the driver's error %d as the cause of %v", what, code, err)
	}
}

// checkLost checks that a life whose device is lost says so at every further call.
func checkLost(t *testing.T, what string, l *lifetime) {
	t.Helper()
	var err error
	switch {
	case l.w != nil:
		err = l.generate()
	case l.m != nil:
		_, err = l.m.NewWorkspace(1, 1)
	case l.b != nil:
		_, err = l.b.Prepare(l.parts)
	default:
		return
	}
	if !errors.Is(err, fault.ErrDevice) || !strings.Contains(err.Error(), "was lost") {
		t.Errorf("%s: a later call: got %v, want the device lost", what, err)
	}
}

// kernels are those that serve the model.
func (l *lifetime) kernels() []backend.Kernel { return l.m.(backend.Describer).Kernels() }

// Calls whose failure may be nobody's business: they give something back, and it is given back.
func isRelease(call string) bool {
	return strings.Contains(call, "Destroy") || strings.HasPrefix(call, "cuMemFree") || call == "cuModuleUnload" || call == "cuCtxPopCurrent"
}

// TestEveryDriverCallFails makes each call that the driver gets in an engine's life fail once: the
// caller is told in one sentence, nothing is left behind, and either the engine goes on as though
// nothing had been, or, where the driver says that its context is gone, says so ever after.
func TestEveryDriverCallFails(t *testing.T) {
	c := doubleConfig(t)
	c.SkipSelfCheck = true // TestDriverCallsOfSelfChecksFail
	whole := newLifetime(c)
	calls := map[string][]string{}
	for _, p := range phases {
		double.Record(true)
		if err := p.do(whole); err != nil {
			t.Fatal(err)
		}
		double.Record(false)
		calls[p.name] = double.Calls()
	}
	kernels := whole.kernels()
	double.Record(true)
	if err := whole.close(); err != nil {
		t.Fatal(err)
	}
	double.Record(false)
	calls["close"] = double.Calls()
	checkNothingLeft(t, "a life without failures")

	for _, failure := range []struct {
		name string
		code int
		lost bool
	}{
		{"out of memory", outOfMemory, false},
		{"operating system", operatingSystem, false},
		{"launch failed", launchFailed, true},
	} {
		for _, p := range phases {
			t.Run(failure.name+"/"+p.name, func(t *testing.T) {
				for i, call := range calls[p.name] {
					what := fmt.Sprintf("call %d, %s", i+1, call)
					l := newLifetime(c)
					l.live(t, p.name)
					double.Fail("", i+1, failure.code, failure.lost)
					err := p.do(l)
					if double.ClearFailures() != 0 {
						t.Errorf("%s: was not made", what)
					}
					switch {
					case err != nil:
						checkSentence(t, what, err, failure.code)
					case call == "cuModuleLoadData" && !failure.lost:
						if slices.Equal(l.kernels(), kernels) {
							t.Errorf("%s: no kernel was replaced by a plainer one", what)
						}
					case !isRelease(call) && !(call == "cuCtxPushCurrent" && strings.HasPrefix(calls[p.name][i+1], "cuMemFree")):
						t.Errorf("%s: nobody noticed", what)
					case !failure.lost && l.w != nil && p.name != "workspace" && !slices.Equal(l.images, whole.images):
						t.Errorf("%s: other images", what)
					}
					if failure.lost {
						checkLost(t, what, l)
					} else if err != nil {
						if err := p.do(l); err != nil {
							t.Errorf("%s: done again: %v", what, err)
						} else if l.w != nil && p.name != "workspace" && !slices.Equal(l.images, whole.images) {
							t.Errorf("%s: done again: other images", what)
						}
					}
					_ = l.close() // of a lost device; otherwise TestCycles
					checkNothingLeft(t, what)
					if t.Failed() {
						return
					}
				}
			})
		}
		t.Run(failure.name+"/close", func(t *testing.T) {
			for i, call := range calls["close"] {
				what := fmt.Sprintf("call %d, %s", i+1, call)
				l := newLifetime(c)
				l.live(t, "")
				double.Fail("", i+1, failure.code, failure.lost)
				_ = l.close() // may tell; what counts is what it leaves
				double.ClearFailures()
				checkNothingLeft(t, what)
			}
		})
	}
	l := newLifetime(c)
	l.live(t, "")
	if !slices.Equal(l.images, whole.images) || !slices.Equal(l.codes, whole.codes) {
		t.Error("after all the failures an engine makes other images")
	}
	if err := l.close(); err != nil {
		t.Error(err)
	}
}

// A call that fails while a kernel is asked its question ends the opening with a sentence, or costs
// the kernel its place; in no case is anything left.
func TestDriverCallsOfSelfChecksFail(t *testing.T) {
	c := doubleConfig(t)
	double.Record(true)
	whole := newLifetime(c)
	whole.live(t, "workspace")
	double.Record(false)
	calls := double.Calls()
	if err := whole.close(); err != nil {
		t.Fatal(err)
	}
	// All of the questions to noise, which are asked first; of the others, whose kernels take longer
	// on the host, one call in many.
	const all, step = 80, 311
	for i := 1; i <= len(calls); i++ {
		if i > all && i%step != 0 {
			continue
		}
		for _, code := range []int{outOfMemory, launchFailed} {
			lost := code == launchFailed
			what := fmt.Sprintf("call %d, %s, failing with %d", i, calls[i-1], code)
			l := newLifetime(c)
			double.Fail("", i, code, lost)
			err := phases[0].do(l)
			if err == nil {
				err = phases[1].do(l)
			}
			double.ClearFailures()
			if err != nil {
				checkSentence(t, what, err, code)
			} else if lost && !isRelease(calls[i-1]) {
				t.Errorf("%s: nobody noticed", what)
			}
			_ = l.close()
			checkNothingLeft(t, what)
		}
	}
}

func TestDeviceLost(t *testing.T) {
	c := doubleConfig(t)
	c.SkipSelfCheck = true
	for i, p := range phases[1:] {
		t.Run("before "+p.name, func(t *testing.T) {
			l := newLifetime(c)
			l.live(t, p.name)
			double.LoseDevice()
			err := p.do(l)
			checkSentence(t, "the call", err, deviceUnavailable)
			checkLost(t, "afterwards", l)
			if err := l.close(); err != nil && !strings.Contains(err.Error(), "was lost") {
				t.Errorf("closing: %v", err)
			}
			checkNothingLeft(t, "closed")
			_, err = Open(c)
			checkSentence(t, "opening another engine meanwhile", err, deviceUnavailable)
			double.RestoreDevice()
			again := newLifetime(c)
			again.live(t, phases[min(i+2, len(phases)-1)].name)
			if err := again.close(); err != nil {
				t.Error(err)
			}
			checkNothingLeft(t, "the next engine")
		})
	}
}

// An engine opened and closed again and again takes no more memory than once.
func TestCycles(t *testing.T) {
	c := doubleConfig(t)
	c.SkipSelfCheck = true
	resident := func() int {
		text, err := os.ReadFile("/proc/self/statm")
		if err != nil {
			t.Skip(err)
		}
		var total, pages int
		if _, err := fmt.Sscan(string(text), &total, &pages); err != nil {
			t.Fatal(err)
		}
		return pages * os.Getpagesize()
	}
	var settled int
	const cycles = 300
	for i := range cycles {
		if i == cycles/3 {
			settled = resident()
		}
		l := newLifetime(c)
		l.live(t, "stage by stage")
		if err := l.close(); err != nil {
			t.Fatal(err)
		}
		checkNothingLeft(t, fmt.Sprintf("cycle %d", i))
		if t.Failed() {
			return
		}
	}
	const slack = 32 << 20 // Go's heap comes and goes
	if now := resident(); now > settled+slack {
		t.Errorf("%d bytes are resident after %d cycles and %d after %d", settled, cycles/3, now, cycles)
	}
}
