package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"

	"brenier/engine"
)

var infoCommand = command{
	name: "info", argument: "[MODEL]", most: 1,
	summary: "Show the device, and what a model file holds",
	examples: []string{
		"info",
		"info digits.safetensors",
		"info digits.safetensors --json | jq .model.fit",
		"info digits.safetensors --plot fit.svg",
	},
	setup: func(flags *flag.FlagSet) func(*console, []string) error {
		var f figure
		f.flags(flags)
		return func(c *console, arguments []string) error { return runInfo(c, f, arguments) }
	},
}

// metadata is the part of a model's metadata that the commands speak of.
type metadata struct {
	Extension extension `json:"extension"`
	Fit       *report   `json:"fit"`
	Graph     network   `json:"graph"`
	Encoder   network   `json:"encoder"`
}

// network is the graph of a decoder or an encoder.
type network struct {
	Nodes []struct {
		Op string `json:"op"`
	} `json:"nodes"`
}

// operators are its nodes' in order.
func (n network) operators() string {
	var operators []string
	for _, node := range n.Nodes {
		operators = append(operators, node.Op)
	}
	return strings.Join(operators, " ")
}

type extension struct {
	Mode     string  `json:"mode"`
	K        int     `json:"k"`
	Quantile float64 `json:"quantile"`
}

// report is the certificate of a fit, as the model file has it.
type report struct {
	Method              string   `json:"method"`
	Samples             uint64   `json:"samples"`
	TestSamples         uint64   `json:"test_samples"`
	Chi2                float64  `json:"chi2"`
	Chi2Error           float64  `json:"chi2_error"`
	TotalVariation      float64  `json:"total_variation"`
	TotalVariationFloor float64  `json:"total_variation_floor"`
	Empty               int      `json:"empty"`
	EmptyMass           float64  `json:"empty_mass"`
	LargestError        float64  `json:"largest_error"`
	LargestErrorFloor   float64  `json:"largest_error_floor"`
	LargestErrorCertain float64  `json:"largest_error_certain"`
	Energy              float64  `json:"energy"`
	EnergyError         float64  `json:"energy_error"`
	W2Lower             float64  `json:"w2_lower"`
	W2LowerError        float64  `json:"w2_lower_error"`
	W2Upper             float64  `json:"w2_upper"`
	W2UpperError        float64  `json:"w2_upper_error"`
	SamplesToHalve      uint64   `json:"samples_to_halve"`
	Duplicates          int      `json:"duplicates"`
	CentroidFallbacks   int      `json:"centroid_fallbacks"`
	CentroidError       float64  `json:"centroid_error"`
	AngleError          float64  `json:"angle_error"`
	Tolerance           *float64 `json:"tolerance"`
	Met                 bool     `json:"met"`
	Seed                uint64   `json:"seed"`
	Seconds             float64  `json:"seconds"`

	History        *history   `json:"history,omitempty"`
	RelativeMasses *histogram `json:"relative_masses,omitempty"`

	MassError     *float64 `json:"mass_error,omitempty"` // of exact fits
	MassErrorWide *float64 `json:"mass_error_wide,omitempty"`
	Chi2Exact     *float64 `json:"chi2_exact,omitempty"`
}

// history is how chi-squared fell: with the samples drawn, or with Newton's steps where there are none.
type history struct {
	Samples   []uint64  `json:"samples,omitempty"`
	Chi2      []float64 `json:"chi2"`
	Chi2Error []float64 `json:"chi2_error,omitempty"`
}

// histogram counts cells by their mass relative to the one wanted, in bins of one width.
type histogram struct {
	Low   float64   `json:"low"`
	High  float64   `json:"high"`
	Cells []float64 `json:"cells"`
	Noise []float64 `json:"noise"`
}

func readMetadata(info engine.ModelInfo) metadata {
	var m metadata
	// The engine has checked the file; keys of another type than here would only be left out.
	_ = json.Unmarshal([]byte(info.Metadata), &m)
	return m
}

