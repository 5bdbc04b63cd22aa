package exact

import (
	"fmt"
	"testing"
)

func BenchmarkDiagram(b *testing.B) {
	for name, source := range sources {
		for _, n := range []int{1000, 10000} {
			b.Run(fmt.Sprintf("%s/N=%d", name, n), func(b *testing.B) {
				target, c := newTest(b, Problem{Points: draw(n, swissRoll), Dim: 2, Source: source})
				h := start(c.tree.points, target.mass, target.source)
				for b.Loop() {
					c.before.reset(0) // as if it were the first
					c.diagram(h, 0)
				}
			})
		}
	}
}

func BenchmarkSolve(b *testing.B) {
	for name, source := range sources {
		for target, point := range map[string]func(int) []float64{
			"normal":     func(n int) []float64 { return draw(n, normal) },
			"swiss_roll": func(n int) []float64 { return draw(n, swissRoll) },
		} {
			for _, n := range []int{1000, 10000} {
				b.Run(fmt.Sprintf("%s/%s/N=%d", name, target, n), func(b *testing.B) {
					p := Problem{Points: point(n), Dim: 2, Source: source}
					steps := 0
					for b.Loop() {
						steps = solve(b, p).Steps
					}
					b.ReportMetric(float64(steps), "steps")
				})
			}
		}
	}
}
