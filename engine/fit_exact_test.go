package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/exact"
)

// planeTargets are point sets in the plane that samplers are usually shown on.
func planeTargets(n int) map[string][]float32 {
	random := rand.New(rand.NewPCG(4, 5))
	near := func(centres [][2]float64, spread float64) []float32 {
		points := make([]float32, 0, 2*n)
		for i := range n {
			c := centres[i%len(centres)]
			points = append(points, float32(c[0]+spread*random.NormFloat64()), float32(c[1]+spread*random.NormFloat64()))
		}
		return points
	}
	var eight, grid [][2]float64
	for i := range 8 {
		sin, cos := math.Sincos(float64(i) * math.Pi / 4)
		eight = append(eight, [2]float64{2 * cos, 2 * sin})
	}
	for i := range 25 {
		grid = append(grid, [2]float64{float64(i%5) - 2, float64(i/5) - 2})
	}
	roll := make([]float32, 0, 2*n)
	for range n {
		t := 1.5 * math.Pi * (1 + 2*random.Float64())
		sin, cos := math.Sincos(t)
		roll = append(roll, float32(t*cos/5+0.05*random.NormFloat64()), float32(t*sin/5+0.05*random.NormFloat64()))
	}
	return map[string][]float32{"eight gaussians": near(eight, 0.1), "25 gaussians": near(grid, 0.05), "swiss roll": roll}
}

// exactReport is what the tests read of a report.
type exactReport struct {
	Method    string
	Met       bool
	Empty     int
	Samples   uint64
	Chi2      float64
	Chi2Error float64 `json:"chi2_error"`
	MassError float64 `json:"mass_error"`
	Wide      float64 `json:"mass_error_wide"`
	Chi2Exact float64 `json:"chi2_exact"`

	Energy       float64
	EnergyError  float64 `json:"energy_error"`
	W2Lower      float64 `json:"w2_lower"`
	W2LowerError float64 `json:"w2_lower_error"`
	W2Upper      float64 `json:"w2_upper"`
	W2UpperError float64 `json:"w2_upper_error"`
}

func exactReportOf(t *testing.T, m *Model) exactReport {
	t.Helper()
	var all struct{ Fit exactReport }
	if err := json.Unmarshal([]byte(m.Info().Metadata), &all); err != nil {
		t.Fatal(err)
	}
	return all.Fit
}

// The exact fit has the masses that are wanted, and the sampled one keeps what its certificate says of
// it, against the integrals. With h the sampled heights, h* the exact ones, e = h - h* and m the masses
// of h, all integrated:
//
//   - Chi-squared, the energy E(h) and the dual value E|x|^2 + sum_i nu_i |y_i|^2 - 2 E(h) lie in the
//     intervals about chi2, energy and w2_lower; the true W2^2 = that value at h* lies below w2_upper's.
//
//   - The energy that is left: 0 <= E(h) - E(h*) <= (w2_upper - w2_lower)/2, within the errors of both.
//
//   - The heights themselves. The Hessian H of E has m - nu = H' e for its average H' along the segment
//     from h* to h, so that <e, H' e> = <e, m - nu> <= |e| sqrt(chi2) with |e|^2 = sum_i nu_i e_i^2, by
//     Cauchy and Schwarz. Let gap(H) be the least value of <v, H v>/|v|^2 over v with sum_i nu_i v_i = 0,
//     the second smallest eigenvalue of diag(nu)^(-1/2) H diag(nu)^(-1/2). It is concave in H, so that
//     gap(H') is at least the average gap along the segment, and
//
//     |h - h*| <= sqrt(chi2) / (average gap)
//
// which is the interval that a certificate of chi-squared gives for heights (derived here).
func TestFit_exact_and_sampled(t *testing.T) {
	const errors = 4 // standard errors that an interval reaches to either side
	e, err := New(Config{Device: "cpu"})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	for _, c := range []struct {
		source string
		kind   backend.Source
		n      int
	}{{"gaussian", backend.Gaussian, 256}, {"uniform", backend.Uniform, 256}, {"uniform", backend.Uniform, 512}} {
		for name, points := range planeTargets(c.n) {
			if c.n > 256 && name != "swiss roll" {
				continue // eigenvalues of more points take seconds
			}
			t.Run(fmt.Sprintf("%s/%s/N=%d", name, c.source, c.n), func(t *testing.T) {
				m, err := e.Fit(points, 2, nil, FitOptions{Source: c.source, Seed: 1})
				if err != nil {
					t.Fatal(err)
				}
				defer m.Close()
				r := exactReportOf(t, m)
				if r.Method != "exact" || !r.Met || r.Samples != 0 || r.Wide > 1e-10 || r.MassError > 1e-5 {
					t.Errorf("report %+v", r)
				}
				if math.Abs(r.Chi2-r.Chi2Exact) > errors*r.Chi2Error {
					t.Errorf("sampled certificate %v +- %v of chi-squared %v", r.Chi2, r.Chi2Error, r.Chi2Exact)
				}

				fitted, err := e.Fit(points, 2, nil, FitOptions{
					Source: c.source, Seed: 1, Method: FitSampled, Tolerance: 0.01, SamplesMax: uint64(1500 * c.n),
				})
				if err != nil {
					t.Fatal(err)
				}
				defer fitted.Close()
				problem := exact.Problem{Points: widen(points), Dim: 2, Source: c.kind}
				measure := func(h []float64) *exact.Result {
					r, err := exact.Measure(problem, h, nil)
					if err != nil {
						t.Fatal(err)
					}
					return r
				}
				best, err := exact.Solve(problem, exact.Options{})
				if err != nil {
					t.Fatal(err)
				}
				got := measure(widen(fitted.Tensor("ot.heights")))
				s := exactReportOf(t, fitted)
				for _, v := range []struct {
					name               string
					said, sd, integral float64
				}{
					{"chi-squared", s.Chi2, s.Chi2Error, got.ChiSquared},
					{"energy", s.Energy, s.EnergyError, got.Energy},
					{"lower bound of W2^2", s.W2Lower, s.W2LowerError, got.W2Squared},
				} {
					if math.Abs(v.said-v.integral) > errors*v.sd {
						t.Errorf("the sampled fit says %s %v +- %v; integrated it is %v", v.name, v.said, v.sd, v.integral)
					}
				}
				if s.W2Upper+errors*s.W2UpperError < best.W2Squared {
					t.Errorf("upper bound %v +- %v of W2^2 = %v", s.W2Upper, s.W2UpperError, best.W2Squared)
				}
				left := got.Energy - best.Energy
				most := (s.W2Upper - s.W2Lower + errors*(s.W2UpperError+s.W2LowerError)) / 2
				if left < -1e-9 || left > most {
					t.Errorf("the energy is %v above the least, want 0 to %v", left, most)
				}

				off, gap := 0.0, 0.0
				steps := []float64{0, 0.25, 0.5, 0.75, 1}
				between := make([]float64, c.n)
				for k, weight := range []float64{7. / 90, 32. / 90, 12. / 90, 32. / 90, 7. / 90} { // Boole's rule
					for i := range between {
						between[i] = best.Heights[i] + steps[k]*(got.Heights[i]-best.Heights[i])
					}
					gap += weight * spectralGap(measure(between), c.n)
				}
				for i, h := range got.Heights {
					off += (h - best.Heights[i]) * (h - best.Heights[i]) / float64(c.n)
				}
				allowed := math.Sqrt(s.Chi2+errors*s.Chi2Error) / gap
				if math.Sqrt(off) > allowed {
					t.Errorf("heights are %v off, root mean square; chi-squared %v +- %v allows %v", math.Sqrt(off), s.Chi2, s.Chi2Error, allowed)
				}
			})
		}
	}
}

