//go:build cuda

package cuda

import (
	"fmt"
	"testing"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/cpu"
	"brenier/engine/internal/rotated"
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
func (c mapCase) onCPU(t testing.TB, shape rotated.Shape) drawer {
	t.Helper()
	pool := cpu.NewPool(2)
	t.Cleanup(pool.Close)
	m, err := cpu.NewMap(pool, kernels.Best(), c.points, c.heights, nil, len(c.heights), c.d)
	if err != nil {
		t.Fatal(err)
	}
	return m.NewRotated(shape).Draw
}

// onGPU is a workspace that draws in a shape; the stage is of its best search, or of the wide one.
func (c mapCase) onGPU(t testing.TB, b *gpu, shape rotated.Shape, wide bool) *workspace {
	t.Helper()
	m := prepare(t, b, backend.Parts{Dim: c.d, Points: c.points, Heights: c.heights}).(*model)
	if m.rotating.Group == 0 && shape.Group != 0 {
		t.Fatal("the map has no rotated draws")
	}
	m.rotating = shape
	var err error
	if m.rotated, err = newRotatedStage(b.v, m.transport, shape, wide); err != nil {
		t.Fatal(err)
	}
	return newWorkspace(t, m, 4, 1).(*workspace)
}

// rotatedSizes are maps and calls: shapes of groups small enough that calls cross their borders.
var rotatedSizes = []struct {
	N, d, choices int    // choices of a group
	n, batch      int    // draws, and of a call
	first         uint64 // draw
	ks            []int
}{
	{1, 16, 1, 30, 12, 0, []int{1}},
	{3, 17, 2, 50, 7, 11, []int{1, 3}},
	{31, 18, 3, 60, 36, 5, []int{1, 2}},
	{33, 24, 7, 100, 100, 1<<40 + 3, []int{1, 8}},
	{257, 31, 5, 64, 33, 2, []int{1, 4}},
	{1000, 64, 9, 150, 50, 77, []int{1, 2, 8}},
	{2049, 65, 4, 50, 31, 0, []int{1, 7}},
	{5003, 40, 4, 50, 48, 3, []int{1, 3}},
	{700, 100, 8, 96, 96, 0, []int{1, 5}},
	{900, 128, 17, 210, 204, 0, []int{1, 2}},
	{300, 130, 11, 140, 50, 19, []int{1, 6}},
	{40, 421, 27, 330, 324, 0, []int{1, 8}}, // a frame wider than a block's shared memory has columns for
}

// The CPU's bits: cells, scores and draws, of a search in shared memory and of one that is not.
func TestRotated_same_bits_as_the_cpu(t *testing.T) {
	b := openTestBackend(t, nil)
	for _, size := range rotatedSizes {
		for _, wide := range []bool{false, true} {
			t.Run(fmt.Sprintf("N=%d/d=%d/wide=%v", size.N, size.d, wide), func(t *testing.T) {
				c := randomMap(size.N, size.d, 0)
				shape := rotated.Shape{Axes: 16, Group: size.choices * kernels.RotatedChoice}
				w, host := c.onGPU(t, b, shape, wide), c.onCPU(t, shape)
				for _, k := range size.ks {
					want := drawn(t, host, shape.Group, size.d, size.n, 7, size.first, size.n, k)
					got := drawn(t, w.DrawRotated, shape.Group, size.d, size.n, 7, size.first, size.batch, k)
					got.compare(t, want, k, size.d)
				}
			})
		}
	}
}
