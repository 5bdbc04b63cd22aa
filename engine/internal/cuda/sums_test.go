//go:build cuda

package cuda

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/fault"
	"brenier/kernels/cpu"
)

// What is told of draws and added up is of the draws that the host would have got, in any pieces and
// however many are ahead: the bits of its own products and sums.
func TestSums_same_bits_as_the_host(t *testing.T) {
	b := openTestBackend(t, nil)
	const group, exponent, seed = 48, 25, 5
	for _, size := range []struct {
		N, d, batch int
		rotated     bool
	}{{1, 1, 1, false}, {30, 3, 33, false}, {50, 20, 70, false}, {3, 17, 48, true}, {200, 64, 31, true}, {90, 130, 48, true}} {
		t.Run(fmt.Sprintf("N=%d/d=%d/rotated=%v", size.N, size.d, size.rotated), func(t *testing.T) {
			c := randomMap(size.N, size.d, 0)
			shared := group
			if !size.rotated {
				shared = 0
			}
			w := newWorkspace(t, c.onGPU(t, b, shared, rotatedScreened).m, size.batch, 1).(*workspace)
			m := make([]float64, size.d)
			for k := range m {
				m[k] = 1 / float64(3+k)
			}
			var calls [][2]int // first, n
			for first := 7; len(calls) < 7; {
				n := size.batch
				if size.rotated {
					n = min(n, group-first%group)
				}
				calls = append(calls, [2]int{first, n})
				first += n
			}
			wantSums := make([]int64, size.N*size.d)
			var want []madeDraws
			var along, squares [][]float64
			for _, call := range calls {
				first, n := uint64(call[0]), call[1]
				made := madeDraws{make([]int64, n), make([]float64, n), make([]float32, n*size.d)}
				var err error
				if size.rotated {
					err = w.DrawRotated(n, seed, first, 1, made.cells, made.scores, made.x)
				} else if err = w.Draw(n, 1, seed, first, made.x); err == nil {
					err = w.GetCells(n, 1, made.cells, made.scores)
				}
				if err != nil {
					t.Fatal(err)
				}
				a, s, cells := make([]float64, n), make([]float64, n), make([]int32, n)
				for i, cell := range made.cells {
					cells[i] = int32(cell)
				}
				cpu.RowProducts(cpu.Best(), made.x, m, a, s)
				cpu.RowSums(cpu.Best(), made.x, cells, size.d, 0, size.N, exponent, wantSums)
				want, along, squares = append(want, made), append(along, a), append(squares, s)
			}

			for _, m := range [][]float64{nil, m} { // only told, and added up
				sums, err := w.NewSums(m, exponent, size.batch)
				if err != nil {
					t.Fatal(err)
				}
				defer sums.Close()
				drawn := 0
				for i := range calls {
					for ; drawn < min(len(calls), i+sums.Ahead()); drawn++ {
						if err := sums.Draw(calls[drawn][1], seed, uint64(calls[drawn][0]), size.rotated); err != nil {
							t.Fatal(err)
						}
					}
					n := calls[i][1]
					cells, scores := make([]int64, n), make([]float64, n)
					var a, s []float64
					if m != nil {
						a, s = make([]float64, n), make([]float64, n)
					}
					if err := sums.Take(cells, scores, a, s); err != nil {
						t.Fatal(err)
					}
					if !slices.Equal(cells, want[i].cells) || !sameBits(scores, want[i].scores) {
						t.Errorf("draws %d are told otherwise", i)
					}
					if m != nil && (!sameBits(a, along[i]) || !sameBits(s, squares[i])) {
						t.Errorf("draws %d are multiplied otherwise", i)
					}
				}
				got := make([]int64, len(wantSums))
				switch err := sums.Total(got); {
				case m == nil && !errors.Is(err, fault.ErrInvalidArgument):
					t.Errorf("sums of nothing: %v", err)
				case m != nil && (err != nil || !slices.Equal(got, wantSums)):
					t.Errorf("other sums: %v", err)
				}
			}
		})
	}
}

// What cannot be is said, and sums for which there is no room cost nothing.
func TestSums_refuse(t *testing.T) {
	b := openTestBackend(t, nil)
	const d, most = 20, 8
	w := randomMap(50, d, 0).onGPU(t, b, 48, rotatedScreened)
	used, budget := b.v.used, b.v.budget
	b.v.budget = used + 8*50*d
	if _, err := w.NewSums(make([]float64, d), 20, most); !errors.Is(err, fault.ErrOutOfMemory) || b.v.used != used {
		t.Errorf("without room: %v, and %d bytes are used", err, b.v.used-used)
	}
	b.v.budget = budget
	sums, err := w.NewSums(make([]float64, d), 20, most)
	if err != nil {
		t.Fatal(err)
	}
	take := func(n int) error {
		values := make([]float64, n)
		return sums.Take(make([]int64, n), values, values, values)
	}
	if err := take(1); !errors.Is(err, fault.ErrInvalidArgument) {
		t.Errorf("a draw that was not made: %v", err)
	}
	if err := sums.Draw(most+1, 1, 0, false); !errors.Is(err, fault.ErrInvalidArgument) {
		t.Errorf("too many at once: %v", err)
	}
	if err := sums.Draw(4, 1, 46, true); !errors.Is(err, fault.ErrInvalidArgument) {
		t.Errorf("across the border of a group: %v", err)
	}
	for range sums.Ahead() {
		if err := sums.Draw(4, 1, 0, true); err != nil {
			t.Fatal(err)
		}
	}
	if err := sums.Draw(4, 1, 0, true); !errors.Is(err, fault.ErrInvalidArgument) {
		t.Errorf("too far ahead: %v", err)
	}
	if err := take(3); !errors.Is(err, fault.ErrInvalidArgument) {
		t.Errorf("3 of 4 draws: %v", err)
	}
	if err := sums.Close(); err != nil { // with all of them on their way
		t.Error(err)
	}
	more, err := w.NewSums(nil, 0, 2*most) // more room than there was
	if err != nil {
		t.Fatal(err)
	}
	cells, scores := make([]int64, 2*most), make([]float64, 2*most)
	if err := more.Draw(2*most, 1, 0, true); err != nil {
		t.Error(err)
	}
	if err := more.Take(cells, scores, nil, nil); err != nil {
		t.Error(err)
	}
	want := make([]float64, 2*most)
	if err := w.DrawRotated(2*most, 1, 0, 1, make([]int64, 2*most), want, nil); err != nil || !sameBits(scores, want) {
		t.Errorf("other scores: %v", err)
	}
	if err := more.Close(); err != nil {
		t.Error(err)
	}
	if w.rotated != nil {
		used += b.v.sizes[w.rotated.base]
	}
	if b.v.used != used {
		t.Errorf("%d bytes are left", b.v.used-used)
	}
}

var _ backend.Summer = (*workspace)(nil)
