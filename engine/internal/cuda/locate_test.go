//go:build cuda

package cuda

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"brenier/engine/internal/cuda/double"
	"brenier/engine/internal/cuda/driver"
)

// locateRungs are the ways to locate beside the plain one, each alone.
var locateRungs = []struct {
	name  string
	allow rungs
	most  int // samples; 0: any number
}{
	{"few", rungs{few: true}, 64},
	{"mma", rungs{mma: true}, 0},
	{"wgmma", rungs{wgmma: true}, 0},
}

// locateOf makes the stage of a case with some rungs until the test ends; it skips where the device
// has not got them.
func (c mapCase) locateOf(t testing.TB, v *device, allow rungs) *locateStage {
	t.Helper()
	s, err := newLocateOf(v, c.on(t, v), allow)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	if s.few == nil && s.tiles == nil {
		t.Skipf("sm_%d has no kernels for %+v", v.capability(), allow)
	}
	return s
}

// located is an answer of the stage, and what it left in its scratch.
type located struct {
	cells   []int32
	scores  []float64
	scratch *locateScratch
	base    driver.Address
}

// locateAll finds the k best cells of the samples x [n,d], with scratch that was planned for a batch
// of n, or of n and handed to change first.
func locateAll(t testing.TB, v *device, s *locateStage, x []float32, k int, change func(*locateScratch)) located {
	t.Helper()
	n := len(x) / s.t.d
	var p plan
	scratch := s.newScratch(&p, n, k)
	if change != nil {
		change(scratch)
	}
	base := scratchOn(t, v, p.bytes)
	from, cells, scores := onDevice(t, v, x), scratchOn(t, v, 4*n*k), scratchOn(t, v, 8*n*k)
	onStream(t, v, func(q *driver.Stream) error { return s.launch(q, scratch, base, from, n, k, cells, scores) })
	return located{fromDevice[int32](t, v, cells, n*k), fromDevice[float64](t, v, scores, n*k), scratch, base}
}

// firstOf returns the first k of each row of `width`.
func firstOf[T any](values []T, width, k int) (first []T) {
	for at := 0; at < len(values); at += width {
		first = append(first, values[at:at+k]...)
	}
	return first
}

// equalsOracle compares the stage's cells and bits of scores with the oracle's, for several k.
func (c mapCase) equalsOracle(t *testing.T, v *device, s *locateStage, ks ...int) {
	t.Helper()
	width := min(slices.Max(ks), len(c.heights))
	want, wantScores := c.oracleCells(width)
	for _, k := range ks {
		if k > width {
			continue
		}
		got := locateAll(t, v, s, c.x, k, nil)
		wantK, wantScoresK := firstOf(want, width, k), firstOf(wantScores, width, k)
		for i := range wantK {
			if got.cells[i] != wantK[i] || math.Float64bits(got.scores[i]) != math.Float64bits(wantScoresK[i]) {
				t.Errorf("k=%d: cell %d of sample %d is %d with score %v, want %d with %v",
					k, i%k, i/k, got.cells[i], got.scores[i], wantK[i], wantScoresK[i])
				break
			}
		}
	}
}

// Every rung gives the oracle's cells and bits of scores: sizes around tiles of cells and samples,
// slices and single instructions of the dimensions, groups and blocks.
func TestLocate_same_bits_as_the_oracle(t *testing.T) {
	v := newTestDevice(t)
	for _, rung := range locateRungs {
		for _, size := range []struct{ N, d, n int }{
			{1, 1, 1}, {5, 2, 3}, {31, 3, 8}, {33, 15, 9}, {127, 16, 16}, {128, 17, 17}, {129, 64, 33},
			{300, 65, 64}, {257, 40, 65}, {700, 64, 130}, {5000, 3, 40}, {130, 2, 300}, {260, 128, 129},
			{400, 300, 20}, {300, 130, 70}, {60, 1030, 5},
		} {
			if rung.most != 0 && size.n > rung.most {
				size.n = size.n%rung.most + 1
			}
			t.Run(fmt.Sprintf("%s/N=%d/d=%d/n=%d", rung.name, size.N, size.d, size.n), func(t *testing.T) {
				c := randomMap(size.N, size.d, size.n)
				ks := []int{1, 2, 5, 20, 32}
				if size.N*size.n > 1<<16 {
					ks = []int{1, 20}
				}
				c.equalsOracle(t, v, c.locateOf(t, v, rung.allow), ks...)
			})
		}
	}
}

// closeMaps are maps whose best cells a screen cannot tell apart, or whose values leave it little.
func closeMaps() map[string]mapCase {
	const N, d, n = 600, 40, 20
	maps := hardMaps()
	add := func(name string, f func(c mapCase)) {
		c := randomMap(N, d, n)
		f(c)
		maps[name] = c
	}
	add("near_ties", func(c mapCase) { // every point is one of ten, moved by 1e-7 of its size
		for i := range N {
			for k := range d {
				c.points[i*d+k] = c.points[i%10*d+k] * (1 + 1e-7*float32(i%3))
			}
			c.heights[i] = c.heights[i%10]
		}
	})
	add("more_ties_than_cells_may_be_listed", func(c mapCase) {
		for i := range N {
			copy(c.points[i*d:(i+1)*d], c.points[:d])
			c.heights[i] = c.heights[0]
		}
	})
	add("heights_of_a_million", func(c mapCase) {
		for i := range c.heights {
			c.heights[i] *= 1e6
		}
	})
	add("heights_near_a_million", func(c mapCase) {
		for i := range c.heights {
			c.heights[i] += 1e6
		}
	})
	add("most_heights_far_below", func(c mapCase) { // beyond float32 in scaled units
		for i := range c.heights {
			if i%100 != 7 {
				c.heights[i] = -3e38
			}
		}
	})
	add("samples_of_many_sizes", func(c mapCase) {
		for i := range c.x {
			c.x[i] *= float32(math.Pow(10, float64(i/d*4-40)))
		}
	})
	add("one_huge_point", func(c mapCase) {
		for k := range d {
			c.points[77*d+k] *= 1e12
		}
	})
	add("one_huge_dimension", func(c mapCase) { // what it leaves of the others underflows in float16
		for i := range N {
			c.points[i*d] *= 1e9
		}
		for i := range n {
			c.x[i*d] *= 1e-9
		}
	})
	return maps
}

