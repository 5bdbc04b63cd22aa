//go:build cuda

package cuda

import (
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// mnist returns the first N codes of MNIST [N,64] and their heights, or skips where the models are
// not beside the repository.
func mnist(t testing.TB, N int) (codes, heights []float32) {
	t.Helper()
	read := func(name string, of, count int) []float32 {
		data, err := os.ReadFile(filepath.Join("..", "..", "..", "..", "shared", "models", name))
		if err != nil {
			t.Skipf("no real codes to test on: %v", err)
		}
		data = data[len(data)-4*of:] // the file's only tensor, float32
		values := make([]float32, count)
		for i := range values {
			values[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
		}
		return values
	}
	const all = 60000
	return read("mnist_latents.safetensors", all*64, N*64), read("mnist_heights.safetensors", all, N)
}

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
	points, heights := mnist(t, 10000)
	const n = 128
	c := mapCase{points: points, heights: heights, x: normal(n*64, 1, 5), d: 64}
	want, wantScores := c.oracleCells(8)
	for _, rung := range locateRungs {
		t.Run(rung.name, func(t *testing.T) {
			s := c.locateOf(t, v, rung.allow)
			rows := n
			if rung.most != 0 {
				rows = 8
			}
			for _, k := range []int{1, 8} {
				got := locateAll(t, v, s, c.x[:rows*64], k, nil)
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
