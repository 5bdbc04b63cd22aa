package cpu

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/fault"
	"brenier/engine/internal/reference"
	"brenier/engine/internal/rotated"
	kernels "brenier/kernels/cpu"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
)

// rotatedDraws is what Draw gives for all of some draws.
type rotatedDraws struct {
	cells  []int64
	scores []float64
	x      []float32
}

// drawAll draws n of seed 5 from draw `first` on, in calls of at most batch that keep within groups.
func drawAll(t testing.TB, r *Rotated, n, first, batch, k int) rotatedDraws {
	t.Helper()
	d, size := r.m.d, r.size
	all := rotatedDraws{make([]int64, n*k), make([]float64, n*k), make([]float32, n*d)}
	for at := 0; at < n; {
		count := min(batch, n-at, size-(first+at)%size)
		err := r.Draw(count, 5, uint64(first+at), k, all.cells[at*k:(at+count)*k],
			all.scores[at*k:(at+count)*k], all.x[at*d:(at+count)*d])
		if err != nil {
			t.Fatal(err)
		}
		at += count
	}
	return all
}

func (a rotatedDraws) equal(b rotatedDraws) bool {
	return slices.Equal(a.cells, b.cells) && slices.Equal(a.scores, b.scores) && slices.Equal(a.x, b.x)
}

