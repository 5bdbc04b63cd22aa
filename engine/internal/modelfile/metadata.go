package modelfile

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/strictjson"
)

// The names of the modes and sources in the file.
var (
	modes   = map[string]backend.Mode{"cell": backend.Cell, "simplex": backend.Simplex, "pair": backend.Pair}
	sources = map[string]backend.Source{"gaussian": backend.Gaussian, "uniform": backend.Uniform}
)

// MaxK is the largest number of cells that a sample is located in.
const MaxK = 32

// Extension is the model's own setting of the extend stage.
type Extension struct {
	Mode     string  `json:"mode"`     // "cell", "simplex" or "pair"
	K        int     `json:"k"`        // cells considered, 1 to MaxK
	Quantile float64 `json:"quantile"` // theta, as a share of the angles seen; 1 leaves no cell out

	// Cosines[i] is the cosine of the angle that i percent of the angles between a sample's best
	// cell and its next ones do not exceed, over the model's own source: 101 values in [-1,1],
	// none above the one before. Empty where no fit has measured them.
	Cosines []float64 `json:"cosines,omitempty"`
}

// DefaultExtension is the setting for a model of n points that brings none.
func DefaultExtension(n int, centroids bool) Extension {
	e := Extension{Mode: "cell", K: max(1, min(8, n)), Quantile: 0.25}
	if centroids {
		e.Mode = "simplex"
	}
	return e
}

// BackendMode is Mode as the backend names it.
func (e Extension) BackendMode() backend.Mode { return modes[e.Mode] }

func (e *Extension) check(n int, centroids bool) error {
	if _, known := modes[e.Mode]; !known {
		return fmt.Errorf("extension: mode: want cell, simplex or pair, got %q", e.Mode)
	}
	if e.Mode == "simplex" && !centroids {
		return errors.New("extension: mode simplex needs ot.centroids, which the model lacks")
	}
	if most := min(MaxK, n); e.K < 1 || e.K > most {
		return fmt.Errorf("extension: k: want 1 to %d, got %d", most, e.K)
	}
	if !(e.Quantile >= 0 && e.Quantile <= 1) {
		return fmt.Errorf("extension: quantile: want 0 to 1, got %g", e.Quantile)
	}
	if len(e.Cosines) != 0 && len(e.Cosines) != 101 {
		return fmt.Errorf("extension: cosines: want 101 values, got %d", len(e.Cosines))
	}
	for i, c := range e.Cosines {
		if !(c >= -1 && c <= 1) {
			return fmt.Errorf("extension: cosines[%d]: want -1 to 1, got %g", i, c)
		}
		if i > 0 && c > e.Cosines[i-1] {
			return fmt.Errorf("extension: cosines[%d] is %g, above the one before, %g; they must not increase", i, c, e.Cosines[i-1])
		}
	}
	return nil
}

// Output describes the decoder's images.
type Output struct {
	Range    [2]float64 `json:"range"` // the values' low and high end, which U8 maps to 0 and 255
	Channels int        `json:"channels"`
	Height   int        `json:"height"`
	Width    int        `json:"width"`
}

// Low and High are the ends of the range.
func (o *Output) Low() float64  { return o.Range[0] }
func (o *Output) High() float64 { return o.Range[1] }

// check compares with the graph's output, which is [C,H,W].
func (o *Output) check(shape []int) error {
	low, high := o.Range[0], o.Range[1]
	if !(low < high) || math.IsInf(high-low, 0) || math.IsNaN(high-low) {
		return fmt.Errorf("output: range: want two finite numbers, the lower first, got [%g,%g]", low, high)
	}
	if o.Channels != shape[0] || o.Height != shape[1] || o.Width != shape[2] {
		return fmt.Errorf("output: %d channels of %d x %d, but the graph makes %v", o.Channels, o.Height, o.Width, shape)
	}
	return nil
}

// Fit is the certificate of the heights: how they were found, and what the mass of each cell was
// over fresh samples that took no part in it.
type Fit struct {
	Samples        uint64  `json:"samples"`         // drawn while fitting
	TestSamples    uint64  `json:"test_samples"`    // drawn afterwards
	Chi2           float64 `json:"chi2"`            // sum_i (m_i - nu_i)^2 / nu_i, its sampling error taken off
	Chi2Error      float64 `json:"chi2_error"`      // standard deviation of Chi2
	Empty          int     `json:"empty"`           // cells without a test sample
	TotalVariation float64 `json:"total_variation"` // sum_i |m_i - nu_i| / 2
	Seed           uint64  `json:"seed"`
	Seconds        float64 `json:"seconds"`

	Method    string  `json:"method"`
	Tolerance float64 `json:"tolerance"` // of Chi2, as asked for
	Met       bool    `json:"met"`       // within it by two standard errors, and no cell empty but by chance
	Group     int     `json:"group"`     // test samples that share a rotation; 1: all independent

	TotalVariationFloor float64 `json:"total_variation_floor"` // what exact masses would show
	EmptyExpected       float64 `json:"empty_expected"`        // if every mass were exact
	EmptyMass           float64 `json:"empty_mass"`            // upper bound of all empty cells', 95 %
	LargestError        float64 `json:"largest_error"`         // max_i |m_i/nu_i - 1| as seen
	LargestErrorFloor   float64 `json:"largest_error_floor"`   // what exact masses would show
	LargestErrorCertain float64 `json:"largest_error_certain"` // lower bound, 95 %; 0: not resolved

	// The dual energy E(h) of the points less their mean, and bounds of W2^2 for the cost |x-y|^2: below
	// by weak duality, above by the cost of a plan with the right masses. Errors are standard errors.
	Energy       float64 `json:"energy"`
	EnergyError  float64 `json:"energy_error"`
	W2Lower      float64 `json:"w2_lower"`
	W2LowerError float64 `json:"w2_lower_error"`
	W2Upper      float64 `json:"w2_upper"`
	W2UpperError float64 `json:"w2_upper_error"`

	SamplesToHalve    uint64  `json:"samples_to_halve"`   // more samples that half of Chi2 would cost
	Duplicates        int     `json:"duplicates"`         // points equal to an earlier one
	CentroidFallbacks int     `json:"centroid_fallbacks"` // mass centres that are guessed
	CentroidError     float64 `json:"centroid_error"`     // root mean square standard error of a mass centre
	AngleError        float64 `json:"angle_error"`        // largest standard error of an angle's quantile, radians

	History *History   `json:"history,omitempty"`
	Masses  *Histogram `json:"relative_masses,omitempty"`

	// Extra holds the keys that this version does not know, as they are written.
	Extra map[string]strictjson.Raw `json:"-" strict:"extra"`
}