func TestLocate_maps_that_a_screen_cannot_tell(t *testing.T) {
	v := newTestDevice(t)
	for _, rung := range locateRungs {
		for name, c := range closeMaps() {
			t.Run(rung.name+"/"+name, func(t *testing.T) {
				c.equalsOracle(t, v, c.locateOf(t, v, rung.allow), 1, 5, 32)
			})
		}
	}
}

// Where more cells tie than a row has room for, every row is scored exactly.
func TestLocate_rows_that_overflow(t *testing.T) {
	v := newTestDevice(t)
	for _, rung := range locateRungs {
		t.Run(rung.name, func(t *testing.T) {
			c := randomMap(20000, 2, 3) // 625 groups of which 512 have room
			for i := range c.heights {
				c.points[2*i], c.points[2*i+1] = 0.5, -0.25
				c.heights[i] = 1
			}
			s := c.locateOf(t, v, rung.allow)
			c.equalsOracle(t, v, s, 1, 3)
			if s.tiles == nil {
				return
			}
			for _, k := range []int{1, 3} {
				got := locateAll(t, v, s, c.x, k, nil)
				exact := fromDevice[uint32](t, v, got.scratch.count.at(got.base), 1)[0]
				if exact != 3 {
					t.Errorf("k=%d: %d rows were scored exactly, want 3", k, exact)
				}
			}
		})
	}
}

// The answers do not depend on when copies land and products are made, within what the kernels' waits
// allow: stages are come by several times, samples stay in shared memory or stream along with the cells.
func TestLocate_any_schedule(t *testing.T) {
	v := newTestDevice(t)
	if !double.Present() {
		t.Skip("a card has a schedule of its own")
	}
	t.Cleanup(func() { double.Configure("schedule", "") })
	for _, schedule := range []string{"late", "early", "random:3"} {
		if err := double.Configure("schedule", schedule); err != nil {
			t.Fatal(err)
		}
		for _, rung := range locateRungs {
			for _, size := range []struct{ N, d, n int }{{900, 64, 20}, {400, 200, 3}, {150, 1030, 10}} {
				t.Run(fmt.Sprintf("%s/%s/d=%d", schedule, rung.name, size.d), func(t *testing.T) {
					c := randomMap(size.N, size.d, size.n)
					c.equalsOracle(t, v, c.locateOf(t, v, rung.allow), 1, 3)
				})
			}
		}
	}
}

// A sample's cells do not depend on the batch that it is in, nor on the pieces of the batch.
func TestLocate_any_batch(t *testing.T) {
	v := newTestDevice(t)
	c := randomMap(150, 20, 290)
	s, err := newLocate(v, c.on(t, v))
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	for _, k := range []int{1, 4} {
		want, wantScores := c.oracleCells(k)
		for _, n := range []int{7, 40, 100, 290} {
			var cells []int32
			var scores []float64
			for first := 0; first < 290; first += n {
				got := locateAll(t, v, s, c.x[first*20:min(first+n, 290)*20], k, func(scratch *locateScratch) {
					scratch.piece = 128
				})
				cells, scores = append(cells, got.cells...), append(scores, got.scores...)
			}
			if !slices.Equal(cells, want) || !sameBits(scores, wantScores) {
				t.Errorf("k=%d in batches of %d: differs from the oracle", k, n)
			}
		}
	}
}

func TestLocate_new_heights(t *testing.T) {
	v := newTestDevice(t)
	for _, rung := range locateRungs {
		t.Run(rung.name, func(t *testing.T) {
			c := randomMap(300, 20, 30)
			s := c.locateOf(t, v, rung.allow)
			c.heights = normal(300, 1000, 9)
			if err := s.setHeights(c.heights); err != nil {
				t.Fatal(err)
			}
			c.equalsOracle(t, v, s, 1, 5)
		})
	}
}

// Each rung passes its own check, and the next plainer takes its place when it is forbidden.
func TestLocate_checks(t *testing.T) {
	v := newTestDevice(t)
	for _, d := range []int{20, 100} {
		c := randomMap(50, d, 1)
		s, err := newLocate(v, c.on(t, v))
		if err != nil {
			t.Fatal(err)
		}
		defer s.close()
		for {
			checks := s.checks()
			for _, check := range checks {
				onStream(t, v, func(q *driver.Stream) error {
					if err := check.run(q); err != nil {
						t.Errorf("%s: %v", check.kernel, err)
					}
					return nil
				})
			}
			worst := checks[len(checks)-1]
			if worst.plainer == nil {
				break
			}
			before := s.kernels()
			if err := worst.plainer(); err != nil {
				t.Fatal(err)
			}
			if slices.Equal(s.kernels(), before) {
				t.Fatalf("d=%d: %s was forbidden and still serves", d, worst.kernel)
			}
		}
		if got := s.kernels(); len(got) != 1 || got[0].Name != "locate_plain" {
			t.Errorf("d=%d: with every rung forbidden, %v serve; want locate_plain alone", d, got)
		}
		if s.m != nil {
			t.Errorf("d=%d: the packed map is kept though no kernel reads it", d)
		}
	}
}
