package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"brenier/engine"
)

// fieldOf reads a region of a model's field by the engine, as float32 [H,W,C].
func fieldOf(t *testing.T, model string, o engine.FieldOptions, seed uint64, r engine.Region, c int) []float32 {
	t.Helper()
	e, err := engine.New(engine.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	m, err := e.Open(model)
	if err != nil {
		t.Fatal(err)
	}
	f, err := m.NewField(o)
	if err != nil {
		t.Fatal(err)
	}
	values := make([]float32, r.Width*r.Height*c)
	if err := f.Read(seed, r, engine.Float32Image(values, engine.NHWC), engine.Slices{}); err != nil {
		t.Fatal(err)
	}
	return values
}

func decodePNG(t *testing.T, path string) image.Image {
	t.Helper()
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	picture, err := png.Decode(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	return picture
}

func TestField(t *testing.T) {
	grey, colour, directory := makeSizedModel(t, 1, 6, 4), makeSizedModel(t, 3, 4, 8), t.TempDir()
	file := func(name string) string { return filepath.Join(directory, name) }
	world := engine.FieldOptions{Octaves: []engine.Octave{{Scale: 4, Amplitude: 1}, {Scale: 1, Amplitude: 0.25, Modulation: 1}}}
	r := engine.Region{X: 1<<40 - 7, Y: -300, Width: 33, Height: 520}
	region := fmt.Sprintf("%d,%d,%dx%d", r.X, r.Y, r.Width, r.Height)

	t.Run("raw and npy are the field's values", func(t *testing.T) {
		want := fieldOf(t, grey, world, 7, r, 1)
		for _, name := range []string{"f.raw", "f.npy"} {
			cli(t, exitDone, "field", grey, "--seed", "7", "--octaves", "4,1:0.25:1", "--region", region, "--dtype", "f32", "--out", file(name))
			got, err := os.ReadFile(file(name))
			if err != nil {
				t.Fatal(err)
			}
			if name == "f.npy" {
				_, shape, _, err := readNpy(bytes.NewReader(got))
				if err != nil || fmt.Sprint(shape) != "[520 33]" {
					t.Errorf("shape %v, %v; want [520 33]", shape, err)
				}
				got = got[len(got)-4*len(want):]
			}
			for k, v := range want {
				if bits := binary.LittleEndian.Uint32(got[4*k:]); bits != math.Float32bits(v) {
					t.Fatalf("%s: pixel %d is %v, want %v", name, k, math.Float32frombits(bits), v)
				}
			}
		}
	})
	t.Run("a PNG has 16 bits", func(t *testing.T) {
		stdout, _ := cli(t, exitDone, "field", grey, "--seed", "7", "--octaves", "4,1:0.25:1", "--region", region, "--offset", "1000", "--scale", "200", "--out", file("f.png"), "--json")
		var report struct {
			File          string
			X, Y          int64
			Width, Height int
			Seconds       float64
		}
		if err := json.Unmarshal([]byte(stdout), &report); err != nil || report.X != r.X || report.Y != r.Y || report.Width != 33 || report.Height != 520 {
			t.Errorf("report %s: %+v, %v", stdout, report, err)
		}
		picture, is := decodePNG(t, file("f.png")).(*image.Gray16)
		if !is || picture.Bounds() != image.Rect(0, 0, 33, 520) {
			t.Fatalf("want a grey picture of 33 x 520 with 16 bits")
		}
		for k, v := range fieldOf(t, grey, world, 7, r, 1) {
			if got := float64(picture.Gray16At(k%33, k/33).Y); math.Abs(got-(1000+200*float64(v))) > 0.51 {
				t.Fatalf("pixel %d is %v, want %v", k, got, 1000+200*v)
			}
		}
	})
	t.Run("levels, channels and 8 bits", func(t *testing.T) {
		cli(t, exitDone, "field", colour, "--seed", "3", "--octaves", "8", "--level", "2", "--region", "-5,6,20x10", "--dtype", "u8", "--out", file("c.png"))
		want := fieldOf(t, colour, engine.FieldOptions{Octaves: []engine.Octave{{Scale: 8}}}, 3, engine.Region{X: -5, Y: 6, Width: 20, Height: 10, Level: 2}, 3)
		for _, depth := range []string{"u8", "u16"} {
			cli(t, exitDone, "field", colour, "--seed", "3", "--octaves", "8", "--level", "2", "--region", "-5,6,20x10", "--dtype", depth, "--out", file("c.png"))
			picture := decodePNG(t, file("c.png"))
			for k := 0; k < len(want); k += 3 {
				red, green, blue, alpha := picture.At(k/3%20, k/3/20).RGBA()
				for c, got := range []uint32{red, green, blue} {
					if w := 0.5 + float64(want[k+c])/8; alpha != 0xFFFF || math.Abs(float64(got)/65535-max(0, min(1, w))) > 0.003 {
						t.Fatalf("%s: pixel %d, channel %d is %v of 65535 and alpha %v, want %v of 1", depth, k/3, c, got, alpha, w)
					}
				}
			}
		}
		cli(t, exitDone, "field", colour, "--channel", "1", "--channels", "1", "--region", "0,0,9x9", "--out", file("one.png"))
		if _, is := decodePNG(t, file("one.png")).(*image.Gray16); !is {
			t.Error("one channel of three is no grey picture")
		}
	})
	t.Run("a map is painted alike in parts", func(t *testing.T) {
		paint := func(region string) image.Image {
			cli(t, exitDone, "field", grey, "--octaves", "8,1:0.3", "--region", region, "--shade", "--out", file("map.png"))
			return decodePNG(t, file("map.png"))
		}
		whole, part := paint("-20,-20,40x40"), paint("-3,4,9x6")
		blue, other := 0, 0
		for y := range 40 {
			for x := range 40 {
				r, _, b, _ := whole.At(x, y).RGBA()
				if b > r {
					blue++
				} else {
					other++
				}
				if at := image.Pt(x-17, y-24); at.In(part.Bounds()) && part.At(at.X, at.Y) != whole.At(x, y) {
					t.Fatalf("pixel (%d, %d) is %v in the part, %v in the whole", at.X, at.Y, part.At(at.X, at.Y), whole.At(x, y))
				}
			}
		}
		if blue < 40 || other < 40 {
			t.Errorf("%d pixels of sea and %d of land; want some of both", blue, other)
		}
	})
	t.Run("wrong flags", func(t *testing.T) {
		for _, c := range []struct {
			status    int
			arguments []string
			want      string
		}{
			{exitUsage, []string{"--region", "1,2"}, "--region: want X,Y,WxH"},
			{exitUsage, []string{"--region", "1,2,3"}, "--region: want X,Y,WxH"},
			{exitUsage, []string{"--region", "99999999999999999999,2,3x4"}, "--region"},
			{exitUsage, []string{"--region", "0,0,0x4"}, "--region: 0 x 4 pixels"},
			{exitUsage, []string{"--region", "0,0,1000000x1000000"}, "--region: 1000000 x 1000000 pixels"},
			{exitUsage, []string{"--octaves", "2:x"}, `--octaves: want SCALE[:AMPLITUDE[:MODULATION]]`},
			{exitUsage, []string{"--octaves", "1:0"}, "--octaves"},
			{exitUsage, []string{"--octaves", "1:1:1:1"}, "--octaves"},
			{exitUsage, []string{"--octaves", ""}, "--octaves"},
			{exitFailed, []string{"--octaves", "3"}, "octaves: 0: scale: want a power of two"},
			{exitFailed, []string{"--octaves", "1:nan"}, "octaves: 0: amplitude"},
			{exitFailed, []string{"--level", "31"}, "level: want 0 .. 30"},
			{exitFailed, []string{"--region", "4611686018427387904,0,3x3"}, "beyond the plane's end"},
			{exitFailed, []string{"--offset", "3"}, "scale"},
			{exitUsage, []string{"--dtype", "f64"}, "--dtype"},
			{exitUsage, []string{"--dtype", "f32"}, "--dtype: a PNG holds u8 or u16"},
			{exitUsage, []string{"--out", "x.tif"}, "--out x.tif"},
			{exitUsage, []string{"--shade", "--out", "x.npy"}, "--shade: a map is a PNG"},
			{exitUsage, []string{"--shade", "--scale", "2"}, "--shade"},
			{exitUsage, []string{"--shade", "--relief", "-1"}, "--relief"},
		} {
			arguments := append([]string{"field", grey, "--out", file("never.png")}, c.arguments...)
			if _, stderr := cli(t, c.status, arguments...); !strings.Contains(stderr, c.want) {
				t.Errorf("%q: got %q, want %q", c.arguments, stderr, c.want)
			}
		}
		if _, stderr := cli(t, exitUsage, "field", colour, "--shade", "--out", file("never.png")); !strings.Contains(stderr, "paints one channel, these are 3") {
			t.Errorf("a map of three channels: got %q", stderr)
		}
		if entries, err := os.ReadDir(directory); err != nil || len(entries) != 6 {
			t.Errorf("files are left over: %v, %v", entries, err)
		}
		if _, stderr := cli(t, exitFailed, "field", makeModel(t, 1), "--out", file("never.png")); !strings.Contains(stderr, "even height and width") {
			t.Errorf("images of odd width: got %q", stderr)
		}
	})
}
