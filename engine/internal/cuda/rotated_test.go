//go:build cuda

package cuda

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/cpu"
	"brenier/engine/internal/cuda/double"
	"brenier/engine/internal/cuda/driver"
	"brenier/engine/internal/fault"
	kernels "brenier/kernels/cpu"
)

// drawer makes draws of a seed, as DrawRotated does.
type drawer func(n int, seed, first uint64, k int, cells []int64, scores []float64, x []float32) error

// madeDraws are what a drawer gives.
type madeDraws struct {
	cells  []int64
	scores []float64
	x      []float32
}

// drawn are n draws of a seed from draw `first` on, in calls of at most batch that keep within groups.
func drawn(t testing.TB, draw drawer, group, d, n int, seed, first uint64, batch, k int) madeDraws {
	t.Helper()
	all := madeDraws{make([]int64, n*k), make([]float64, n*k), make([]float32, n*d)}
	for at := 0; at < n; {
		count := min(batch, n-at, group-int((first+uint64(at))%uint64(group)))
		err := draw(count, seed, first+uint64(at), k, all.cells[at*k:(at+count)*k], all.scores[at*k:(at+count)*k], all.x[at*d:(at+count)*d])
		if err != nil {
			t.Fatal(err)
		}
		at += count
	}
	return all
}

// compare checks that draws have the same bits.
func (a madeDraws) compare(t *testing.T, want madeDraws, k, d int) {
	t.Helper()
	for i, c := range want.cells {
		if a.cells[i] != c || a.scores[i] != want.scores[i] {
			t.Errorf("draw %d: place %d has cell %d with score %v, want %d with %v", i/k, i%k, a.cells[i], a.scores[i], c, want.scores[i])
			break
		}
	}
	for i, v := range want.x {
		if a.x[i] != v {
			t.Errorf("draw %d: coordinate %d is %v, want %v", i/d, i%d, a.x[i], v)
			break
		}
	}
}

// onCPU draws on the processor.
func (c mapCase) onCPU(t testing.TB, group int) drawer {
	t.Helper()
	pool := cpu.NewPool(2)
	t.Cleanup(pool.Close)
	m, err := cpu.NewMap(pool, kernels.Best(), c.points, c.heights, nil, len(c.heights), c.d)
	if err != nil {
		t.Fatal(err)
	}
	return m.NewRotated(group).Draw
}

// onGPU is a workspace that draws with groups of a size, by a rung.
func (c mapCase) onGPU(t testing.TB, b *gpu, group int, rung rotatedRung) *workspace {
	t.Helper()
	m := prepare(t, b, backend.Parts{Dim: c.d, Points: c.points, Heights: c.heights}).(*model)
	if m.rotating == 0 && group != 0 {
		t.Fatal("the map has no rotated draws")
	}
	m.rotating = group
	var err error
	if m.rotated, err = newRotatedStage(b.v, m.transport, group, rung); err != nil {
		t.Fatal(err)
	}
	return newWorkspace(t, m, 4, 1).(*workspace)
}

// rotatedSizes are maps and calls: shapes of groups small enough that calls cross their borders.
var rotatedSizes = []struct {
	N, d, sets int    // sets of a group
	n, batch   int    // draws, and of a call
	first      uint64 // draw
	ks         []int
}{
	{1, 16, 1, 60, 12, 0, []int{1}},
	{3, 17, 1, 80, 7, 11, []int{1, 3}},
	{31, 18, 2, 120, 60, 5, []int{1, 2}},
	{33, 24, 3, 160, 144, 1<<40 + 3, []int{1, 8}},
	{257, 31, 2, 120, 33, 2, []int{1, 4}},
	{1000, 64, 5, 260, 100, 77, []int{1, 2, 8}},
	{1537, 65, 1, 60, 24, 0, []int{1, 7}},
	{4003, 40, 1, 60, 24, 3, []int{1, 3}},
	{700, 100, 2, 110, 96, 0, []int{1, 5}},
	{900, 128, 9, 450, 432, 0, []int{1, 2}},
	{300, 130, 3, 200, 50, 19, []int{1, 6}},
	{40, 260, 4, 200, 192, 0, []int{1, 8}}, // the frame is wider than shared memory
}

