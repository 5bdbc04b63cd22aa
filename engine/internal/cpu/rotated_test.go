package cpu

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/reference"
	kernels "brenier/kernels/cpu"
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
	d, size := r.m.d, r.shape.Group
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

// rotatedShapes go with small cases: groups of a few choices, so that tests cross their borders.
func rotatedShape(d int) RotatedShape {
	if d < 16 {
		return RotatedShape{Axes: 8, Group: 5 * kernels.RotatedChoice}
	}
	return RotatedShape{Axes: 16, Group: 7 * kernels.RotatedChoice}
}

// gamma is Higham's n u / (1 - n u) in float32.
func gamma(n float64) float64 { return n * 0x1p-24 / (1 - n*0x1p-24) }

// rotatedBound is rotated.h's bound on what separates a score from the exact one.
func rotatedBound(s, d int, x, y []float32, below float64) float64 {
	half := float64(s)/2 + 4
	return (gamma(float64(d)+1)+gamma(float64(s)+1)+gamma(half))*math.Sqrt(float64(s))*length(x)*length(y)*(1+0x1p-10) +
		gamma(half)*below
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
	for _, size := range [][2]int{{1, 8}, {2, 9}, {7, 16}, {33, 17}, {257, 24}, {1000, 64}, {5003, 29}, {3001, 100}, {70000, 16}} {
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
			shape := rotatedShape(d)
			n := 2*shape.Group - 5
			if N > 10000 {
				n = 40
			}
			highest := float64(slices.Max(c.heights))
			for _, k := range []int{1, 2, 8} {
				if k > N {
					continue
				}
				m := newMap(t, kernels.Best(), 2, c)
				got := drawAll(t, m.NewRotated(shape), n, 3, 31, k)
				for i := range n {
					x := got.x[i*d : (i+1)*d]
					cells, scores := reference.Locate(x, c.points, c.heights, min(N, k))
					exact := func(cell int64) (score, bound float64) {
						y, h := c.points[int(cell)*d:int(cell+1)*d], float64(c.heights[cell])
						score = h
						for a := range y {
							score += float64(x[a]) * float64(y[a])
						}
						return score, rotatedBound(shape.Axes, d, x, y, highest-h) + 1e-12*math.Abs(h)
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
				got := drawAll(t, m.NewRotated(rotatedShape(16)), 50, 0, 50, k)
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
	for _, size := range [][2]int{{1003, 61}, {9001, 16}, {300, 130}} {
		c := randomCase(size[0], size[1], 0)
		for _, s := range []int{8, 16} {
			shape := RotatedShape{Axes: s, Group: 60}
			for _, k := range []int{1, 2, 5} {
				want := drawAll(t, newMap(t, kernels.Portable, 1, c).NewRotated(shape), 150, 7, 60, k)
				for _, path := range kernels.Paths() {
					for _, threads := range []int{1, 2, 5} {
						r := newMap(t, path, threads, c).NewRotated(shape)
						for _, batch := range []int{60, 13, 1} {
							if !drawAll(t, r, 150, 7, batch, k).equal(want) {
								t.Errorf("N=%d, d=%d, s=%d, k=%d: %v with %d threads in calls of %d gives other bits", size[0], size[1], s, k, path, threads, batch)
							}
						}
					}
				}
			}
		}
	}
}

func BenchmarkRotated(b *testing.B) {
	const threads, n = 2, 1024
	pool := NewPool(threads)
	defer pool.Close()
	for _, path := range kernels.Paths() {
		for _, size := range [][2]int{{2000, 64}, {2000, 128}, {60000, 64}, {46800, 128}} {
			N, d := size[0], size[1]
			points := make([]float32, N*d)
			Noise(pool, path, backend.Gaussian, points, d, 1, 0, 0)
			m, err := NewMap(pool, path, points, normal(N, 1, 2), nil, N, d)
			if err != nil {
				b.Fatal(err)
			}
			dense := m.NewScratch(n)
			x, cells32, scores := make([]float32, n*d), make([]int32, n), make([]float64, n)
			cells := make([]int64, n)
			for _, shape := range []RotatedShape{{8, 3072}, {16, 3072}} {
				r := m.NewRotated(shape)
				b.Run(fmt.Sprintf("N=%d/d=%d/s=%d/P=%d/path=%v", N, d, shape.Axes, shape.Group, path), func(b *testing.B) {
					bestDense, bestRotated, bestFrame, peak := 1e9, 1e9, 1e9, 0.0
					i := uint64(0)
					for b.Loop() {
						peak = max(peak, threads*kernels.MeasureFMA(path, 100_000))
						start := time.Now()
						Noise(pool, path, backend.Gaussian, x, d, 1, 0, 0)
						m.Locate(dense, x, n, 1, cells32, scores)
						bestDense = min(bestDense, time.Since(start).Seconds())
						start = time.Now()
						r.enter(1, i)
						bestFrame = min(bestFrame, time.Since(start).Seconds())
						start = time.Now()
						for rep := range 3 {
							r.Draw(n, 1, i*uint64(shape.Group)+uint64(rep*n), 1, cells, nil, nil)
						}
						bestRotated = min(bestRotated, time.Since(start).Seconds()/3)
						i++
					}
					perDraw := (bestRotated/n + bestFrame/float64(shape.Group)) * 1e9
					b.ReportMetric(bestDense/n*1e9, "ns/dense")
					b.ReportMetric(perDraw, "ns/rotated")
					b.ReportMetric(bestDense/n*1e9/perDraw, "times")
					b.ReportMetric(100*2*float64(N*d)/(bestDense/n)/peak, "%densepeak")
					b.ReportMetric(100*2*float64(N*shape.Axes)/4/(bestRotated/n)/peak, "%searchpeak")
					b.ReportMetric(100*2*float64(N*d*d)/bestFrame/peak, "%framepeak")
				})
			}
		}
	}
}
