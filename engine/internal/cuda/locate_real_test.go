//go:build cuda

package cuda

import (
	"math"
	"slices"
	"testing"
)

// candidatesLeft is how many candidates a row has that its final cut leaves, on average, after a
// screen for k = 1 of a batch of whole tiles.
func candidatesLeft(t testing.TB, v *device, s *locateStage, got located, n int) float64 {
	t.Helper()
	splits := s.tiles.splits(n/128, s.m.tiles)
	rows := fromDevice[struct{ scale, margin float32 }](t, v, got.scratch.rows.at(got.base), n)
	best := fromDevice[float32](t, v, got.scratch.best.at(got.base), n*splits)
	counts := fromDevice[uint32](t, v, got.scratch.counts.at(got.base), n*splits)
	kept := fromDevice[struct {
		cell     int32
		screened float32
	}](t, v, got.scratch.kept.at(got.base), n*splits*listCapacity)
	left := 0
	for row, r := range rows {
		top := slices.Max(best[row*splits : (row+1)*splits])
		cut := top - (r.margin + 0x1p-20*float32(math.Abs(float64(top))))
		for list := row * splits; list < (row+1)*splits; list++ {
			if counts[list] > listCapacity {
				t.Errorf("row %d: %d candidates do not fit in its list", row, counts[list])
				continue
			}
			for _, c := range kept[list*listCapacity:][:counts[list]] {
				if c.screened >= cut {
					left++
				}
			}
		}
	}
	return float64(left) / float64(n)
}

// On the codes of a trained auto-encoder the screens decide nearly alone: 1.1 candidates a row or so
// are left to the exact scores, and no row has to be scored against every cell.
func TestLocate_real_codes(t *testing.T) {
	v := newTestDevice(t)
	parts := benchModels(t)["mnist"]
	const n = 128
	c := mapCase{points: parts.Points, heights: parts.Heights, x: normal(n*parts.Dim, 1, 5), d: parts.Dim}
	want, wantScores := c.oracleCells(8)
	for _, rung := range locateRungs {
		t.Run(rung.name, func(t *testing.T) {
			s := c.locateOf(t, v, rung.allow)
			rows := n
			if rung.most != 0 {
				rows = 8
			}
			for _, k := range []int{1, 8} {
				got := locateAll(t, v, s, c.x[:rows*c.d], k, nil)
				if !slices.Equal(got.cells, firstOf(want[:rows*8], 8, k)) || !sameBits(got.scores, firstOf(wantScores[:rows*8], 8, k)) {
					t.Errorf("k=%d: differs from the oracle", k)
				}
				if s.tiles == nil {
					continue
				}
				if exact := fromDevice[uint32](t, v, got.scratch.count.at(got.base), 1)[0]; exact != 0 {
					t.Errorf("k=%d: %d of %d rows were scored against every cell", k, exact, n)
				}
				if k > 1 {
					continue
				}
				left := candidatesLeft(t, v, s, got, n)
				t.Logf("%.3f candidates a row", left)
				if left < 1 || left > 1.3 {
					t.Errorf("%.3f candidates a row are left, want 1 to 1.3", left)
				}
			}
		})
	}
}