// History is how chi-squared fell.
type History struct {
	Samples   []uint64  `json:"samples,omitempty"` // drawn by then; absent: entry i is after i Newton steps
	Chi2      []float64 `json:"chi2"`
	Chi2Error []float64 `json:"chi2_error,omitempty"` // standard errors; absent: integrated, not sampled
}

// Histogram counts cells by their mass over the test samples, relative to the one wanted: bins of one
// width from Low to High, the first and the last with what lies beyond. A cell's count stands for half a
// sample less to half a sample more, which may lie in several bins.
type Histogram struct {
	Low   float64   `json:"low"`
	High  float64   `json:"high"`
	Cells []float64 `json:"cells"`
	Noise []float64 `json:"noise"` // what exact masses would show on average
}

// MarshalJSON writes the extra keys among the others.
func (f *Fit) MarshalJSON() ([]byte, error) {
	type plain Fit // without this method
	known, err := json.Marshal((*plain)(f))
	if err != nil || len(f.Extra) == 0 {
		return known, err
	}
	var all map[string]strictjson.Raw
	if err := json.Unmarshal(known, &all); err != nil {
		return nil, err
	}
	for key, value := range f.Extra {
		if _, taken := all[key]; taken {
			return nil, fmt.Errorf("fit: extra key %q is one of the known ones", key)
		}
		all[key] = value
	}
	return json.Marshal(all)
}

func (f *Fit) check(n int) error {
	for _, v := range []struct {
		name  string
		value float64
	}{
		{"chi2_error", f.Chi2Error}, {"total_variation", f.TotalVariation}, {"seconds", f.Seconds},
		{"tolerance", f.Tolerance}, {"total_variation_floor", f.TotalVariationFloor},
		{"empty_expected", f.EmptyExpected}, {"empty_mass", f.EmptyMass}, {"largest_error", f.LargestError},
		{"largest_error_floor", f.LargestErrorFloor}, {"largest_error_certain", f.LargestErrorCertain},
		{"energy_error", f.EnergyError}, {"w2_lower_error", f.W2LowerError}, {"w2_upper_error", f.W2UpperError},
		{"centroid_error", f.CentroidError}, {"angle_error", f.AngleError},
	} {
		if !(v.value >= 0) || math.IsInf(v.value, 0) {
			return fmt.Errorf("fit: %s: want a number from 0, got %g", v.name, v.value)
		}
	}
	for _, v := range []struct {
		name  string
		value float64
	}{{"chi2", f.Chi2}, {"energy", f.Energy}, {"w2_lower", f.W2Lower}, {"w2_upper", f.W2Upper}} {
		if math.IsNaN(v.value) || math.IsInf(v.value, 0) {
			return fmt.Errorf("fit: %s: want a finite number, got %g", v.name, v.value)
		}
	}
	for _, v := range []struct {
		name  string
		value int
	}{{"empty", f.Empty}, {"duplicates", f.Duplicates}, {"centroid_fallbacks", f.CentroidFallbacks}} {
		if v.value < 0 || v.value > n {
			return fmt.Errorf("fit: %s: want 0 to %d cells, got %d", v.name, n, v.value)
		}
	}
	if f.Group < 0 {
		return fmt.Errorf("fit: group: want 1 or more samples, got %d", f.Group)
	}
	if err := f.History.check(); err != nil {
		return err
	}
	return f.Masses.check()
}

func (h *History) check() error {
	if h == nil {
		return nil
	}
	n, samples, errors := len(h.Chi2), len(h.Samples), len(h.Chi2Error)
	if samples != errors || samples != 0 && samples != n {
		return fmt.Errorf("fit: history: want as many samples and errors as chi2, %d, or none, got %d and %d", n, samples, errors)
	}
	return nil
}

func (h *Histogram) check() error {
	if h == nil {
		return nil
	}
	if !(h.Low < h.High) {
		return fmt.Errorf("fit: relative_masses: want the lower end first, got %g and %g", h.Low, h.High)
	}
	if len(h.Cells) == 0 || len(h.Cells) != len(h.Noise) {
		return fmt.Errorf("fit: relative_masses: want as many cells as noise, and some, got %d and %d", len(h.Cells), len(h.Noise))
	}
	return nil
}
