package fit

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"gonum.org/v1/gonum/stat/distuv"

	"brenier/engine/internal/threads"
)

func solve(t *testing.T, p Problem, o Options) *Result {
	t.Helper()
	result, err := Solve(p, newNaive(p, 2), o)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func equalMasses(n int) []float64 {
	nu := make([]float64, n)
	for i := range nu {
		nu[i] = 1 / float64(n)
	}
	return nu
}

// offBy is the distance between heights and closed-form ones, whose mean by mass is taken off.
func offBy(h []float32, want, nu []float64) float64 {
	mean := 0.0
	for i, v := range want {
		mean += nu[i] * v
	}
	sum := 0.0
	for i, v := range h {
		e := float64(v) - (want[i] - mean)
		sum += e * e
	}
	return math.Sqrt(sum)
}

// onTheLine is the closed form in one dimension. The cells are intervals, in the points' order, and
// the boundary b_j between j and j+1 is where the source's distribution function is nu_0 + ... +
// nu_j; equal scores there give h_{j+1} - h_j = -(y_{j+1} - y_j) b_j.
func onTheLine(y []float32, nu []float64, quantile func(float64) float64) []float64 {
	h := make([]float64, len(y))
	sum := 0.0
	for j := range len(y) - 1 {
		sum += nu[j]
		h[j+1] = h[j] - float64(y[j+1]-y[j])*quantile(sum)
	}
	return h
}

func randomPoints(n, d int) []float32 {
	random := rand.New(rand.NewPCG(1, 2))
	y := make([]float32, n*d)
	for i := range y {
		y[i] = float32(random.NormFloat64())
	}
	return y
}

func TestHeights(t *testing.T) {
	check := func(t *testing.T, r *Result, want, nu []float64, allowed float64) {
		t.Helper()
		if e := offBy(r.Heights, want, nu); e > allowed || !r.Report.Met {
			t.Errorf("heights are %.4f off the closed form, allowed %.4f; report %+v", e, allowed, r.Report)
		}
	}
	t.Run("line_uniform_source", func(t *testing.T) {
		y := []float32{.1, .2, .3, .4, .5, .6, .7, .8, .9, 1}
		r := solve(t, Problem{Points: y, Dim: 1, Uniform: true}, Options{Tolerance: 1e-3})
		check(t, r, onTheLine(y, equalMasses(10), func(p float64) float64 { return p - 0.5 }), equalMasses(10), 0.002)
	})
	t.Run("line_gaussian_source_unequal_masses", func(t *testing.T) {
		y := []float32{-3, -1, -0.5, 0, 0.25, 2, 5}
		nu := []float64{0.05, 0.3, 0.1, 0.2, 0.15, 0.19, 0.01}
		r := solve(t, Problem{Points: y, Dim: 1, Masses: nu}, Options{Tolerance: 2e-4})
		check(t, r, onTheLine(y, nu, distuv.UnitNormal.Quantile), nu, 0.05)
	})
	// The next two are the closed forms of the semi-discrete tests of Python Optimal Transport, for
	// the cost |x-y|^2/2 on [0,1]^3. With our source on [-1/2,1/2]^3, h = g - |y|^2/2 + <1/2,y>.
	t.Run("atoms_on_the_cube's_axis", func(t *testing.T) {
		var y []float32
		want := make([]float64, 10)
		for k := range want {
			a := (float64(k) + 0.5) / 10
			y = append(y, float32(a), 0.5, 0.5)
			want[k] = -a*a/2 + a/2
		}
		r := solve(t, Problem{Points: y, Dim: 3, Uniform: true}, Options{Tolerance: 1e-3})
		check(t, r, want, equalMasses(10), 0.005)
	})
	t.Run("four_atoms_in_the_cube", func(t *testing.T) {
		y := []float32{
			.54488318, .4236548, .64589411,
			.77815675, .87001215, .97861834,
			.11827443, .63992102, .14335329,
			.94466892, .52184832, .41466194,
		}
		nu := []float64{.3806643, .012264, .5503486, .0567231}
		want := []float64{.77423369, .61209572, .94374808, .6818203}
		for i := range want {
			for _, v := range y[3*i : 3*i+3] {
				want[i] += float64(v)/2 - float64(v)*float64(v)/2
			}
		}
		r := solve(t, Problem{Points: y, Dim: 3, Masses: nu, Uniform: true}, Options{Tolerance: 1e-3})
		check(t, r, want, nu, 0.05) // their weights are themselves a Monte-Carlo estimate
	})
	t.Run("plane_of_clusters", func(t *testing.T) {
		random := rand.New(rand.NewPCG(1, 2))
		y := make([]float32, 2*128)
		for i := range y {
			y[i] = float32(random.IntN(5)) + 0.1*float32(random.NormFloat64())
		}
		r := solve(t, Problem{Points: y, Dim: 2}, Options{Tolerance: 2e-2})
		if !r.Report.Met || r.Report.Empty != 0 {
			t.Errorf("report %+v", r.Report)
		}
	})
}

func TestPlantedHeights(t *testing.T) {
	// The masses of known heights, counted over many samples, must give those heights back.
	for _, d := range []int{2, 10, 50} {
		t.Run(fmt.Sprintf("d=%d", d), func(t *testing.T) {
			const n = 16
			y := randomPoints(n, d)
			for i := range n { // on the sphere, where equal heights leave no cell empty
				if d == 2 { // random points on a circle lie too near one another
					sin, cos := math.Sincos(2 * math.Pi * float64(i) / n)
					y[2*i], y[2*i+1] = float32(cos), float32(sin)
				}
				norm := 0.0
				for _, v := range y[i*d : (i+1)*d] {
					norm += float64(v) * float64(v)
				}
				for k := range d {
					y[i*d+k] /= float32(math.Sqrt(norm))
				}
			}
			want := make([]float64, n)
			h := make([]float32, n)
			for i := range h {
				h[i] = float32(0.01 * math.Sin(float64(3*i)))
				want[i] = float64(h[i])
			}
			p := Problem{Points: y, Dim: d}
			device := newNaive(p, 2)
			if err := device.SetHeights(h); err != nil {
				t.Fatal(err)
			}
			const batches = 300
			p.Masses = make([]float64, n)
			cells := make([]int64, leastBatch)
			for b := range batches {
				if err := device.Draw(leastBatch, 99, uint64(b)*leastBatch, 1, cells, nil, nil); err != nil {
					t.Fatal(err)
				}
				for _, c := range cells {
					p.Masses[c] += 1. / (batches * leastBatch)
				}
			}
			for i, nu := range p.Masses {
				if nu == 0 {
					t.Fatalf("cell %d of the known heights is empty; choose others", i)
				}
			}
			r := solve(t, p, Options{Tolerance: 1e-3, Seed: 5})
			if !r.Report.Met {
				t.Errorf("report %+v", r.Report)
			}
			if e := offBy(r.Heights, want, p.Masses); e > 0.02*math.Sqrt(n) {
				t.Errorf("heights are %.4f off", e)
			}
		})
	}
}

func TestUnequalMasses(t *testing.T) {
	p := zipf(Problem{Points: randomPoints(150, 6), Dim: 6})
	r := solve(t, p, Options{Tolerance: 1e-2})
	if !r.Report.Met || r.Report.Empty != 0 {
		t.Errorf("report %+v", r.Report)
	}
	fresh := newTally(newTarget(p, threads.Alone))
	s := newSampler(newNaive(p, 2), fresh.target, 4321)
	if err := s.device.SetHeights(r.Heights); err != nil {
		t.Fatal(err)
	}
	if err := s.test(fresh, 100_000); err != nil {
		t.Fatal(err)
	}
	for i, nu := range p.Masses {
		got, sd := float64(fresh.counts[i])/100_000, math.Sqrt(nu/100_000)
		if math.Abs(got-nu) > 0.45*nu+5*sd {
			t.Errorf("cell %d has mass %.5f, wanted %.5f", i, got, nu)
		}
	}
}

func TestInvariance(t *testing.T) {
	y := randomPoints(30, 3)
	quick := Options{Tolerance: 1e-9, SamplesMax: 64 * leastBatch}
	base := solve(t, Problem{Points: y, Dim: 3}, quick)
	t.Run("points_times_4_give_heights_times_4", func(t *testing.T) {
		scaled := slices.Clone(y)
		for i := range scaled {
			scaled[i] *= 4
		}
		got := solve(t, Problem{Points: scaled, Dim: 3}, quick)
		for i, h := range got.Heights {
			if h != 4*base.Heights[i] {
				t.Fatalf("height %d is %v, want %v", i, h, 4*base.Heights[i])
			}
		}
	})
	t.Run("a_shift_changes_no_height", func(t *testing.T) {
		grid, shifted := slices.Clone(y), slices.Clone(y)
		for i := range grid {
			grid[i] = float32(math.Round(float64(y[i])*64) / 64) // so that the shift is exact
			shifted[i] = grid[i] + 8
		}
		a := solve(t, Problem{Points: grid, Dim: 3}, quick)
		b := solve(t, Problem{Points: shifted, Dim: 3}, quick)
		for i, h := range a.Heights {
			if math.Abs(float64(h-b.Heights[i])) > 1e-4 {
				t.Errorf("height %d is %v, shifted %v", i, h, b.Heights[i])
			}
		}
	})
	t.Run("a_device_that_counts_changes_no_bit", func(t *testing.T) {
		p := Problem{Points: randomPoints(40, 3), Dim: 3}
		copy(p.Points[30*3:], p.Points[:3*3]) // duplicates
		want := solve(t, p, Options{Tolerance: 1e-2})
		device := &counting{naive: newNaive(p, 2)}
		got, err := Solve(p, device, Options{Tolerance: 1e-2})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got.Heights, want.Heights) || got.Report.Samples != want.Report.Samples || device.taken == 0 {
			t.Errorf("counts were taken %d times; other heights than of draws that are counted here", device.taken)
		}
	})
	t.Run("threads_change_no_bit", func(t *testing.T) {
		p := Problem{Points: y, Dim: 3}
		got, err := Solve(p, newNaive(p, 5), quick)
		if err != nil {
			t.Fatal(err)
		}
		got.Report.Seconds = base.Report.Seconds
		if !slices.Equal(got.Heights, base.Heights) || !slices.Equal(got.Centroids, base.Centroids) ||
			!slices.Equal(got.Cosines, base.Cosines) || got.Report != base.Report {
			t.Error("five threads and two differ")
		}
	})
	t.Run("seeds_differ", func(t *testing.T) {
		other := quick
		other.Seed = 1
		got := solve(t, Problem{Points: y, Dim: 3}, other)
		if slices.Equal(got.Heights, base.Heights) {
			t.Error("seeds 0 and 1 give the same heights")
		}
	})
}

