package cpu

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"brenier/engine/internal/reference"
	kernels "brenier/kernels/cpu"
)

// nearestCase is a map to the nearest of N points from N(0,I): h = -|y|^2/2, as the heights of an optimal
// map between what they are drawn from and itself are for many points.
func nearestCase(N, d, rows int) locateCase {
	c := locateCase{
		name:   fmt.Sprintf("nearest/N=%d/d=%d", N, d),
		points: normal(N*d, 1, 1), heights: make([]float32, N), x: normal(rows*d, 1, 3), d: d,
	}
	for i := range c.heights {
		for _, v := range c.points[i*d : (i+1)*d] {
			c.heights[i] -= v * v / 2
		}
	}
	return c
}

// stretchedCase is a map to N points whose dimensions are of different widths, clustered, and of heights
// that leave most cells empty; some samples lie far off.
func stretchedCase(N, d, rows int) locateCase {
	c := nearestCase(N, d, rows)
	c.name = fmt.Sprintf("stretched/N=%d/d=%d", N, d)
	for i := range N {
		c.heights[i] *= 1 + 0.3*float32(i%7)
		for k := range d {
			c.points[i*d+k] *= float32(math.Pow(30, float64(-k)))
			if i%3 == 0 {
				c.points[i*d+k] = c.points[i%2*d+k] + 1e-4*c.points[i*d+k]
			}
		}
	}
	for i := range c.x {
		if i/d%5 == 0 {
			c.x[i] *= 1e3
		}
	}
	return c
}

// The bound of every part of a tree is at least the scores of its cells, and where heights are those of an optimal
// map few leaves have one that reaches the best score.
func TestTree_bounds(t *testing.T) {
	pool := NewPool(2)
	defer pool.Close()
	for _, v := range []struct {
		locateCase
		leaves float64 // that reach the best score, on average
	}{
		{nearestCase(300, 1, 20), 2.5}, {nearestCase(5003, 2, 20), 4}, {nearestCase(9001, 3, 20), 8},
		{stretchedCase(5003, 2, 20), math.Inf(1)}, {stretchedCase(20000, 4, 20), math.Inf(1)}, {randomCase(9001, 3, 20), math.Inf(1)},
	} {
		c, reaching := v.locateCase, 0.0
		t.Run(c.name, func(t *testing.T) {
			d, n := c.d, len(c.heights)
			m, err := NewMap(pool, kernels.Best(), c.points, c.heights, nil, n, d)
			if err != nil {
				t.Fatal(err)
			}
			tree := m.tree
			if seen := slices.Sorted(slices.Values(tree.cells)); !slices.Equal(seen[len(seen)-n:], upTo(n)) || seen[0] < -1 {
				t.Fatal("the leaves do not hold every cell once")
			}
			for row := range 20 {
				x := c.x[row*d : (row+1)*d]
				scores := make([]float64, 0, len(tree.cells)) // highest of each part, from the leaves' cells up
				for _, cell := range tree.cells {
					s := math.Inf(-1)
					if cell >= 0 {
						s = float64(c.heights[cell]) - tree.top
						for k, v := range x {
							s += float64(v) * float64(c.points[int(cell)*d+k])
						}
					}
					scores = append(scores, s)
				}
				best := slices.Max(scores)
				for base := 0; len(scores) > treeWidth; {
					var highest []float64
					for part := 0; part*treeWidth < len(scores); part++ {
						most := slices.Max(scores[part*treeWidth : min((part+1)*treeWidth, len(scores))])
						bound := tree.bound(base, part, x)
						if slack := 1e-12 * (math.Abs(bound) + math.Abs(most)); bound < most-slack {
							t.Fatalf("sample %d: the bound of part %d above block %d is %v, a score %v", row, part, base, bound, most)
						}
						if base == 0 && bound >= best {
							reaching += 1. / 20
						}
						highest = append(highest, most)
					}
					base += treeParts(len(highest))
					scores = highest
				}
			}
			if reaching > v.leaves {
				t.Errorf("%.1f leaves of %d reach the best score, want %v at most", reaching, treeParts(n), v.leaves)
			}
			t.Logf("%.1f leaves of %d reach the best score", reaching, treeParts(n))
		})
	}
}

func upTo(n int) []int32 {
	all := make([]int32, n)
	for i := range all {
		all[i] = int32(i)
	}
	return all
}

// bound is that of a part of the level that begins with block `base`, as locate_tree.h defines it.
func (t *tree) bound(base, part int, x []float32) float64 {
	block, m := t.block(base+part/treeWidth), part%treeWidth
	bound := float64(block[treeRows*t.d*treeWidth+m])
	for k, v := range x {
		row := func(r int) float64 { return float64(block[(treeRows*k+r)*treeWidth+m]) }
		centre, half, slope, bend := row(0), row(1), row(2), row(3)
		away := math.Abs(float64(v) - slope)
		u := min(away/(2*bend), half) // where away u - bend u^2 is the highest
		bound += float64(v)*centre + u*(away-bend*u)
	}
	return bound
}

