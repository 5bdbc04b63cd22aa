package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"brenier/engine"
)

// makeAutoencoder imports a random decoder to c x 6 x 5 images in [-1,1] and a random linear encoder,
// whose weights and bias it returns.
func makeAutoencoder(t *testing.T, c int) (model string, weight, bias []float32) {
	t.Helper()
	directory := t.TempDir()
	state, decoder, encoder := filepath.Join(directory, "state.safetensors"), filepath.Join(directory, "decoder.txt"), filepath.Join(directory, "encoder.txt")
	n := c * testHeight * testWidth
	weight, bias = gaussians(11, testDim*n), gaussians(12, testDim)
	writeSafetensors(t, state,
		[]string{"net.0.weight", "net.0.bias", "enc.1.weight", "enc.1.bias"},
		[][]int{{n, testDim}, {n}, {testDim, n}, {testDim}},
		[][]float32{gaussians(1, n*testDim), gaussians(2, n), weight, bias})
	for path, text := range map[string]string{
		decoder: fmt.Sprintf("Linear(%d, %d)\nUnflatten(1, (%d, %d, %d))\nTanh()\n", testDim, n, c, testHeight, testWidth),
		encoder: fmt.Sprintf("Flatten()\nLinear(%d, %d)\n", n, testDim),
	} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	model = filepath.Join(directory, "model.safetensors")
	cli(t, exitDone, "import", state, "--layers", decoder, "--prefix", "net.", "--input", fmt.Sprint(testDim),
		"--encoder-layers", encoder, "--encoder-prefix", "enc.", "--out", model)
	return model, weight, bias
}

// linear is what the encoder makes of images [n,size] in the range, in float64.
func linear(images []float64, size int, weight, bias []float32) []float64 {
	var codes []float64
	for ; len(images) > 0; images = images[size:] {
		for k, b := range bias {
			sum := float64(b)
			for i, x := range images[:size] {
				sum += x * float64(weight[k*size+i])
			}
			codes = append(codes, sum)
		}
	}
	return codes
}