func TestDegenerate(t *testing.T) {
	t.Run("one_point", func(t *testing.T) {
		r := solve(t, Problem{Points: []float32{3, 4}, Dim: 2}, Options{Tolerance: 1e-2})
		if r.Heights[0] != 0 || !r.Report.Met || r.Report.ChiSquared != 0 || r.Report.Samples != 0 || r.Cosines != nil {
			t.Errorf("heights %v, cosines %v, report %+v", r.Heights, r.Cosines, r.Report)
		}
		for _, v := range r.Centroids {
			if math.Abs(float64(v)) > 0.02 { // 65,536 samples: 5 standard errors
				t.Errorf("the only cell's centre is at %v, want the origin", r.Centroids)
			}
		}
	})
	t.Run("two_points", func(t *testing.T) {
		// The boundary is where P(x < b) = 1/4, and 2 b + h_1 - h_0 = 0 there.
		r := solve(t, Problem{Points: []float32{-1, 1}, Dim: 1, Masses: []float64{0.25, 0.75}}, Options{Tolerance: 1e-4})
		want := -2 * distuv.UnitNormal.Quantile(0.25)
		if got := float64(r.Heights[1] - r.Heights[0]); !r.Report.Met || math.Abs(got-want) > 0.03 {
			t.Errorf("heights differ by %.4f, want %.4f; report %+v", got, want, r.Report)
		}
	})
	t.Run("a_duplicate_leaves_its_mass_to_the_first", func(t *testing.T) {
		zero := float32(math.Copysign(0, -1))
		y := []float32{-1, 0, 2, 1, 0, 3, -1, zero, 0, -2}
		r := solve(t, Problem{Points: y, Dim: 2}, Options{Tolerance: 1e-3})
		if r.Report.Duplicates != 1 || r.Report.Empty != 0 || !r.Report.Met {
			t.Errorf("report %+v", r.Report)
		}
		if r.Heights[3] != r.Heights[0] || r.Centroids[6] != r.Centroids[0] || r.Centroids[7] != r.Centroids[1] {
			t.Error("the duplicate's height or centre is not its owner's")
		}
	})
	t.Run("equal_points_only", func(t *testing.T) {
		r := solve(t, Problem{Points: []float32{1, 1, 1}, Dim: 1}, Options{Tolerance: 1e-2})
		if r.Report.Duplicates != 2 || !r.Report.Met || r.Report.Samples != 0 {
			t.Errorf("report %+v", r.Report)
		}
	})
	t.Run("a_point_at_the_mean", func(t *testing.T) {
		y := []float32{1, 0, -1, 0, 0, 1, 0, -1, 0, 0}
		r := solve(t, Problem{Points: y, Dim: 2}, Options{Tolerance: 1e-3})
		if !r.Report.Met {
			t.Errorf("report %+v", r.Report)
		}
	})
	t.Run("too_few_samples_is_said", func(t *testing.T) {
		random := rand.New(rand.NewPCG(3, 4))
		y := make([]float32, 2*200)
		for i := range y { // clusters so far apart and so tight that cells stay empty
			y[i] = 10*float32(random.IntN(3)) + 0.001*float32(random.NormFloat64())
		}
		r := solve(t, Problem{Points: y, Dim: 2}, Options{Tolerance: 1e-2, SamplesMax: 4 * leastBatch})
		if r.Report.Met || r.Report.Samples < 4*leastBatch || r.Report.Empty == 0 || r.Report.Empty != r.Report.CentroidFallbacks {
			t.Errorf("report %+v", r.Report)
		}
		for i, v := range r.Centroids {
			if math.IsNaN(float64(v)) || math.Abs(float64(v)) > 6 {
				t.Fatalf("centroid %d is %v", i/2, v)
			}
		}
	})
}

