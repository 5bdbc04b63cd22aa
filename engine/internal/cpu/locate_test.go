package cpu

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/realdata"
	"brenier/engine/internal/reference"
	kernels "brenier/kernels/cpu"
)

// locateCase is a map and samples to locate in it.
type locateCase struct {
	name            string
	points, heights []float32
	x               []float32
	d               int
}

// normal returns n values of N(0,1) times scale.
func normal(n int, scale float64, seed uint64) []float32 {
	x := make([]float32, n)
	reference.Noise(backend.Gaussian, x, n, seed, 0, 9)
	for i := range x {
		x[i] = float32(float64(x[i]) * scale)
	}
	return x
}

// randomCase is rows samples among N points, all from N(0,1).
func randomCase(N, d, rows int) locateCase {
	return locateCase{
		name:    fmt.Sprintf("random/N=%d/d=%d", N, d),
		points:  normal(N*d, 1, 1),
		heights: normal(N, 1, 2),
		x:       normal(rows*d, 1, 3),
		d:       d,
	}
}

func locateCases() []locateCase {
	var cases []locateCase
	for _, size := range [][2]int{{1, 1}, {1, 64}, {2, 3}, {7, 1}, {31, 2}, {32, 16}, {33, 17}, {64, 5},
		{257, 3}, {1000, 64}, {5003, 29}, {70000, 2}} {
		cases = append(cases, randomCase(size[0], size[1], 37))
	}
	for _, size := range [][2]int{{300, 1}, {5003, 1}, {1024, 2}, {66000, 2}, {9001, 3}, {20000, 4}} {
		cases = append(cases, nearestCase(size[0], size[1], 40), stretchedCase(size[0], size[1], 40))
	}

	for _, d := range []int{8, 2} { // by a look at all cells, and by a tree
		ties := randomCase(3000, d, 20)
		ties.name = fmt.Sprintf("all_scores_equal/d=%d", d)
		clear(ties.points)
		clear(ties.heights)

		twins := randomCase(3000, d, 40)
		twins.name = fmt.Sprintf("duplicates/d=%d", d)
		copy(twins.points[1500*d:], twins.points[:1500*d])
		copy(twins.heights[1500:], twins.heights[:1500])

		whole := randomCase(4000, d/2, 40)
		whole.name = fmt.Sprintf("ties_of_small_integers/d=%d", d/2)
		for _, s := range [][]float32{whole.points, whole.heights, whole.x} {
			for i, v := range s {
				s[i] = float32(math.Round(float64(v)))
			}
		}
		cases = append(cases, ties, twins, whole)
	}

	near := randomCase(3000, 32, 40)
	near.name = "near_ties"
	for i := range near.heights { // every point is one of ten, moved by 1e-7 of its size
		from := i % 10 * 32
		for k := range 32 {
			near.points[i*32+k] = near.points[from+k] * (1 + 1e-7*float32(i%3))
		}
		near.heights[i] = near.heights[i%10]
	}
	cases = append(cases, near)

	scaled := func(name string, points, heights, x float64) {
		for _, d := range []int{24, 2} {
			c := randomCase(2000, d, 30)
			c.name = fmt.Sprintf("%s/d=%d", name, d)
			c.points, c.heights, c.x = normal(2000*d, points, 1), normal(2000, heights, 2), normal(30*d, x, 3)
			cases = append(cases, c)
		}
	}
	scaled("large_norms", 1e15, 1e20, 1e6)
	scaled("beyond_float32", 1e25, 1e30, 1e25)
	scaled("denormal_points", 1e-41, 1e-41, 1)
	scaled("denormal_products", 1e-22, 1e-44, 1e-22)
	scaled("heights_of_a_million", 1, 1e6, 1)

	for _, d := range []int{24, 2} {
		offset := randomCase(2000, d, 30)
		offset.name = fmt.Sprintf("heights_near_a_million/d=%d", d)
		for i := range offset.heights {
			offset.heights[i] += 1e6
		}

		low := randomCase(2000, d, 30)
		low.name = fmt.Sprintf("some_heights_far_below/d=%d", d)
		for i := 0; i < 2000; i += 3 {
			low.heights[i] = -1e30
		}
		cases = append(cases, offset, low)
	}

	odd := randomCase(300, 24, 30)
	odd.name = "zero_samples_and_one_huge_point"
	clear(odd.x[:5*24])
	for k := range 24 {
		odd.points[77*24+k] *= 1e12
	}
	return append(cases, odd)
}

