package main

import (
	"bufio"
	"flag"
	"image"
	"image/png"
	"io"
	"math"
	"path/filepath"
	"strings"

	"brenier/engine"
)

// imageOutput is where images go and how: the flags of the commands that make some.
type imageOutput struct {
	out     string
	format  string
	dtype   string
	columns int
	gap     int
}

func (o *imageOutput) flags(flags *flag.FlagSet, out string) {
	flags.StringVar(&o.out, "out", out, "write to `file`: .png a grid, .npy float32 [n,C,H,W], .raw frames one after another [H,W,C]; - standard output")
	flags.StringVar(&o.format, "format", "", "write `format` png, npy or raw, whatever the file is called")
	flags.StringVar(&o.dtype, "dtype", "u8", "`type` of the elements of raw frames: u8, f16 or f32, little-endian")
	flags.IntVar(&o.columns, "columns", 0, "put `n` images in a row of the grid; 0: about square")
	flags.IntVar(&o.gap, "gap", 2, "leave `n` pixels between images of the grid")
}

// resolve checks the flags and settles the format by the file's name.
func (o *imageOutput) resolve() error {
	if err := resolveFormat(o.out, &o.format); err != nil {
		return err
	}
	switch {
	case o.columns < 0:
		return usagef("--columns: want 1 or more, or 0, got %d", o.columns)
	case o.gap < 0 || o.gap > 1024:
		return usagef("--gap: want 0 .. 1024 pixels, got %d", o.gap)
	}
	if _, known := elements[o.dtype]; !known {
		return usagef("--dtype: want u8, f16 or f32, got %q", o.dtype)
	}
	return nil
}

// resolveFormat settles a format that is not given by the file's name.
func resolveFormat(out string, format *string) error {
	if *format == "" {
		*format = strings.TrimPrefix(strings.ToLower(filepath.Ext(out)), ".")
	}
	switch {
	case *format == "" && out == "-":
		return usagef("--out -: say --format png, npy or raw")
	case *format != "png" && *format != "npy" && *format != "raw":
		return usagef("--out %s: want a name that ends in .png, .npy or .raw, or --format", out)
	}
	return nil
}

// elements are the element types of raw frames and their bytes.
var elements = map[string]struct {
	dtype engine.DType
	bytes int
}{"u8": {engine.U8, 1}, "f16": {engine.F16, 2}, "f32": {engine.F32, 4}}

// sink takes the images of a command, a few at a time and in order.
type sink interface {
	// next returns the memory for the next n images, and put takes them from there.
	next(n int) engine.Image
	put(n int) error
	close() error
}

// open makes a sink that writes n images of a model to w.
func (o *imageOutput) open(w io.Writer, n int, info engine.ModelInfo) (sink, error) {
	size := info.Channels * info.Height * info.Width
	switch o.format {
	case "png":
		return newGrid(w, n, o.columns, o.gap, info)
	case "npy":
		buffered := bufio.NewWriterSize(w, 1<<20)
		shape := []int{n, info.Channels, info.Height, info.Width}
		if err := writeNpyHeader(buffered, "<f4", shape); err != nil {
			return nil, err
		}
		return &frames{w: buffered, dtype: engine.F32, layout: engine.NCHW, stride: 4 * size}, nil
	}
	e := elements[o.dtype]
	return &frames{w: bufio.NewWriterSize(w, 1<<20), dtype: e.dtype, layout: engine.NHWC, stride: e.bytes * size}, nil
}

// frames writes images one after another.
type frames struct {
	w      *bufio.Writer
	dtype  engine.DType
	layout engine.Layout
	stride int // bytes of one image
	memory []uint32
}

func (f *frames) next(n int) engine.Image {
	if words := (n*f.stride + 3) / 4; len(f.memory) < words {
		f.memory = make([]uint32, words) // aligned to any element
	}
	return engine.Image{Data: bytesOf(f.memory)[:n*f.stride], DType: f.dtype, Layout: f.layout}
}

func (f *frames) put(n int) error {
	_, err := f.w.Write(bytesOf(f.memory)[:n*f.stride])
	return err
}

func (f *frames) close() error { return f.w.Flush() }

// grid puts images side by side in a PNG.
type grid struct {
	w       io.Writer
	info    engine.ModelInfo
	columns int
	gap     int
	picture image.Image
	pixels  []byte // of picture, row by row
	stride  int    // bytes of a row
	placed  int    // images
	memory  []byte
}

// maxPixels bounds a grid: 16 k by 16 k.
const maxPixels = 1 << 28

func newGrid(w io.Writer, n, columns, gap int, info engine.ModelInfo) (*grid, error) {
	if info.Channels != 1 && info.Channels != 3 {
		return nil, usagef("a PNG holds images of 1 or 3 channels, the model's have %d; write .npy or .raw", info.Channels)
	}
	if columns == 0 {
		columns = squareColumns(n, info.Height+gap, info.Width+gap)
	}
	columns = min(columns, max(n, 1))
	rows := max(1, (n+columns-1)/columns)
	width, height := columns*(info.Width+gap)-gap, rows*(info.Height+gap)-gap
	if int64(width)*int64(height) > maxPixels {
		return nil, usagef("a grid of %d x %d pixels is too large; take fewer images, or write .npy or .raw", width, height)
	}
	g := &grid{w: w, info: info, columns: columns, gap: gap}
	bounds := image.Rect(0, 0, width, height)
	if info.Channels == 1 {
		picture := image.NewGray(bounds)
		g.picture, g.pixels, g.stride = picture, picture.Pix, picture.Stride
	} else {
		picture := image.NewNRGBA(bounds)
		g.picture, g.pixels, g.stride = picture, picture.Pix, picture.Stride
	}
	for i := range g.pixels {
		g.pixels[i] = 0xff // the gaps, and an opaque picture
	}
	return g, nil
}

// squareColumns is the number of columns that makes a grid of n tiles about square.
func squareColumns(n, height, width int) int {
	return max(1, int(math.Ceil(math.Sqrt(float64(n)*float64(height)/float64(width)))))
}

func (g *grid) next(n int) engine.Image {
	if size := n * g.info.Channels * g.info.Height * g.info.Width; len(g.memory) < size {
		g.memory = make([]byte, size)
	}
	return engine.Image{Data: g.memory, DType: engine.U8, Layout: engine.NHWC}
}

func (g *grid) put(n int) error {
	c, h, w := g.info.Channels, g.info.Height, g.info.Width
	for i := range n {
		left, top := g.placed%g.columns*(w+g.gap), g.placed/g.columns*(h+g.gap)
		for y := range h {
			from := g.memory[(i*h+y)*w*c : (i*h+y+1)*w*c]
			if c == 1 {
				copy(g.pixels[(top+y)*g.stride+left:], from)
				continue
			}
			to := g.pixels[(top+y)*g.stride+4*left:]
			for x := range w {
				copy(to[4*x:4*x+3], from[3*x:])
			}
		}
		g.placed++
	}
	return nil
}

func (g *grid) close() error {
	encoder := png.Encoder{CompressionLevel: png.BestSpeed}
	return encoder.Encode(g.w, g.picture)
}