func TestProgress(t *testing.T) {
	p := Problem{Points: randomPoints(50, 3), Dim: 3}
	clock := time.Unix(0, 0)
	var seen []Progress
	_, err := Solve(p, newNaive(p, 2), Options{
		Tolerance: 1e-9,
		Now:       func() time.Time { clock = clock.Add(100 * time.Millisecond); return clock },
		Progress:  func(p Progress) bool { seen = append(seen, p); return len(seen) < 40 },
	})
	if !errors.As(err, new(Stopped)) {
		t.Fatalf("error %v, want Stopped", err)
	}
	if len(seen) != 40 {
		t.Fatalf("%d calls after the one that said no", len(seen)-40)
	}
	for i := 1; i < len(seen); i++ {
		if seen[i].Samples < seen[i-1].Samples || seen[i].Seconds < seen[i-1].Seconds+0.25 {
			t.Errorf("call %d: %+v after %+v", i, seen[i], seen[i-1])
		}
	}
	if first, last := seen[0], seen[39]; !math.IsNaN(first.ChiSquared) || first.Empty != -1 || !math.IsNaN(first.Energy) || math.IsNaN(last.SecondsLeft) || math.IsNaN(last.ChiSquared) || last.SamplesMax == 0 {
		t.Errorf("first %+v, last %+v", first, last)
	}
}