// The CPU's bits: cells, scores and draws, by every rung; but the first, with wide frames.
func TestRotated_same_bits_as_the_cpu(t *testing.T) {
	b := openTestBackend(t, nil)
	for _, size := range rotatedSizes {
		for _, rung := range []rotatedRung{rotatedScreened, rotatedScreenedWide, rotatedPlain} {
			t.Run(fmt.Sprintf("N=%d/d=%d/%v", size.N, size.d, rung), func(t *testing.T) {
				c := randomMap(size.N, size.d, 0)
				group := size.sets * kernels.RotatedSet
				w, host := c.onGPU(t, b, group, rung), c.onCPU(t, group)
				for _, k := range size.ks {
					want := drawn(t, host, group, size.d, size.n, 7, size.first, size.n, k)
					got := drawn(t, w.DrawRotated, group, size.d, size.n, 7, size.first, size.batch, k)
					got.compare(t, want, k, size.d)
				}
			})
		}
	}
}

// Screened scores are as near to those that decide as rotated_screen.cuh says, and no nearer than float16 is.
func TestRotated_screen_within_its_bound(t *testing.T) {
	const N, d = 1000, 64
	b, c := openTestBackend(t, nil), randomMap(N, d, 0)
	group := 240
	left := func(rung rotatedRung) (s *rotatedStage, maxima, v []float32) {
		w := c.onGPU(t, b, group, rung)
		r, err := w.m.newRotatedDraws()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { b.v.free(r.base) })
		s = r.stage
		onStream(t, b.v, func(q *driver.Stream) error {
			if err := s.makeFrames(q, r.scratch, r.base, 1, 0, 1); err != nil {
				return err
			}
			if err := s.rotate(q, r.scratch, r.base, 0); err != nil {
				return err
			}
			return s.locate(q, r.scratch, r.base, 0, 0, group, 1, 0)
		})
		maxima = fromDevice[float32](t, b.v, r.scratch.maxima.at(r.base), s.allUnits()*group)
		return s, maxima, fromDevice[float32](t, b.v, r.scratch.v.at(r.base), s.families()*kernels.RotatedAxes)
	}
	s, screened, v := left(rotatedScreened)
	_, plain, _ := left(rotatedPlain)
	if len(screened) != len(plain) {
		t.Fatalf("%d and %d maxima", len(screened), len(plain))
	}
	compared, farthest := 0, 0.0
	for i, want := range plain {
		if want <= 0 {
			continue
		}
		draw, square := i%group, 0.0
		for _, v := range v[draw/kernels.RotatedFamily*kernels.RotatedAxes:][:kernels.RotatedAxes] {
			square += float64(v) * float64(v)
		}
		bound := 0x1.01p-10*math.Ldexp(math.Sqrt(square), s.vExponent)*float64(s.reach) + 4500
		off := math.Abs(float64(screened[i])-float64(want)) / bound
		farthest = max(farthest, off)
		compared++
	}
	if compared < len(plain)/4 || farthest > 1 || farthest < 0.01 {
		t.Errorf("%d of %d maxima compared, the farthest off by %v of the bound", compared, len(plain), farthest)
	}
}

// What a fit calls: the workspaces of two backends that have checked their kernels, and their own groups.
func TestRotated_workspaces_agree(t *testing.T) {
	const N, d, n, k, batch = 500, 24, 3172, 2, 1024
	c := randomMap(N, d, 0)
	parts := backend.Parts{Dim: d, Points: c.points, Heights: c.heights}
	m := prepare(t, openTestBackend(t, nil), parts)
	drawer := newWorkspace(t, m, 4, 1).(backend.RotatedDrawer)
	host := prepare(t, allCores(t), parts)
	other := newWorkspace(t, host, 4, 1).(backend.RotatedDrawer)
	if drawer.Group() != 3072 || other.Group() != 3072 {
		t.Fatalf("groups of %d and %d, want 3072", drawer.Group(), other.Group())
	}
	for range 2 {
		want := drawn(t, other.DrawRotated, 3072, d, n, 3, 2900, batch, k)
		drawn(t, drawer.DrawRotated, 3072, d, n, 3, 2900, batch, k).compare(t, want, k, d)
		h := normal(N, 2, 9) // and again with others
		for _, m := range []backend.Model{m, host} {
			if err := m.SetHeights(h); err != nil {
				t.Fatal(err)
			}
		}
	}
	if notes := m.(backend.Describer).Notes(); len(notes) != 0 {
		t.Errorf("notes %q", notes)
	}
}

