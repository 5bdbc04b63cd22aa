//go:build cuda

package cuda

import (
	"fmt"
	"slices"
	"testing"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/cuda/driver"
	"brenier/engine/internal/graph"
)

// fewMapOf makes the way for few samples of a case, and its two stages, until the test ends.
func (c mapCase) fewMapOf(t *testing.T, v *device) *fewMap {
	t.Helper()
	locate := c.locateOf(t, v, rungs{few: true})
	extend, err := newExtend(v, locate.t)
	if err != nil {
		t.Fatal(err)
	}
	m, err := newFewMap(locate, extend)
	if err != nil {
		t.Fatal(err)
	}
	if m.function == nil {
		t.Fatal("there is a screen for few samples, and not the kernel after it")
	}
	return m
}

// mapped is what a way from samples to codes makes.
type mapped struct {
	cells  []int32
	scores []float64
	z      []float32
}

// In one launch or by two stages: the same cells, scores and codes, in every mode.
func TestFewMap_same_bits_as_the_stages(t *testing.T) {
	v := newTestDevice(t)
	for _, size := range []struct{ N, d, n, k int }{
		{1, 1, 1, 1}, {40, 3, 5, 2}, {300, 16, 1, 8}, {129, 19, 9, 5}, {257, 64, 8, 8}, {100, 65, 33, 20}, {64, 8, 64, 32},
	} {
		t.Run(fmt.Sprintf("N=%d/d=%d/n=%d/k=%d", size.N, size.d, size.n, size.k), func(t *testing.T) {
			c := randomMap(size.N, size.d, size.n)
			m := c.fewMapOf(t, v)
			if !m.serves(size.n) || m.serves(65) || m.serves(0) {
				t.Fatalf("serves %d: %v, 65: %v, 0: %v", size.n, m.serves(size.n), m.serves(65), m.serves(0))
			}
			for _, mode := range []backend.Mode{backend.Cell, backend.Simplex, backend.Pair} {
				e := backend.Extension{Mode: mode, K: size.k, MinCosine: 0.3, Blend: 0.4}
				run := func(way func(q *driver.Stream, scratch *locateScratch, base, x, cells, scores, z driver.Address) error) mapped {
					var p plan
					scratch := m.locate.newScratch(&p, size.n, size.k)
					base, x := scratchOn(t, v, p.bytes), onDevice(t, v, c.x)
					cells, scores := scratchOn(t, v, 4*size.n*size.k), scratchOn(t, v, 8*size.n*size.k)
					z := scratchOn(t, v, 4*size.n*size.d)
					onStream(t, v, func(q *driver.Stream) error { return way(q, scratch, base, x, cells, scores, z) })
					return mapped{
						fromDevice[int32](t, v, cells, size.n*size.k), fromDevice[float64](t, v, scores, size.n*size.k),
						fromDevice[float32](t, v, z, size.n*size.d),
					}
				}
				want := run(func(q *driver.Stream, scratch *locateScratch, base, x, cells, scores, z driver.Address) error {
					if err := m.locate.launch(q, scratch, base, x, size.n, size.k, cells, scores); err != nil {
						return err
					}
					return m.extend.launch(q, x, cells, size.n, e, z, decoderInput{})
				})
				got := run(func(q *driver.Stream, scratch *locateScratch, base, x, cells, scores, z driver.Address) error {
					return m.launch(q, scratch, base, x, size.n, e, cells, scores, z, decoderInput{})
				})
				if !slices.Equal(got.cells, want.cells) || !sameBits(got.scores, want.scores) || !sameBits(got.z, want.z) {
					t.Errorf("mode %d: cells, scores or codes differ", mode)
				}
			}
		})
	}
}

func TestFewMap_self_check(t *testing.T) {
	v := newTestDevice(t)
	m := randomMap(50, 20, 1).fewMapOf(t, v)
	checks := m.checks()
	if len(checks) != 1 {
		t.Fatalf("%d checks, want 1", len(checks))
	}
	onStream(t, v, checks[0].run)
	if err := checks[0].plainer(); err != nil {
		t.Fatal(err)
	}
	if m.serves(1) || len(m.kernels()) != 0 || len(m.checks()) != 0 {
		t.Error("it still serves after its check has failed")
	}
}

// Codes that extend leaves where the decoder reads them, padded, are those that decode converts itself,
// for few samples and for many.
func TestDecoderInput(t *testing.T) {
	const d, most = 12, 90
	b := openTestBackend(t, nil)
	for _, shape := range [][]int{{0, 12, 1, 1}, {0, 3, 2, 2}, {0, 4, 3, 1}} {
		p := testParts(80, d)
		channels := shape[1]
		p.Decoder.Nodes = []graph.Node{
			{Name: "in", Op: graph.Reshape, Inputs: []string{"z"}, Output: "a", Attributes: graph.Attributes{Shape: shape}},
			{Name: "out", Op: graph.ConvTranspose, Inputs: []string{"a", "weight"}, Output: "image", Attributes: graph.Attributes{KernelShape: []int{3, 3}}},
		}
		p.Tensors = map[string]backend.Tensor{"weight": {Shape: []int{channels, 2, 3, 3}, Data: normal(channels*18, 0.3, 8)}}
		m := prepare(t, b, p)
		w := newWorkspace(t, m, most, 32)
		size := m.(*model).decoder.elements()
		if input := m.(*model).decoder.input; input.value == 0 || input.pitch() != 16 {
			t.Errorf("shape %v: the decoder's input is %+v, want the code padded to 16", shape, input)
		}
		for _, n := range []int{1, 7, most} {
			generated, decoded := make([]float32, n*size), make([]float32, n*size)
			if err := w.Generate(n, 7, 100, testExtension, hostImage(generated, backend.NCHW)); err != nil {
				t.Fatal(err)
			}
			if _, err := stages(w, n, d, 7, 100, testExtension); err != nil {
				t.Fatal(err)
			}
			if err := w.Decode(n, hostImage(decoded, backend.NCHW)); err != nil {
				t.Fatal(err)
			}
			if !sameBits(generated, decoded) {
				t.Errorf("shape %v, %d images: generated at once and stage by stage they differ", shape, n)
			}
		}
	}
}
