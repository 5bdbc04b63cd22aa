package main

import (
	"bufio"
	"flag"
	"fmt"
	"image"
	"image/png"
	"io"
	"strconv"
	"strings"
	"time"

	"brenier/engine"
)

var fieldCommand = command{
	name: "field", argument: "MODEL", least: 1, most: 1,
	summary: "Read a region of an unbounded plane made of the model's images",
	examples: []string{
		"field terrain.safetensors --seed 7 --octaves 8,1:0.2:1 --region -512,-512,1024x1024 --shade --out map.png",
		"field terrain.safetensors --seed 7 --octaves 8,1:0.2:1 --region 1000000000000,0,512x512 --out heights.png",
		"field terrain.safetensors --seed 7 --octaves 64,8:0.5:1,1:0.1:1 --level 5 --region -64,-64,512x512 --shade",
		"field terrain.safetensors --offset 200 --scale 1500 --out heights.raw --dtype f32",
	},
	setup: setupField,
}

// fieldElements are the element types of a field's pixels and their bytes.
var fieldElements = map[string]struct {
	dtype engine.DType
	bytes int
}{"u8": {engine.U8, 1}, "u16": {engine.U16, 2}, "f16": {engine.F16, 2}, "f32": {engine.F32, 4}}

// fieldOutput is where a field's pixels go and how.
type fieldOutput struct {
	out, format, dtype string
	shade              bool
	sea, relief        float64
}

func setupField(flags *flag.FlagSet) func(*console, []string) error {
	var o engine.FieldOptions
	var output fieldOutput
	seed := flags.Uint64("seed", 0, "`seed` of the plane")
	regionText := flags.String("region", "0,0,512x512", "read `X,Y,WxH`: W columns from X on, H rows from Y on, in the level's pixels")
	level := flags.Int("level", 0, "read level `l`, whose pixels are the means of 2^l x 2^l of level 0")
	octavesText := flags.String("octaves", "1", "sum these octaves, from coarse to fine, each `SCALE[:AMPLITUDE[:MODULATION]]`, with commas between")
	flags.IntVar(&o.Channel, "channel", 0, "begin with channel `c` of the model's images")
	flags.IntVar(&o.Channels, "channels", 0, "read `n` channels; 0: all from there on")
	flags.Float64Var(&o.Offset, "offset", 0, "a pixel is this `value` + scale * the sum of the octaves")
	flags.Float64Var(&o.Scale, "scale", 0, "see --offset; 0: the `factor` that suits the dtype")
	flags.StringVar(&output.out, "out", "field.png", "write to `file`: .png grey or RGB, .npy float32 [H,W,C], .raw the pixels' memory [H,W,C]; - standard output")
	flags.StringVar(&output.format, "format", "", "write `format` png, npy or raw, whatever the file is called")
	flags.StringVar(&output.dtype, "dtype", "u16", "`type` of the elements: u8 or u16 in a PNG; u8, u16, f16 or f32, little-endian, in raw")
	flags.BoolVar(&output.shade, "shade", false, "paint a map: colours by height, relief lit from the north-west")
	flags.Float64Var(&output.sea, "sea", -0.3, "--shade: sea up to this `height`, in standard deviations from the mean")
	flags.Float64Var(&output.relief, "relief", 12, "--shade: a standard deviation is as high as `n` pixels of level 0 are wide")
	return func(c *console, arguments []string) error {
		r, err := parseRegion(*regionText)
		if err != nil {
			return err
		}
		r.Level = *level
		if o.Octaves, err = parseOctaves(*octavesText); err != nil {
			return err
		}
		if err := output.resolve(o); err != nil {
			return err
		}
		e, m, err := c.open(arguments[0])
		if err != nil {
			return err
		}
		defer e.Close()
		field, err := m.NewField(o)
		if err != nil {
			return err
		}
		channels := o.Channels
		if channels == 0 {
			channels = m.Info().Channels - o.Channel
		}
		start := time.Now()
		source := &fieldSource{c: c, field: field, seed: *seed, channels: channels}
		err = writeFile(c, output.out, func(w io.Writer) error { return output.write(w, source, r) })
		if err != nil {
			return err
		}
		return output.report(c, e.Info(), r, *seed, time.Since(start).Seconds())
	}
}

