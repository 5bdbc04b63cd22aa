package cholesky

import (
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/mat"
)

func TestSolve(t *testing.T) {
	const n = 12
	random := rand.New(rand.NewPCG(8, 8))
	a := mat.NewDense(n, n, nil)
	for i := range n {
		for j := range n {
			a.Set(i, j, random.NormFloat64())
		}
	}
	var positive mat.Dense
	positive.Mul(a, a.T())
	b := make([]float64, n)
	for i := range b {
		b[i] = random.NormFloat64()
	}
	var want mat.VecDense
	if err := want.SolveVec(&positive, mat.NewVecDense(n, append([]float64(nil), b...))); err != nil {
		t.Fatal(err)
	}
	factor := append([]float64(nil), positive.RawMatrix().Data...)
	if !Factor(factor, n) {
		t.Fatal("a positive matrix is refused")
	}
	Solve(factor, n, b)
	for i, v := range b {
		if math.Abs(v-want.AtVec(i)) > 1e-8*mat.Norm(&want, 2) {
			t.Errorf("x_%d is %v, want %v", i, v, want.AtVec(i))
		}
	}
	if Factor([]float64{1, 2, 2, 1}, 2) {
		t.Error("an indefinite matrix is taken")
	}
}
