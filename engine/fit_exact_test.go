package engine

import (
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

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
}

func exactReportOf(t *testing.T, m *Model) exactReport {
	t.Helper()
	var all struct{ Fit exactReport }
	if err := json.Unmarshal([]byte(m.Info().Metadata), &all); err != nil {
		t.Fatal(err)
	}
	return all.Fit
}

// The exact fit has the masses that are wanted, and the sampled one, measured by the exact integrals,
// has the masses that its own certificate says.
func TestFit_exact_and_sampled(t *testing.T) {
	const n = 256
	e, err := New(Config{Device: "cpu"})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	for name, points := range planeTargets(n) {
		for source, kind := range map[string]backend.Source{"gaussian": backend.Gaussian, "uniform": backend.Uniform} {
			t.Run(name+"/"+source, func(t *testing.T) {
				m, err := e.Fit(points, 2, nil, FitOptions{Source: source, Seed: 1})
				if err != nil {
					t.Fatal(err)
				}
				defer m.Close()
				r := exactReportOf(t, m)
				if r.Method != "exact" || !r.Met || r.Samples != 0 || r.Wide > 1e-10 || r.MassError > 1e-5 {
					t.Errorf("report %+v", r)
				}
				if math.Abs(r.Chi2-r.Chi2Exact) > 5*r.Chi2Error {
					t.Errorf("sampled certificate %v +- %v of chi-squared %v", r.Chi2, r.Chi2Error, r.Chi2Exact)
				}

				sampled, err := e.Fit(points, 2, nil, FitOptions{Source: source, Seed: 1, Method: FitSampled, Tolerance: 0.02, SamplesMax: 300_000})
				if err != nil {
					t.Fatal(err)
				}
				defer sampled.Close()
				s := exactReportOf(t, sampled)
				measured, err := exact.Measure(exact.Problem{Points: widen(points), Dim: 2, Source: kind}, widen(sampled.Tensor("ot.heights")))
				if err != nil {
					t.Fatal(err)
				}
				if math.Abs(s.Chi2-measured.ChiSquared) > 5*s.Chi2Error {
					t.Errorf("the sampled fit says chi-squared %v +- %v; integrated it is %v", s.Chi2, s.Chi2Error, measured.ChiSquared)
				}
			})
		}
	}
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
		d      int
		want   string
	}{{FitExact, 3, "the points have 3"}, {"newton", 1, `got "newton"`}} {
		if _, err := e.Fit(points, c.d, nil, FitOptions{Method: c.method}); !errors.Is(err, ErrInvalidArgument) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got %v", c, err)
		}
	}
	stop := func(FitProgress) bool { return false }
	if _, err := e.Fit(planeTargets(50)["swiss roll"], 2, nil, FitOptions{Progress: stop}); !errors.Is(err, ErrCancelled) {
		t.Errorf("stopped: got %v", err)
	}
}