// locateAll runs Locate on all samples of a case with a fresh map.
func locateAll(t testing.TB, c locateCase, path kernels.Path, threads, k int) ([]int32, []float64) {
	t.Helper()
	pool := NewPool(threads)
	defer pool.Close()
	m, err := NewMap(pool, path, c.points, c.heights, nil, len(c.heights), c.d)
	if err != nil {
		t.Fatal(err)
	}
	n := len(c.x) / c.d
	cells, scores := make([]int32, n*k), make([]float64, n*k)
	m.Locate(m.NewScratch(n), c.x, n, k, cells, scores)
	return cells, scores
}

// Every path against the float64 brute force, cells and bits of scores, for all k.
func TestLocate_equals_brute_force(t *testing.T) {
	for _, c := range locateCases() {
		t.Run(c.name, func(t *testing.T) {
			N, n := len(c.heights), len(c.x)/c.d
			most := min(32, N)
			want, wantScores := make([]int32, 0, n*most), make([]float64, 0, n*most)
			for row := range n {
				cells, scores := reference.Locate(c.x[row*c.d:(row+1)*c.d], c.points, c.heights, most)
				want, wantScores = append(want, cells...), append(wantScores, scores...)
			}
			for _, path := range kernels.Paths() {
				for _, k := range []int{1, 2, 8, 32} {
					if k > N {
						continue
					}
					cells, scores := locateAll(t, c, path, 2, k)
					for row := range n {
						for j := range k {
							got, at := row*k+j, row*most+j
							if cells[got] != want[at] || scores[got] != wantScores[at] {
								t.Fatalf("%v, k=%d: cell %d of sample %d is %d with score %v, want %d with %v",
									path, k, j, row, cells[got], scores[got], want[at], wantScores[at])
							}
						}
					}
				}
			}
		})
	}
}

// The same bits for any batch, order of the samples and number of threads.
func TestLocate_any_batch_order_and_threads(t *testing.T) {
	const k = 4
	c := randomCase(20011, 19, 331)
	n := len(c.x) / c.d
	for _, path := range kernels.Paths() {
		cells, scores := locateAll(t, c, path, 1, k)
		for _, threads := range []int{2, 5} {
			got, gotScores := locateAll(t, c, path, threads, k)
			if !slices.Equal(got, cells) || !slices.Equal(gotScores, scores) {
				t.Errorf("%v: %d threads give another result than one", path, threads)
			}
		}

		pool := NewPool(2)
		m, err := NewMap(pool, path, c.points, c.heights, nil, len(c.heights), c.d)
		if err != nil {
			t.Fatal(err)
		}
		s := m.NewScratch(n)
		got, gotScores := make([]int32, n*k), make([]float64, n*k)
		for end, batch := n, 1; end > 0; batch++ { // batches of 1, 2, 3, ... from the last sample on
			first := max(0, end-batch)
			m.Locate(s, c.x[first*c.d:end*c.d], end-first, k, got[first*k:end*k], gotScores[first*k:end*k])
			end = first
		}
		pool.Close()
		if !slices.Equal(got, cells) || !slices.Equal(gotScores, scores) {
			t.Errorf("%v: small batches give another result than one batch", path)
		}
	}
}

