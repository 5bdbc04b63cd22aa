package fit

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gonum.org/v1/gonum/stat/distuv"

	"brenier/engine/internal/threads"
)

// wasserstein is W2^2 between N(0,1) and masses nu at ascending y, whose cells are intervals: the
// integral of x over one of them is the difference of the density at its ends.
func wasserstein(y []float32, nu []float64) float64 {
	sum, before, w := 0.0, 0.0, 1.0
	for i, v := range y {
		sum += nu[i]
		after := 0.0
		if i < len(y)-1 {
			after = distuv.UnitNormal.Prob(distuv.UnitNormal.Quantile(sum))
		}
		w += float64(v)*float64(v)*nu[i] - 2*float64(v)*(before-after)
		before = after
	}
	return w
}

func TestCertificate(t *testing.T) {
	y := []float32{-3, -1, -0.5, 0, 0.25, 2, 5}
	nu := []float64{0.05, 0.3, 0.1, 0.2, 0.15, 0.19, 0.01}
	p := Problem{Points: y, Dim: 1, Masses: nu}
	want := wasserstein(y, nu)
	certify := func(t *testing.T, p Problem, h []float64) Report {
		t.Helper()
		stored := make([]float32, len(h))
		newTarget(p, threads.Alone).stored(stored, h)
		r, err := Certify(p, stored, newNaive(p, 2), Options{Tolerance: 1e-3})
		if err != nil {
			t.Fatal(err)
		}
		return r.Report
	}
	exact := onTheLine(y, nu, distuv.UnitNormal.Quantile)
	t.Run("exact_heights", func(t *testing.T) {
		r := certify(t, p, exact)
		if !r.Met || math.Abs(r.ChiSquared) > 4*r.ChiSquaredError || r.Empty != 0 || r.EmptyMass != 0 || r.Samples != 0 {
			t.Errorf("report %+v", r)
		}
		if math.Abs(r.W2Lower-want) > 4*r.W2LowerError || math.Abs(r.W2Upper-want) > 4*r.W2UpperError+0.01 {
			t.Errorf("W2^2 is %.5f, bounds %.5f +- %.5f and %.5f +- %.5f", want, r.W2Lower, r.W2LowerError, r.W2Upper, r.W2UpperError)
		}
		if r.W2LowerError > 0.02*want {
			t.Errorf("W2^2 is %.5f, its lower bound's error %.5f", want, r.W2LowerError)
		}
		if r.LargestErrorCertain != 0 || r.LargestError > 3*r.LargestErrorFloor || r.TotalVariation > 3*r.TotalVariationFloor {
			t.Errorf("errors of exact masses: %+v", r)
		}
	})
	t.Run("heights_that_are_off", func(t *testing.T) {
		off := append([]float64(nil), exact...)
		off[3] += 0.1
		r := certify(t, p, off)
		if r.Met || r.W2Lower > want || r.W2Upper < want-4*r.W2UpperError || r.LargestErrorCertain < 0.05 {
			t.Errorf("W2^2 is %.5f, report %+v", want, r)
		}
	})
	t.Run("a_shift_adds_its_square_to_the_distance", func(t *testing.T) {
		moved := p
		moved.Points = nil
		for _, v := range y {
			moved.Points = append(moved.Points, v+64)
		}
		centred := moved
		centred.Centre()
		if centred.Shift == nil || moved.Points[0] != y[0]+64 {
			t.Fatal("points far from the origin are not centred, or the caller's are")
		}
		mean := 0.0
		for i, v := range y {
			mean += nu[i] * float64(v)
		}
		want := want + 64*64 + 2*64*mean
		for name, p := range map[string]Problem{"as_they_are": moved, "centred": centred} {
			r := certify(t, p, exact)
			if math.Abs(r.W2Lower-want) > 4*r.W2LowerError || r.W2LowerError > 0.1 {
				t.Errorf("%s: W2^2 is %.4f, lower bound %.4f +- %.4f", name, want, r.W2Lower, r.W2LowerError)
			}
		}
	})
}

// TestEmptyMass draws from masses of which many are tiny, and holds the true mass of the missed
// cells against its bound.
func TestEmptyMass(t *testing.T) {
	const n, samples, trials = 400, 800, 300
	random := rand.New(rand.NewPCG(9, 9))
	mass := make([]float64, n)
	sum := 0.0
	for i := range mass {
		mass[i] = math.Exp(3 * random.NormFloat64())
		sum += mass[i]
	}
	for i := range mass {
		mass[i] /= sum
	}
	draw := distuv.NewCategorical(mass, rand.NewPCG(1, 2))
	failed, looseness := 0, 0.0
	for range trials {
		tally := newTally(bareTarget(equalMasses(n)))
		tally.target.cells = n
		cells := make([]int64, samples)
		for i := range cells {
			cells[i] = int64(draw.Rand())
		}
		tally.add(cells)
		missed := 0.0
		for i, m := range mass {
			if tally.counts[i] == 0 {
				missed += m
			}
		}
		bound := tally.emptyMass(0.05)
		if missed > bound {
			failed++
		}
		looseness += bound / missed / trials
	}
	if failed > 0.05*trials {
		t.Errorf("the bound failed %d times of %d", failed, trials)
	}
	if looseness > 40 {
		t.Errorf("the bound is %.1f times the mass", looseness)
	}
}

