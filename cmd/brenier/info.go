package main

import (
	"encoding/json"
	"flag"
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
	},
	setup: func(*flag.FlagSet) func(*console, []string) error { return runInfo },
}

// metadata is the part of a model's metadata that the commands speak of.
type metadata struct {
	Extension extension `json:"extension"`
	Fit       *report   `json:"fit"`
	Graph     struct {
		Nodes []struct {
			Op string `json:"op"`
		} `json:"nodes"`
	} `json:"graph"`
}

type extension struct {
	Mode     string  `json:"mode"`
	K        int     `json:"k"`
	Quantile float64 `json:"quantile"`
}

// report is the certificate of a fit.
type report struct {
	Samples           uint64   `json:"samples"`
	TestSamples       uint64   `json:"test_samples"`
	Chi2              float64  `json:"chi2"`
	Chi2Error         float64  `json:"chi2_error"`
	Empty             int      `json:"empty"`
	Duplicates        int      `json:"duplicates"`
	CentroidFallbacks int      `json:"centroid_fallbacks"`
	Tolerance         *float64 `json:"tolerance"`
	Met               bool     `json:"met"`
	Seed              uint64   `json:"seed"`
	Seconds           float64  `json:"seconds"`
}

func readMetadata(info engine.ModelInfo) metadata {
	var m metadata
	// The engine has checked the file; keys of another type than here would only be left out.
	_ = json.Unmarshal([]byte(info.Metadata), &m)
	return m
}

func ownExtension(info engine.ModelInfo) extension { return readMetadata(info).Extension }

func runInfo(c *console, arguments []string) error {
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
		var operators []string
		for _, node := range m.Graph.Nodes {
			operators = append(operators, node.Op)
		}
		c.printf("%-10s %d -> %dx%dx%d in [%g,%g], %s parameters\n", "decoder", info.Dimension, info.Channels, info.Height, info.Width, info.Low, info.High, thousands(uint64(info.Parameters)))
		c.printf("%-10s %s\n", "", strings.Join(operators, " "))
	}
}

func printReport(c *console, r report) {
	verdict := ""
	if r.Tolerance != nil {
		verdict = ", wanted " + trim(*r.Tolerance)
		switch {
		case r.Met:
			verdict += ": met"
		case r.Chi2 <= *r.Tolerance:
			verdict += ": met, but for the empty cells"
		default:
			verdict += ": not met"
		}
	}
	c.printf("%-10s chi-squared %s +- %s on %s fresh samples%s\n", "fit", trim(r.Chi2), trim(r.Chi2Error), thousands(r.TestSamples), verdict)
	c.printf("%-10s %s, %s, %d mass centres guessed; %s samples, seed %d, %s\n", "",
		count(r.Empty, "empty cell"), count(r.Duplicates, "duplicate point"), r.CentroidFallbacks, thousands(r.Samples), r.Seed, seconds(r.Seconds))
}
