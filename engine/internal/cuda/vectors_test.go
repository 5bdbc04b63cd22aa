//go:build cuda

package cuda

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"brenier/engine/internal/backend"
)

// vectors are the frozen bits of the stages that promise bits; the file is the CPU backend's, and
// its own text says what it holds.
type vectors struct {
	Noise []struct {
		Source      string
		Seed, First uint64
		Stream      uint32
		N, D        int
		Bits        []string
	}
	Map []struct {
		Seed                  uint64
		N, D, Samples, K      int
		MinCosine, Blend      float64
		Cells                 []int32
		Scores, Simplex, Pair []string
	}
}

func readVectors(t *testing.T) (v vectors) {
	text, err := os.ReadFile(filepath.Join("..", "cpu", "testdata", "vectors.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Noise) == 0 || len(v.Map) == 0 {
		t.Fatal("the file of vectors holds none")
	}
	return v
}

func hex32(values []float32) (bits []string) {
	for _, value := range values {
		bits = append(bits, fmt.Sprintf("%08x", math.Float32bits(value)))
	}
	return bits
}

func hex64(values []float64) (bits []string) {
	for _, value := range values {
		bits = append(bits, fmt.Sprintf("%016x", math.Float64bits(value)))
	}
	return bits
}

func TestVectors_noise(t *testing.T) {
	v := newTestDevice(t)
	for i, c := range readVectors(t).Noise {
		if got := hex32(noiseOf(t, v, sources[c.Source], c.N, c.D, c.Seed, c.First, c.Stream)); !slices.Equal(got, c.Bits) {
			t.Errorf("noise %d: got %v, want %v", i, got, c.Bits)
		}
	}
}

func TestVectors_map(t *testing.T) {
	v := newTestDevice(t)
	for i, c := range readVectors(t).Map {
		draw := func(offset uint64, n, d int) []float32 {
			return noiseOf(t, v, backend.Gaussian, n, d, c.Seed+offset, 0, 0)
		}
		m := mapCase{points: draw(0, c.N, c.D), heights: draw(1, c.N, 1), x: draw(2, c.Samples, c.D), centroids: draw(3, c.N, c.D), d: c.D}
		cells, scores := plainLocate(t, v, m, c.K, 0)
		if !slices.Equal(cells, c.Cells) || !slices.Equal(hex64(scores), c.Scores) {
			t.Errorf("map %d: cells or scores differ", i)
		}
		for _, want := range []struct {
			mode backend.Mode
			bits []string
		}{{backend.Simplex, c.Simplex}, {backend.Pair, c.Pair}} {
			e := backend.Extension{Mode: want.mode, K: c.K, MinCosine: c.MinCosine, Blend: c.Blend}
			if z := extendOn(t, v, m.on(t, v), m.x, c.Cells, e); !slices.Equal(hex32(z), want.bits) {
				t.Errorf("map %d: codes of mode %d differ", i, want.mode)
			}
		}
	}
}
