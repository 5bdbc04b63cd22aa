package cpu

import (
	"fmt"
	"testing"

	"brenier/engine/internal/fit"
	"brenier/engine/internal/realdata"
	kernels "brenier/kernels/cpu"
)

// rotatedDevice lets a fit draw all its samples from shared frames.
type rotatedDevice struct {
	m *Map
	r *Rotated
}

func (v rotatedDevice) SetHeights(h []float32) error { v.m.SetHeights(h); return nil }

func (v rotatedDevice) Draw(n int, seed, first uint64, k int, cells []int64, scores []float64, x []float32) error {
	d, size := v.m.d, uint64(v.r.size)
	for n > 0 {
		count := min(n, int(size-first%size))
		var s []float64
		var xs []float32
		if scores != nil {
			s, scores = scores[:count*k], scores[count*k:]
		}
		if x != nil {
			xs, x = x[:count*d], x[count*d:]
		}
		if err := v.r.Draw(count, seed, first, k, cells[:count*k], s, xs); err != nil {
			return err
		}
		n, first, cells = n-count, first+uint64(count), cells[count*k:]
	}
	return nil
}

// subset takes n rows of codes, evenly.
func subset(codes []float32, d, n int) []float32 {
	rows := len(codes) / d
	points := make([]float32, 0, n*d)
	for i := range n {
		row := i * rows / n
		points = append(points, codes[row*d:(row+1)*d]...)
	}
	return points
}

// What a group's draws are worth in independent ones: the variance of the cells' counts were they
// binomial, over what it is from group to group. An iteration is a group; 60 give two digits.
//
//	go test ./engine/internal/cpu -run xxx -bench RotatedWorth -benchtime 60x
func BenchmarkRotatedWorth(b *testing.B) {
	codes, _ := realdata.Codes(b, "mnist_latents", 0)
	terrain, _ := realdata.Codes(b, "terrain_latents_fp16", 0)
	for _, c := range []struct {
		name  string
		codes []float32
		d     int
		cells []int
	}{
		{"mnist", codes, 64, []int{200, 2000, 60000}},
		{"terrain", terrain, 128, []int{200, 2000, 46800}},
	} {
		for _, N := range c.cells {
			points := subset(c.codes, c.d, N)
			pool := NewPool(0)
			m, err := NewMap(pool, kernels.Best(), points, make([]float32, N), nil, N, c.d)
			if err != nil {
				b.Fatal(err)
			}
			fitted := false
			for _, size := range []int{3072, 6144, 12288, 24576, 49152} {
				b.Run(fmt.Sprintf("%s/N=%d/d=%d/P=%d", c.name, N, c.d, size), func(b *testing.B) {
					if !fitted { // the worth is asked for where a fit spends its time, near its end
						result, err := fit.Solve(fit.Problem{Points: points, Dim: c.d},
							rotatedDevice{m, m.NewRotated(3072)},
							fit.Options{Tolerance: 1e-2, Seed: 3, SamplesMax: uint64(max(1_000_000, 20*N))})
						if err != nil {
							b.Fatal(err)
						}
						m.SetHeights(result.Heights)
						fitted = true
					}
					r := m.NewRotated(size)
					b.ReportMetric(worth(b, r), "worth")
				})
			}
			pool.Close()
		}
	}
}

// worth draws b.N groups.
func worth(b *testing.B, r *Rotated) float64 {
	size := r.size
	cells := make([]int64, size)
	counts, sums, squares := make([]float64, r.m.n), make([]float64, r.m.n), make([]float64, r.m.n)
	groups := 0.0
	for b.Loop() {
		if err := r.Draw(size, 99, uint64(groups)*uint64(size), 1, cells, nil, nil); err != nil {
			b.Fatal(err)
		}
		clear(counts)
		for _, c := range cells {
			counts[c]++
		}
		for i, c := range counts {
			sums[i] += c
			squares[i] += c * c
		}
		groups++
	}
	variance, binomial := 0.0, 0.0
	for i, sum := range sums {
		mean := sum / groups
		variance += (squares[i] - groups*mean*mean) / (groups - 1)
		binomial += mean * (1 - mean/float64(size))
	}
	return binomial / variance
}
