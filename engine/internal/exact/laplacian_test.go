package exact

import (
	"testing"

	"gonum.org/v1/gonum/mat"
)

func TestLaplacian(t *testing.T) {
	for name, point := range targets {
		t.Run("solves_as_a_dense_matrix_does/"+name, func(t *testing.T) {
			var l laplacian // one after the other, larger and smaller
			for _, n := range []int{2, 3, 400, 9, 17, 150} {
				target, c := newTest(t, Problem{Points: draw(n, point), Dim: 2, Source: sources["gaussian"]})
				d := c.diagram(start(c.tree.points, target.mass, target.source), 0)
				n := len(d.mass) // less the duplicates
				if n < 2 {
					continue
				}
				g, v := make([]float64, n), make([]float64, n)
				r := random()
				for i := range g {
					g[i] = r.NormFloat64()
				}
				centre(g, equal(n))
				l.set(c.tree, d, split)
				l.solve(v, g)
				// The Laplacian plus a matrix of ones has the solution whose sum is 0.
				dense := mat.NewDense(n, n, nil)
				for i := range n {
					for j := range n {
						dense.Set(i, j, 1)
					}
				}
				for i := range n {
					for k := d.starts[i]; k < d.starts[i+1]; k++ {
						j := int(d.neighbours[k])
						dense.Set(i, j, dense.At(i, j)-d.weights[k])
						dense.Set(i, i, dense.At(i, i)+d.weights[k])
					}
				}
				var want mat.VecDense
				if err := want.SolveVec(dense, mat.NewVecDense(n, g)); err != nil {
					t.Fatal(err)
				}
				largest := mat.Norm(&want, 1) / float64(n)
				centre(v, equal(n))
				near(t, "solution", v, want.RawVector().Data, 1e-8*largest)
			}
		})
	}
}