// parseRegion reads X,Y,WxH.
func parseRegion(text string) (r engine.Region, err error) {
	parts := strings.Split(text, ",")
	if len(parts) == 3 {
		width, height, _ := strings.Cut(parts[2], "x")
		if r.X, err = strconv.ParseInt(parts[0], 10, 64); err == nil {
			if r.Y, err = strconv.ParseInt(parts[1], 10, 64); err == nil {
				if r.Width, err = strconv.Atoi(width); err == nil {
					if r.Height, err = strconv.Atoi(height); err == nil {
						return r, nil
					}
				}
			}
		}
	}
	return r, usagef("--region: want X,Y,WxH, as -512,0,1024x768, got %q", text)
}

// parseOctaves reads SCALE[:AMPLITUDE[:MODULATION]],...
func parseOctaves(text string) (octaves []engine.Octave, err error) {
	for _, one := range strings.Split(text, ",") {
		octave := engine.Octave{Amplitude: 1}
		parts := strings.Split(one, ":")
		octave.Scale, err = strconv.Atoi(parts[0])
		for i, to := range []*float64{&octave.Amplitude, &octave.Modulation} {
			if err == nil && len(parts) > i+1 {
				*to, err = strconv.ParseFloat(parts[i+1], 64)
			}
		}
		// The engine takes 0 for the default, which here nobody means who writes it.
		if err != nil || len(parts) > 3 || octave.Scale == 0 || octave.Amplitude == 0 {
			return nil, usagef("--octaves: want SCALE[:AMPLITUDE[:MODULATION]] with a scale and an amplitude other than 0, as 8,1:0.2:1, got %q", one)
		}
		octaves = append(octaves, octave)
	}
	return octaves, nil
}

// resolve checks the flags and settles the format.
func (o *fieldOutput) resolve(field engine.FieldOptions) error {
	if err := resolveFormat(o.out, &o.format); err != nil {
		return err
	}
	_, known := fieldElements[o.dtype]
	switch {
	case !known:
		return usagef("--dtype: want u8, u16, f16 or f32, got %q", o.dtype)
	case o.format == "png" && o.dtype != "u8" && o.dtype != "u16":
		return usagef("--dtype: a PNG holds u8 or u16, got %q; write .npy or .raw", o.dtype)
	case o.shade && o.format != "png":
		return usagef("--shade: a map is a PNG, not %s", o.format)
	case o.shade && (field.Offset != 0 || field.Scale != 0):
		return usagef("--shade: paints standard deviations; leave --offset and --scale out")
	case o.shade && field.Channels > 1:
		return usagef("--shade: paints one channel; leave --channels out")
	case !(o.relief >= 0) || o.sea != o.sea:
		return usagef("--sea, --relief: want numbers, the second from 0, got %v and %v", o.sea, o.relief)
	}
	return nil
}

// fieldSource is a field that is read with a progress bar.
type fieldSource struct {
	c        *console
	field    *engine.Field
	seed     uint64
	channels int
}

// bandRows is how many rows are read at a time. The tiles that two bands share come from the cache.
const bandRows = 256

// read reads a region into memory of elements of so many bytes, [H,W,C], band by band, and calls done
// after each with the bytes of it; done may be nil. Without keep, every band is read to the same place.
func (s *fieldSource) read(r engine.Region, dtype engine.DType, bytes int, keep bool, done func(band []byte) error) ([]byte, error) {
	pixels := int64(r.Width) * int64(r.Height)
	if r.Width < 1 || r.Height < 1 || pixels/int64(r.Width) != int64(r.Height) || keep && pixels > maxPixels {
		return nil, usagef("--region: %d x %d pixels: want 1 or more along each axis, and at most %d in all for a PNG", r.Width, r.Height, maxPixels)
	}
	row := r.Width * s.channels * bytes
	rows := min(r.Height, bandRows)
	if keep {
		rows = r.Height
	}
	memory := bytesOf(make([]uint32, (rows*row+3)/4))[:rows*row] // aligned to any element
	for at := 0; at < r.Height; at += bandRows {
		band := r
		band.Y, band.Height = r.Y+int64(at), min(bandRows, r.Height-at)
		to := memory[:band.Height*row]
		if keep {
			to = memory[at*row : (at+band.Height)*row]
		}
		if err := s.field.Read(s.seed, band, engine.Image{Data: to, DType: dtype, Layout: engine.NHWC}, engine.Slices{}); err != nil {
			return nil, err
		}
		if done != nil {
			if err := done(to); err != nil {
				return nil, err
			}
		}
		s.c.progress(float64(at+band.Height)/float64(r.Height), fmt.Sprintf("%d of %d rows", at+band.Height, r.Height))
	}
	return memory, nil
}