// flatCase is a map whose heights are not those of an optimal one: of a sample near the middle any part of its tree may
// have the best cell.
func flatCase(N int) locateCase {
	c := randomCase(N, 3, 1)
	for i := range c.heights {
		c.heights[i] = -float32(i%3) * 1e-3
	}
	return c
}

// A search that goes on however long it takes finds the best cells, with more blocks to look at than it takes best-first.
func TestTree_patient(t *testing.T) {
	pool := NewPool(1)
	defer pool.Close()
	const n, rows, most = 20_000, 10, 32
	c, x := flatCase(n), normal(3*rows, 1e-4, 5)
	var want [rows][]int32
	var wantScores [rows][]float64
	for row := range rows {
		want[row], wantScores[row] = reference.Locate(x[3*row:3*row+3], c.points, c.heights, most)
	}
	for _, path := range kernels.Paths() {
		m, err := NewMap(pool, path, c.points, c.heights, nil, n, 3)
		if err != nil {
			t.Fatal(err)
		}
		tree := m.tree
		for _, k := range []int{1, 8, most} {
			cells, scores := make([]int32, rows*k), make([]float64, rows*k)
			done, beyond := kernels.TreeSearch(path, x, 3, n, tree.blocks, tree.points, tree.height, tree.cells, tree.top, m.norm,
				m.reach, tree.extent, k, math.MaxInt, cells, scores)
			if done != rows || beyond {
				t.Fatalf("%v: %d samples of %d are done", path, done, rows)
			}
			for row := range rows {
				got, gotScores := cells[k*row:k*row+k], scores[k*row:k*row+k]
				if !slices.Equal(got, want[row][:k]) || !slices.Equal(gotScores, wantScores[row][:k]) {
					t.Fatalf("%v, k = %d, sample %d: %v with %v, want %v with %v", path, k, row, got, gotScores, want[row][:k], wantScores[row][:k])
				}
			}
		}
	}
}

// Where a search costs more than a look at all cells that is what is done, with the same results, and until the
// heights change; samples for which no bound holds are looked at so alone.
func TestTree_useless(t *testing.T) {
	pool := NewPool(2)
	defer pool.Close()
	flat := flatCase(20000)
	huge := nearestCase(20000, 3, 1000)
	for i := 1500; i < 1503; i++ {
		huge.x[i] = 1e36
	}
	for _, v := range []struct {
		name    string
		c       locateCase
		x       []float32
		useless bool
	}{
		{"near_the_middle", flat, normal(3000, 1e-4, 5), true},
		{"one_huge_sample", huge, huge.x, false},
	} {
		t.Run(v.name, func(t *testing.T) {
			m, err := NewMap(pool, kernels.Best(), v.c.points, v.c.heights, nil, 20000, 3)
			if err != nil {
				t.Fatal(err)
			}
			cells, scores := make([]int32, 2000), make([]float64, 2000)
			m.Locate(m.NewScratch(1000), v.x, 1000, 2, cells, scores)
			if m.tree.useless.Load() != v.useless {
				t.Errorf("the tree is useless: %v", !v.useless)
			}
			for row := 0; row < 1000; row += 20 { // of all parts, the huge one among them
				want, wantScores := reference.Locate(v.x[3*row:3*row+3], v.c.points, v.c.heights, 2)
				if !slices.Equal(cells[2*row:2*row+2], want) || !slices.Equal(scores[2*row:2*row+2], wantScores) {
					t.Fatalf("sample %d: %v with %v, want %v with %v", row, cells[2*row:2*row+2], scores[2*row:2*row+2], want, wantScores)
				}
			}
			m.SetHeights(v.c.heights)
			if m.tree.useless.Load() {
				t.Error("the tree is not tried again with other heights")
			}
		})
	}
}

// BenchmarkTree locates by a tree and by a look at all cells: treeFits has the sizes where the tree is faster.
func BenchmarkTree(b *testing.B) {
	const batch, k = 4096, 2
	pool := NewPool(2)
	defer pool.Close()
	for d := 1; d <= kernels.TreeMost; d++ {
		for N := treeLeast << (2 * d); N <= 1<<20; N *= 4 {
			c := nearestCase(N, d, batch)
			for _, way := range []string{"tree", "all"} {
				b.Run(fmt.Sprintf("d=%d/N=%d/%s", d, N, way), func(b *testing.B) {
					m, err := NewMap(pool, kernels.Best(), c.points, c.heights, nil, N, d)
					if err != nil {
						b.Fatal(err)
					}
					if way == "all" {
						m.tree = nil
					} else if m.tree == nil {
						b.Skip()
					}
					s := m.NewScratch(batch)
					cells, scores := make([]int32, batch*k), make([]float64, batch*k)
					for b.Loop() {
						m.Locate(s, c.x, batch, k, cells, scores)
					}
					b.ReportMetric(b.Elapsed().Seconds()/float64(b.N)/batch*1e6, "us/sample")
					if way == "tree" && m.tree.useless.Load() {
						b.ReportMetric(1, "useless")
					}
				})
			}
		}
	}
}
