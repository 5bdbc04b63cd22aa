package main

import (
	"encoding/binary"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"os"
	"slices"
	"strings"

	"brenier/engine"
)

var encodeCommand = command{
	name: "encode", argument: "MODEL IMAGES...", least: 2, most: 1 << 16,
	summary: "Make codes of images: .npy files or safetensors tensors [n,C,H,W], .png files, or - for .npy",
	examples: []string{
		"encode digits.safetensors images.npy --out codes.npy",
		"encode faces.safetensors a.png b.png --out codes.npy",
		"encode digits.safetensors images.npy --out - | brenier decode digits.safetensors - --out reconstructions.png",
	},
	setup: setupEncode,
}

func setupEncode(flags *flag.FlagSet) func(*console, []string) error {
	out := flags.String("out", "codes.npy", "write the codes, float32 [n,d], to this .npy `file`; - standard output")
	return func(c *console, arguments []string) error {
		e, model, err := c.open(arguments[0])
		if err != nil {
			return err
		}
		defer e.Close()
		info := model.Info()
		if !info.HasEncoder {
			return fmt.Errorf("%s: the model has no encoder; import one with the decoder", arguments[0])
		}
		var parts []pictures
		n := 0
		for _, path := range arguments[1:] {
			part, err := readPictures(c, path, info)
			if err != nil {
				return err
			}
			parts = append(parts, part)
			n += part.n
		}
		z, took, done := make([]float32, n*info.Dimension), 0.0, 0
		for _, part := range parts {
			for at := 0; at < part.n; at += chunk {
				count := min(chunk, part.n-at)
				to := z[done*info.Dimension : (done+count)*info.Dimension]
				if err := timed(&took, func() error { return model.Encode(part.from(at, count), to) }); err != nil {
					return fmt.Errorf("%s, from image %d on: %w", part.path, at, err)
				}
				done += count
				c.progress(float64(done)/float64(n), fmt.Sprintf("%d of %d images", done, n))
			}
		}
		err = writeFile(c, *out, func(w io.Writer) error {
			if err := writeNpyHeader(w, "<f4", []int{n, info.Dimension}); err != nil {
				return err
			}
			return binary.Write(w, binary.LittleEndian, z)
		})
		if err != nil || *out == "-" {
			return err
		}
		c.finish()
		if c.json {
			return c.writeJSON(map[string]any{
				"images": n, "dimension": info.Dimension, "file": *out, "device": device(e.Info()),
				"seconds": map[string]float64{"encode": took},
			})
		}
		c.printf("%s: codes of %s on %s\nencode %s\n", *out, count(n, "image"), device(e.Info()), seconds(took))
		return nil
	}
}

// pictures are n images of a model's size from one file.
type pictures struct {
	path   string
	n      int
	images engine.Image
	stride int // bytes of one
}

func (p pictures) from(at, n int) engine.Image {
	part := p.images
	part.Data = part.Data[at*p.stride : (at+n)*p.stride]
	return part
}

// readPictures reads the images of a file: bytes, which stand for the output's range, or floats in it.
func readPictures(c *console, path string, info engine.ModelInfo) (pictures, error) {
	if strings.HasSuffix(strings.ToLower(path), ".png") {
		p, err := readPNG(path, info)
		if err != nil {
			return p, fmt.Errorf("%s: %w", path, err)
		}
		return p, nil
	}
	values, shape, kind, err := readTyped(c, path)
	if err != nil {
		return pictures{}, err
	}
	size := []int{info.Channels, info.Height, info.Width}
	if len(shape) != 4 || !slices.Equal(shape[1:], size) {
		return pictures{}, fmt.Errorf("%s: want images [n,%d,%d,%d], got shape %v", path, size[0], size[1], size[2], shape)
	}
	p := pictures{path: path, n: shape[0], images: engine.Float32Image(values, engine.NCHW), stride: 4 * size[0] * size[1] * size[2]}
	switch {
	case kind == "u1":
		data := make([]byte, len(values))
		for i, v := range values {
			data[i] = byte(v)
		}
		p.images, p.stride = engine.Image{Data: data, DType: engine.U8, Layout: engine.NCHW}, p.stride/4
	case !strings.HasPrefix(kind, "f"):
		return p, fmt.Errorf("%s: want uint8, or floats in [%g,%g], got dtype %q", path, info.Low, info.High, kind)
	}
	return p, nil
}

// readPNG reads one image, grey or in colours as the model's are.
func readPNG(path string, info engine.ModelInfo) (pictures, error) {
	file, err := os.Open(path)
	if err != nil {
		return pictures{}, err
	}
	defer file.Close()
	config, err := png.DecodeConfig(file)
	if err != nil {
		return pictures{}, err
	}
	if config.Width != info.Width || config.Height != info.Height {
		return pictures{}, fmt.Errorf("want %d x %d pixels, as the model's images, got %d x %d", info.Width, info.Height, config.Width, config.Height)
	}
	if info.Channels != 1 && info.Channels != 3 {
		return pictures{}, fmt.Errorf("a PNG holds images of 1 or 3 channels, the model's have %d; give .npy", info.Channels)
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return pictures{}, err
	}
	picture, err := png.Decode(file)
	if err != nil {
		return pictures{}, err
	}
	return pictures{path: path, n: 1, images: pixels(picture, info), stride: info.Channels * info.Height * info.Width}, nil
}

// pixels are a picture's bytes, row by row: its luminance, or red, green and blue, over black where it is
// transparent.
func pixels(picture image.Image, info engine.ModelInfo) engine.Image {
	data := make([]byte, 0, info.Channels*info.Height*info.Width)
	corner := picture.Bounds().Min
	for y := range info.Height {
		for x := range info.Width {
			at := picture.At(corner.X+x, corner.Y+y)
			if info.Channels == 1 {
				data = append(data, color.GrayModel.Convert(at).(color.Gray).Y)
				continue
			}
			r, g, b, _ := at.RGBA()
			data = append(data, byte(r>>8), byte(g>>8), byte(b>>8))
		}
	}
	return engine.Image{Data: data, DType: engine.U8, Layout: engine.NHWC}
}
