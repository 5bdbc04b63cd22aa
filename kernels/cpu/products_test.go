package cpu

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// The order of products.h, written out.
func TestProducts(t *testing.T) {
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
				Products(p, x, m, along, square)
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