func ownExtension(info engine.ModelInfo) extension { return readMetadata(info).Extension }

func runInfo(c *console, f figure, arguments []string) error {
	if err := f.check(); err != nil {
		return err
	}
	if f.path != "" && len(arguments) == 0 {
		return usagef("--plot: name the model whose fit it shall draw")
	}
	e, err := engine.New(c.config)
	if err != nil {
		return err
	}
	defer e.Close()
	if len(arguments) == 0 {
		if c.json {
			return c.writeJSON(map[string]any{"device": deviceJSON(e.Info())})
		}
		printDevice(c, e.Info())
		return nil
	}
	model, err := e.Open(arguments[0])
	if err != nil {
		return err
	}
	if err := f.draw(c, model); err != nil {
		return err
	}
	info, on := model.Info(), e.Info()
	kernels, notes := model.Kernels()
	if c.json {
		return c.writeJSON(map[string]any{
			"device": deviceJSON(on),
			"model": map[string]any{
				"points": info.Points, "dimension": info.Dimension, "source": info.Source,
				"has_centroids": info.HasCentroids, "has_masses": info.HasMasses,
				"channels": info.Channels, "height": info.Height, "width": info.Width,
				"range": []float64{info.Low, info.High}, "parameters": info.Parameters,
				"has_encoder": info.HasEncoder, "encoder_parameters": info.EncoderParameters,
				"metadata": json.RawMessage(info.Metadata),
				"kernels":  kernelsJSON(kernels), "notes": notes,
			},
		})
	}
	if stat, err := os.Stat(arguments[0]); err == nil {
		c.printf("%-10s %s, %.1f MB\n", "file", arguments[0], float64(stat.Size())/1e6)
	}
	printModel(c, info)
	printDevice(c, on)
	for i, k := range kernels {
		title := ""
		if i == 0 {
			title = "kernels"
		}
		c.printf("%-10s %-24s %s\n", title, k.Part, k.Name)
	}
	for _, note := range notes {
		c.printf("%-10s %s\n", "note", note)
	}
	return nil
}

func deviceJSON(on engine.Info) map[string]any {
	return map[string]any{"name": on.Name, "device": on.Device, "path": on.Path, "threads": on.Threads, "note": on.Note}
}

func printDevice(c *console, on engine.Info) {
	c.printf("%-10s %s\n", "device", device(on))
	if on.Note != "" {
		c.printf("%-10s %s\n", "", on.Note)
	}
}

// kernelsJSON says which kernel serves each part of the model.
func kernelsJSON(kernels []engine.Kernel) []map[string]string {
	said := make([]map[string]string, 0, len(kernels))
	for _, k := range kernels {
		said = append(said, map[string]string{"part": k.Part, "kernel": k.Name})
	}
	return said
}

// printModel describes a model, a line a part.
func printModel(c *console, info engine.ModelInfo) {
	m := readMetadata(info)
	if info.Points > 0 {
		masses, centroids := "equal masses", "no mass centres"
		if info.HasMasses {
			masses = "masses given"
		}
		if info.HasCentroids {
			centroids = "mass centres"
		}
		c.printf("%-10s %s in %s, %s source, %s, %s\n", "map", count(info.Points, "point"), count(info.Dimension, "dimension"), info.Source, masses, centroids)
	}
	if x := m.Extension; x.Mode != "" {
		c.printf("%-10s %s, k = %d, angles up to their %.0f %% quantile\n", "extension", x.Mode, x.K, 100*x.Quantile)
	}
	if m.Fit != nil {
		printReport(c, *m.Fit)
	}
	if info.Channels > 0 {
		c.printf("%-10s %d -> %dx%dx%d in [%g,%g], %s parameters\n", "decoder", info.Dimension, info.Channels, info.Height, info.Width, info.Low, info.High, thousands(uint64(info.Parameters)))
		c.printf("%-10s %s\n", "", m.Graph.operators())
	}
	if info.HasEncoder {
		c.printf("%-10s %dx%dx%d -> %d, %s parameters\n", "encoder", info.Channels, info.Height, info.Width, info.Dimension, thousands(uint64(info.EncoderParameters)))
		c.printf("%-10s %s\n", "", m.Encoder.operators())
	}
}

