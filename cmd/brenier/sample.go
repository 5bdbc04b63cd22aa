package main

import (
	"flag"
	"fmt"
	"io"
	"time"

	"brenier/engine"
)

var sampleCommand = command{
	name: "sample", argument: "MODEL", least: 1, most: 1,
	summary: "Make images from noise",
	examples: []string{
		"sample digits.safetensors -n 64 --out digits.png",
		"sample terrain.safetensors -n 1000 --seed 7 --first 5000 --out tiles.npy",
		"sample digits.safetensors -n 16 --mode pair --blend 0.3 --theta-radians 0.8",
		"sample digits.safetensors -n 16 --compare --out filter.png",
		"sample digits.safetensors -n 600 --out - --format raw | ffplay -f rawvideo -pixel_format gray -video_size 28x28 -",
	},
	setup: setupSample,
}

// chunk is how many samples pass through the stages together.
const chunk = 512

func setupSample(flags *flag.FlagSet) func(*console, []string) error {
	var s sampling
	n := flags.Int("n", 64, "make `n` images")
	flags.Uint64Var(&s.seed, "seed", 0, "`seed` of the noise")
	flags.Uint64Var(&s.first, "first", 0, "begin with sample `i` of the seed")
	compare := flags.Bool("compare", false, "a grid of three rows from the same noise: cell, simplex, simplex without the filter")
	extension := extensionFlags(flags)
	var output imageOutput
	output.flags(flags, "samples.png")
	return func(c *console, arguments []string) error {
		var err error
		if s.extension, err = extension(); err != nil {
			return err
		}
		if *n < 0 {
			return usagef("-n: want 0 or more, got %d", *n)
		}
		if err := output.resolve(); err != nil {
			return err
		}
		e, err := engine.New(c.config)
		if err != nil {
			return err
		}
		defer e.Close()
		opened := time.Now()
		if s.model, err = e.Open(arguments[0]); err != nil {
			return err
		}
		s.times.Open = time.Since(opened).Seconds()
		settings := []engine.Extension{s.extension}
		if *compare {
			output.columns = *n
			settings = []engine.Extension{
				{Mode: engine.Cell},
				{Mode: engine.Simplex, K: s.extension.K, Angle: s.extension.Angle, Theta: s.extension.Theta},
				{Mode: engine.Simplex, K: s.extension.K, Angle: engine.Quantile, Theta: 1},
			}
		}
		err = writeFile(c, output.out, func(w io.Writer) error {
			sink, err := output.open(w, *n*len(settings), s.model.Info())
			if err != nil {
				return err
			}
			for _, s.extension = range settings {
				if err := s.images(c, *n, sink); err != nil {
					return err
				}
			}
			return timed(&s.times.Image, sink.close)
		})
		if err != nil {
			return err
		}
		return s.report(c, e.Info(), *n*len(settings), output)
	}
}

// extensionFlags adds the flags of the extend stage and returns what reads them once parsed.
func extensionFlags(flags *flag.FlagSet) func() (engine.Extension, error) {
	mode := flags.String("mode", "", "combine cells by `mode` cell, simplex or pair; else the model's own")
	k := flags.Int("k", 0, "consider the `k` best cells of a sample; 0: the model's own")
	angle := angleFlags(flags, "leave out neighbours across an angle above this `quantile` of the angles seen; 1: none")
	blend := flags.Float64("blend", 0.5, "pair: the neighbour's `share`")
	return func() (engine.Extension, error) {
		e := engine.Extension{K: *k, Blend: *blend}
		switch *mode {
		case "":
		case "cell":
			e.Mode = engine.Cell
		case "simplex":
			e.Mode = engine.Simplex
		case "pair":
			e.Mode = engine.Pair
		default:
			return e, usagef("--mode: want cell, simplex or pair, got %q", *mode)
		}
		return e, angle(&e)
	}
}

// angleFlags adds the flags of an extension's angle and returns what sets it once they are parsed.
func angleFlags(flags *flag.FlagSet, usage string) func(*engine.Extension) error {
	theta := flags.Float64("theta", 0, usage)
	radians := flags.Float64("theta-radians", 0, "the same with the angle in `radians`")
	return func(e *engine.Extension) error {
		given := map[string]bool{}
		flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
		switch {
		case given["theta"] && given["theta-radians"]:
			return usagef("--theta and --theta-radians are two ways to say one thing; give one")
		case given["theta"]:
			e.Angle, e.Theta = engine.Quantile, *theta
		case given["theta-radians"]:
			e.Angle, e.Theta = engine.Radians, *radians
		}
		return nil
	}
}

// sampling takes samples through the stages one by one, to time each.
type sampling struct {
	model       *engine.Model
	extension   engine.Extension
	seed, first uint64
	times       stageTimes
}

// stageTimes are seconds.
type stageTimes struct {
	Open   float64 `json:"open"`
	Noise  float64 `json:"noise"`
	Locate float64 `json:"locate"`
	Extend float64 `json:"extend"`
	Decode float64 `json:"decode"`
	Image  float64 `json:"image"` // writing the pictures
}

// timed adds the seconds that do takes.
func timed(to *float64, do func() error) error {
	start := time.Now()
	err := do()
	*to += time.Since(start).Seconds()
	return err
}

// images makes n images: what [engine.Model.Generate] does in one call.
func (s *sampling) images(c *console, n int, to sink) error {
	info := s.model.Info()
	k := min(8, info.Points)
	if own := ownExtension(info); own.K > 0 {
		k = own.K
	}
	if s.extension.K > 0 {
		k = s.extension.K
	}
	if s.extension.Mode == engine.Cell {
		k = 1
	}
	x := make([]float32, min(n, chunk)*info.Dimension)
	z := make([]float32, len(x))
	cells := make([]int64, min(n, chunk)*k)
	for at := 0; at < n; at += chunk {
		count := min(chunk, n-at)
		x, z, cells := x[:count*info.Dimension], z[:count*info.Dimension], cells[:count*k]
		t := &s.times
		stages := []struct {
			time *float64
			do   func() error
		}{
			{&t.Noise, func() error { return s.model.Noise(x, s.seed, s.first+uint64(at)) }},
			{&t.Locate, func() error { return s.model.Locate(x, k, cells, nil) }},
			{&t.Extend, func() error { return s.model.Extend(x, cells, k, s.extension, z) }},
			{&t.Decode, func() error { return s.model.Decode(z, to.next(count)) }},
			{&t.Image, func() error { return to.put(count) }},
		}
		for _, stage := range stages {
			if err := timed(stage.time, stage.do); err != nil {
				return err
			}
		}
		c.progress(float64(at+count)/float64(n), fmt.Sprintf("%d of %d images", at+count, n))
	}
	return nil
}

func (s *sampling) report(c *console, info engine.Info, n int, output imageOutput) error {
	c.finish()
	if output.out == "-" {
		return nil
	}
	if c.json {
		return c.writeJSON(map[string]any{
			"images": n, "file": output.out, "seed": s.seed, "first": s.first,
			"device": device(info), "seconds": s.times,
		})
	}
	t := s.times
	c.printf("%s: %s, seed %d, samples %d and on\n", output.out, count(n, "image"), s.seed, s.first)
	c.printf("on %s\n", device(info))
	c.printf("open %s, noise %s, locate %s, extend %s, decode %s, image %s\n",
		seconds(t.Open), seconds(t.Noise), seconds(t.Locate), seconds(t.Extend), seconds(t.Decode), seconds(t.Image))
	return nil
}
