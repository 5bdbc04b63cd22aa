package cpu

import (
	"math"
	"slices"
	"testing"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/reference"
	kernels "brenier/kernels/cpu"
)

// extendCase is a map with centroids and located samples.
type extendCase struct {
	locateCase
	centroids []float32
	cells     []int32 // [n,k]
	k         int
}

func makeExtendCase(N, d, n, k int) extendCase {
	c := extendCase{locateCase: randomCase(N, d, n), centroids: normal(N*d, 0.5, 4), k: k}
	for row := range n {
		cells, _ := reference.Locate(c.x[row*d:(row+1)*d], c.points, c.heights, k)
		c.cells = append(c.cells, cells...)
	}
	return c
}

func (c extendCase) newMap(t testing.TB, pool *Pool, path kernels.Path) *Map {
	t.Helper()
	m, err := NewMap(pool, path, c.points, c.heights, c.centroids, len(c.heights), c.d)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func (c extendCase) extend(t testing.TB, path kernels.Path, threads int, e backend.Extension) []float32 {
	t.Helper()
	pool := NewPool(threads)
	defer pool.Close()
	z := make([]float32, len(c.x))
	c.newMap(t, pool, path).Extend(c.x, c.cells, len(c.x)/c.d, e, z)
	return z
}

// Every path and thread count gives the oracle's bits, in all modes and for several angles.
func TestExtend_same_bits_as_the_oracle(t *testing.T) {
	for _, size := range [][2]int{{1, 1}, {40, 1}, {50, 3}, {300, 8}, {300, 19}, {500, 64}} {
		N, d := size[0], size[1]
		for _, k := range []int{1, 2, 8, 11, 32} {
			if k > N {
				continue
			}
			c := makeExtendCase(N, d, 67, k)
			for _, e := range []backend.Extension{
				{Mode: backend.Cell, K: k},
				{Mode: backend.Simplex, K: k, MinCosine: -1},
				{Mode: backend.Simplex, K: k, MinCosine: 0.1},
				{Mode: backend.Simplex, K: k, MinCosine: 2},
				{Mode: backend.Pair, K: k, MinCosine: 0.1, Blend: 0.3},
			} {
				var want []float32
				for row := range 67 {
					want = append(want, reference.Extend(c.x[row*d:(row+1)*d], c.cells[row*k:(row+1)*k],
						c.points, c.centroids, e)...)
				}
				for _, path := range kernels.Paths() {
					for _, threads := range []int{1, 3} {
						if got := c.extend(t, path, threads, e); !slices.Equal(got, want) {
							t.Errorf("N=%d d=%d %+v: %v on %d threads differs from the oracle", N, d, e, path, threads)
						}
					}
				}
			}
		}
	}
}

// With one admissible cell, or none but the best, the code is that cell's point itself.
func TestExtend_cells_across_the_singular_set_are_left_out(t *testing.T) {
	c := makeExtendCase(200, 16, 40, 8)
	cell := c.extend(t, kernels.Best(), 1, backend.Extension{Mode: backend.Cell, K: 8})
	for row := range 40 {
		best := int(c.cells[row*8]) * 16
		if !slices.Equal(cell[row*16:(row+1)*16], c.points[best:best+16]) {
			t.Fatalf("mode cell: sample %d is not its best cell's point", row)
		}
	}
	for _, mode := range []backend.Mode{backend.Simplex, backend.Pair} {
		z := c.extend(t, kernels.Best(), 1, backend.Extension{Mode: mode, K: 8, MinCosine: 1.5, Blend: 0.5})
		if !slices.Equal(z, cell) {
			t.Errorf("mode %d with no admissible neighbour is not the best cell's point", mode)
		}
	}
}

// The mean in closed form: two cells whose centroids lie 1 and 3 from the sample weigh 3 to 1.
func TestExtend_simplex_weights_by_inverse_distance(t *testing.T) {
	c := extendCase{
		locateCase: locateCase{points: []float32{8, 0, 0, 4}, heights: []float32{0, 0}, x: []float32{1, 1}, d: 2},
		centroids:  []float32{1, 2, 4, 1}, cells: []int32{0, 1}, k: 2,
	}
	e := backend.Extension{Mode: backend.Simplex, K: 2, MinCosine: -1}
	if got, want := c.extend(t, kernels.Best(), 1, e), []float32{6, 1}; math.Abs(float64(got[0]-want[0])) > 1e-6 || math.Abs(float64(got[1]-want[1])) > 1e-6 {
		t.Errorf("z = %v, want %v", got, want)
	}
	c.centroids = []float32{1, 2, 1, 1} // the second is x itself
	if got := c.extend(t, kernels.Best(), 1, e); !slices.Equal(got, []float32{0, 4}) {
		t.Errorf("z = %v at a centroid, want that cell's point", got)
	}
	e = backend.Extension{Mode: backend.Pair, K: 2, MinCosine: -1, Blend: 0.25}
	if got := c.extend(t, kernels.Best(), 1, e); !slices.Equal(got, []float32{6, 1}) {
		t.Errorf("pair with blend 1/4 is %v, want [6 1]", got)
	}
}

// Cosines against the definition in a second form, |a-b|^2 of the unit normals, and bit for bit
// against the oracle.
func TestExtend_cosines(t *testing.T) {
	const k = 9
	c := makeExtendCase(120, 7, 30, k)
	for _, path := range kernels.Paths() {
		pool := NewPool(2)
		got := make([]float64, 30*k)
		c.newMap(t, pool, path).Cosines(c.cells, 30, k, got)
		pool.Close()
		for at, cosine := range got {
			a := c.points[int(c.cells[at/k*k])*7:][:7]
			b := c.points[int(c.cells[at])*7:][:7]
			if cosine != reference.Cosine(a, b) {
				t.Fatalf("%v: cosine %d is %v, the oracle's %v", path, at, cosine, reference.Cosine(a, b))
			}
			lengths, square := [2]float64{1, 1}, 0.0
			for i := range a {
				lengths[0] += float64(a[i]) * float64(a[i])
				lengths[1] += float64(b[i]) * float64(b[i])
			}
			for i := range a {
				gap := float64(a[i])/math.Sqrt(lengths[0]) - float64(b[i])/math.Sqrt(lengths[1])
				square += gap * gap
			}
			gap := 1/math.Sqrt(lengths[0]) - 1/math.Sqrt(lengths[1])
			if want := 1 - (square+gap*gap)/2; math.Abs(cosine-want) > 1e-14 {
				t.Fatalf("%v: cosine %d is %v, by the chord %v", path, at, cosine, want)
			}
		}
	}
}

func BenchmarkExtend(b *testing.B) {
	const n = 1024
	pool := NewPool(1)
	defer pool.Close()
	for _, path := range kernels.Paths() {
		c := extendCase{locateCase: randomCase(10000, 64, n), k: 8}
		c.centroids = c.points
		m := c.newMap(b, pool, path)
		cells, z := make([]int32, n*8), make([]float32, n*64)
		m.Locate(m.NewScratch(n), c.x, n, 8, cells, make([]float64, n*8))
		b.Run("B=1024/d=64/k=8/path="+path.String(), func(b *testing.B) {
			for b.Loop() {
				m.Extend(c.x, cells, n, backend.Extension{Mode: backend.Simplex, K: 8, MinCosine: -1}, z)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/sample")
		})
	}
}