// Equal points and heights have equal scores: the lowest index wins, and the places after go up.
func TestRotated_ties_take_the_lowest_index(t *testing.T) {
	const d, n, k = 16, 40, 4
	b := openTestBackend(t, nil)
	group := 48
	for _, N := range []int{40, 600} {
		c := randomMap(N, d, 0)
		if N == 40 { // all the same
			clear(c.points)
			clear(c.heights)
		}
		copy(c.points[N/2*d:], c.points[:N/2*d]) // each twice
		copy(c.heights[N/2:], c.heights[:N/2])
		got := drawn(t, c.onGPU(t, b, group, rotatedScreened).DrawRotated, 48, d, n, 1, 0, n, k)
		for i, cell := range got.cells {
			want := int64(i % k)
			if N > 40 && i%2 == 0 {
				want = cell % int64(N/2)
			} else if N > 40 {
				want = got.cells[i-1] + int64(N/2)
			}
			if cell != want {
				t.Fatalf("N=%d, draw %d: place %d has cell %d, want %d", N, i/k, i%k, cell, want)
			}
		}
	}
}

// On other cards tiles differ, or there is no screen, and the bits are the same; so they are whatever the
// order in which threads and blocks run.
func TestRotated_any_card_and_schedule(t *testing.T) {
	doubleConfig(t)
	const N, d, n, k = 700, 90, 100, 3
	c := randomMap(N, d, 0)
	group := 96
	want := drawn(t, c.onCPU(t, group), 96, d, n, 1, 7, n, k)
	rungs := map[rotatedRung]bool{}
	for _, option := range [][2]string{
		{"capability", "75"}, {"capability", "80"}, {"capability", "89"}, {"capability", "90"},
		{"schedule", "early"}, {"schedule", "random:1"},
	} {
		if err := double.Configure(option[0], option[1]); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { double.Configure(option[0], "") })
		w := c.onGPU(t, openTestBackend(t, nil), group, rotatedScreened)
		rungs[w.m.rotated.rung] = true
		drawn(t, w.DrawRotated, 96, d, n, 1, 7, n, k).compare(t, want, k, d)
	}
	if len(rungs) != 2 {
		t.Errorf("rungs %v alone", rungs)
	}
}

// A screen that fails its question is replaced by the plain one, which has another.
func TestRotated_plainer(t *testing.T) {
	b := openTestBackend(t, nil)
	c := randomMap(300, 20, 0)
	group := 48
	w := c.onGPU(t, b, group, rotatedScreened)
	s := w.m.rotated
	if s.rung != rotatedScreened || s.frameShared == 0 {
		t.Fatal("a small map does not begin with the best kernels")
	}
	if err := s.checks()[0].plainer(); err != nil {
		t.Fatal(err)
	}
	if checks := s.checks(); s.rung != rotatedPlain || checks[0].plainer != nil {
		t.Errorf("after the best kernels comes %q", checks[0].kernel)
	}
	if notes, err := b.v.selfCheck(s); err != nil || len(notes) != 0 {
		t.Errorf("notes %q, %v", notes, err)
	}
	want := drawn(t, c.onCPU(t, group), 48, 20, 48, 1, 0, 48, 1)
	drawn(t, w.DrawRotated, 48, 20, 48, 1, 0, 48, 1).compare(t, want, 1, 20)
}

// Groups and errors are the CPU's.
func TestRotated_refusals(t *testing.T) {
	b, host := openTestBackend(t, nil), allCores(t)
	for _, c := range []struct {
		name   string
		source backend.Source
		N, d   int
		scale  float64
		height float32
	}{
		{"fewer dimensions than axes", backend.Gaussian, 30, 15, 1, 0},
		{"usual", backend.Gaussian, 30, 16, 1, 0},
		{"wide", backend.Gaussian, 3, 91, 1, 0},
		{"uniform", backend.Uniform, 30, 64, 1, 0},
		{"points beyond float32", backend.Gaussian, 30, 64, 1e37, 0},
		{"heights beyond float32", backend.Gaussian, 30, 16, 1, 2e38},
	} {
		t.Run(c.name, func(t *testing.T) {
			parts := backend.Parts{Source: c.source, Dim: c.d, Points: normal(c.N*c.d, float32(c.scale), 1), Heights: normal(c.N, 1, 2)}
			parts.Heights[1] = c.height
			got := newWorkspace(t, prepare(t, b, parts), 4, 1).(backend.RotatedDrawer)
			want := newWorkspace(t, prepare(t, host, parts), 4, 1).(backend.RotatedDrawer)
			if got.Group() != want.Group() {
				t.Errorf("groups of %d, want %d", got.Group(), want.Group())
			}
			for _, call := range []struct {
				n           int
				first       uint64
				k, cells, x int
			}{{-1, 0, 1, 0, 0}, {0, 0, 1, 0, 0}, {5, 3070, 1, 5, 5 * c.d}, {2, 0, 0, 0, 2 * c.d}, {2, 0, 9, 18, 2 * c.d}, {2, 0, 1, 1, 2 * c.d}, {2, 0, 1, 2, 1}, {1, 0, 1, 1, c.d}} {
				draw := func(w backend.RotatedDrawer) error {
					return w.DrawRotated(call.n, 1, call.first, call.k, make([]int64, call.cells), nil, make([]float32, call.x))
				}
				if a, b := draw(got), draw(want); fmt.Sprint(a) != fmt.Sprint(b) || errors.Is(a, fault.ErrUnsupported) != errors.Is(b, fault.ErrUnsupported) {
					t.Errorf("%+v: %v, want %v", call, a, b)
				}
			}
		})
	}
}

