package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"brenier/engine"
)

var importCommand = command{
	name: "import", argument: "STATE_DICT", least: 1, most: 1,
	summary: "Make a model of a PyTorch autoencoder's or decoder's state dict (safetensors) and its layer lists",
	examples: []string{
		"import autoencoder.safetensors --layers decoder.txt --prefix decoder. --input 64 --out decoder.safetensors",
		"import autoencoder.safetensors --layers decoder.txt --points latents.safetensors:latents --fit --out digits.safetensors",
		"import autoencoder.safetensors --layers decoder.txt --encoder-layers encoder.txt --points latents.npy --fit --out digits.safetensors",
		"import autoencoder.safetensors --layers decoder.txt --points latents.safetensors --count 10000 --fit --weights f16 --points-dtype f16 --out small.safetensors",
		"import autoencoder.safetensors --layers decoder.txt --points latents.safetensors --heights heights.safetensors --out digits.safetensors",
	},
	setup: setupImport,
}

func setupImport(flags *flag.FlagSet) func(*console, []string) error {
	var (
		f       fitting
		decoder engine.DecoderImport
	)
	layersPath := flags.String("layers", "", "`file` with a layer a line, as PyTorch prints an nn.Sequential, or a JSON list of strings")
	flags.StringVar(&decoder.Prefix, "prefix", "decoder.", "the decoder's tensors are those of the state dict that begin with `text`")
	encoderPath := flags.String("encoder-layers", "", "`file` with the layers of an encoder in the same state dict, from images in their range to codes; none: the model has no encoder")
	flags.StringVar(&decoder.EncoderPrefix, "encoder-prefix", "encoder.", "the encoder's tensors are those of the state dict that begin with `text`")
	input := flags.String("input", "", "`shape` of a code, as 64 or 64,1,1; else [d] of --points")
	rangeText := flags.String("range", "", "the images' `low,high`; else from the last layer")
	weights := flags.String("weights", "f32", "keep weights as `type` f32 or f16")
	points := flags.String("points", "", "codes [N,d], an .npy `file` or a safetensors tensor")
	doFit := flags.Bool("fit", false, "find the points' heights")
	out := flags.String("out", "model.safetensors", "write the model to `file`")
	f.flags(flags)
	return func(c *console, arguments []string) error {
		decoder.StateDict = arguments[0]
		switch {
		case slices.Contains([]string{".onnx", ".pt2"}, strings.ToLower(filepath.Ext(arguments[0]))):
			return usagef("%s: want a state dict (safetensors); brenier export takes this", arguments[0])
		case *layersPath == "":
			return usagef("--layers is missing: the file with the decoder's layers")
		case *points == "" && *input == "":
			return usagef("--input is missing: the shape of a code, as 64")
		case *points == "" && (*doFit || f.heights != ""):
			return usagef("--fit and --heights need --points")
		case *points != "" && *doFit == (f.heights != ""):
			return usagef("--points need either --fit or --heights")
		}
		text, err := os.ReadFile(*layersPath)
		if err != nil {
			return err
		}
		decoder.Layers = string(text)
		if *encoderPath != "" {
			if text, err = os.ReadFile(*encoderPath); err != nil {
				return err
			}
			if decoder.EncoderLayers = string(text); strings.TrimSpace(decoder.EncoderLayers) == "" {
				return fmt.Errorf("%s: want the encoder's layers, got an empty file", *encoderPath)
			}
		}
		var known bool
		if decoder.Weights, known = dtypes[*weights]; !known {
			return usagef("--weights: want f32 or f16, got %q", *weights)
		}
		if decoder.Range, err = parseRange(*rangeText); err != nil {
			return err
		}
		var codes []float32
		d := 0
		if *points != "" {
			if codes, d, err = f.points(c, *points); err != nil {
				return err
			}
			decoder.Input = []int{d}
		}
		if *input != "" {
			if decoder.Input, err = parseShape(*input); err != nil {
				return err
			}
		}
		e, err := engine.New(c.config)
		if err != nil {
			return err
		}
		defer e.Close()
		model, err := e.ImportDecoder(decoder)
		if err != nil {
			return err
		}
		if *points != "" {
			f.options.Decoder = model
			if model, err = f.fit(c, e, codes, d); err != nil {
				return err
			}
		}
		if err := saveModel(c, e, model, *out); err != nil || *points == "" {
			return err
		}
		return f.figure.draw(c, model)
	}
}

func parseShape(text string) ([]int, error) {
	var shape []int
	for _, part := range strings.Split(text, ",") {
		extent, err := strconv.Atoi(strings.TrimSpace(part))
		if err != nil || extent < 1 {
			return nil, usagef("--input: want whole numbers from 1, as 64 or 64,1,1, got %q", text)
		}
		shape = append(shape, extent)
	}
	return shape, nil
}

func parseRange(text string) (r [2]float64, err error) {
	if text == "" {
		return r, nil
	}
	low, high, both := strings.Cut(text, ",")
	r[0], err = strconv.ParseFloat(strings.TrimSpace(low), 64)
	if err == nil && both {
		r[1], err = strconv.ParseFloat(strings.TrimSpace(high), 64)
	}
	if err != nil || !both || !(r[0] < r[1]) {
		return r, usagef("--range: want low,high, as 0,1, got %q", text)
	}
	return r, nil
}
