package main

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"brenier/engine"
)

var fitCommand = command{
	name: "fit", argument: "POINTS", least: 1, most: 1,
	summary: "Find the heights of points [N,d] and make them a model; POINTS is an .npy file or a safetensors tensor",
	examples: []string{
		"fit codes.npy --out map.safetensors",
		"fit latents.safetensors:latents --decoder decoder.safetensors --tol 1e-3 --out digits.safetensors",
		"fit digits.safetensors:ot.points --count 10000 --decoder digits.safetensors --points-dtype f16 --out small.safetensors",
		"fit codes.npy --heights heights.npy --out measured.safetensors",
		"fit codes.npy --out map.safetensors --plot map.png",
	},
	setup: setupFit,
}

// fitting is the flags of a fit.
type fitting struct {
	options     engine.FitOptions
	count       int
	pointsDType string
	masses      string
	heights     string
	start       string
	figure      figure
}

func (f *fitting) flags(flags *flag.FlagSet) {
	flags.StringVar(&f.options.Source, "source", "gaussian", "`name` of the noise: gaussian, N(0,I), or uniform, on [-1/2,1/2]^d")
	flags.StringVar((*string)(&f.options.Method), "method", "", "find heights by `method` sampled or, in one and two dimensions, exact; else as it suits")
	flags.Float64Var(&f.options.Tolerance, "tol", engine.DefaultTolerance, "stop at this `chi-squared`")
	flags.Uint64Var(&f.options.SamplesMax, "samples-max", 0, "give up after `n` samples; 0: chosen from N")
	flags.Uint64Var(&f.options.Seed, "seed", 0, "`seed` of the samples: same seed, points and flags, same heights")
	flags.IntVar(&f.count, "count", 0, "take `n` of the points, drawn by --seed; 0: all")
	flags.StringVar(&f.pointsDType, "points-dtype", "f32", "keep points as `type` f32 or f16")
	flags.StringVar(&f.masses, "masses", "", "wanted mass of each point [N], a `file` like POINTS; else equal")
	flags.StringVar(&f.heights, "heights", "", "take these heights [N], a `file` like POINTS, and only measure them")
	flags.StringVar(&f.start, "start", "", "start from these heights [N], a `file` like POINTS, as those of an earlier fit")
	flags.StringVar(&f.options.Checkpoint, "checkpoint", "", "keep the fit's state in `file`, and go on from it where it is there")
	flags.BoolVar(&f.options.Rebalance, "rebalance", false, "where the samples run out first, lift the cells that are still empty")
	f.figure.flags(flags)
	flags.IntVar(&f.options.Images, "images", engine.DefaultImages, "with a decoder: keep the mean and deviation of `n` images in the model")
}

// dtypes are how a model file can keep numbers.
var dtypes = map[string]engine.DType{"f32": engine.F32, "f16": engine.F16}

// points are those that are fitted: a file's, or some of them.
func (f *fitting) points(c *console, path string) (points []float32, d int, err error) {
	if f.count < 0 {
		return nil, 0, usagef("--count: want 1 or more, or 0, got %d", f.count)
	}
	if f.count != 0 && (f.heights != "" || f.start != "" || f.masses != "") {
		return nil, 0, usagef("--count: --heights, --start and --masses hold for all of their points only")
	}
	points, n, d, err := readMatrix(c, path)
	if err != nil || f.count == 0 {
		return points, d, err
	}
	if f.count > n {
		return nil, 0, fmt.Errorf("--count: want %d of the points, %s has %d", f.count, path, n)
	}
	return subset(points, d, f.count, f.options.Seed), d, nil
}

// subset takes count rows of d, drawn without return, in their order.
func subset(rows []float32, d, count int, seed uint64) []float32 {
	chosen := rand.New(rand.NewPCG(seed, 0)).Perm(len(rows) / d)[:count]
	slices.Sort(chosen)
	taken := make([]float32, 0, count*d)
	for _, i := range chosen {
		taken = append(taken, rows[i*d:(i+1)*d]...)
	}
	return taken
}

