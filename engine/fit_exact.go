package engine

import (
	"encoding/json"
	"math"
	"time"

	"brenier/engine/internal/exact"
	"brenier/engine/internal/fault"
	"brenier/engine/internal/fit"
	"brenier/engine/internal/modelfile"
	"brenier/engine/internal/strictjson"
)

// FitMethod is how heights are found. An exact fit draws no samples to find them and keeps no state on
// the way: FitExact refuses Checkpoint and SamplesMax, and where FitAuto comes to the exact method it does
// without them. Its cells are never empty before heights are rounded to float32, as a model holds them, so that
// Rebalance has nothing to do. Rounding moves the border of two points by some 3e-8 of their heights over their
// distance: on the line, where points are near one another, it can take a whole cell (of 2000 normal ones 4); the
// report's mass_error and mass_error_wide are the largest error of a mass after and before.
type FitMethod string

const (
	FitAuto    FitMethod = ""        // exact on the line and, for up to 200,000 points, in the plane; else sampled
	FitSampled FitMethod = "sampled" // descent on fresh samples, in any dimension
	FitExact   FitMethod = "exact"   // integrals over the cells themselves, for d = 1 and 2
)

// mostExact is the points up to which the plane is solved exactly unless asked otherwise: two minutes on two cores
// (docs/fit.md).
const mostExact = 200_000

// tellEvery is the least time between two calls of the progress function of an exact fit.
const tellEvery = 250 * time.Millisecond

// solvesExactly resolves the method of a fit.
func (o FitOptions) solvesExactly(n, d int) (bool, error) {
	switch o.Method {
	case FitAuto:
		return d == 1 || d == 2 && n <= mostExact, nil
	case FitSampled:
		return false, nil
	case FitExact:
		if d > 2 {
			return false, fault.Invalid("method: exact is for dimensions 1 and 2, and the points have %d; take sampled", d)
		}
		if o.Checkpoint != "" {
			return false, fault.Invalid("checkpoint: the exact method keeps no state to go on from; leave it out, or take the method sampled")
		}
		if o.SamplesMax != 0 {
			return false, fault.Invalid("samples_max: the exact method draws no samples to find heights; leave it out, or take the method sampled")
		}
		return true, nil
	}
	return false, fault.Invalid("method: want sampled, exact, or nothing for the one that fits, got %q", string(o.Method))
}

// fitExactly completes a model by heights that package exact finds. What a model file holds are these
// rounded to float32, so the masses of the rounded ones are integrated again and reported. The angles,
// and an independent certificate, come from samples as those of every fit do.
func (e *Engine) fitExactly(model *modelfile.Model, p fit.Problem, device fit.Device, o FitOptions, options fit.Options) (*fit.Result, *modelfile.Fit, error) {
	start := time.Now()
	wide := exact.Problem{Points: widen(model.Points.Data), Dim: p.Dim, Masses: p.Masses, Source: model.Source}
	settings := exact.Options{Heights: widen(o.Start), Parallel: options.Parallel}
	if o.Progress != nil {
		var told time.Time
		settings.Progress = func(at exact.Progress) bool {
			now := time.Now()
			if now.Sub(told) < tellEvery {
				return true
			}
			told = now
			empty := -1
			if !math.IsNaN(at.ChiSquared) { // there is a start, and no step leaves a cell empty
				empty = 0
			}
			return o.Progress(FitProgress{
				ChiSquared: at.ChiSquared, Empty: empty, Seconds: now.Sub(start).Seconds(), Energy: math.NaN(), SecondsLeft: math.NaN(),
			})
		}
	}
	solved, err := exact.Solve(wide, settings)
	if err != nil {
		return nil, nil, err
	}
	heights := make([]float32, len(solved.Heights))
	for i, h := range solved.Heights {
		heights[i] = float32(h)
	}
	stored, err := exact.Measure(wide, widen(heights), settings.Parallel)
	if err != nil {
		return nil, nil, err
	}
	solving := time.Since(start).Seconds()
	if tell := options.Progress; tell != nil {
		options.Progress = func(p fit.Progress) bool { p.Seconds += solving; return tell(p) }
	}
	result, err := fit.Certify(p, heights, device, options)
	if err != nil {
		return nil, nil, err
	}
	guessed := 0 // coordinates of the mass centres of empty cells
	for i, c := range stored.Centroids {
		if math.IsNaN(c) {
			guessed++
		} else {
			result.Centroids[i] = float32(c)
		}
	}
	report := certificate(result, o)
	report.Method, report.Samples, report.SamplesToHalve = "exact", 0, 0
	report.CentroidFallbacks, report.CentroidError = guessed/p.Dim, 0
	report.Met = stored.ChiSquared <= o.Tolerance && stored.Empty == 0
	if len(solved.Path) > 0 {
		report.History = &modelfile.History{Chi2: solved.Path}
	}
	report.Seconds += solving
	report.Extra = map[string]strictjson.Raw{}
	for key, value := range map[string]any{
		"mass_error":      stored.MaxError, // largest |m_i - nu_i| of the stored heights, integrated
		"mass_error_wide": solved.MaxError, // the same before they were rounded to float32
		"chi2_exact":      stored.ChiSquared,
		"w2_exact":        solved.W2Squared,
		"newton_steps":    solved.Steps,
	} {
		text, err := json.Marshal(value)
		if err != nil { // sums over float32 points are finite
			panic(err)
		}
		report.Extra[key] = strictjson.Raw(text)
	}
	return result, report, nil
}

// widen is float32 values as float64; nil stays nil.
func widen(values []float32) []float64 {
	if values == nil {
		return nil
	}
	wide := make([]float64, len(values))
	for i, v := range values {
		wide[i] = float64(v)
	}
	return wide
}