// The certificate takes a good part of a fit, and its progress is told like that of the search.
func TestProgress_of_the_certificate(t *testing.T) {
	p := Problem{Points: randomPoints(50, 3), Dim: 3}
	for _, measured := range []bool{false, true} {
		clock := time.Unix(0, 0)
		var seen []Progress
		o := Options{
			Tolerance: 1e-2,
			Now:       func() time.Time { clock = clock.Add(100 * time.Millisecond); return clock },
			Progress:  func(p Progress) bool { seen = append(seen, p); return true },
		}
		var r *Result
		var err error
		if measured {
			r, err = Certify(p, make([]float32, 50), newNaive(p, 2), o)
		} else {
			r, err = Solve(p, newNaive(p, 2), o)
		}
		if err != nil {
			t.Fatal(err)
		}
		var proof []Progress
		for _, p := range seen {
			if p.ToTest > 0 {
				proof = append(proof, p)
			} else if p.Tested != 0 {
				t.Errorf("tested %d of none", p.Tested)
			}
		}
		if len(proof) < 3 {
			t.Fatalf("measured %v: %d calls in the certificate", measured, len(proof))
		}
		last := proof[len(proof)-1]
		if last.Tested != r.Report.TestSamples || last.ToTest > last.Tested || last.SecondsLeft != 0 {
			t.Errorf("measured %v: last %+v of %d samples", measured, last, r.Report.TestSamples)
		}
		for i, now := range proof[1:] {
			before := proof[i]
			if now.Tested < before.Tested || now.ToTest == before.ToTest && now.SecondsLeft > before.SecondsLeft+1 {
				t.Errorf("measured %v: %+v after %+v", measured, now, before)
			}
		}
	}
}

// broken fails after a number of draws.
type broken struct {
	*naive
	left int
}

func (v *broken) Draw(n int, seed, first uint64, k int, cells []int64, scores []float64, x []float32) error {
	if v.left--; v.left < 0 {
		return errBroken
	}
	return v.naive.Draw(n, seed, first, k, cells, scores, x)
}

var errBroken = errors.New("broken")

func TestDeviceErrors(t *testing.T) {
	p := Problem{Points: randomPoints(20, 2), Dim: 2}
	o := Options{Tolerance: 1e-2, SamplesMax: 32 * leastBatch}
	count := &broken{naive: newNaive(p, 1), left: math.MaxInt}
	if _, err := Solve(p, count, o); err != nil {
		t.Fatal(err)
	}
	for draws := 0; draws < math.MaxInt-count.left; draws += 7 {
		if _, err := Solve(p, &broken{naive: newNaive(p, 1), left: draws}, o); !errors.Is(err, errBroken) {
			t.Fatalf("a device that fails after %d draws: error %v", draws, err)
		}
	}
}
