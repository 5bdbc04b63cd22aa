package engine

import (
	"errors"
	"math"
	"strings"
	"sync"
	"testing"

	"brenier/engine/internal/modelfile"
)

// measured are a model's statistics after MeasureImages.
func measured(t *testing.T, m *Model, n int) (mean, deviation []float32) {
	t.Helper()
	if err := m.MeasureImages(n); err != nil {
		t.Fatal(err)
	}
	return m.Tensor("output.mean"), m.Tensor("output.deviation")
}

func TestMeasureImages(t *testing.T) {
	content := smallModel(40, 5)
	content.Fit = &modelfile.Fit{Seed: 9}
	m := openModel(t, Config{}, content)
	if m.Tensor("output.mean") != nil || m.Tensor("output.deviation") != nil {
		t.Fatal("statistics of images that nobody made")
	}
	const n = 600 // more than one batch, and not a multiple
	mean, deviation := measured(t, m, n)
	images := make([]float32, n*pixels)
	if err := m.Generate(n, 0x6272656e696572^9, 0, Extension{}, Float32Image(images, NCHW)); err != nil {
		t.Fatal(err)
	}
	for p := range pixels {
		sum, squares := 0.0, 0.0
		for i := p; i < len(images); i += pixels {
			sum += float64(images[i])
		}
		want := sum / n
		for i := p; i < len(images); i += pixels {
			squares += (float64(images[i]) - want) * (float64(images[i]) - want)
		}
		if math.Abs(float64(mean[p])-want) > 1e-7 || math.Abs(float64(deviation[p])-math.Sqrt(squares/n)) > 1e-6 {
			t.Errorf("pixel %d: %v +- %v, want %v +- %v", p, mean[p], deviation[p], want, math.Sqrt(squares/n))
		}
	}
	again, spread := measured(t, openModel(t, Config{Threads: 3}, content), n)
	if err := errors.Join(equalBits(again, mean), equalBits(spread, deviation)); err != nil {
		t.Errorf("with three threads: %v", err)
	}
	other, _ := measured(t, m, n/2)
	if equalBits(other, mean) == nil {
		t.Error("half as many images have the same mean")
	}
	content.Fit = nil
	if other, _ = measured(t, openModel(t, Config{}, content), n); equalBits(other, mean) == nil {
		t.Error("a fit of another seed has the same mean")
	}
}

// What Fit takes and what is taken afterwards is one thing.
func TestMeasureImagesAsFitDoes(t *testing.T) {
	content := smallModel(40, 5)
	decoder := openModel(t, Config{}, content)
	o := FitOptions{Tolerance: 0.1, Decoder: decoder, Images: 300, Seed: 4}
	fitted, err := decoder.engine.Fit(content.Points.Data, 5, nil, o)
	if err != nil {
		t.Fatal(err)
	}
	o.Images = 0
	bare, err := decoder.engine.Fit(content.Points.Data, 5, nil, o)
	if err != nil {
		t.Fatal(err)
	}
	if bare.Tensor("output.mean") != nil {
		t.Error("Images: 0 took statistics")
	}
	mean, deviation := measured(t, bare, 300)
	if err := errors.Join(equalBits(mean, fitted.Tensor("output.mean")), equalBits(deviation, fitted.Tensor("output.deviation"))); err != nil {
		t.Error(err)
	}
}

// Fields that are made at once take one mean, and closing the model ends a measurement.
func TestMeasureImagesFromManyThreads(t *testing.T) {
	m := openModel(t, Config{Threads: 2}, smallModel(40, 5))
	var group sync.WaitGroup
	means := make([][]float32, 4)
	for i := range means {
		group.Go(func() {
			if _, err := m.NewField(FieldOptions{}); err != nil {
				t.Error(err)
			}
			means[i] = m.Tensor("output.mean")
		})
	}
	group.Go(func() {
		if err := m.Save(t.TempDir() + "/m.safetensors"); err != nil {
			t.Error(err)
		}
	})
	group.Wait()
	for _, mean := range means {
		if err := equalBits(mean, means[0]); err != nil || mean == nil {
			t.Errorf("another mean: %v", err)
		}
	}
	done := make(chan error)
	go func() { done <- m.MeasureImages(math.MaxInt) }()
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	if err := <-done; !errors.Is(err, ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

func TestMeasureImagesErrors(t *testing.T) {
	overflow := smallModel(10, 3)
	overflow.Graph.Nodes = overflow.Graph.Nodes[:4] // no Tanh
	overflow.Graph.Output = "c"
	for i := range overflow.Weights["decoder.1.weight"].Data {
		overflow.Weights["decoder.1.weight"].Data[i] = math.MaxFloat32
	}
	decoder, mapped := smallModel(10, 3), smallModel(10, 3)
	decoder.Points, decoder.Heights, decoder.Centroids, decoder.Extension = nil, nil, nil, nil
	mapped.Graph, mapped.Weights, mapped.Output = nil, nil, nil
	for _, c := range []struct {
		content *modelfile.Model
		n       int
		kind    error
		want    string
	}{
		{smallModel(10, 3), 0, ErrInvalidArgument, "images: want 1 or more, got 0"},
		{smallModel(10, 3), -1, ErrInvalidArgument, "images: want 1 or more, got -1"},
		{decoder, 1, ErrUnsupported, "the model has no map"},
		{mapped, 1, ErrUnsupported, "the model has no decoder"},
		{overflow, 8, ErrBadModel, "the decoder's images are not finite"},
	} {
		m := openModel(t, Config{}, c.content)
		err := m.MeasureImages(c.n)
		if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%d images: got %v, want %q", c.n, err, c.want)
		}
		if m.Tensor("output.mean") != nil {
			t.Errorf("%s: statistics all the same", c.want)
		}
	}
}