func TestEncode(t *testing.T) {
	path, weight, bias := makeAutoencoder(t, 3)
	const n, size = 7, 3 * testHeight * testWidth
	directory := t.TempDir()
	in := func(name string) string { return filepath.Join(directory, name) }
	bytesIn, wide, exact := make([]byte, n*size), make([]float32, n*size), make([]float64, n*size)
	for i := range bytesIn {
		bytesIn[i] = byte(i*37 + i/5)
		exact[i] = float64(bytesIn[i])*2/255 - 1
		wide[i] = float32(exact[i])
	}
	writeNpy(t, in("wide.npy"), wide, n, 3, testHeight, testWidth)
	var small bytes.Buffer
	if err := writeNpyHeader(&small, "|u1", []int{n, 3, testHeight, testWidth}); err != nil {
		t.Fatal(err)
	}
	small.Write(bytesIn)
	if err := os.WriteFile(in("small.npy"), small.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	writeSafetensors(t, in("t.safetensors"), []string{"other", "x"}, [][]int{{1}, {n, 3, testHeight, testWidth}}, [][]float32{{0}, wide})
	picture := image.NewNRGBA(image.Rect(0, 0, testWidth, testHeight))
	for y := range testHeight {
		for x := range testWidth {
			at := y*testWidth + x
			picture.SetNRGBA(x, y, color.NRGBA{bytesIn[at], bytesIn[testHeight*testWidth+at], bytesIn[2*testHeight*testWidth+at], 255})
		}
	}
	writePNG(t, in("first.png"), picture)

	want := linear(exact, size, weight, bias)
	check := func(t *testing.T, got []float32, shape []int, want []float64) {
		t.Helper()
		if !slices.Equal(shape, []int{len(want) / testDim, testDim}) {
			t.Fatalf("shape %v", shape)
		}
		for i, w := range want {
			if math.Abs(float64(got[i])-w) > 1e-4 {
				t.Errorf("value %d is %v, want %v", i, got[i], w)
			}
		}
	}
	for _, file := range []string{in("wide.npy"), in("small.npy"), in("t.safetensors") + ":x"} {
		text, _ := cli(t, exitDone, "encode", path, file, "--out", in("codes.npy"), "--json")
		got, shape, _, err := openNpy(in("codes.npy"))
		if err != nil {
			t.Fatal(err)
		}
		check(t, got, shape, want)
		var report struct{ Images, Dimension int }
		if err := json.Unmarshal([]byte(text), &report); err != nil || report.Images != n || report.Dimension != testDim {
			t.Errorf("%s: %v", text, err)
		}
	}
	t.Run("several files in their order, and standard streams", func(t *testing.T) {
		out, _ := cliStdin(t, exitDone, small.Bytes(), "encode", path, in("first.png"), "-", in("first.png"), "--out", "-")
		got, shape, _, err := readNpy(strings.NewReader(out))
		if err != nil {
			t.Fatal(err)
		}
		check(t, got, shape, slices.Concat(want[:testDim], want, want[:testDim]))
	})
	t.Run("decode takes what encode writes", func(t *testing.T) {
		cli(t, exitDone, "encode", path, in("wide.npy"), "--out", in("codes.npy"))
		cli(t, exitDone, "decode", path, in("codes.npy"), "--out", in("again.npy"))
		got, _, _, err := openNpy(in("again.npy"))
		if err != nil {
			t.Fatal(err)
		}
		z, images := make([]float32, n*testDim), make([]float32, n*size)
		model := openModel(t, path)
		if err := model.Encode(engine.Float32Image(wide, engine.NCHW), z); err != nil {
			t.Fatal(err)
		}
		if err := model.Decode(z, engine.Float32Image(images, engine.NCHW)); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, images) {
			t.Error("the images are not the library's")
		}
	})
	t.Run("info", func(t *testing.T) {
		text, _ := cli(t, exitDone, "info", path)
		for _, want := range []string{"encoder    3x6x5 -> 3, 273 parameters\n           Flatten Gemm\n", "decoder    3 -> 3x6x5 in [-1,1], 360 parameters\n           Gemm Reshape Tanh\n"} {
			if !strings.Contains(text, want) {
				t.Errorf("want %q in\n%s", want, text)
			}
		}
		text, _ = cli(t, exitDone, "info", path, "--json")
		var info struct {
			Model struct {
				HasEncoder        bool `json:"has_encoder"`
				EncoderParameters int  `json:"encoder_parameters"`
			}
		}
		if err := json.Unmarshal([]byte(text), &info); err != nil || !info.Model.HasEncoder || info.Model.EncoderParameters != 273 {
			t.Errorf("%s: %v", text, err)
		}
	})
	t.Run("errors", func(t *testing.T) {
		bad := slices.Clone(wide)
		bad[size+4] = float32(math.Inf(1))
		writeNpy(t, in("bad.npy"), bad, n, 3, testHeight, testWidth)
		writeNpy(t, in("flat.npy"), wide, n, size)
		var whole bytes.Buffer
		if err := writeNpyHeader(&whole, "<i8", []int{0, 3, testHeight, testWidth}); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(in("whole.npy"), whole.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		writePNG(t, in("wide.png"), image.NewGray(image.Rect(0, 0, testWidth+1, testHeight)))
		if err := os.WriteFile(in("no.png"), []byte("no picture"), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(in("old.npy"), []byte("old"), 0o644); err != nil {
			t.Fatal(err)
		}
		without := makeModel(t, 1)
		for _, c := range []struct{ model, file, says string }{
			{path, in("bad.npy"), "bad.npy, from image 0 on: images: element 4 of image 1 is a NaN or an infinity"},
			{path, in("flat.npy"), "flat.npy: want images [n,3,6,5], got shape [7 90]"},
			{path, in("whole.npy"), `whole.npy: want uint8, or floats in [-1,1], got dtype "i8"`},
			{path, in("wide.png"), "wide.png: want 5 x 6 pixels, as the model's images, got 6 x 6"},
			{path, in("no.png"), "no.png: png: invalid format"},
			{path, in("none.npy"), "none.npy"},
			{path, in("none.png"), "none.png"},
			{without, in("wide.npy"), "the model has no encoder; import one with the decoder"},
		} {
			_, stderr := cli(t, exitFailed, "encode", c.model, c.file, "--out", in("old.npy"))
			if !strings.Contains(stderr, c.says) || strings.Count(stderr, "\n") != 1 {
				t.Errorf("says %q, want %q in it", stderr, c.says)
			}
		}
		if content, err := os.ReadFile(in("old.npy")); err != nil || string(content) != "old" {
			t.Errorf("the old file is %q, %v", content, err)
		}
		if err := os.WriteFile(in("empty.txt"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(in("layers.txt"), []byte("Linear(1, 1)"), 0o644); err != nil {
			t.Fatal(err)
		}
		_, stderr := cli(t, exitFailed, "import", "s", "--layers", in("layers.txt"), "--input", "3", "--encoder-layers", in("empty.txt"))
		if !strings.Contains(stderr, "want the encoder's layers, got an empty file") {
			t.Error(stderr)
		}
	})
}

// A picture in shades of grey for a model of one channel, and one in colours by its luminance.
func TestEncode_grey(t *testing.T) {
	path, weight, bias := makeAutoencoder(t, 1)
	directory := t.TempDir()
	grey, coloured := image.NewGray(image.Rect(0, 0, testWidth, testHeight)), image.NewNRGBA(image.Rect(0, 0, testWidth, testHeight))
	exact := make([]float64, testHeight*testWidth)
	for i := range exact {
		v := uint8(8 * i)
		exact[i] = float64(v)*2/255 - 1
		grey.Pix[i] = v
		coloured.SetNRGBA(i%testWidth, i/testWidth, color.NRGBA{v, v, v, 255})
	}
	want := linear(exact, len(exact), weight, bias)
	for name, picture := range map[string]image.Image{"grey.png": grey, "coloured.PNG": coloured} {
		file, out := filepath.Join(directory, name), filepath.Join(directory, "codes.npy")
		writePNG(t, file, picture)
		cli(t, exitDone, "encode", path, file, "--out", out)
		got, _, _, err := openNpy(out)
		if err != nil {
			t.Fatal(err)
		}
		for i, w := range want {
			if math.Abs(float64(got[i])-w) > 1e-4 {
				t.Errorf("%s: value %d is %v, want %v", name, i, got[i], w)
			}
		}
	}
}

func writePNG(t *testing.T, path string, picture image.Image) {
	t.Helper()
	var file bytes.Buffer
	if err := png.Encode(&file, picture); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, file.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}
