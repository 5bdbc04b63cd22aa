//go:build cuda

package cuda

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/cpu"
	"brenier/engine/internal/cuda/driver"
	"brenier/engine/internal/fault"
	"brenier/engine/internal/graph"
)

const (
	testChannels = 2
	testPixels   = testChannels * 6 * 6
)

// testParts are a map of n points in R^d and a decoder to 2x6x6 images, all random.
func testParts(n, d int) backend.Parts {
	r := rand.New(rand.NewPCG(1, 2))
	gaussians := func(n int, scale float64) []float32 {
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(scale * r.NormFloat64())
		}
		return v
	}
	points := gaussians(n*d, 1)
	heights := make([]float32, n)
	for i := range heights {
		for _, v := range points[i*d : (i+1)*d] {
			heights[i] -= v * v / 2
		}
	}
	return backend.Parts{
		Source: backend.Gaussian, Dim: d, Points: points, Heights: heights, Centroids: gaussians(n*d, 1),
		Decoder: &graph.Graph{
			Input: graph.Value{Name: "z", Shape: []int{d}}, Output: "image",
			Nodes: []graph.Node{
				{Name: "in", Op: graph.Reshape, Inputs: []string{"z"}, Output: "z4", Attributes: graph.Attributes{Shape: []int{0, d, 1, 1}}},
				{Name: "up", Op: graph.ConvTranspose, Inputs: []string{"z4", "decoder.0.weight"}, Output: "a", Attributes: graph.Attributes{KernelShape: []int{3, 3}}},
				{Name: "relu", Op: graph.Relu, Inputs: []string{"a"}, Output: "b"},
				{Name: "out", Op: graph.ConvTranspose, Inputs: []string{"b", "decoder.1.weight"}, Output: "c", Attributes: graph.Attributes{KernelShape: []int{4, 4}, Strides: []int{2, 2}, Pads: []int{1, 1, 1, 1}}},
				{Name: "tanh", Op: graph.Tanh, Inputs: []string{"c"}, Output: "image"},
			},
		},
		Tensors: map[string]backend.Tensor{
			"decoder.0.weight": {Shape: []int{d, 7, 3, 3}, Data: gaussians(d*7*9, 0.3)},
			"decoder.1.weight": {Shape: []int{7, testChannels, 4, 4}, Data: gaussians(7*testChannels*16, 0.3)},
		},
	}
}

// openTestBackend opens the device as a backend until the test ends.
func openTestBackend(t testing.TB, set func(c *Config)) *gpu {
	t.Helper()
	c := testConfig(t)
	if set != nil {
		set(&c)
	}
	b, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	g := b.(*gpu)
	t.Cleanup(func() {
		if g.v.used != 0 {
			t.Errorf("%d bytes in %d allocations are left on the device", g.v.used, len(g.v.sizes))
		}
		if err := g.Close(); err != nil {
			t.Errorf("closing the device: %v", err)
		}
	})
	return g
}

// prepare makes a model on a backend until the test ends.
func prepare(t testing.TB, on backend.Backend, p backend.Parts) backend.Model {
	t.Helper()
	m, err := on.Prepare(p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// newWorkspace makes a workspace of a model until the test ends.
func newWorkspace(t testing.TB, m backend.Model, batch, k int) backend.Workspace {
	t.Helper()
	w, err := m.NewWorkspace(batch, k)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Errorf("closing the workspace: %v", err)
		}
	})
	return w
}

// onProcessor is the model on the CPU.
func onProcessor(t testing.TB, p backend.Parts, batch, k int) backend.Workspace {
	t.Helper()
	processor, err := cpu.New(1, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { processor.Close() })
	return newWorkspace(t, prepare(t, processor, p), batch, k)
}

// results are what the stages made of n samples.
type results struct {
	x, z   []float32
	cells  []int64
	scores []float64
}