// write writes a region to w.
func (o *fieldOutput) write(w io.Writer, s *fieldSource, r engine.Region) error {
	var picture image.Image
	var err error
	e := fieldElements[o.dtype]
	switch {
	case o.shade:
		picture, err = o.paint(s, r)
	case o.format == "png":
		picture, err = fieldPicture(s, r, e.dtype, e.bytes)
	default:
		buffered := bufio.NewWriterSize(w, 1<<20)
		if o.format == "npy" {
			e = fieldElements["f32"]
			shape := []int{r.Height, r.Width, s.channels}
			if s.channels == 1 {
				shape = shape[:2]
			}
			if err := writeNpyHeader(buffered, "<f4", shape); err != nil {
				return err
			}
		}
		_, err := s.read(r, e.dtype, e.bytes, false, func(band []byte) error {
			_, err := buffered.Write(band)
			return err
		})
		if err != nil {
			return err
		}
		return buffered.Flush()
	}
	if err != nil {
		return err
	}
	encoder := png.Encoder{CompressionLevel: png.BestCompression}
	return encoder.Encode(w, picture)
}

// fieldPicture is a region as a picture of 1 or 3 channels, of 8 or 16 bits.
func fieldPicture(s *fieldSource, r engine.Region, dtype engine.DType, bytes int) (image.Image, error) {
	if s.channels != 1 && s.channels != 3 {
		return nil, usagef("a PNG holds 1 or 3 channels, these are %d; choose by --channel and --channels, or write .npy or .raw", s.channels)
	}
	values, err := s.read(r, dtype, bytes, true, nil)
	if err != nil {
		return nil, err
	}
	if bytes == 2 { // a PNG has the high byte first
		for i := 0; i < len(values); i += 2 {
			values[i], values[i+1] = values[i+1], values[i]
		}
	}
	bounds := image.Rect(0, 0, r.Width, r.Height)
	switch {
	case s.channels == 1 && bytes == 1:
		return &image.Gray{Pix: values, Stride: r.Width, Rect: bounds}, nil
	case s.channels == 1:
		return &image.Gray16{Pix: values, Stride: 2 * r.Width, Rect: bounds}, nil
	}
	pixel := 3 * bytes
	opaque := make([]byte, 0, len(values)/3*4)
	for i := 0; i < len(values); i += pixel {
		opaque = append(append(opaque, values[i:i+pixel]...), 0xFF)
		if bytes == 2 {
			opaque = append(opaque, 0xFF)
		}
	}
	if bytes == 1 {
		return &image.NRGBA{Pix: opaque, Stride: 4 * r.Width, Rect: bounds}, nil
	}
	return &image.NRGBA64{Pix: opaque, Stride: 8 * r.Width, Rect: bounds}, nil
}

func (o *fieldOutput) report(c *console, info engine.Info, r engine.Region, seed uint64, took float64) error {
	c.finish()
	if o.out == "-" {
		return nil
	}
	if c.json {
		return c.writeJSON(map[string]any{
			"file": o.out, "x": r.X, "y": r.Y, "width": r.Width, "height": r.Height, "level": r.Level,
			"seed": seed, "device": device(info), "seconds": took,
		})
	}
	c.printf("%s: %d x %d pixels from (%d, %d) on of level %d, seed %d\n", o.out, r.Width, r.Height, r.X, r.Y, r.Level, seed)
	c.printf("on %s, in %s\n", device(info), seconds(took))
	return nil
}
