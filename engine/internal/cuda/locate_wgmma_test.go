//go:build cuda

package cuda

import (
	"fmt"
	"testing"
)

// Up to five slices of samples leave room for three stages or more in what a block may have on Hopper.
func TestLocateWGMMA_dimensions_that_fit(t *testing.T) {
	const hopper = 227 << 10
	for _, c := range []struct {
		slices, limit int
		want          bool
	}{
		{1, hopper, true}, {2, hopper, true}, {4, hopper, true}, {5, hopper, true},
		{6, hopper, false}, {16, hopper, false}, {1 << 30, hopper, false},
		{1, 99 << 10, false}, {1, 0, false},
	} {
		if got := wgmmaHasRoom(c.slices, c.limit); got != c.want {
			t.Errorf("%d slices in %d bytes: %v, want %v", c.slices, c.limit, got, c.want)
		}
	}
}

// Blocks that take several units one after another: rings and barriers go round across units, row
// tiles are odd in number, splits are of unequal length.
func TestLocateWGMMA_several_units_a_block(t *testing.T) {
	v := newTestDevice(t)
	for _, size := range []struct{ N, d, n int }{
		{1500, 20, 300}, {1300, 70, 390}, {700, 150, 130}, {1100, 256, 40}, {520, 320, 270},
	} {
		for _, blocks := range []int{1, 2, 3} {
			t.Run(fmt.Sprintf("N=%d/d=%d/n=%d/blocks=%d", size.N, size.d, size.n, blocks), func(t *testing.T) {
				c := randomMap(size.N, size.d, size.n)
				s := c.locateOf(t, v, rungs{wgmma: true})
				s.tiles.blocks = blocks
				c.equalsOracle(t, v, s, 1, 4)
			})
		}
	}
}

// Heights that rise with the index make every tile better than those before it: the lists of
// candidates forget what is ruled out, and no row overflows.
func TestLocateWGMMA_rising_scores_do_not_overflow(t *testing.T) {
	v := newTestDevice(t)
	c := randomMap(6000, 8, 40)
	for i := range c.heights {
		c.heights[i] = float32(i)
	}
	s := c.locateOf(t, v, rungs{wgmma: true})
	c.equalsOracle(t, v, s, 1)
	got := locateAll(t, v, s, c.x, 1, nil)
	if exact := fromDevice[uint32](t, v, got.scratch.count.at(got.base), 1)[0]; exact != 0 {
		t.Errorf("%d rows were scored exactly, want none", exact)
	}
}
