package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"brenier/engine"

	"github.com/x448/float16"
)

// The tests say what the processor prints, also on a machine with a GPU.
func TestMain(m *testing.M) {
	if os.Getenv("BRENIER_DEVICE") == "" {
		os.Setenv("BRENIER_DEVICE", "cpu")
	}
	os.Exit(m.Run())
}

// cli runs the program and wants an exit status.
func cli(t *testing.T, want int, arguments ...string) (stdout, stderr string) {
	t.Helper()
	return cliStdin(t, want, nil, arguments...)
}

func cliStdin(t *testing.T, want int, stdin []byte, arguments ...string) (stdout, stderr string) {
	t.Helper()
	var out, failure bytes.Buffer
	if got := run(arguments, bytes.NewReader(stdin), &out, &failure); got != want {
		t.Fatalf("brenier %s: exit status %d, want %d\n%s%s", strings.Join(arguments, " "), got, want, &out, &failure)
	}
	return out.String(), failure.String()
}

// writeSafetensors writes float32 tensors as the format's specification says, by no code of ours.
func writeSafetensors(t *testing.T, path string, names []string, shapes [][]int, data [][]float32) {
	t.Helper()
	header, body := map[string]any{}, []byte{}
	for i, name := range names {
		start := len(body)
		for _, v := range data[i] {
			body = binary.LittleEndian.AppendUint32(body, math.Float32bits(v))
		}
		header[name] = map[string]any{"dtype": "F32", "shape": shapes[i], "data_offsets": []int{start, len(body)}}
	}
	text, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	file := binary.LittleEndian.AppendUint64(nil, uint64(len(text)))
	if err := os.WriteFile(path, append(append(file, text...), body...), 0o644); err != nil {
		t.Fatal(err)
	}
}