// A draw is noise and locate, where samples are shared out and where cells are.
func TestDraw(t *testing.T) {
	const k = 3
	for _, source := range []backend.Source{backend.Gaussian, backend.Uniform} {
		for _, d := range []int{1, 19, 32} {
			c := randomCase(700, d, 1)
			for _, threads := range []int{1, 3} {
				for _, n := range []int{1, 40, 301} {
					pool := NewPool(threads)
					m, err := NewMap(pool, kernels.Best(), c.points, c.heights, nil, 700, d)
					if err != nil {
						t.Fatal(err)
					}
					s := m.NewScratch(n)
					x, want := make([]float32, n*d), make([]float32, n*d)
					cells, wantCells := make([]int32, n*k), make([]int32, n*k)
					scores, wantScores := make([]float64, n*k), make([]float64, n*k)
					m.Draw(s, source, 7, 1<<40, x, n, k, cells, scores)
					Noise(pool, kernels.Best(), source, want, d, 7, 1<<40, 0)
					m.Locate(s, want, n, k, wantCells, wantScores)
					pool.Close()
					if !slices.Equal(x, want) || !slices.Equal(cells, wantCells) || !slices.Equal(scores, wantScores) {
						t.Errorf("source %v, d=%d, %d threads, %d samples: other samples, cells or scores", source, d, threads, n)
					}
				}
			}
		}
	}
}

// Sixteen goroutines with one map, each with scratch of its own and its own share of the samples.
func TestLocate_sixteen_goroutines(t *testing.T) {
	const k, share = 3, 21
	c := randomCase(5000, 11, 16*share)
	want, wantScores := locateAll(t, c, kernels.Best(), 1, k)
	pool := NewPool(3)
	defer pool.Close()
	m, err := NewMap(pool, kernels.Best(), c.points, c.heights, c.points, 5000, 11)
	if err != nil {
		t.Fatal(err)
	}
	e := backend.Extension{Mode: backend.Simplex, K: k, MinCosine: -1}
	wantCodes := make([]float32, len(c.x))
	m.Extend(c.x, want, 16*share, e, wantCodes)
	var users sync.WaitGroup
	for user := range 16 {
		users.Add(1)
		go func() {
			defer users.Done()
			s := m.NewScratch(share)
			cells, scores, z := make([]int32, share*k), make([]float64, share*k), make([]float32, share*11)
			x := c.x[user*share*11 : (user+1)*share*11]
			for round := range 20 {
				n := 1 + (user+round)%share
				m.Locate(s, x[:n*11], n, k, cells, scores)
				m.Extend(x[:n*11], cells, n, e, z)
				if !slices.Equal(cells[:n*k], want[user*share*k:][:n*k]) ||
					!slices.Equal(scores[:n*k], wantScores[user*share*k:][:n*k]) ||
					!slices.Equal(z[:n*11], wantCodes[user*share*11:][:n*11]) {
					t.Errorf("goroutine %d: another result than alone", user)
				}
			}
		}()
	}
	users.Wait()
}

// SetHeights makes the map that NewMap makes of the same heights.
func TestLocate_after_SetHeights(t *testing.T) {
	c := randomCase(999, 7, 50)
	want, _ := locateAll(t, c, kernels.Best(), 1, 3)
	pool := NewPool(1)
	defer pool.Close()
	m, err := NewMap(pool, kernels.Best(), c.points, normal(999, 5, 77), nil, 999, 7)
	if err != nil {
		t.Fatal(err)
	}
	m.SetHeights(c.heights)
	got, scores := make([]int32, 150), make([]float64, 150)
	m.Locate(m.NewScratch(50), c.x, 50, 3, got, scores)
	if !slices.Equal(got, want) {
		t.Error("after SetHeights the cells differ from those of a new map")
	}
}

