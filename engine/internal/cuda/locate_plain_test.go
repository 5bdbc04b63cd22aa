//go:build cuda

package cuda

import (
	"slices"
	"testing"

	"brenier/engine/internal/cuda/driver"
	"brenier/engine/internal/reference"
)

// plainLocate finds cells on a device by the plain kernel, on `blocks` blocks or, where that is 0, as
// many as the device holds.
func plainLocate(t testing.TB, v *device, c mapCase, k, blocks int) (cells []int32, scores []float64) {
	t.Helper()
	l, err := newLocatePlain(v, c.on(t, v))
	if err != nil {
		t.Fatal(err)
	}
	if blocks > 0 {
		l.blocks = blocks
	}
	n := len(c.x) / c.d
	var p plan
	s := l.newScratch(&p, k)
	base := scratchOn(t, v, p.bytes)
	x, to, values := onDevice(t, v, c.x), scratchOn(t, v, 4*n*k), scratchOn(t, v, 8*n*k)
	onStream(t, v, func(q *driver.Stream) error { return l.launch(q, s, base, x, n, k, to, values) })
	return fromDevice[int32](t, v, to, n*k), fromDevice[float64](t, v, values, n*k)
}

// oracleCells returns the oracle's cells and scores [n,k].
func (c mapCase) oracleCells(k int) (cells []int32, scores []float64) {
	for at := 0; at < len(c.x); at += c.d {
		best, s := reference.Locate(c.x[at:at+c.d], c.points, c.heights, k)
		cells, scores = append(cells, best...), append(scores, s...)
	}
	return cells, scores
}

// hardMaps are maps whose scores tie, lie close, or reach the ends of float32.
func hardMaps() map[string]mapCase {
	const N, d, n = 150, 5, 35
	change := func(f func(c mapCase)) mapCase {
		c := randomMap(N, d, n)
		f(c)
		return c
	}
	scaled := func(values []float32, by float32) {
		for i := range values {
			values[i] *= by
		}
	}
	return map[string]mapCase{
		"all_points_equal": change(func(c mapCase) {
			for i := range N {
				copy(c.points[i*d:(i+1)*d], c.points[:d])
				c.heights[i] = 1
			}
		}),
		"duplicates": change(func(c mapCase) {
			for i := range N {
				copy(c.points[i*d:(i+1)*d], c.points[i%7*d:])
				c.heights[i] = c.heights[i%7]
			}
		}),
		"lattice": change(func(c mapCase) { // many exact ties
			for _, values := range [][]float32{c.points, c.heights, c.x} {
				for i, value := range values {
					values[i] = float32(int(value * 1.5))
				}
			}
		}),
		"all_zero": change(func(c mapCase) {
			clear(c.points)
			clear(c.heights)
			clear(c.x)
		}),
		"subnormal_products": change(func(c mapCase) {
			scaled(c.points, 0x1p-149/0x1p-3)
			scaled(c.x, 0x1p-120)
			clear(c.heights)
		}),
		"subnormal_points": change(func(c mapCase) {
			scaled(c.points, 0x1p-140)
			scaled(c.heights, 0x1p-149)
		}),
		"largest_values": change(func(c mapCase) {
			scaled(c.points, 0x1p125)
			scaled(c.x, 0x1p125)
		}),
		"huge_heights":    change(func(c mapCase) { scaled(c.heights, 0x1p100) }),
		"one_huge_height": change(func(c mapCase) { c.heights[77] = 3e38 }),
		"ascending_heights": change(func(c mapCase) { // every cell enters the list
			for i := range c.heights {
				c.heights[i] = float32(100 * i)
			}
		}),
		"descending_heights": change(func(c mapCase) {
			for i := range c.heights {
				c.heights[i] = float32(-100 * i)
			}
		}),
	}
}

// The oracle's cells and bits of the scores: sizes around a tile of samples, of cells and of
// dimensions, alone and shared by several blocks.
func TestLocatePlain_same_bits_as_the_oracle(t *testing.T) {
	v := newTestDevice(t)
	for _, size := range []struct{ N, d, n int }{
		{1, 1, 1}, {2, 3, 2}, {33, 1, 33}, {63, 4, 31}, {64, 32, 32}, {65, 33, 33}, {129, 7, 65},
		{1000, 2, 3}, {700, 64, 5}, {70, 130, 40}, {40, 1030, 2},
	} {
		c := randomMap(size.N, size.d, size.n)
		for _, k := range []int{1, 2, 5, 20, 32} {
			if k > size.N {
				continue
			}
			want, wantScores := c.oracleCells(k)
			for _, blocks := range []int{0, 1, 13} {
				cells, scores := plainLocate(t, v, c, k, blocks)
				if !slices.Equal(cells, want) || !sameBits(scores, wantScores) {
					t.Errorf("%+v k=%d on %d blocks: differs from the oracle", size, k, blocks)
				}
			}
		}
	}
}

func TestLocatePlain_ties_take_lowest_index(t *testing.T) {
	v := newTestDevice(t)
	for name, c := range hardMaps() {
		for _, k := range []int{1, 5, 32} {
			want, wantScores := c.oracleCells(k)
			for _, blocks := range []int{0, 1, 5} {
				cells, scores := plainLocate(t, v, c, k, blocks)
				if !slices.Equal(cells, want) || !sameBits(scores, wantScores) {
					t.Errorf("%s, k=%d on %d blocks: differs from the oracle", name, k, blocks)
				}
			}
		}
	}
}

// Only the rows that are listed are written, whatever their number and order; the same scratch
// serves again without being cleared.
func TestLocatePlain_listed_rows(t *testing.T) {
	v := newTestDevice(t)
	const n, k, untouched = 90, 3, -7
	c := randomMap(200, 6, n)
	want, _ := c.oracleCells(k)
	l, err := newLocatePlain(v, c.on(t, v))
	if err != nil {
		t.Fatal(err)
	}
	l.blocks = 6
	var p plan
	s := l.newScratch(&p, k)
	base, x, scores := scratchOn(t, v, p.bytes), onDevice(t, v, c.x), scratchOn(t, v, 8*n*k)
	onStream(t, v, func(q *driver.Stream) error { return l.clear(q, s, base) })
	for _, count := range []int{0, 1, 2, 32, 33, 64, 90, 5} {
		rows := make([]int32, n)
		for i := range rows {
			rows[i] = int32(i * 37 % n)
		}
		wanted := slices.Repeat([]int32{untouched}, n*k)
		for _, row := range rows[:count] {
			copy(wanted[row*k:(row+1)*k], want[row*k:])
		}
		cells := onDevice(t, v, slices.Repeat([]int32{untouched}, n*k))
		list, number := onDevice(t, v, rows), onDevice(t, v, []uint32{uint32(count)})
		onStream(t, v, func(q *driver.Stream) error {
			return l.launchRows(q, s, base, x, list, number, n, k, cells, scores)
		})
		if got := fromDevice[int32](t, v, cells, n*k); !slices.Equal(got, wanted) {
			t.Errorf("%d rows listed: wrong cells, or cells of other rows", count)
		}
	}
}