// fit does it, with progress.
func (f *fitting) fit(c *console, e *engine.Engine, points []float32, d int) (*engine.Model, error) {
	dtype, known := dtypes[f.pointsDType]
	if !known {
		return nil, usagef("--points-dtype: want f32 or f16, got %q", f.pointsDType)
	}
	if s := f.options.Source; s != "gaussian" && s != "uniform" {
		return nil, usagef("--source: want gaussian or uniform, got %q", s)
	}
	if !(f.options.Tolerance > 0) {
		return nil, usagef("--tol: want a number above 0, got %v", f.options.Tolerance)
	}
	if err := f.figure.check(); err != nil {
		return nil, err
	}
	f.options.Points = dtype
	var masses []float64
	if f.masses != "" {
		values, err := readVector(c, f.masses)
		if err != nil {
			return nil, err
		}
		masses = make([]float64, len(values))
		for i, v := range values {
			masses[i] = float64(v)
		}
	}
	if f.heights != "" {
		var err error
		if f.options.Heights, err = readVector(c, f.heights); err != nil {
			return nil, err
		}
	}
	if f.start != "" {
		var err error
		if f.options.Start, err = readVector(c, f.start); err != nil {
			return nil, err
		}
	}
	f.options.Progress = func(p engine.FitProgress) bool {
		c.progress(f.share(p), progressText(p, f.options.Tolerance))
		return true
	}
	model, err := e.Fit(points, d, masses, f.options)
	c.finish()
	return model, err
}

// share is how much of the time that a fit is expected to take has passed.
func (f *fitting) share(p engine.FitProgress) float64 {
	if math.IsNaN(p.SecondsLeft) || p.Seconds == 0 {
		return 0
	}
	return p.Seconds / (p.Seconds + p.SecondsLeft)
}

func progressText(p engine.FitProgress, tolerance float64) string {
	text := fmt.Sprintf("%s samples, %.0f s", thousands(p.Samples), p.Seconds)
	if !math.IsNaN(p.ChiSquared) {
		text += fmt.Sprintf(", chi-squared %s of %s, %s", trim(p.ChiSquared), trim(tolerance), count(p.Empty, "empty cell"))
	}
	if !math.IsNaN(p.Energy) {
		text += fmt.Sprintf(", energy %.6g", p.Energy)
	}
	if p.ToTest > 0 {
		text += fmt.Sprintf(", certificate %s of %s", thousands(p.Tested), thousands(p.ToTest))
	}
	if !math.IsNaN(p.SecondsLeft) {
		text += fmt.Sprintf(", about %.0f s left", p.SecondsLeft)
	}
	return text
}

func setupFit(flags *flag.FlagSet) func(*console, []string) error {
	var f fitting
	f.flags(flags)
	decoder := flags.String("decoder", "", "put the decoder of this `model` into the result")
	out := flags.String("out", "model.safetensors", "write the model to `file`")
	return func(c *console, arguments []string) error {
		points, d, err := f.points(c, arguments[0])
		if err != nil {
			return err
		}
		e, err := engine.New(c.config)
		if err != nil {
			return err
		}
		defer e.Close()
		if *decoder != "" {
			if f.options.Decoder, err = e.Open(*decoder); err != nil {
				return err
			}
		}
		model, err := f.fit(c, e, points, d)
		if err != nil {
			return err
		}
		if err := saveModel(c, e, model, *out); err != nil {
			return err
		}
		return f.figure.draw(c, model)
	}
}

// saveModel writes a new model and says what it is.
func saveModel(c *console, e *engine.Engine, model *engine.Model, path string) error {
	if err := model.Save(path); err != nil {
		return err
	}
	info := model.Info()
	if c.json {
		m := readMetadata(info)
		return c.writeJSON(map[string]any{"file": path, "points": info.Points, "dimension": info.Dimension, "fit": m.Fit, "device": device(e.Info())})
	}
	c.printf("%-10s %s\n", "wrote", path)
	printModel(c, info)
	c.printf("%-10s %s\n", "device", device(e.Info()))
	return nil
}
