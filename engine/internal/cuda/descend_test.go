//go:build cuda

package cuda

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/cuda/driver"
	"brenier/engine/internal/fault"
	"brenier/engine/internal/sgd"
)

func copyOf(s *sgd.State) *sgd.State {
	c := &sgd.State{Rates: s.Rates, Hits: slices.Clone(s.Hits), H: slices.Clone(s.H)}
	for i, mean := range s.Averages {
		c.Averages[i] = slices.Clone(mean)
	}
	return c
}

func sameState(a, b *sgd.State) bool {
	same := slices.Equal(a.Hits, b.Hits) && sameBits(a.H, b.H)
	for i := range a.Averages {
		same = same && sameBits(a.Averages[i], b.Averages[i])
	}
	return same
}

// heightsOf are what a step leaves for the next draws.
func heightsOf(s *sgd.State, centre float64) []float32 {
	heights := make([]float32, len(s.H))
	for i, h := range s.H {
		heights[i] = float32(h - centre)
	}
	return heights
}

// Steps from counts of every kind leave the bits that the host's steps leave, for any number of cells.
func TestDescent_same_bits_as_on_the_host(t *testing.T) {
	v := newTestDevice(t)
	stage, err := newDescend(v)
	if err != nil {
		t.Fatal(err)
	}
	for _, N := range []int{1, 2, 31, 256, 257, 2000} {
		random := rand.New(rand.NewPCG(3, uint64(N)))
		m := mapCase{points: normal(3*N, 1, 1), heights: make([]float32, N), d: 3}.on(t, v)
		packed, err := newPackedMap(m)
		if err != nil {
			t.Fatal(err)
		}
		defer packed.close()
		at := scratchOn(t, v, 4*N)
		d, err := stage.newDescent(m, packed, at)
		if err != nil {
			t.Fatal(err)
		}
		defer d.close()
		want := askedDescent(N)
		for i := range want.Hits {
			want.Hits[i] = int64(random.IntN(150))
			want.H[i] = 100 * random.NormFloat64()
		}
		onStream(t, v, func(q *driver.Stream) error { return d.start(q, want) })
		counts := make([]int32, N)
		var reach float32
		for i := range 5 {
			step := askedStep(N, i)
			step.Centre = 10 * random.NormFloat64()
			for cell := range counts {
				counts[cell] = int32(random.ExpFloat64() * 8)
			}
			onStream(t, v, func(q *driver.Stream) error {
				if err := v.ctx.ToDevice(at, unsafe.Pointer(&counts[0]), 4*N); err != nil {
					return err
				}
				if err := d.launch(q, step); err != nil {
					return err
				}
				return d.relevel(q)
			})
			want.Take(step, counts)
			heights := heightsOf(want, step.Centre)
			reach = max(reach, slices.Max(heights), -slices.Min(heights))
			got := copyOf(want)
			clear(got.H)
			var gone float32
			onStream(t, v, func(q *driver.Stream) (err error) { gone, err = d.fetch(q, got); return err })
			if !sameState(got, want) {
				t.Errorf("N=%d: step %d differs", N, i+1)
			}
			highest := fromDevice[float64](t, v, m.highest, 1)[0]
			if !slices.Equal(fromDevice[float32](t, v, m.heights, N), heights) || highest != float64(slices.Max(heights)) || gone != reach {
				t.Errorf("N=%d: after step %d the heights differ, or how far they go", N, i+1)
			}
			if slices.Max(fromDevice[uint32](t, v, at, N)) != 0 {
				t.Errorf("N=%d: counts are left after step %d", N, i+1)
			}
			levels, known := fromDevice[float32](t, v, packed.levels, N), fromDevice[float64](t, v, packed.known+24, 2)
			if err := m.setHeights(heights); err != nil {
				t.Fatal(err)
			}
			if err := packed.setHeights(); err != nil {
				t.Fatal(err)
			}
			if !sameBits(levels, fromDevice[float32](t, v, packed.levels, N)) || !sameBits(known, fromDevice[float64](t, v, packed.known+24, 2)) {
				t.Errorf("N=%d: after step %d the packed map is not that of the heights", N, i+1)
			}
		}
	}
}