// spectralGap is the least of <v, H v> / sum_i v_i^2/n over v of sum 0, H being the Hessian of the energy.
func spectralGap(r *exact.Result, n int) float64 {
	hessian := mat.NewSymDense(n, nil)
	add := func(i, j int, v float64) { hessian.SetSym(i, j, hessian.At(i, j)+v*float64(n)) }
	for _, edge := range r.Edges {
		add(edge.I, edge.J, -edge.Weight)
		add(edge.I, edge.I, edge.Weight)
		add(edge.J, edge.J, edge.Weight)
	}
	var eigen mat.EigenSym
	if !eigen.Factorize(hessian, false) {
		panic("no eigenvalues")
	}
	return eigen.Values(nil)[1]
}

func TestFit_method(t *testing.T) {
	e, err := New(Config{Device: "cpu"})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	points := []float32{-1, 0.5, 3}
	for method, want := range map[FitMethod]string{FitAuto: "exact", FitExact: "exact", FitSampled: "descent"} {
		m, err := e.Fit(points, 1, nil, FitOptions{Method: method, Tolerance: 0.01})
		if err != nil {
			t.Fatal(err)
		}
		if r := exactReportOf(t, m); !strings.Contains(r.Method, want) || !r.Met {
			t.Errorf("method %q: report %+v", method, r)
		}
		m.Close()
	}
	for _, c := range []struct {
		method FitMethod
		n, d   int
		want   bool
	}{
		{FitAuto, 5_000_000, 1, true}, {FitAuto, 200_000, 2, true}, {FitAuto, 200_001, 2, false}, {FitAuto, 3, 3, false},
		{FitExact, 5_000_000, 2, true}, {FitSampled, 3, 1, false},
	} {
		if got, err := (FitOptions{Method: c.method}).solvesExactly(c.n, c.d); err != nil || got != c.want {
			t.Errorf("method %q, %d points in %d dimensions: exact %v, want %v; error %v", c.method, c.n, c.d, got, c.want, err)
		}
	}
	for _, c := range []struct {
		o    FitOptions
		d    int
		want string
	}{
		{FitOptions{Method: FitExact}, 3, "the points have 3"},
		{FitOptions{Method: "newton"}, 1, `got "newton"`},
		{FitOptions{Method: FitExact, Checkpoint: "state"}, 1, "checkpoint: the exact method keeps no state"},
		{FitOptions{Method: FitExact, SamplesMax: 1000}, 1, "samples_max: the exact method draws no samples"},
	} {
		if _, err := e.Fit(points, c.d, nil, c.o); !errors.Is(err, ErrInvalidArgument) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got %v", c, err)
		}
	}
	state := filepath.Join(t.TempDir(), "state")
	m, err := e.Fit(points, 1, nil, FitOptions{Checkpoint: state, SamplesMax: 1000})
	if err != nil {
		t.Fatal(err)
	}
	if r := exactReportOf(t, m); r.Method != "exact" || r.Samples != 0 {
		t.Errorf("with options that have no use: report %+v", r)
	}
	if _, err := os.Stat(state); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a checkpoint of an exact fit: %v", err)
	}
	m.Close()
	for _, n := range []int{50, 5000} { // without and with a call from within the start
		calls := 0
		stop := func(FitProgress) bool { calls++; return false }
		if _, err := e.Fit(planeTargets(n)["swiss roll"], 2, nil, FitOptions{Progress: stop}); !errors.Is(err, ErrCancelled) || calls != 1 {
			t.Errorf("%d points, stopped: got %v after %d calls", n, err, calls)
		}
	}
}