// stages takes samples from noise to code.
func stages(w backend.Workspace, n, d int, seed, first uint64, e backend.Extension) (r results, err error) {
	r = results{make([]float32, n*d), make([]float32, n*d), make([]int64, n*e.K), make([]float64, n*e.K)}
	for _, step := range []func() error{
		func() error { return w.Noise(n, seed, first) },
		func() error { return w.GetNoise(r.x) },
		func() error { return w.Locate(n, e.K) },
		func() error { return w.GetCells(n, e.K, r.cells, r.scores) },
		func() error { return w.Extend(n, e) },
		func() error { return w.GetCodes(r.z) },
	} {
		if err := step(); err != nil {
			return r, err
		}
	}
	return r, nil
}

var testExtension = backend.Extension{Mode: backend.Simplex, K: 5, MinCosine: 0.2, Blend: 0.5}

func hostImage(values []float32, layout backend.Layout) backend.Image {
	return backend.Image{Data: unsafe.Pointer(&values[0]), DType: backend.F32, Layout: layout, Low: -1, High: 1}
}

func TestStages(t *testing.T) {
	const n, d, N = 45, 11, 150
	p := testParts(N, d)
	want, err := stages(onProcessor(t, p, n, 32), n, d, 7, 3, testExtension)
	if err != nil {
		t.Fatal(err)
	}
	m := prepare(t, openTestBackend(t, nil), p)
	w := newWorkspace(t, m, n, 32)

	t.Run("the_same_bits_as_on_the_CPU", func(t *testing.T) {
		got, err := stages(w, n, d, 7, 3, testExtension)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			what string
			same bool
		}{
			{"noise", slices.Equal(got.x, want.x)}, {"cells", slices.Equal(got.cells, want.cells)},
			{"scores", slices.Equal(got.scores, want.scores)}, {"codes", slices.Equal(got.z, want.z)},
		} {
			if !c.same {
				t.Errorf("%s differ", c.what)
			}
		}
	})
	t.Run("what_is_put_is_what_the_next_stage_reads", func(t *testing.T) {
		if err := w.Noise(n, 99, 0); err != nil { // something else before
			t.Fatal(err)
		}
		cells, z := make([]int64, n*5), make([]float32, n*d)
		for _, err := range []error{
			w.PutNoise(want.x), w.Locate(n, 5), w.GetCells(n, 5, cells, nil),
			w.PutCells(n, 5, 5, want.cells), w.Extend(n, testExtension), w.GetCodes(z),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		if !slices.Equal(cells, want.cells) || !slices.Equal(z, want.z) {
			t.Error("cells or codes differ")
		}
	})
	t.Run("a_draw_is_noise_and_locate", func(t *testing.T) {
		cells, x := make([]int64, n*5), make([]float32, len(want.x))
		for _, to := range [][]float32{x, nil} {
			for _, err := range []error{
				w.PutNoise(make([]float32, len(want.x))), w.Draw(n, 5, 7, 3, to), w.GetCells(n, 5, cells, nil),
			} {
				if err != nil {
					t.Fatal(err)
				}
			}
			if !slices.Equal(cells, want.cells) || !slices.Equal(x, want.x) {
				t.Errorf("cells or samples differ; samples are asked for: %v", to != nil)
			}
		}
	})
	t.Run("of_many_cells_the_first_are_used", func(t *testing.T) {
		pair := backend.Extension{Mode: backend.Pair, K: 2, MinCosine: -1, Blend: 0.25}
		both := [2][]float32{make([]float32, n*d), make([]float32, n*d)}
		for i, w := range []backend.Workspace{w, onProcessor(t, p, n, 32)} {
			for _, err := range []error{w.PutNoise(want.x), w.PutCells(n, 5, 2, want.cells), w.Extend(n, pair), w.GetCodes(both[i])} {
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		if !slices.Equal(both[0], both[1]) {
			t.Error("codes differ from the CPU's")
		}
	})
	t.Run("heights_can_be_replaced", func(t *testing.T) {
		heights := slices.Clone(p.Heights)
		slices.Reverse(heights)
		changed := p
		changed.Heights = heights
		want, err := stages(onProcessor(t, changed, n, 32), n, d, 7, 3, testExtension)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.SetHeights(heights); err != nil {
			t.Fatal(err)
		}
		got, err := stages(w, n, d, 7, 3, testExtension)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got.cells, want.cells) || !slices.Equal(got.scores, want.scores) {
			t.Error("cells or scores differ from the CPU's")
		}
	})
}

// What does not fit in the pinned memory goes by another way, or in parts.
func TestTransfersLongerThanThePinnedMemory(t *testing.T) {
	const d, k = 512, 32
	n := mostStaging/(4*d) + 3
	p := testParts(40, d)
	p.Decoder, p.Tensors = nil, nil
	w := newWorkspace(t, prepare(t, openTestBackend(t, nil), p), n, k)
	x, back := make([]float32, n*d), make([]float32, n*d)
	cells, cellsBack := make([]int64, n*k), make([]int64, n*k)
	for i := range x {
		x[i] = float32(i)
	}
	for i := range cells {
		cells[i] = int64(i % 40)
	}
	for range 2 { // again, on memory in use
		for _, err := range []error{w.PutNoise(x), w.PutCells(n, k, k, cells), w.GetNoise(back), w.GetCells(n, k, cellsBack, nil)} {
			if err != nil {
				t.Fatal(err)
			}
		}
		if !slices.Equal(x, back) || !slices.Equal(cells, cellsBack) {
			t.Error("what came back differs")
		}
		clear(back)
		clear(cellsBack)
	}
}

func TestImagesAreThoseOfTheCPU(t *testing.T) {
	const n, d = 9, 11
	p := testParts(50, d)
	processor := onProcessor(t, p, n, 32)
	w := newWorkspace(t, prepare(t, openTestBackend(t, nil), p), n, 32)
	codes, err := stages(processor, n, d, 1, 0, testExtension)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.PutCodes(codes.z); err != nil {
		t.Fatal(err)
	}
	for _, layout := range []backend.Layout{backend.NCHW, backend.NHWC} {
		want, got := make([]float32, n*testPixels), make([]float32, n*testPixels)
		if err := processor.Decode(n, hostImage(want, layout)); err != nil {
			t.Fatal(err)
		}
		if err := w.Decode(n, hostImage(got, layout)); err != nil {
			t.Fatal(err)
		}
		for i := range want {
			if !(math.Abs(float64(got[i]-want[i])) <= 2*2e-3) { // of the range, 2
				t.Fatalf("layout %d, value %d: got %v, the CPU %v", layout, i, got[i], want[i])
			}
		}
	}
}

func TestGenerate(t *testing.T) {
	const n, d = 21, 11
	p := testParts(80, d)
	b := openTestBackend(t, nil)
	m := prepare(t, b, p)
	w := newWorkspace(t, m, n, 32)

	// generated is what one call makes in memory of the host.
	generated := func(t *testing.T, w backend.Workspace, n int, seed, first uint64) []float32 {
		images := make([]float32, n*testPixels)
		if err := w.Generate(n, seed, first, testExtension, hostImage(images, backend.NCHW)); err != nil {
			t.Fatal(err)
		}
		return images
	}
	all := generated(t, w, n, 7, 100)

	t.Run("is_the_stages_one_after_another", func(t *testing.T) {
		if _, err := stages(w, n, d, 7, 100, testExtension); err != nil {
			t.Fatal(err)
		}
		images := make([]float32, n*testPixels)
		if err := w.Decode(n, hostImage(images, backend.NCHW)); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(images, all) {
			t.Error("images differ")
		}
	})
	t.Run("any_batch_makes_the_same_bits", func(t *testing.T) {
		one := newWorkspace(t, m, 1, 32)
		for i := range n {
			for _, w := range []backend.Workspace{one, w} {
				if image := generated(t, w, 1, 7, uint64(100+i)); !slices.Equal(image, all[i*testPixels:(i+1)*testPixels]) {
					t.Errorf("image %d made alone differs", i)
				}
			}
		}
		for _, count := range []int{2, 3, 5, 8, 13, 20} {
			if images := generated(t, w, count, 7, 100); !slices.Equal(images, all[:count*testPixels]) {
				t.Errorf("the first %d images differ", count)
			}
		}
	})
	t.Run("a_recorded_call_takes_another_seed", func(t *testing.T) {
		others := generated(t, w, n, 8, 5)
		if slices.Equal(others, all) {
			t.Error("another seed made the same images")
		}
		if again := generated(t, w, n, 7, 100); !slices.Equal(again, all) {
			t.Error("the first seed makes other images now")
		}
	})
	t.Run("more_shapes_than_are_kept", func(t *testing.T) {
		for range 2 {
			for count := 1; count <= mostRecordings+3; count++ {
				if images := generated(t, w, count, 7, 100); !slices.Equal(images, all[:count*testPixels]) {
					t.Errorf("%d images differ", count)
				}
			}
		}
		if kept := len(w.(*workspace).recordings.kept); kept != mostRecordings {
			t.Errorf("%d recordings are kept, want %d", kept, mostRecordings)
		}
	})
	t.Run("new_heights_are_seen", func(t *testing.T) {
		if err := m.SetHeights(make([]float32, 80)); err != nil {
			t.Fatal(err)
		}
		flat := generated(t, w, n, 7, 100)
		if err := m.SetHeights(p.Heights); err != nil {
			t.Fatal(err)
		}
		if slices.Equal(flat, all) {
			t.Error("other heights made the same images")
		}
		if again := generated(t, w, n, 7, 100); !slices.Equal(again, all) {
			t.Error("the first heights make other images now")
		}
	})
	t.Run("to_memory_of_the_device", func(t *testing.T) {
		places := []driver.Address{scratchOn(t, b.v, 4*n*testPixels), scratchOn(t, b.v, 4*n*testPixels)}
		for range 2 {
			for _, place := range places {
				out := backend.Image{Address: uint64(place), DType: backend.F32, Low: -1, High: 1}
				if err := w.Generate(n, 7, 100, testExtension, out); err != nil {
					t.Fatal(err)
				}
				if images := fromDevice[float32](t, b.v, place, n*testPixels); !slices.Equal(images, all) {
					t.Error("images differ")
				}
				overwrite := make([]float32, n*testPixels)
				err := b.v.do(func() error { return b.v.ctx.ToDevice(place, unsafe.Pointer(&overwrite[0]), 4*n*testPixels) })
				if err != nil {
					t.Fatal(err)
				}
			}
		}
	})
	t.Run("to_pinned_memory", func(t *testing.T) {
		err := b.v.do(func() error {
			pinned, err := b.v.ctx.AllocPinned(4 * n * testPixels)
			if err != nil {
				return err
			}
			defer b.v.ctx.FreePinned(pinned)
			images := unsafe.Slice((*float32)(pinned), n*testPixels)
			if err := w.Generate(n, 7, 100, testExtension, hostImage(images, backend.NCHW)); err != nil {
				return err
			}
			if !slices.Equal(images, all) {
				t.Error("images differ")
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
	t.Run("memory_that_is_not_where_it_is_said_to_be", func(t *testing.T) {
		here := make([]float32, n*testPixels)
		for _, out := range []backend.Image{
			{Address: uint64(uintptr(unsafe.Pointer(&here[0]))), DType: backend.F32},
			{Data: hostPointer(scratchOn(t, b.v, 4*n*testPixels)), DType: backend.F32},
		} {
			if err := w.Generate(n, 7, 100, testExtension, out); !errors.Is(err, fault.ErrInvalidArgument) {
				t.Errorf("got %v, want an invalid argument", err)
			}
		}
	})
}

// hostPointer is an address of the device taken for one of the host.
func hostPointer(a driver.Address) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&a)) }

// More images than there is pinned memory for reach the host through the device's, in rounds.
func TestImagesInRounds(t *testing.T) {
	const n, d = 5000, 3
	p := testParts(20, d)
	b := openTestBackend(t, nil)
	w := newWorkspace(t, prepare(t, b, p), n, 32)
	w.(*workspace).imagesBatch = 1999
	images, some := make([]float32, n*testPixels), make([]float32, 7*testPixels)
	if err := w.Generate(n, 7, 0, testExtension, hostImage(images, backend.NCHW)); err != nil {
		t.Fatal(err)
	}
	for _, first := range []int{0, 1995, n - 7} {
		if err := w.Generate(7, 7, uint64(first), testExtension, hostImage(some, backend.NCHW)); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(some, images[first*testPixels:(first+7)*testPixels]) {
			t.Errorf("images %d .. %d differ", first, first+6)
		}
	}
}

func TestMemoryBudget(t *testing.T) {
	const d = 11
	p := testParts(400, d)
	t.Run("a_model_that_does_not_fit", func(t *testing.T) {
		b := openTestBackend(t, func(c *Config) { c.Memory = 16 << 10 })
		m, err := b.Prepare(p)
		if !errors.Is(err, fault.ErrOutOfMemory) {
			t.Fatalf("got %v, %v; want out of memory", m, err)
		}
		for _, number := range []string{"KB more", "budget of 16.4 KB, of which"} {
			if !strings.Contains(err.Error(), number) {
				t.Errorf("%q lacks %q", err, number)
			}
		}
		if b.v.used != 0 {
			t.Errorf("%d bytes are left", b.v.used)
		}
	})
	t.Run("a_batch_that_does_not_fit", func(t *testing.T) {
		b := openTestBackend(t, func(c *Config) { c.Memory = 4 << 20 })
		m := prepare(t, b, p)
		before := b.v.used
		if w, err := m.NewWorkspace(1<<20, 32); !errors.Is(err, fault.ErrOutOfMemory) {
			t.Fatalf("got %v, %v; want out of memory", w, err)
		}
		if b.v.used != before {
			t.Errorf("%d bytes are used, before it was %d", b.v.used, before)
		}
		w := newWorkspace(t, m, 2, 32)
		if err := w.Noise(2, 0, 0); err != nil {
			t.Error(err)
		}
	})
}

// Eight goroutines, each with a workspace of its own, on one model; and two engines on one device.
func TestConcurrentUse(t *testing.T) {
	const n, d = 4, 11
	p := testParts(60, d)
	models := []backend.Model{prepare(t, openTestBackend(t, nil), p), prepare(t, openTestBackend(t, nil), p)}
	want := make([]float32, 8*n*testPixels)
	w := newWorkspace(t, models[0], 8*n, 32)
	if err := w.Generate(8*n, 7, 0, testExtension, hostImage(want, backend.NCHW)); err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	errs := make(chan error, 8)
	for i := range 8 {
		w := newWorkspace(t, models[i/6], n, 32)
		wait.Go(func() {
			images := make([]float32, n*testPixels)
			for range 5 {
				if err := w.Generate(n, 7, uint64(i*n), testExtension, hostImage(images, backend.NCHW)); err != nil {
					errs <- err
					return
				}
				if !slices.Equal(images, want[i*n*testPixels:(i+1)*n*testPixels]) {
					errs <- fmt.Errorf("goroutine %d made other images", i)
					return
				}
			}
		})
	}
	wait.Wait()
	close(errs)
	for err := range errs {
		t.Error(err)
	}
}

// The caller's context and stream: work is ordered in the stream, and images for the device's memory
// are not waited for.
func TestStreamOfTheCaller(t *testing.T) {
	const n, d = 3, 11
	caller := newTestDevice(t)
	place := scratchOn(t, caller, 4*n*testPixels)
	var q *driver.Stream
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(caller.do(func() (err error) { q, err = caller.ctx.NewStream(); return err }))
	t.Cleanup(func() { check(caller.do(q.Destroy)) })
	b := openTestBackend(t, func(c *Config) { c.Context, c.Stream = caller.ctx.Handle(), q.Handle() })
	w := newWorkspace(t, prepare(t, b, testParts(50, d)), n, 32)
	want := make([]float32, n*testPixels)
	check(w.Generate(n, 7, 0, testExtension, hostImage(want, backend.NCHW)))
	check(w.Generate(n, 7, 0, testExtension, backend.Image{Address: uint64(place), DType: backend.F32, Low: -1, High: 1}))
	check(caller.do(func() error {
		got, err := downloadValues[float32](caller, q, place, n*testPixels)
		if err == nil && !slices.Equal(got, want) {
			t.Error("images differ")
		}
		return err
	}))
}

func TestOpen(t *testing.T) {
	c := testConfig(t)
	for _, index := range []int{-1, 99} {
		c.Index = index
		b, err := Open(c)
		if !errors.Is(err, fault.ErrDevice) || !strings.Contains(err.Error(), "no such device") {
			t.Errorf("device %d: got %v, %v", index, b, err)
		}
	}
	b, err := Open(Config{Library: c.Library, Precision: "f64"})
	if !errors.Is(err, fault.ErrInvalidArgument) || err.Error() != `precision: want f16, bf16 or f32, got "f64"` {
		t.Errorf("got %v, %v", b, err)
	}
	t.Run("info", func(t *testing.T) {
		b := openTestBackend(t, nil)
		info := b.Info()
		if info.Name != "cuda:0" || info.Device == "" || !strings.HasPrefix(info.Path, "sm_") || info.Threads != 0 {
			t.Errorf("got %+v", info)
		}
		if double := strings.Contains(info.Note, "double"); double != b.v.info.Double {
			t.Errorf("the note is %q", info.Note)
		}
	})
}

// After the first calls of a shape, nothing is allocated.
func TestCallsDoNotAllocate(t *testing.T) {
	const n, d = 2, 11
	w := newWorkspace(t, prepare(t, openTestBackend(t, nil), testParts(30, d)), n, 32)
	images := make([]float32, n*testPixels)
	cells, scores, values := make([]int64, n*5), make([]float64, n*5), make([]float32, n*d)
	out := hostImage(images, backend.NCHW)
	// Stages read what those before them left, and the calls below come in any order.
	if _, err := stages(w, n, d, 1, 2, testExtension); err != nil {
		t.Fatal(err)
	}
	for name, call := range map[string]func() error{
		"Noise":    func() error { return w.Noise(n, 1, 2) },
		"GetNoise": func() error { return w.GetNoise(values) },
		"PutNoise": func() error { return w.PutNoise(values) },
		"Locate":   func() error { return w.Locate(n, 5) },
		"Draw":     func() error { return w.Draw(n, 5, 1, 2, nil) },
		"GetCells": func() error { return w.GetCells(n, 5, cells, scores) },
		"PutCells": func() error { return w.PutCells(n, 5, 5, cells) },
		"Extend":   func() error { return w.Extend(n, testExtension) },
		"Decode":   func() error { return w.Decode(n, out) },
		"Generate": func() error { return w.Generate(n, 1, 2, testExtension, out) },
	} {
		var failed error
		allocations := testing.AllocsPerRun(10, func() {
			if err := call(); err != nil {
				failed = err
			}
		})
		if failed != nil || allocations != 0 {
			t.Errorf("%s: %v allocations, %v", name, allocations, failed)
		}
	}
}

// A matrix's outputs may be the pixels of an image of one channel. All numbers are multiples of 1/8,
// which float16 holds exactly.
func TestMatrixMakesPixels(t *testing.T) {
	weight, bias := []float32{1, 0, 0, 1, 1, -1, 0.5, 2}, []float32{0.5, -0.25, 0, 1}
	p := backend.Parts{
		Dim: 2,
		Decoder: &graph.Graph{
			Input: graph.Value{Name: "z", Shape: []int{2}}, Output: "image",
			Nodes: []graph.Node{
				{Name: "linear", Op: graph.Gemm, Inputs: []string{"z", "weight", "bias"}, Output: "flat", Attributes: graph.Attributes{TransB: 1}},
				{Name: "square", Op: graph.Reshape, Inputs: []string{"flat"}, Output: "image", Attributes: graph.Attributes{Shape: []int{-1, 1, 2, 2}}},
			},
		},
		Tensors: map[string]backend.Tensor{"weight": {Shape: []int{4, 2}, Data: weight}, "bias": {Shape: []int{4}, Data: bias}},
	}
	codes := []float32{1, 2, -0.5, 0.125, 3, -4}
	const n = 3
	w := newWorkspace(t, prepare(t, openTestBackend(t, nil), p), n, 1)
	for _, layout := range []backend.Layout{backend.NCHW, backend.NHWC} {
		images := make([]float32, 4*n)
		if err := errors.Join(w.PutCodes(codes), w.Decode(n, hostImage(images, layout))); err != nil {
			t.Fatal(err)
		}
		for i, got := range images {
			z, pixel := codes[i/4*2:], i%4
			if want := weight[2*pixel]*z[0] + weight[2*pixel+1]*z[1] + bias[pixel]; got != want {
				t.Errorf("layout %d, image %d, pixel %d: got %v, want %v", layout, i/4, pixel, got, want)
			}
		}
	}
}
