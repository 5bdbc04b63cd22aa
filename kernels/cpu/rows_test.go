package cpu

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// The order of rows.h, written out.
func TestRowProducts(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, size := range [][2]int{{1, 1}, {2, 3}, {3, 4}, {5, 7}, {4, 64}, {7, 130}} {
		n, d := size[0], size[1]
		x, m := make([]float32, n*d), make([]float64, d)
		for i := range x {
			x[i] = float32(random.NormFloat64())
		}
		for k := range m {
			m[k] = random.NormFloat64()
		}
		for _, p := range Paths() {
			t.Run(fmt.Sprintf("n=%d/d=%d/path=%v", n, d, p), func(t *testing.T) {
				along, square := make([]float64, n), make([]float64, n)
				RowProducts(p, x, m, along, square)
				for r := range n {
					var a, s [4]float64
					for k := range d {
						lane := k % 4
						if k >= d/4*4 {
							lane = 0
						}
						v := float64(x[r*d+k])
						a[lane] += float64(v * m[k])
						s[lane] += float64(v * v)
					}
					if want := (a[0] + a[1]) + (a[2] + a[3]); along[r] != want {
						t.Errorf("row %d along m is %v, want %v", r, along[r], want)
					}
					if want := (s[0] + s[1]) + (s[2] + s[3]); square[r] != want {
						t.Errorf("row %d squared is %v, want %v", r, square[r], want)
					}
				}
			})
		}
	}
}

func TestRowSums(t *testing.T) {
	const cells, n = 11, 57
	random := rand.New(rand.NewPCG(3, 4))
	const exponent = 25
	for _, d := range []int{1, 3, 4, 19, 64} {
		x, to := make([]float32, n*d), make([]int32, n)
		for i := range x {
			x[i] = float32(random.NormFloat64())
			switch i % 5 { // halves of a unit, and less than that
			case 0:
				x[i] = float32(random.IntN(4096)-2048) * 0x1p-26
			case 1:
				x[i] *= 0x1p-25
			}
		}
		want, plain := make([]int64, cells*d), make([]float64, cells*d)
		for r := range to {
			to[r] = int32(random.IntN(cells))
			if to[r] >= 2 && to[r] < 9 {
				for k := range d {
					v := float64(x[r*d+k])
					want[int(to[r])*d+k] += int64(math.RoundToEven(math.Ldexp(v, exponent)))
					plain[int(to[r])*d+k] += v
				}
			}
		}
		for _, p := range Paths() {
			got := make([]int64, cells*d)
			RowSums(p, x, to, d, 2, 5, exponent, got)
			RowSums(p, x, to, d, 5, 9, exponent, got)
			if !slices.Equal(got, want) {
				t.Errorf("d=%d, %v: other sums than those written out", d, p)
			}
			for i, sum := range got {
				if off := math.Abs(math.Ldexp(float64(sum), -exponent) - plain[i]); off > n*0x1p-26 {
					t.Errorf("d=%d, %v: sum %d is %v off that of float64", d, p, i, off)
				}
			}
		}
	}
}