// Where there is room for the maxima of some sets only, these are searched for one after another: whole rounds
// of a block's warps, or what there is.
func TestRotated_in_pieces(t *testing.T) {
	const N, d, k, sets = 300, 20, 2, 40
	b, c := openTestBackend(t, nil), randomMap(N, d, 0)
	group := sets * kernels.RotatedSet
	n, first := group-70, uint64(60)
	want := drawn(t, c.onCPU(t, group), group, d, n, 1, first, n, k)
	for room, rounded := range map[int]int{1: 1, 7: 7, 20: 20, 39: 32, sets: sets} {
		w := c.onGPU(t, b, group, rotatedScreened)
		s := w.m.rotated
		s.mostMaxima = room * s.maximaBytes()
		drawn(t, w.DrawRotated, group, d, n, 1, first, n, k).compare(t, want, k, d)
		if got := s.piece(w.rotated.scratch, kernels.RotatedSet); got != rounded*kernels.RotatedSet {
			t.Errorf("with room for %d sets %d draws are searched for at once, want %d", room, got, rounded*kernels.RotatedSet)
		}
	}
}

// What a workspace has no room for is said at the first draw, and the rest of it goes on.
func TestRotated_memory(t *testing.T) {
	b := openTestBackend(t, nil)
	c := randomMap(300, 20, 0)
	w := c.onGPU(t, b, 48, rotatedScreened)
	draw := func() error { return w.DrawRotated(1, 1, 0, 1, make([]int64, 1), nil, nil) }
	budget := b.v.budget
	b.v.budget = b.v.used + 1000
	if err := draw(); !errors.Is(err, fault.ErrOutOfMemory) {
		t.Errorf("with 1000 bytes left: %v", err)
	}
	if err := w.Noise(4, 1, 0); err != nil {
		t.Error(err)
	}
	b.v.budget = budget
	if err := draw(); err != nil {
		t.Error(err)
	}
}

// Counts are those of the draws' cells, of both kinds of draws, since they were taken last.
func TestCount(t *testing.T) {
	const N, d, n = 50, 20, 72
	c := randomMap(N, d, 0)
	w := newWorkspace(t, c.onGPU(t, openTestBackend(t, nil), 144, rotatedScreened).m, n, 1).(*workspace)
	got, want, cells := make([]int32, N), make([]int32, N), make([]int64, n)
	for _, rotated := range []bool{false, true} {
		clear(want)
		for first := uint64(0); first < 3*n; first += n {
			if err := w.Count(n, 5, first, rotated); err != nil {
				t.Fatal(err)
			}
			var err error
			if rotated {
				err = w.DrawRotated(n, 5, first, 1, cells, nil, nil)
			} else if err = w.Draw(n, 1, 5, first, nil); err == nil {
				err = w.GetCells(n, 1, cells, nil)
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, cell := range cells {
				want[cell]++
			}
		}
		if err := w.TakeCounts(got); err != nil || !slices.Equal(got, want) {
			t.Errorf("rotated %v: other counts than of the draws' cells: %v", rotated, err)
		}
		if err := w.TakeCounts(got); err != nil || slices.Max(got) != 0 {
			t.Errorf("rotated %v: counts that were taken are still there: %v", rotated, err)
		}
	}
	if err := w.Count(n, 5, 100, true); !errors.Is(err, fault.ErrInvalidArgument) {
		t.Errorf("across the border of a group: %v", err)
	}
}

func TestRotated_allocates_nothing(t *testing.T) {
	const d, n = 20, 24
	c := randomMap(50, d, 0)
	w := c.onGPU(t, openTestBackend(t, nil), 48, rotatedScreened)
	cells, scores, x := make([]int64, 2*n), make([]float64, 2*n), make([]float32, n*d)
	first := uint64(0)
	draw := func() {
		if err := w.DrawRotated(n, 1, first, 2, cells, scores, x); err != nil {
			t.Fatal(err)
		}
		first += 2 * n // not the group that was entered ahead
	}
	draw()
	if allocated := testing.AllocsPerRun(10, draw); allocated != 0 {
		t.Errorf("%v allocations", allocated)
	}
}