// newMap makes a map that is freed with the test.
func newMap(t testing.TB, path kernels.Path, threads int, c locateCase) *Map {
	t.Helper()
	pool := NewPool(threads)
	t.Cleanup(pool.Close)
	m, err := NewMap(pool, path, c.points, c.heights, nil, len(c.heights), c.d)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// smallGroup goes with small cases: a few sets, so that tests cross the borders of groups.
const smallGroup = 3 * kernels.RotatedSet

// gamma is Higham's n u / (1 - n u) in float32.
func gamma(n float64) float64 { return n * 0x1p-24 / (1 - n*0x1p-24) }

// rotatedBound is rotated.h's bound on what separates a score from the exact one.
func rotatedBound(d int, x, y []float32, below float64) float64 {
	return (gamma(float64(d)+1)+gamma(17)+gamma(12))*4*length(x)*length(y)*(1+0x1p-10) + gamma(12)*below
}

func length(v []float32) float64 {
	square := 0.0
	for _, c := range v {
		square += float64(c) * float64(c)
	}
	return math.Sqrt(square)
}

func rotatedCases() []locateCase {
	var cases []locateCase
	for _, size := range [][2]int{{1, 16}, {2, 19}, {7, 16}, {33, 17}, {257, 24}, {1000, 64}, {5003, 29}, {3001, 100}, {70000, 16}} {
		cases = append(cases, randomCase(size[0], size[1], 0))
	}
	offset := randomCase(2000, 24, 0)
	offset.name = "heights_near_a_million"
	for i := range offset.heights {
		offset.heights[i] += 1e6
	}
	low := randomCase(2000, 24, 0)
	low.name = "some_heights_far_below"
	for i := 0; i < 2000; i += 3 {
		low.heights[i] = -1e30
	}
	return append(cases, offset, low)
}

// Cells and scores are those of float64 on the draws, but for the rounding that rotated.h bounds.
func TestRotated_cells_of_float64(t *testing.T) {
	for _, c := range rotatedCases() {
		t.Run(c.name, func(t *testing.T) {
			N, d := len(c.heights), c.d
			n := 2*smallGroup - 5
			if N > 2000 {
				n = min(n, 100000/N)
			}
			highest := float64(slices.Max(c.heights))
			for _, k := range []int{1, 2, 8} {
				if k > N {
					continue
				}
				m := newMap(t, kernels.Best(), 2, c)
				got := drawAll(t, m.NewRotated(smallGroup), n, 3, 31, k)
				for i := range n {
					x := got.x[i*d : (i+1)*d]
					cells, scores := reference.Locate(x, c.points, c.heights, min(N, k))
					exact := func(cell int64) (score, bound float64) {
						y, h := c.points[int(cell)*d:int(cell+1)*d], float64(c.heights[cell])
						score = h
						for a := range y {
							score += float64(x[a]) * float64(y[a])
						}
						return score, rotatedBound(d, x, y, highest-h) + 1e-12*math.Abs(h)
					}
					for j := range k {
						cell, score := got.cells[i*k+j], got.scores[i*k+j]
						want, bound := exact(cell)
						if math.Abs(score-want) > bound {
							t.Fatalf("k=%d, draw %d, cell %d: score %v, want %v within %v", k, i, cell, score, want, bound)
						}
						_, other := exact(int64(cells[j]))
						if cell != int64(cells[j]) && scores[j]-want > bound+other {
							t.Fatalf("k=%d, draw %d: place %d has cell %d with %v, want %d with %v; they differ by more than %v",
								k, i, j, cell, want, cells[j], scores[j], bound+other)
						}
						if slices.Index(got.cells[i*k:i*k+j], cell) >= 0 {
							t.Fatalf("k=%d, draw %d: cell %d twice", k, i, cell)
						}
						if j > 0 && score > got.scores[i*k+j-1] {
							t.Fatalf("k=%d, draw %d: place %d scores above the one before", k, i, j)
						}
					}
				}
			}
		})
	}
}

// Equal points and heights have equal scores: the lowest index wins, and the places after go up.
func TestRotated_ties_take_lowest_index(t *testing.T) {
	for _, N := range []int{40, 3000, 40000} {
		c := randomCase(N, 16, 0)
		for i := N / 2; i < N; i++ { // every point twice, far apart
			copy(c.points[i*16:(i+1)*16], c.points[(i-N/2)*16:])
			c.heights[i] = c.heights[i-N/2]
		}
		if N == 40 {
			clear(c.points)
			clear(c.heights)
		}
		for _, path := range kernels.Paths() {
			m := newMap(t, path, 2, c)
			for _, k := range []int{1, 2, 4} {
				got := drawAll(t, m.NewRotated(smallGroup), 50, 0, 50, k)
				for i := range 50 {
					for j := range k {
						want := got.cells[i*k]
						if N == 40 {
							want = int64(j)
						} else if j%2 == 1 {
							want = got.cells[i*k+j-1] + int64(N/2)
						} else {
							want = got.cells[i*k+j] % int64(N/2)
						}
						if got.cells[i*k+j] != want {
							t.Fatalf("N=%d, %v, k=%d, draw %d: place %d has cell %d, want %d", N, path, k, i, j, got.cells[i*k+j], want)
						}
					}
				}
			}
		}
	}
}

// The same bits for any path, number of threads and cutting into calls.
func TestRotated_same_bits(t *testing.T) {
	const group = 2 * kernels.RotatedSet
	for _, size := range [][2]int{{1003, 61}, {5001, 16}, {300, 130}} {
		c := randomCase(size[0], size[1], 0)
		for _, k := range []int{1, 3} {
			want := drawAll(t, newMap(t, kernels.Portable, 1, c).NewRotated(group), 200, 7, group, k)
			for _, path := range kernels.Paths() {
				for _, threads := range []int{1, 5} {
					r := newMap(t, path, threads, c).NewRotated(group)
					for _, batch := range []int{group, 13, 1} {
						if !drawAll(t, r, 200, 7, batch, k).equal(want) {
							t.Errorf("N=%d, d=%d, k=%d: %v with %d threads in calls of %d gives other bits", size[0], size[1], k, path, threads, batch)
						}
					}
				}
			}
		}
	}
}

// A draw is along 16 axes of the frame, by the same amount each but for the sign. Those of a set share them,
// and their lines make the angles that rotated.h says; the axes are one of each class twice, and those of one
// shuffle's sets differ.
func TestRotated_sets(t *testing.T) {
	const set = kernels.RotatedSet
	for _, c := range []struct{ d, sets int }{{64, 9}, {39, 5}, {16, 3}, {130, 17}} {
		r := newMap(t, kernels.Best(), 1, randomCase(1, c.d, 0)).NewRotated(c.sets * set)
		all := drawAll(t, r, 3*r.size, 0, r.size, 1)
		r.enter(5, 1)
		var signs [][]float64  // of the sets' first draws
		taken := map[int]int{} // axes of the sets so far of a shuffle, and which set's they are
		for number := range c.sets {
			if number%(c.d/16) == 0 {
				clear(taken)
			}
			var draws [set][]float64 // along the set's axes, over their length
			for i := range draws {
				x := all.x[(r.size+number*set+i)*c.d:][:c.d]
				var axes []int
				for axis := range c.d {
					along := 0.0
					for a, v := range r.frame[axis*c.d:][:c.d] {
						along += float64(v) * float64(x[a])
					}
					along /= length(x)
					if math.Abs(along) < 1e-4 {
						continue
					}
					if math.Abs(math.Abs(along)-0.25) > 1e-4 {
						t.Fatalf("d=%d, draw %d: %v of its length along axis %d, want 1/4", c.d, i, along, axis)
					}
					draws[i], axes = append(draws[i], math.Copysign(0.25, along)), append(axes, axis)
				}
				classes := [8]int{}
				for _, axis := range axes {
					classes[axis%8]++
					if other, found := taken[axis]; found && other != number {
						t.Fatalf("d=%d: sets %d and %d share axis %d", c.d, other, number, axis)
					}
					taken[axis] = number
				}
				if classes != [8]int{2, 2, 2, 2, 2, 2, 2, 2} {
					t.Fatalf("d=%d: set %d has axes %v, want two of each remainder by 8", c.d, number, axes)
				}
			}
			signs = append(signs, draws[0])
			for i, a := range draws {
				for j, b := range draws[:i] {
					cosine, want := 0.0, 0.0
					for axis := range a {
						cosine += a[axis] * b[axis]
					}
					switch {
					case i/2 == j/2:
						want = -1
					case i >= 32 && j < 32:
						want = math.Copysign(0.25, cosine)
					}
					if cosine != want {
						t.Fatalf("d=%d, set %d: draws %d and %d have the cosine %v, want %v", c.d, number, i, j, cosine, want)
					}
				}
			}
		}
		for i, a := range signs {
			if i > 0 && slices.Equal(a, signs[i-1]) {
				t.Errorf("d=%d: sets %d and %d have the same signs", c.d, i-1, i)
			}
		}
	}
}

// Draws of a group hardly share cells: what they count for is no less than as many independent ones by a
// few hundredths. The cells of points on a sphere, all heights equal, are as those of real codes.
func TestRotated_worth(t *testing.T) {
	const N, d, groups, group = 500, 64, 300, 64 * kernels.RotatedSet
	c := locateCase{points: normal(N*d, 1, 3), heights: make([]float32, N), d: d}
	for i := range N {
		y := c.points[i*d : (i+1)*d]
		scale := float32(8 / length(y))
		for a := range y {
			y[a] *= scale
		}
	}
	cells := drawAll(t, newMap(t, kernels.Best(), 2, c).NewRotated(group), groups*group, 0, group, 1).cells
	variance, binomial := 0.0, 0.0
	counts := make([][groups]float64, N)
	for i, cell := range cells {
		counts[cell][i/group]++
	}
	for i := range counts {
		mean, spread := stat.MeanVariance(counts[i][:], nil)
		variance += spread
		binomial += mean * (1 - mean/group)
	}
	if worth := binomial / variance; worth < 0.95 {
		t.Errorf("a draw is worth %v independent ones, want 0.95 and more", worth)
	}
}

// Two groups of one seed, and a group of two seeds, share nothing; the frame is orthogonal to the
// precision of its entries, and Haar-distributed: its first entry has the law of a coordinate of the
// unit sphere, its trace has mean 0 and variance 1, its determinant is 1 as often as -1.
func TestRotated_frame_is_Haar(t *testing.T) {
	const d, groups = 17, 2000
	r := newMap(t, kernels.Best(), 1, randomCase(1, d, 0)).NewRotated(12)
	entries := make([]float64, groups)
	trace, square, product, positive := 0.0, 0.0, 0.0, 0
	var last []float64
	for g := range groups {
		r.enter(1, uint64(g))
		q := mat.NewDense(d, d, nil)
		for i := range d {
			for j := range d {
				q.Set(i, j, float64(r.frame[i*d+j]))
			}
		}
		var unit mat.Dense
		unit.Mul(q, q.T())
		for i := range d {
			for j := range d {
				want := 0.0
				if i == j {
					want = 1
				}
				if math.Abs(unit.At(i, j)-want) > 1e-6 {
					t.Fatalf("group %d: axes %d and %d have product %v, want %v", g, i, j, unit.At(i, j), want)
				}
			}
		}
		entries[g] = q.At(0, 0)
		trace += q.Trace()
		square += q.Trace() * q.Trace()
		if mat.Det(q) > 0 {
			positive++
		}
		if last != nil {
			product += stat.Correlation(last, q.RawMatrix().Data, nil)
		}
		last = q.RawMatrix().Data
	}
	root := math.Sqrt(groups)
	if z := trace / root; math.Abs(z) > 4 {
		t.Errorf("the trace's mean is %v standard errors from 0", z)
	}
	if z := (square/groups - 1) * root / math.Sqrt2; math.Abs(z) > 4 {
		t.Errorf("the trace's variance is %v standard errors from 1", z)
	}
	if z := (2*float64(positive) - groups) / root; math.Abs(z) > 4 {
		t.Errorf("of %d determinants %d are positive", groups, positive)
	}
	if z := product / root * d; math.Abs(z) > 4 {
		t.Errorf("frames of successive groups correlate, %v standard errors", z)
	}
	beta := distuv.Beta{Alpha: (d - 1) / 2., Beta: (d - 1) / 2.}
	if p := kolmogorov(entries, func(q float64) float64 { return beta.CDF((q + 1) / 2) }); p < 1e-4 {
		t.Errorf("the first entry does not have the law of a sphere's coordinate: p = %v", p)
	}
}

// kolmogorov is the probability that samples of a law are as far from it as these, by Kolmogorov's
// limit.
func kolmogorov(samples []float64, cdf func(float64) float64) float64 {
	slices.Sort(samples)
	n, most := float64(len(samples)), 0.0
	for i, s := range samples {
		p := cdf(s)
		most = max(most, p-float64(i)/n, float64(i+1)/n-p)
	}
	sum := 0.0
	for j := 1.0; j < 50; j++ {
		sum += 2 * math.Pow(-1, j-1) * math.Exp(-2*j*j*n*most*most)
	}
	return min(sum, 1)
}

// Every draw is N(0,I): at each place of a group, over independent groups, its coordinates and
// another projection are normal, its norm is chi, and both say nothing of one another.
func TestRotated_draws_are_normal(t *testing.T) {
	const groups = 3000
	for _, c := range []struct{ d, size int }{{16, 48}, {23, 96}} {
		r := newMap(t, kernels.Best(), 1, randomCase(1, c.d, 0)).NewRotated(c.size)
		chi, normal := distuv.ChiSquared{K: float64(c.d)}, distuv.UnitNormal
		along := make([]float64, c.d) // a unit vector
		for a := range along {
			along[a] = 1 / math.Sqrt(float64(c.d))
		}
		all := drawAll(t, r, groups*c.size, 0, c.size, 1)
		for place := range c.size {
			var squares, first, projected, other []float64
			neighbours := 0.0
			for g := range groups {
				x := all.x[(g*c.size+place)*c.d:][:c.d]
				square, sum := 0.0, 0.0
				for a, v := range x {
					square += float64(v) * float64(v)
					sum += along[a] * float64(v)
				}
				squares, first, projected = append(squares, square), append(first, float64(x[0])), append(projected, sum)
				other = append(other, float64(x[c.d-1])*float64(x[c.d-1]))
				if g > 0 {
					for a, v := range all.x[((g-1)*c.size+place)*c.d:][:c.d] {
						neighbours += float64(v) * float64(x[a])
					}
				}
			}
			mean, scale := stat.MeanStdDev(projected, nil)
			if math.Abs(mean) > 4.5/math.Sqrt(groups) || math.Abs(scale-1) > 4.5/math.Sqrt(2*groups) {
				t.Errorf("d=%d, place %d: a projection has mean %v, deviation %v", c.d, place, mean, scale)
			}
			if z := neighbours / math.Sqrt(float64(groups*c.d)); math.Abs(z) > 4.5 {
				t.Errorf("d=%d, place %d: successive groups correlate, %v standard errors", c.d, place, z)
			}
			// Squares of two coordinates of N(0,I) do not correlate; on a sphere they would.
			firsts := make([]float64, groups)
			for g, v := range first {
				firsts[g] = v * v
			}
			if z := stat.Correlation(firsts, other, nil) * math.Sqrt(groups); math.Abs(z) > 4.5 {
				t.Errorf("d=%d, place %d: squares of coordinates correlate, %v standard errors", c.d, place, z)
			}
			for name, p := range map[string]float64{
				"norm":       kolmogorov(squares, chi.CDF),
				"coordinate": kolmogorov(first, normal.CDF),
				"projection": kolmogorov(projected, normal.CDF),
			} {
				if p < 1e-5 {
					t.Errorf("d=%d, place %d: the %s does not have its law: p = %v", c.d, place, name, p)
				}
			}
		}
	}
}

// The masses are those that independent draws give, within the errors of both; the error of draws
// that share a frame comes from their groups.
func TestRotated_masses_of_independent_draws(t *testing.T) {
	const N, d, groups = 50, 24, 400
	c := randomCase(N, d, 0)
	m := newMap(t, kernels.Best(), 2, c)
	const group = 5 * kernels.RotatedSet
	n := groups * group
	draws := drawAll(t, m.NewRotated(group), n, 0, group, 1)
	counts, squares := make([]float64, N), make([]float64, N)
	for g := range groups {
		here := make([]float64, N)
		for _, cell := range draws.cells[g*group:][:group] {
			here[cell]++
		}
		for i, v := range here {
			counts[i] += v
			squares[i] += v * v
		}
	}
	x, cells, scores := make([]float32, n*d), make([]int32, n), make([]float64, n)
	Noise(m.pool, m.path, backend.Gaussian, x, d, 8, 0, 0)
	m.Locate(m.NewScratch(n), x, n, 1, cells, scores)
	dense := make([]float64, N)
	for _, cell := range cells {
		dense[cell]++
	}
	chi := 0.0
	for i := range N {
		mean := counts[i] / groups
		variance := groups*(squares[i]-groups*mean*mean)/(groups-1) + dense[i]*(1-dense[i]/float64(n))
		if variance > 0 {
			chi += (counts[i] - dense[i]) * (counts[i] - dense[i]) / variance
		}
	}
	if chi > N+6*math.Sqrt(2*N) {
		t.Errorf("the masses are %v away from those of independent draws in chi-squared, want about %d", chi, N)
	}
}

func TestRotated_refuses_bad_arguments(t *testing.T) {
	m := newMap(t, kernels.Best(), 1, randomCase(5, 16, 0))
	r := m.NewRotated(48)
	for _, c := range []struct {
		name            string
		n               int
		first           uint64
		k, cells, x, ok int
	}{
		{"negative n", -1, 0, 1, 0, 0, 0},
		{"none", 0, 0, 1, 0, 0, 1},
		{"whole group", 48, 96, 1, 48, 48 * 16, 1},
		{"beyond the group", 20, 30, 1, 20, 20 * 16, 0},
		{"no cells", 2, 0, 0, 0, 32, 0},
		{"more cells than points", 2, 0, 6, 12, 32, 0},
		{"cells too short", 2, 0, 1, 1, 32, 0},
		{"x too short", 2, 0, 1, 2, 31, 0},
	} {
		err := r.Draw(c.n, 1, c.first, c.k, make([]int64, c.cells), nil, make([]float32, c.x))
		if (err == nil) != (c.ok == 1) || err != nil && !errors.Is(err, fault.ErrInvalidArgument) {
			t.Errorf("%s: error %v", c.name, err)
		}
	}
	huge := newMap(t, kernels.Best(), 1, locateCase{points: normal(5*16, 1e37, 1), heights: make([]float32, 5), d: 16})
	if err := huge.NewRotated(48).Draw(1, 1, 0, 1, make([]int64, 1), nil, nil); !errors.Is(err, fault.ErrUnsupported) {
		t.Errorf("points beyond float32's range: error %v", err)
	}
}

// Where a workspace has these draws, and that its groups are of its own size.
func TestRotated_workspace(t *testing.T) {
	device, err := New(2, "")
	if err != nil {
		t.Fatal(err)
	}
	defer device.Close()
	for _, c := range []struct {
		source backend.Source
		N, d   int
		scale  float64
		want   int
	}{
		{backend.Gaussian, 300, 15, 1, 0}, {backend.Gaussian, 300, 16, 1, 3072}, {backend.Gaussian, 10, 91, 1, 6144},
		{backend.Gaussian, 16384, 20, 1, 24576}, {backend.Gaussian, 3, 400, 1, 24576}, {backend.Uniform, 300, 64, 1, 0},
		{backend.Gaussian, 300, 64, 1e37, 0},
	} {
		model, err := device.Prepare(backend.Parts{Source: c.source, Dim: c.d, Points: normal(c.N*c.d, c.scale, 1), Heights: make([]float32, c.N)})
		if err != nil {
			t.Fatal(err)
		}
		w, err := model.NewWorkspace(4, 1)
		if err != nil {
			t.Fatal(err)
		}
		drawer := w.(backend.RotatedDrawer)
		if got := drawer.Group(); got != c.want {
			t.Errorf("%v, N=%d, d=%d, scale %v: groups of %d, want %d", c.source, c.N, c.d, c.scale, got, c.want)
		}
		err = drawer.DrawRotated(5, 1, 3070, 1, make([]int64, 5), nil, nil)
		switch {
		case c.want == 0 && !errors.Is(err, fault.ErrUnsupported), c.want == 3072 && !errors.Is(err, fault.ErrInvalidArgument), c.want > 3072 && err != nil:
			t.Errorf("%v, N=%d, d=%d: drawing across 3072 gives %v", c.source, c.N, c.d, err)
		}
	}
}

// Counts are those of the draws' cells, of both kinds of draws, since they were taken last.
func TestCount(t *testing.T) {
	const N, d, n = 300, 24, 500
	device, err := New(2, "")
	if err != nil {
		t.Fatal(err)
	}
	defer device.Close()
	c := randomCase(N, d, 1)
	model, err := device.Prepare(backend.Parts{Source: backend.Gaussian, Dim: d, Points: c.points, Heights: c.heights})
	if err != nil {
		t.Fatal(err)
	}
	w, err := model.NewWorkspace(n, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	got, want, cells := make([]int32, N), make([]int32, N), make([]int64, n)
	for _, rotated := range []bool{false, true} {
		clear(want)
		for first := uint64(7); first < 2*n; first += n {
			if err := w.Count(n, 5, first, rotated); err != nil {
				t.Fatal(err)
			}
			if rotated {
				err = w.(backend.RotatedDrawer).DrawRotated(n, 5, first, 1, cells, nil, nil)
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
}

func TestRotated_allocates_nothing(t *testing.T) {
	m := newMap(t, kernels.Best(), 2, randomCase(500, 20, 0))
	r := m.NewRotated(240)
	cells, scores, x := make([]int64, 400), make([]float64, 400), make([]float32, 200*20)
	group := uint64(0)
	if n := testing.AllocsPerRun(20, func() {
		if err := r.Draw(200, 1, group*240, 2, cells, scores, x); err != nil {
			t.Fatal(err)
		}
		group++
	}); n != 0 {
		t.Errorf("200 draws of a new group allocate %v times", n)
	}
}

// Against independent draws, noise and all, and the fma peak of the same run; best of the run.
//
//	go test ./engine/internal/cpu -run xxx -bench Rotated/ -benchtime 20x
func BenchmarkRotated(b *testing.B) {
	const threads, n = 2, 1024
	pool := NewPool(threads)
	defer pool.Close()
	for _, path := range kernels.Paths() {
		for _, size := range [][2]int{{2000, 64}, {2000, 128}, {60000, 64}, {46800, 128}} {
			N, d := size[0], size[1]
			points, heights := make([]float32, N*d), make([]float32, N)
			Noise(pool, path, backend.Gaussian, points, d, 1, 0, 0)
			m, err := NewMap(pool, path, points, heights, nil, N, d)
			if err != nil {
				b.Fatal(err)
			}
			group := rotated.GroupFor(N, d)
			dense, r := m.NewScratch(n), m.NewRotated(group)
			x, cells32, cells, scores := make([]float32, n*d), make([]int32, n), make([]int64, 2*n), make([]float64, n)
			b.Run(fmt.Sprintf("N=%d/d=%d/path=%v", N, d, path), func(b *testing.B) {
				least := func(best *float64, f func()) {
					start := time.Now()
					f()
					*best = min(*best, time.Since(start).Seconds())
				}
				draw := func(first uint64, k int) {
					if err := r.Draw(n, 1, first, k, cells[:n*k], nil, nil); err != nil {
						b.Fatal(err)
					}
				}
				independent, enter, one, two, peak := 1e9, 1e9, 1e9, 1e9, 0.0
				for number := uint64(0); b.Loop(); number++ {
					peak = max(peak, threads*kernels.MeasureFMA(path, 100_000))
					least(&independent, func() {
						Noise(pool, path, backend.Gaussian, x, d, 1, number, 0)
						m.Locate(dense, x, n, 1, cells32, scores)
					})
					least(&enter, func() { r.enter(1, number) })
					for call := range uint64(3) {
						least(&one, func() { draw(number*uint64(group)+call*n, 1) })
					}
					least(&two, func() { draw(number*uint64(group), 2) })
				}
				share := enter / float64(group) // of a draw in its group's frame
				products := float64(N) * (float64(d*d)/float64(group) + float64(kernels.RotatedAxes)/kernels.RotatedFamily)
				b.ReportMetric(independent/n*1e9, "ns/dense")
				b.ReportMetric((one/n+share)*1e9, "ns/draw")
				b.ReportMetric((two/n+share)*1e9, "ns/draw-k2")
				b.ReportMetric(independent/n/(one/n+share), "dense/draw")
				b.ReportMetric(products/float64(N), "products")
				b.ReportMetric(100*2*float64(N*d)/(independent/n)/peak, "%peak-dense")
				b.ReportMetric(100*2*products/(one/n+share)/peak, "%peak")
				b.ReportMetric(100*2*float64(N*d*d)/enter/peak, "%peak-rotate")
			})
		}
	}
}