func writeNpy(t *testing.T, path string, values []float32, shape ...int) {
	t.Helper()
	var file bytes.Buffer
	if err := writeNpyHeader(&file, "<f4", shape); err != nil {
		t.Fatal(err)
	}
	if err := binary.Write(&file, binary.LittleEndian, values); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, file.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

func gaussians(seed uint64, n int) []float32 {
	random := rand.New(rand.NewPCG(seed, 0))
	values := make([]float32, n)
	for i := range values {
		values[i] = float32(random.NormFloat64())
	}
	return values
}

// The tests' model: 50 points in R^3 and a decoder to c x 6 x 5 images.
const (
	testPoints = 50
	testDim    = 3
	testHeight = 6
	testWidth  = 5
)

// makeModel imports a random decoder of c channels and fits random points, by the command line.
func makeModel(t *testing.T, c int) (model string) {
	t.Helper()
	return makeSizedModel(t, c, testHeight, testWidth)
}

func makeSizedModel(t *testing.T, c, height, width int) (model string) {
	t.Helper()
	directory := t.TempDir()
	state := filepath.Join(directory, "state.safetensors")
	n := c * height * width
	writeSafetensors(t, state,
		[]string{"net.0.weight", "net.0.bias", "encoder.weight"},
		[][]int{{n, testDim}, {n}, {2}},
		[][]float32{gaussians(1, n*testDim), gaussians(2, n), {1, 2}})
	layers := filepath.Join(directory, "layers.txt")
	text := fmt.Sprintf("Linear(%d, %d)\nUnflatten(1, (%d, %d, %d))\nTanh()\n", testDim, n, c, height, width)
	if err := os.WriteFile(layers, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	points := filepath.Join(directory, "points.npy")
	writeNpy(t, points, gaussians(3, 60*testDim), 60, testDim)
	model = filepath.Join(directory, "model.safetensors")
	cli(t, exitDone, "import", state, "--layers", layers, "--prefix", "net.", "--points", points,
		"--count", fmt.Sprint(testPoints), "--fit", "--tol", "0.05", "--images", "64", "--out", model)
	return model
}

func openModel(t *testing.T, path string) *engine.Model {
	t.Helper()
	e, err := engine.New(engine.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	model, err := e.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return model
}

// library makes the images that the command line should have made.
func library(t *testing.T, path string, n int, seed, first uint64, e engine.Extension, dtype engine.DType, layout engine.Layout) []byte {
	t.Helper()
	model := openModel(t, path)
	info := model.Info()
	bytes := map[engine.DType]int{engine.U8: 1, engine.F16: 2, engine.F32: 4}[dtype]
	memory := make([]uint32, n*info.Channels*info.Height*info.Width)
	data := bytesOf(memory)[:n*info.Channels*info.Height*info.Width*bytes]
	if err := model.Generate(n, seed, first, e, engine.Image{Data: data, DType: dtype, Layout: layout}); err != nil {
		t.Fatal(err)
	}
	return data
}

func TestCalls(t *testing.T) {
	for _, c := range []struct {
		arguments []string
		status    int
		says      string
	}{
		{nil, exitUsage, "Commands:"},
		{[]string{"paint"}, exitUsage, `no command "paint"`},
		{[]string{"help", "paint"}, exitUsage, `no command "paint"`},
		{[]string{"info", "a", "b"}, exitUsage, "want [MODEL], got 2 arguments"},
		{[]string{"sample", "m", "--colour"}, exitUsage, "flag provided but not defined"},
		{[]string{"sample", "m", "-n", "many"}, exitUsage, "invalid value"},
		{[]string{"sample", "m", "-n", "-1"}, exitUsage, "-n: want 0 or more, got -1"},
		{[]string{"sample", "m", "--mode", "blur"}, exitUsage, "--mode: want cell, simplex or pair"},
		{[]string{"sample", "m", "--theta", ".1", "--theta-radians", "1"}, exitUsage, "give one"},
		{[]string{"sample", "m", "--out", "x.jpg"}, exitUsage, ".png, .npy or .raw"},
		{[]string{"sample", "m", "--out", "-"}, exitUsage, "say --format"},
		{[]string{"sample", "m", "--out", "x.raw", "--dtype", "f64"}, exitUsage, "--dtype"},
		{[]string{"info", "/nowhere/m.safetensors"}, exitFailed, "/nowhere/m.safetensors"},
		{[]string{"info", "m", "--device", "tpu"}, exitFailed, `got "tpu"`},
		{[]string{"info", "m", "--device", "cpu", "--precision", "float16"}, exitFailed, `precision: want f16, bf16 or f32, got "float16"`},
		{[]string{"fit", "/nowhere/p.npy"}, exitFailed, "no such file"},
		{[]string{"fit", "p.npy", "--tol", "-1"}, exitFailed, "p.npy"},
		{[]string{"fit", "p.npy", "--count", "-1"}, exitUsage, "--count: want 1 or more, or 0, got -1"},
		{[]string{"fit", "p.npy", "--count", "9", "--masses", "m.npy"}, exitUsage, "--count: --heights, --start and --masses hold for all of their points only"},
		{[]string{"import", "s"}, exitUsage, "--layers is missing"},
		{[]string{"import", "d/net.ONNX", "--layers", "l"}, exitUsage, "net.ONNX: want a state dict (safetensors); brenier export takes this"},
		{[]string{"import", "s", "--layers", "l"}, exitUsage, "--input is missing"},
		{[]string{"import", "s", "--layers", "l", "--points", "p"}, exitUsage, "either --fit or --heights"},
		{[]string{"import", "s", "--layers", "l", "--points", "p", "--fit", "--heights", "h"}, exitUsage, "either --fit or --heights"},
		{[]string{"bench", "--dims", "0"}, exitUsage, "--dims"},
	} {
		t.Run(strings.Join(c.arguments, "_"), func(t *testing.T) {
			_, stderr := cli(t, c.status, c.arguments...)
			if !strings.Contains(stderr, c.says) {
				t.Errorf("says %q, want %q in it", stderr, c.says)
			}
			if len(c.arguments) > 0 && (!strings.HasPrefix(stderr, "brenier: ") || strings.Count(stderr, "\n") != 1) {
				t.Errorf("want one line that begins with brenier:, got %q", stderr)
			}
		})
	}
}

func TestHelp(t *testing.T) {
	all, _ := cli(t, exitDone, "help")
	for _, c := range commands {
		if !strings.Contains(all, "\n  "+c.name) {
			t.Errorf("brenier help does not list %s", c.name)
		}
		one, _ := cli(t, exitDone, "help", c.name)
		flagged, _ := cli(t, exitDone, c.name, "--help")
		if one != flagged || !strings.Contains(one, "--device") || !strings.Contains(one, "Examples:\n  brenier "+c.name) {
			t.Errorf("help of %s:\n%s", c.name, one)
		}
	}
}

func TestInfo(t *testing.T) {
	model := makeModel(t, 1)
	text, _ := cli(t, exitDone, "info", model)
	for _, want := range []string{"50 points in 3 dimensions, gaussian source, equal masses, mass centres", "simplex, k = 8", "wanted 0.05: met", "3 -> 1x6x5 in [-1,1]", "cpu"} {
		if !strings.Contains(text, want) {
			t.Errorf("want %q in\n%s", want, text)
		}
	}
	text, _ = cli(t, exitDone, "info", "--json", "--threads", "3", "--device", "cpu")
	var alone struct {
		Device struct {
			Name    string
			Threads int
		}
	}
	if err := json.Unmarshal([]byte(text), &alone); err != nil || alone.Device.Name != "cpu" || alone.Device.Threads != 3 {
		t.Errorf("without a model: got %s", text)
	}
	text, _ = cli(t, exitDone, "info", model, "--json", "--threads", "1", "--cpu", "portable", "--precision", "f32")
	var info struct {
		Device struct {
			Path    string
			Threads int
		}
		Model struct {
			Points, Dimension, Parameters int
			Metadata                      metadata
		}
	}
	if err := json.Unmarshal([]byte(text), &info); err != nil {
		t.Fatal(err)
	}
	if info.Device.Path != "portable" || info.Device.Threads != 1 || info.Model.Points != testPoints || info.Model.Dimension != testDim ||
		info.Model.Parameters != 30*testDim+30 || info.Model.Metadata.Fit == nil || !info.Model.Metadata.Fit.Met {
		t.Errorf("%+v", info)
	}
	m := openModel(t, model)
	if m.Tensor("ot.centroids") == nil {
		t.Error("no mass centres")
	}
}

func TestSamplePNG(t *testing.T) {
	for _, c := range []int{1, 3} {
		t.Run(fmt.Sprintf("channels=%d", c), func(t *testing.T) {
			model := makeModel(t, c)
			out := filepath.Join(t.TempDir(), "grid.png")
			const n, columns, gap = 7, 3, 2
			cli(t, exitDone, "sample", model, "-n", "7", "--seed", "5", "--first", "11", "--columns", "3", "--gap", "2", "--out", out)
			file, err := os.Open(out)
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			picture, err := png.Decode(file)
			if err != nil {
				t.Fatal(err)
			}
			if want := image.Rect(0, 0, columns*testWidth+(columns-1)*gap, 3*testHeight+2*gap); picture.Bounds() != want {
				t.Fatalf("size %v, want %v", picture.Bounds(), want)
			}
			want := library(t, model, n, 5, 11, engine.Extension{}, engine.U8, engine.NHWC)
			for i := range n {
				for y := range testHeight {
					for x := range testWidth {
						at := ((i*testHeight+y)*testWidth + x) * c
						pixel := color.NRGBA{want[at], want[at], want[at], 255}
						if c == 3 {
							pixel = color.NRGBA{want[at], want[at+1], want[at+2], 255}
						}
						got := color.NRGBAModel.Convert(picture.At(i%columns*(testWidth+gap)+x, i/columns*(testHeight+gap)+y))
						if got != pixel {
							t.Fatalf("image %d, row %d, column %d: %v, want %v", i, y, x, got, pixel)
						}
					}
				}
			}
		})
	}
}

func TestSampleFrames(t *testing.T) {
	model := makeModel(t, 3)
	directory := t.TempDir()
	pair := engine.Extension{Mode: engine.Pair, K: 4, Angle: engine.Radians, Theta: 1.5, Blend: 0.25}
	flags := []string{"sample", model, "-n", "600", "--mode", "pair", "--k", "4", "--theta-radians", "1.5", "--blend", "0.25"}
	t.Run("npy", func(t *testing.T) {
		out := filepath.Join(directory, "x.npy")
		cli(t, exitDone, append(flags, "--out", out)...)
		values, shape, _, err := openNpy(out)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(shape, []int{600, 3, testHeight, testWidth}) {
			t.Fatalf("shape %v", shape)
		}
		want := library(t, model, 600, 0, 0, pair, engine.F32, engine.NCHW)
		for i, v := range values {
			if math.Float32bits(v) != binary.LittleEndian.Uint32(want[4*i:]) {
				t.Fatalf("value %d is %v, not the library's", i, v)
			}
		}
	})
	for name, dtype := range map[string]engine.DType{"u8": engine.U8, "f16": engine.F16, "f32": engine.F32} {
		t.Run("raw_"+name, func(t *testing.T) {
			stdout, _ := cli(t, exitDone, append(flags, "--out", "-", "--format", "raw", "--dtype", name)...)
			if stdout != string(library(t, model, 600, 0, 0, pair, dtype, engine.NHWC)) {
				t.Error("the frames are not the library's")
			}
		})
	}
	t.Run("report", func(t *testing.T) {
		out := filepath.Join(directory, "y.raw")
		text, _ := cli(t, exitDone, "sample", model, "-n", "3", "--out", out)
		for _, want := range []string{"3 images", "cpu", "noise", "locate", "extend", "decode", "image"} {
			if !strings.Contains(text, want) {
				t.Errorf("want %q in\n%s", want, text)
			}
		}
		text, _ = cli(t, exitDone, "sample", model, "-n", "3", "--out", out, "--json")
		var report struct {
			Images  int
			Seconds stageTimes
		}
		if err := json.Unmarshal([]byte(text), &report); err != nil || report.Images != 3 || report.Seconds.Decode <= 0 {
			t.Errorf("%s: %v", text, err)
		}
	})
	t.Run("compare", func(t *testing.T) {
		out := filepath.Join(directory, "rows.raw")
		cli(t, exitDone, "sample", model, "-n", "9", "--compare", "--out", out)
		got, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		var want []byte
		for _, e := range []engine.Extension{{Mode: engine.Cell}, {Mode: engine.Simplex}, {Mode: engine.Simplex, Angle: engine.Quantile, Theta: 1}} {
			want = append(want, library(t, model, 9, 0, 0, e, engine.U8, engine.NHWC)...)
		}
		if !bytes.Equal(got, want) {
			t.Error("the rows are not cell, simplex and simplex unfiltered")
		}
	})
	t.Run("none", func(t *testing.T) {
		stdout, _ := cli(t, exitDone, "sample", model, "-n", "0", "--out", "-", "--format", "raw")
		if stdout != "" {
			t.Errorf("%d bytes for no images", len(stdout))
		}
	})
}

func TestFailureLeavesNothing(t *testing.T) {
	model := makeModel(t, 1)
	directory := t.TempDir()
	out := filepath.Join(directory, "old.png")
	if err := os.WriteFile(out, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, stderr := cli(t, exitFailed, "sample", model, "--k", "33", "--out", out)
	if !strings.Contains(stderr, "k: want 1 .. 32") {
		t.Errorf("says %q", stderr)
	}
	if content, err := os.ReadFile(out); err != nil || string(content) != "old" {
		t.Errorf("the old file is %q, %v", content, err)
	}
	if entries, err := os.ReadDir(directory); err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestLocate(t *testing.T) {
	path := makeModel(t, 1)
	model := openModel(t, path)
	const n, k = 9, 3
	x := gaussians(4, n*testDim)
	file := filepath.Join(t.TempDir(), "x.npy")
	writeNpy(t, file, x, n, testDim)
	cells, scores := make([]int64, n*k), make([]float64, n*k)
	if err := model.Locate(x, k, cells, scores); err != nil {
		t.Fatal(err)
	}
	t.Run("json", func(t *testing.T) {
		text, _ := cli(t, exitDone, "locate", path, file, "-k", "3", "--json")
		var got struct {
			Cells  [][]int64
			Scores [][]float64
		}
		if err := json.Unmarshal([]byte(text), &got); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(slices.Concat(got.Cells...), cells) || !slices.Equal(slices.Concat(got.Scores...), scores) {
			t.Errorf("got %v", got)
		}
	})
	t.Run("npy", func(t *testing.T) {
		out, scoresOut := filepath.Join(t.TempDir(), "c.npy"), filepath.Join(t.TempDir(), "s.npy")
		cli(t, exitDone, "locate", path, file, "-k", "3", "--out", out, "--scores", scoresOut)
		got, shape, _, err := openNpy(out)
		if err != nil || !slices.Equal(shape, []int{n, k}) {
			t.Fatal(shape, err)
		}
		for i, v := range got {
			if int64(v) != cells[i] {
				t.Fatalf("cell %d is %v, want %d", i, v, cells[i])
			}
		}
		if got, _, _, err = openNpy(scoresOut); err != nil || got[0] != float32(scores[0]) {
			t.Error(got, err)
		}
	})
	t.Run("standard_input", func(t *testing.T) {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := cliStdin(t, exitDone, data, "locate", path, "-")
		if lines := strings.Split(strings.TrimSpace(text), "\n"); len(lines) != n || !strings.HasPrefix(lines[1], fmt.Sprintf("1\t%d ", cells[k])) {
			t.Errorf("got\n%s", text)
		}
	})
	t.Run("wrong_width", func(t *testing.T) {
		wrong := filepath.Join(t.TempDir(), "w.npy")
		writeNpy(t, wrong, x[:8], 4, 2)
		if _, stderr := cli(t, exitFailed, "locate", path, wrong); !strings.Contains(stderr, "rows of 2, the model's noise has 3") {
			t.Error(stderr)
		}
	})
	t.Run("nan", func(t *testing.T) {
		wrong := filepath.Join(t.TempDir(), "w.npy")
		writeNpy(t, wrong, []float32{0, 0, 0, 0, float32(math.NaN()), 0}, 2, 3)
		if _, stderr := cli(t, exitFailed, "locate", path, wrong); !strings.Contains(stderr, "row 1, column 1") {
			t.Error(stderr)
		}
	})
}

func TestDecode(t *testing.T) {
	path := makeModel(t, 1)
	const n = 5
	z := gaussians(6, n*testDim)
	file, out := filepath.Join(t.TempDir(), "codes.safetensors"), filepath.Join(t.TempDir(), "out.npy")
	writeSafetensors(t, file, []string{"a", "z"}, [][]int{{1}, {n, testDim}}, [][]float32{{1}, z})
	cli(t, exitDone, "decode", path, file+":z", "--out", out)
	got, shape, _, err := openNpy(out)
	if err != nil || !slices.Equal(shape, []int{n, 1, testHeight, testWidth}) {
		t.Fatal(shape, err)
	}
	want := make([]float32, len(got))
	if err := openModel(t, path).Decode(z, engine.Float32Image(want, engine.NCHW)); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		t.Error("the images are not the library's")
	}
	if _, stderr := cli(t, exitFailed, "decode", path, file); !strings.Contains(stderr, "2 tensors") {
		t.Error(stderr)
	}
	if _, stderr := cli(t, exitFailed, "decode", path, file+":b"); !strings.Contains(stderr, `no tensor "b"`) {
		t.Error(stderr)
	}
}

func TestFit(t *testing.T) {
	directory := t.TempDir()
	points := filepath.Join(directory, "points.npy")
	writeNpy(t, points, gaussians(7, 40*2), 40, 2)
	fit := func(t *testing.T, flags ...string) (*engine.Model, report) {
		t.Helper()
		out := filepath.Join(t.TempDir(), "m.safetensors")
		text, _ := cli(t, exitDone, append([]string{"fit", points, "--tol", "0.02", "--out", out, "--json"}, flags...)...)
		var result struct{ Fit report }
		if err := json.Unmarshal([]byte(text), &result); err != nil {
			t.Fatal(err)
		}
		return openModel(t, out), result.Fit
	}
	first, fitted := fit(t, "--seed", "3", "--method", "sampled")
	if !fitted.Met || fitted.Chi2 > 0.02 || fitted.Seed != 3 || *fitted.Tolerance != 0.02 {
		t.Errorf("%+v", fitted)
	}
	t.Run("same_flags_same_heights", func(t *testing.T) {
		again, _ := fit(t, "--seed", "3", "--threads", "1", "--method", "sampled")
		if !slices.Equal(again.Tensor("ot.heights"), first.Tensor("ot.heights")) {
			t.Error("the heights differ")
		}
	})
	t.Run("heights_that_are_known_are_measured", func(t *testing.T) {
		heights := filepath.Join(directory, "heights.npy")
		writeNpy(t, heights, first.Tensor("ot.heights"), 40)
		measured, report := fit(t, "--heights", heights)
		if !slices.Equal(measured.Tensor("ot.heights"), first.Tensor("ot.heights")) || report.Samples != 0 {
			t.Errorf("%+v", report)
		}
		if d := math.Abs(report.Chi2 - fitted.Chi2); d > 5*(report.Chi2Error+fitted.Chi2Error) {
			t.Errorf("chi-squared %v +- %v, fitted %v +- %v", report.Chi2, report.Chi2Error, fitted.Chi2, fitted.Chi2Error)
		}
	})
	t.Run("a_checkpoint_and_a_start", func(t *testing.T) {
		heights, state := filepath.Join(directory, "start.npy"), filepath.Join(directory, "state")
		writeNpy(t, heights, first.Tensor("ot.heights"), 40)
		again, _ := fit(t, "--seed", "3", "--checkpoint", state, "--method", "sampled")
		if !slices.Equal(again.Tensor("ot.heights"), first.Tensor("ot.heights")) {
			t.Error("with a checkpoint the heights are others")
		}
		if _, report := fit(t, "--start", heights, "--rebalance", "--method", "sampled"); !report.Met {
			t.Errorf("%+v", report)
		}
		if err := os.WriteFile(state, []byte("none"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, stderr := cli(t, exitFailed, "fit", points, "--checkpoint", state, "--method", "sampled"); !strings.Contains(stderr, "remove it to start anew") {
			t.Error(stderr)
		}
	})
	t.Run("exact_in_the_plane", func(t *testing.T) {
		_, report := fit(t)
		if report.Method != "exact" || !report.Met || report.MassError == nil || *report.MassError > 1e-5 || report.Samples != 0 {
			t.Errorf("%+v", report)
		}
		if report.MassErrorWide == nil || *report.MassErrorWide > 1e-10 {
			t.Errorf("mass error before rounding: %v", report.MassErrorWide)
		}
		out := filepath.Join(t.TempDir(), "exact.safetensors")
		text, _ := cli(t, exitDone, "fit", points, "--out", out)
		if !strings.Contains(text, "by exact integrals: the largest error of a mass is") || !strings.Contains(text, " before the heights were rounded to float32") {
			t.Error(text)
		}
	})
	t.Run("masses", func(t *testing.T) {
		masses := gaussians(8, 40)
		for i := range masses {
			masses[i] = 1 + float32(i%3)
		}
		file := filepath.Join(directory, "masses.npy")
		writeNpy(t, file, masses, 40)
		model, report := fit(t, "--masses", file)
		if !report.Met || !model.Info().HasMasses {
			t.Errorf("%+v", report)
		}
		masses[7] = -1
		writeNpy(t, file, masses, 40)
		if _, stderr := cli(t, exitFailed, "fit", points, "--masses", file); !strings.Contains(stderr, "masses: row 7 is -1") {
			t.Error(stderr)
		}
	})
	t.Run("some_of_the_points", func(t *testing.T) {
		all := gaussians(7, 40*2)
		some, _ := fit(t, "--count", "15", "--seed", "3")
		last, taken := -1, some.Tensor("ot.points")
		for i := range 15 {
			row := slices.IndexFunc(all, func(v float32) bool { return v == taken[2*i] }) / 2
			if row <= last || all[2*row+1] != taken[2*i+1] {
				t.Errorf("point %d is row %d of the file, the one before it row %d: want rows in their order", i, row, last)
			}
			last = row
		}
		if other, _ := fit(t, "--count", "15", "--seed", "4"); slices.Equal(other.Tensor("ot.points"), taken) {
			t.Error("another seed took the same points")
		}
		if _, stderr := cli(t, exitFailed, "fit", points, "--count", "41"); !strings.Contains(stderr, "--count: want 41 of the points, "+points+" has 40") {
			t.Error(stderr)
		}
	})
	t.Run("figures", func(t *testing.T) {
		// What an SVG says in words is there to be read; the other formats hold the same drawing.
		model := filepath.Join(t.TempDir(), "m.safetensors")
		figure := func(t *testing.T, name string, arguments ...string) []byte {
			t.Helper()
			path := filepath.Join(t.TempDir(), name)
			cli(t, exitDone, append(arguments, "--plot", path)...)
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			return data
		}
		for method, words := range map[string][]string{
			"sampled": {">N / samples<", ">tolerance<", ">certificate, ± 2 standard errors<", ">samples drawn to find the heights<"},
			"exact":   {">Newton steps<", ">as stored, in float32<", ">tolerance<"},
		} {
			svg := figure(t, "f.svg", "fit", points, "--tol", "0.02", "--method", method, "--out", model)
			for _, word := range append(words, ">sampling noise alone<", ">Points<", ">singular edges, as wide as the angle<") {
				if !bytes.Contains(svg, []byte(word)) {
					t.Errorf("%s: the figure does not say %s", method, word)
				}
			}
			colours := map[color.Color]bool{}
			y := openModel(t, model).Tensor("ot.points")
			for _, c := range planeColours(y) {
				colours[c] = true
				r, g, b, _ := c.RGBA()
				if mark := fmt.Sprintf("#%02X%02X%02X", r>>8, g>>8, b>>8); bytes.Count(svg, []byte(mark)) < 2 {
					t.Errorf("%s: colour %s of a cell and its point is there %d times", method, mark, bytes.Count(svg, []byte(mark)))
				}
			}
			if len(colours) != 40 {
				t.Errorf("%d colours for 40 points", len(colours))
			}
		}
		picture, err := png.Decode(bytes.NewReader(figure(t, "f.PNG", "info", model)))
		if err != nil {
			t.Fatal(err)
		}
		if size := picture.Bounds(); size.Dx() != 920 || size.Dy() != 720 {
			t.Errorf("the picture is of %v", size)
		}
		if pdf := figure(t, "f.pdf", "info", model); !bytes.HasPrefix(pdf, []byte("%PDF-")) {
			t.Errorf("the PDF begins with %q", pdf[:8])
		}
		if _, stderr := cli(t, exitUsage, "fit", points, "--plot", "f.gif"); !strings.Contains(stderr, "--plot f.gif: want a name that ends in .png, .svg or .pdf") {
			t.Error(stderr)
		}
		for _, wrong := range []struct {
			arguments []string
			status    int
			text      string
		}{
			{[]string{"--plot", "f.png"}, exitUsage, "name the model"},
			{[]string{model, "--panels", "cells"}, exitUsage, "say what to draw; give --plot too"},
			{[]string{model, "--theta", "0.5"}, exitUsage, "say what to draw; give --plot too"},
			{[]string{model, "--plot", "f.png", "--panels", "cells,lines"}, exitUsage, `want names of convergence, masses, cells, points, got "lines"`},
			{[]string{model, "--plot", "f.png", "--theta-radians", "4"}, exitFailed, "want 0 .. pi radians, got 4"},
			{[]string{makeModel(t, 1), "--plot", "f.png", "--panels", "cells"}, exitFailed, "nothing to draw for cells"},
		} {
			if _, stderr := cli(t, wrong.status, append([]string{"info"}, wrong.arguments...)...); !strings.Contains(stderr, wrong.text) {
				t.Error(stderr)
			}
		}
		plane := figure(t, "plane.svg", "info", model, "--panels", "cells,points")
		if !bytes.Contains(plane, []byte(">Points<")) || bytes.Contains(plane, []byte(">Newton steps<")) {
			t.Error("panels: the figure does not have those asked for")
		}
		if plain := figure(t, "plain.svg", "info", model, "--panels", "cells", "--theta", "1"); bytes.Contains(plain, []byte(">singular edges")) {
			t.Error("edges above all angles are drawn")
		}
	})
	t.Run("half_precision_points", func(t *testing.T) {
		model, _ := fit(t, "--points-dtype", "f16", "--source", "uniform")
		for i, v := range gaussians(7, 40*2) {
			if got := model.Tensor("ot.points")[i]; got != float16.Fromfloat32(v).Float32() {
				t.Fatalf("point value %d is %v, stored %v", i, v, got)
			}
		}
		if model.Info().Source != "uniform" {
			t.Error(model.Info().Source)
		}
	})
}

func TestBench(t *testing.T) {
	model := makeModel(t, 1)
	text, _ := cli(t, exitDone, "bench", model, "--points", "200", "--dims", "4", "--batches", "1,32", "--k", "1,32", "--images", "2", "--json")
	var result struct {
		Floor floor
		Rows  []benchRow
	}
	if err := json.Unmarshal([]byte(text), &result); err != nil {
		t.Fatal(err)
	}
	if result.Floor.FLOPS <= 0 || result.Floor.Bandwidth <= 0 || len(result.Rows) != 5 {
		t.Fatalf("%+v", result)
	}
	for _, r := range result.Rows {
		if r.Floor <= 0 || r.Best <= 0 || r.Median < r.Best {
			t.Errorf("%+v", r)
		}
	}
}