func TestCertificateIsGivenUp(t *testing.T) {
	p := mixture(200, 8)
	r := newRun(p, newNaive(p, 2), Options{Tolerance: 1e-2, Seed: 1})
	if err := r.begin(); err != nil {
		t.Fatal(err)
	}
	off := make([]float32, 200) // heights of 0 leave most cells far from their mass
	before := r.sampler.next[testStream]
	result, err := r.certify(off, true)
	if err != nil || result != nil {
		t.Fatalf("want it given up, got %+v, %v", result, err)
	}
	if used := r.sampler.next[testStream] - before; used > r.certificateSamples()/2 {
		t.Errorf("it took %d samples, of %d for a whole certificate", used, r.certificateSamples())
	}
	result, err = r.certify(off, false)
	if err != nil || result == nil || result.Report.Met {
		t.Fatalf("want a certificate that is not met where the search may not go on, got %+v, %v", result, err)
	}
}

func TestLightCellsForget(t *testing.T) {
	p := mixture(200, 8)
	target := newTarget(p, threads.Alone)
	s := newDescent(target, target.start(), 0, 1000)
	counts := make([]int32, target.n)
	for i := range counts {
		counts[i] = 5
	}
	counts[0] = 0 // empty for the first half of the steps
	for step := range 40 {
		if step == 20 {
			counts[0] = 5
		}
		s.step(counts, 1)
	}
	first, late := wide(s.candidates()[0]), s.Averages[1]
	relative := func(h []float64, i int) float64 { return h[i] - target.meanHeight(h) }
	kept := s.Averages[0]
	if got, want := relative(first, 1), relative(kept, 1); math.Abs(got-want) > 0.01*math.Abs(want) {
		t.Errorf("a cell with its share: want the height of the first average, %v, got %v", want, got)
	}
	got, forgets, keeps := relative(first, 0), relative(late, 0), relative(kept, 0)
	if forgets <= keeps || math.Abs(got-forgets) > 0.1*(forgets-keeps) {
		t.Errorf("a cell that was empty: want the height of the average that forgets, %v (the other: %v), got %v", forgets, keeps, got)
	}
}

// uneven is a device whose cells have given masses, whatever the heights.
type uneven []float64 // running totals

func (u uneven) SetHeights([]float32) error { return nil }

func (u uneven) Draw(n int, seed, first uint64, k int, cells []int64, scores []float64, x []float32) error {
	clear(scores)
	for b := range n {
		at := rand.New(rand.NewPCG(seed, first+uint64(b))).Float64() * u[len(u)-1]
		cell, _ := slices.BinarySearch(u, at)
		for j := range k {
			cells[b*k+j] = int64(min(cell+j, len(u)-1))
		}
	}
	return nil
}

// Where 32 samples a cell miss one of few that have a tenth of their mass, which chance may do, a certificate is not
// content with that: twice as many mostly hit it.
func TestCertificate_looks_longer(t *testing.T) {
	const n, light = 4096, 8
	var masses uneven
	sum := 0.0
	for i := range n {
		switch {
		case i < light:
			sum += 0.1
		case i%2 == 0:
			sum += 1.5
		default:
			sum += 0.5
		}
		masses = append(masses, sum)
	}
	p := Problem{Points: randomPoints(n, 3), Dim: 3}
	missed, mended := 0, 0
	for seed := range uint64(8) {
		r := newRun(p, masses, Options{Tolerance: 0.4, Seed: seed})
		usual := r.certificateSamples()
		result, err := r.certify(make([]float32, n), false)
		if err != nil {
			t.Fatal(err)
		}
		of := result.Report
		if of.Empty > 0 && of.TestSamples == usual {
			t.Errorf("seed %d: %d cells are empty, met %v, and it has looked at %d samples only", seed, of.Empty, of.Met, usual)
		}
		if of.TestSamples > usual {
			missed++
			if of.Empty == 0 && of.Met {
				mended++
			}
		}
		if of.TestSamples != usual && of.TestSamples != 2*usual {
			t.Errorf("seed %d: %d samples, want %d or twice that", seed, of.TestSamples, usual)
		}
	}
	if missed == 0 || missed == 8 || mended == 0 {
		t.Errorf("of 8 certificates %d looked again, and %d then missed none: nothing is shown", missed, mended)
	}
}

// A third of the samples is enough to give up heights that leave too many cells empty to be mended; where they can be,
// all are drawn, for they tell which cells are light.
func TestCertificate_third(t *testing.T) {
	const n = 4096
	for _, c := range []struct {
		empty int
		whole bool
	}{{empty: 8, whole: true}, {empty: 200}} {
		var masses uneven
		for i := range n {
			masses = append(masses, float64(max(0, i+1-c.empty)))
		}
		r := newRun(Problem{Points: randomPoints(n, 3), Dim: 3}, masses, Options{Tolerance: 0.4, Seed: 1})
		usual := r.certificateSamples()
		result, err := r.certify(make([]float32, n), true)
		if err != nil || result != nil {
			t.Fatalf("%d empty cells: want it to fail, got %+v, %v", c.empty, result, err)
		}
		if got := r.certified.samples; (got >= usual) != c.whole || (got < usual/2) == c.whole {
			t.Errorf("%d empty cells: %d samples were drawn, usually %d", c.empty, got, usual)
		}
	}
}