// Draws and steps one after another end where a host ends that takes each step itself; more steps than
// the host may be ahead of.
func TestDescent_of_draws(t *testing.T) {
	for _, c := range []struct {
		N, d, n int // n: draws of a step
		rotated bool
	}{{50, 3, 5, false}, {50, 20, 72, true}, {1, 16, 72, true}, {2, 1, 5, false}} {
		t.Run(fmt.Sprintf("N=%d/rotated=%v", c.N, c.rotated), func(t *testing.T) {
			n := c.n
			b, size := openTestBackend(t, nil), 0
			if c.rotated {
				size = 144
			}
			made := func() *workspace {
				m := randomMap(c.N, c.d, 0)
				return newWorkspace(t, m.onGPU(t, b, size, rotatedScreened).m, n, 1).(*workspace)
			}
			w, host := made(), made()
			want := askedDescent(c.N)
			state := copyOf(want)
			const centre = 0.25
			check := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			check(w.m.SetHeights(heightsOf(state, centre)))
			check(w.StartDescent(state))
			counts := make([]int32, c.N)
			for i := range 2*ahead + 5 {
				step := askedStep(c.N, i%7)
				step.Expected, step.Centre = float64(n)/float64(c.N), centre
				check(host.m.SetHeights(heightsOf(want, centre)))
				check(host.Count(n, 5, uint64(i*n), c.rotated))
				check(host.TakeCounts(counts))
				want.Take(step, counts)
				check(w.Count(n, 5, uint64(i*n), c.rotated))
				check(w.StepDescent(step))
			}
			check(w.FetchDescent(state))
			if !sameState(state, want) {
				t.Fatal("the descent ends elsewhere than on the host")
			}
			// What is drawn afterwards is of the new heights too.
			check(host.m.SetHeights(heightsOf(want, centre)))
			for _, w := range []*workspace{w, host} {
				check(w.Noise(n, 5, 0))
				check(w.Locate(n, 1))
			}
			scores := func(w *workspace) []float64 { // once they are there
				scores := make([]float64, n)
				check(w.GetCells(n, 1, make([]int64, n), scores))
				return scores
			}
			if !sameBits(scores(w), scores(host)) {
				t.Error("draws are located with other heights than the last")
			}
			if w.m.transport.reach < host.m.transport.reach {
				t.Errorf("reach %v, want %v at least", w.m.transport.reach, host.m.transport.reach)
			}
		})
	}
}

// Images that are made after steps are of their heights, though a call of the same shape was recorded before.
func TestDescent_recordings_are_made_anew(t *testing.T) {
	p := testParts(40, 16)
	b := openTestBackend(t, nil)
	w, other := newWorkspace(t, prepare(t, b, p), 3, testExtension.K).(*workspace), newWorkspace(t, prepare(t, b, p), 3, testExtension.K).(*workspace)
	generated := func(w *workspace) []float32 {
		images := make([]float32, 3*testPixels)
		if err := w.Generate(3, 7, 100, testExtension, hostImage(images, backend.NCHW)); err != nil {
			t.Fatal(err)
		}
		return images
	}
	before := generated(w)
	state := askedDescent(40)
	step := askedStep(40, 0)
	for _, err := range []error{w.StartDescent(state), w.StepDescent(step), w.FetchDescent(state), other.m.SetHeights(heightsOf(state, step.Centre))} {
		if err != nil {
			t.Fatal(err)
		}
	}
	after := generated(w)
	if slices.Equal(after, before) || !slices.Equal(after, generated(other)) {
		t.Error("the images are not those of the heights after the step")
	}
}

// Heights that went beyond what draws can use end a descent with an error; new ones are as good as ever.
func TestDescent_heights_beyond_float32(t *testing.T) {
	const N, n = 50, 5
	c := randomMap(N, 20, 0)
	for _, rotate := range []bool{false, true} {
		for far, fails := range map[float64]bool{1e30: false, 1e38: rotate, 1e39: true} {
			w := newWorkspace(t, c.onGPU(t, openTestBackend(t, nil), 144, rotatedScreened).m, n, 1).(*workspace)
			state := askedDescent(N)
			if err := w.StartDescent(state); err != nil {
				t.Fatal(err)
			}
			for i, centre := range []float64{far, 0} { // far on the way, not at the end
				step := askedStep(N, i)
				step.Centre = centre
				if err := errors.Join(w.Count(n, 5, uint64(i*n), rotate), w.StepDescent(step)); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.FetchDescent(state); errors.Is(err, fault.ErrUnsupported) != fails || !fails && err != nil {
				t.Errorf("rotated %v, heights of %g: %v", rotate, far, err)
			}
			if err := w.m.SetHeights(c.heights); err != nil {
				t.Fatal(err)
			}
			if err := w.Count(n, 5, 0, rotate); err != nil {
				t.Errorf("rotated %v, after heights of %g: %v", rotate, far, err)
			}
		}
	}
}

func TestDescent_steps_allocate_nothing(t *testing.T) {
	const n = 5
	c := randomMap(50, 20, 0)
	w := newWorkspace(t, c.onGPU(t, openTestBackend(t, nil), 0, rotatedScreened).m, n, 1).(*workspace)
	if err := w.StartDescent(askedDescent(50)); err != nil {
		t.Fatal(err)
	}
	step := askedStep(50, 0)
	if allocated := testing.AllocsPerRun(2*ahead, func() {
		if err := errors.Join(w.Count(n, 5, 0, false), w.StepDescent(step)); err != nil {
			t.Fatal(err)
		}
	}); allocated != 0 {
		t.Errorf("%v allocations", allocated)
	}
}