func TestLocate_allocates_nothing(t *testing.T) {
	c := randomCase(3000, 16, 200)
	pool := NewPool(2)
	defer pool.Close()
	m, err := NewMap(pool, kernels.Best(), c.points, c.heights, c.points, 3000, 16)
	if err != nil {
		t.Fatal(err)
	}
	s := m.NewScratch(200)
	cells, scores, z := make([]int32, 1600), make([]float64, 1600), make([]float32, 200*16)
	for _, n := range []int{1, 200} {
		x := c.x[:n*16]
		allocations := testing.AllocsPerRun(50, func() {
			Noise(pool, kernels.Best(), backend.Gaussian, x, 16, 1, 0, 0)
			m.Locate(s, x, n, 8, cells, scores)
			m.Extend(x, cells, n, backend.Extension{Mode: backend.Simplex, K: 8, MinCosine: -1}, z)
		})
		if allocations != 0 {
			t.Errorf("noise, locate and extend of %d samples allocate %v times", n, allocations)
		}
	}
}

func TestNewMap_refuses_wrong_sizes(t *testing.T) {
	pool := NewPool(1)
	defer pool.Close()
	six := make([]float32, 6)
	for _, c := range []struct {
		points, heights, centroids []float32
		n, d                       int
	}{
		{six, six[:2], nil, 2, 2}, {six, six[:3], nil, 2, 3}, {six, six[:2], six[:5], 2, 3}, {nil, nil, nil, 0, 3},
	} {
		if _, err := NewMap(pool, kernels.Best(), c.points, c.heights, c.centroids, c.n, c.d); err == nil {
			t.Errorf("NewMap takes %d values of points, %d heights, %d values of centroids for [%d,%d]",
				len(c.points), len(c.heights), len(c.centroids), c.n, c.d)
		}
	}
}

func TestLocate_real_codes(t *testing.T) {
	const rows, k = 100, 32
	points, _ := realdata.Codes(t, "mnist_latents", 0)
	heights := realdata.Values(t, realdata.Open(t, "mnist_heights").Tensor("heights"))
	c := locateCase{points: points, heights: heights, x: make([]float32, rows*64), d: 64}
	reference.Noise(backend.Gaussian, c.x, 64, 7, 0, 0)
	var want []int32
	var wantScores []float64
	for row := range rows {
		cells, scores := reference.Locate(c.x[row*64:(row+1)*64], points, heights, k)
		want, wantScores = append(want, cells...), append(wantScores, scores...)
	}
	for _, path := range kernels.Paths() {
		cells, scores := locateAll(t, c, path, 2, k)
		if !slices.Equal(cells, want) || !slices.Equal(scores, wantScores) {
			t.Errorf("%v differs from the float64 brute force", path)
		}
	}
}

// Against the fma peak of the same run, or the memory's read rate for one sample.
//
//	go test ./engine/internal/cpu -run xxx -bench Locate
func BenchmarkLocate(b *testing.B) {
	const N = 60000
	threads := 2
	pool := NewPool(threads)
	defer pool.Close()
	for _, path := range kernels.Paths() {
		peak := kernels.MeasureFMA(path, 10_000_000) * float64(threads)
		for _, d := range []int{16, 64, 128, 512} {
			points, heights := normal(N*d, 1, 1), normal(N, 1, 2)
			m, err := NewMap(pool, path, points, heights, nil, N, d)
			if err != nil {
				b.Fatal(err)
			}
			for _, batch := range []int{1, 8, 64, 1024} {
				s := m.NewScratch(batch)
				x := normal(batch*d, 1, 3)
				cells, scores := make([]int32, batch*8), make([]float64, batch*8)
				for _, k := range []int{1, 8} {
					b.Run(fmt.Sprintf("N=%d/d=%d/B=%d/k=%d/path=%v", N, d, batch, k, path), func(b *testing.B) {
						for b.Loop() {
							m.Locate(s, x, batch, k, cells[:batch*k], scores[:batch*k])
						}
						seconds := b.Elapsed().Seconds() / float64(b.N)
						rate := 2 * float64(N) * float64(d) * float64(batch) / seconds
						b.ReportMetric(rate/1e9, "GFLOP/s")
						b.ReportMetric(100*rate/peak, "%peak")
						if batch == 1 {
							read := kernels.MeasureRead(m.panels, 5) * float64(threads)
							b.ReportMetric(100*4*float64(len(m.panels))/seconds/read, "%bandwidth")
						}
					})
				}
			}
		}
	}
}