// normal is the 97.5 % quantile of the standard normal distribution: intervals of 95 %.
const normal = 1.96

func printReport(c *console, r report) {
	verdict := ""
	if r.Tolerance != nil {
		verdict = ", wanted " + trim(*r.Tolerance)
		switch {
		case r.Met:
			verdict += ": met"
		case r.Chi2+2*r.Chi2Error <= *r.Tolerance:
			verdict += ": met, but for the empty cells"
		case r.Chi2 <= *r.Tolerance:
			verdict += ": not met with confidence"
		default:
			verdict += ": not met"
		}
	}
	more := func(format string, args ...any) { c.printf("%-10s "+format+"\n", append([]any{""}, args...)...) }
	c.printf("%-10s chi-squared %s +- %s on %s fresh samples%s\n", "fit", trim(r.Chi2), trim(r.Chi2Error), thousands(r.TestSamples), verdict)
	empty := count(r.Empty, "empty cell")
	if r.Empty > 0 && r.EmptyMass > 0 {
		empty += fmt.Sprintf(" of mass %s at most (95 %%)", trim(r.EmptyMass))
	}
	more("%s, %s, %d mass centres guessed; %s samples, seed %d, %s", empty, count(r.Duplicates, "duplicate point"),
		r.CentroidFallbacks, thousands(r.Samples), r.Seed, seconds(r.Seconds))
	if r.TotalVariationFloor > 0 {
		more("total variation %s, of which %s is the test's own noise", trim(r.TotalVariation), trim(r.TotalVariationFloor))
		certain := "none of it certain"
		if r.LargestErrorCertain > 0 {
			certain = trim(100*r.LargestErrorCertain) + " % certain"
		}
		more("largest error of a mass %s %%, noise alone %s %%, %s", trim(100*r.LargestError), trim(100*r.LargestErrorFloor), certain)
	}
	if r.W2Upper > 0 {
		more("energy %.6g +- %s, W2^2 from %.6g +- %s to %.6g +- %s (95 %%)", r.Energy, trim(normal*r.EnergyError),
			r.W2Lower, trim(normal*r.W2LowerError), r.W2Upper, trim(normal*r.W2UpperError))
	}
	if r.CentroidError > 0 {
		more("mass centres to %s, angles' quantiles to %s rad (standard errors)", trim(r.CentroidError), trim(r.AngleError))
	}
	if r.SamplesToHalve > 0 {
		more("half this chi-squared would take %s more samples%s", thousands(r.SamplesToHalve), prediction(r))
	}
	switch {
	case r.MassError != nil:
		before := ""
		if r.MassErrorWide != nil {
			before = ", " + trim(*r.MassErrorWide) + " before the heights were rounded to float32"
		}
		more("by exact integrals: the largest error of a mass is %s%s", trim(*r.MassError), before)
	case r.Method != "":
		more("by %s", r.Method)
	}
}

// fine is the chi-squared that a fit which stopped above it is told the price of.
const fine = 1e-3

// prediction says what a chi-squared of 1e-3 would take, at the rate of the fit and by the law
// chi-squared ~ 1/samples.
func prediction(r report) string {
	if r.Samples == 0 || r.Chi2 <= fine || r.Seconds == 0 {
		return ""
	}
	times := r.Chi2 / fine
	return fmt.Sprintf("; %s about %s samples and %s", trim(fine), thousands(uint64(times*float64(r.Samples))), duration(times*r.Seconds))
}

// duration is seconds as people plan with them.
func duration(s float64) string {
	switch {
	case s < 120:
		return fmt.Sprintf("%.0f s", s)
	case s < 7200:
		return fmt.Sprintf("%.0f minutes", s/60)
	}
	return fmt.Sprintf("%.1f hours", s/3600)
}
