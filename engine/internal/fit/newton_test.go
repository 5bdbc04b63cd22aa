package fit

import (
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat/distuv"

	"brenier/engine/internal/threads"
)

// On the line the Hessian is known: w between neighbours i, i+1 is the source's density at their
// boundary over the distance of the points.
func TestGraph(t *testing.T) {
	y := []float32{-2, -0.5, 0.25, 1, 3}
	nu := []float64{0.15, 0.25, 0.25, 0.2, 0.15}
	p := Problem{Points: y, Dim: 1, Masses: nu}
	target := newTarget(p, threads.Alone)
	h := onTheLine(y, nu, distuv.UnitNormal.Quantile)
	s := newSampler(newNaive(p, 2), target, 0)
	const samples = 400_000
	at, err := s.evaluate(target, h, 0, samples)
	if err != nil {
		t.Fatal(err)
	}
	g := newGraph(target, at, 0.05)
	sum := 0.0
	for i := range y {
		for e := g.start[i]; e < g.start[i+1]; e++ {
			j := int(g.to[e])
			if j != i-1 && j != i+1 {
				t.Fatalf("cells %d and %d are no neighbours", i, j)
			}
			if j == i+1 {
				sum += nu[i]
			}
			low := min(i, j)
			cut := 0.0
			for _, v := range nu[:low+1] {
				cut += v
			}
			want := distuv.UnitNormal.Prob(distuv.UnitNormal.Quantile(cut)) / float64(y[low+1]-y[low])
			if math.Abs(g.weight[e]/want-1) > 0.1 {
				t.Errorf("w of %d and %d is %.4f, want %.4f", i, j, g.weight[e], want)
			}
		}
	}
	t.Run("conjugate_gradients_solve_it", func(t *testing.T) {
		n := len(y)
		dense := mat.NewDense(n, n, nil)
		for i := range n {
			dense.Set(i, i, g.diag[i])
			for e := g.start[i]; e < g.start[i+1]; e++ {
				dense.Set(i, int(g.to[e]), -g.weight[e])
			}
		}
		b := []float64{0.1, -0.2, 0.3, -0.15, -0.05}
		var want mat.VecDense
		if err := want.SolveVec(dense, mat.NewVecDense(n, append([]float64(nil), b...))); err != nil {
			t.Fatal(err)
		}
		for i, v := range g.solve(b) {
			if math.Abs(v-want.AtVec(i)) > 2e-3*mat.Norm(&want, 2) {
				t.Errorf("x_%d is %v, want %v", i, v, want.AtVec(i))
			}
		}
	})
	t.Run("the_gradient_is_the_energy's", func(t *testing.T) {
		// The same samples at heights a little apart: the energy's difference is the gradient.
		gradient, _ := target.gradient(at)
		const step = 1e-3
		for i := range y {
			up, down := append([]float64(nil), h...), append([]float64(nil), h...)
			up[i] += step
			down[i] -= step
			above, err := s.evaluate(target, up, 0, samples)
			if err != nil {
				t.Fatal(err)
			}
			below, err := s.evaluate(target, down, 0, samples)
			if err != nil {
				t.Fatal(err)
			}
			if got := (above.energy - below.energy) / (2 * step); math.Abs(got-gradient[i]) > 2e-4 {
				t.Errorf("dE/dh_%d is %.5f, by the masses %.5f", i, got, gradient[i])
			}
		}
	})
	t.Run("steps_reach_the_floor", func(t *testing.T) {
		off := append([]float64(nil), h...)
		off[1] += 0.03
		off[3] -= 0.04
		n := &newton{newtonState: newtonState{worth: 100, error: 0.05}}
		for range 12 {
			if err := n.step(s, target, off); err != nil {
				t.Fatal(err)
			}
		}
		stored := make([]float32, len(y))
		target.stored(stored, off)
		if e := offBy(stored, h, nu); e > 0.02 {
			t.Errorf("heights are %.4f off after 12 steps (%+v)", e, n.newtonState)
		}
	})
}

func TestCoarse(t *testing.T) {
	p := clusters(400, 6, 4, 6, 3)
	target := newTarget(p, threads.Alone)
	s := newSampler(newNaive(p, 2), target, 1)
	chi := func(h []float64) float64 {
		at, err := s.evaluate(target, h, 1<<40, 20_000)
		if err != nil {
			t.Fatal(err)
		}
		_, plain := target.gradient(at)
		return plain - 400./20_000
	}
	h := target.start()
	before := chi(h)
	if _, err := s.coarse(target, h); err != nil {
		t.Fatal(err)
	}
	after := chi(h)
	if before < 3 || after > before/3 {
		t.Errorf("chi-squared %.3f before, %.3f after", before, after)
	}
	t.Run("equal_points_and_a_tiny_cluster", func(t *testing.T) {
		random := rand.New(rand.NewPCG(4, 4))
		y := make([]float32, 0, 3*100)
		for i := range 100 { // the features of radius and cluster coincide on a sphere
			v := []float64{random.NormFloat64(), random.NormFloat64(), random.NormFloat64()}
			normalise(v)
			far := float32(0)
			if i == 99 {
				far = 50
			}
			y = append(y, float32(v[0])+far, float32(v[1]), float32(v[2]))
		}
		p := Problem{Points: y, Dim: 3}
		target := newTarget(p, threads.Alone)
		h := target.start()
		if _, err := newSampler(newNaive(p, 2), target, 1).coarse(target, h); err != nil {
			t.Fatal(err)
		}
		for i, v := range h {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				t.Fatalf("height %d is %v", i, v)
			}
		}
	})
}

// A lifted cell's height is that at which it has half its mass: on the line, with one cell lowered
// out of sight, the two boundaries that it must have are known.
func TestLift(t *testing.T) {
	y := []float32{-1, 0, 1}
	nu := []float64{0.3, 0.4, 0.3}
	p := Problem{Points: y, Dim: 1, Masses: nu}
	target := newTarget(p, threads.Alone)
	s := newSampler(newNaive(p, 2), target, 0)
	h := []float64{0, -5, 0}
	lifted, err := s.lift(target, h, []int{1}, planMost)
	if err != nil {
		t.Fatal(err)
	}
	// Its cell is |x| < b where P(|x| < b) = 0.2, and there 0*x + h = 1*b + 0.
	b := distuv.UnitNormal.Quantile(0.6)
	if got := lifted[0] + target.meanHeight(h); math.Abs(got-b) > 0.02 {
		t.Errorf("lifted to %.4f, want %.4f", got, b)
	}
}
