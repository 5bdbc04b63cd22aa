package cpu

import (
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/reference"
	kernels "brenier/kernels/cpu"
	"brenier/kernels/cpu/hostmode"
)

var update = flag.Bool("update", false, "write testdata/vectors.json anew from the oracle")

// vectors are the frozen bits of the stages that promise bits: what every processor, device and
// language has to reproduce.
type vectors struct {
	About []string
	Noise []noiseVector
	Map   []mapVector
}

type noiseVector struct {
	Source      string
	Seed, First uint64
	Stream      uint32
	N, D        int
	Bits        []string // x [N,D], float32
}

type mapVector struct {
	Seed      uint64
	N, D      int // cells
	Samples   int
	K         int
	MinCosine float64
	Blend     float64
	Cells     []int32  // [Samples,K]
	Scores    []string // [Samples,K], float64
	Simplex   []string // z [Samples,D], float32
	Pair      []string
}

var aboutVectors = []string{
	"Bits are hexadecimal, most significant digit first.",
	"Noise: samples First .. First+N-1 of Seed on Stream, N by D.",
	"Map: points [N,D], heights [N,1], x [Samples,D] and centroids [N,D] are gaussian noise from sample 0 on, on stream 0, of seeds Seed, Seed+1, Seed+2 and Seed+3.",
}

// inputs returns the map and the samples of a vector.
func (v mapVector) inputs() (points, heights, x, centroids []float32) {
	draw := func(offset uint64, n, d int) []float32 {
		values := make([]float32, n*d)
		reference.Noise(backend.Gaussian, values, d, v.Seed+offset, 0, 0)
		return values
	}
	return draw(0, v.N, v.D), draw(1, v.N, 1), draw(2, v.Samples, v.D), draw(3, v.N, v.D)
}

// stages are the noise, locate and extend of an implementation.
type stages struct {
	noise func(v noiseVector) []float32
	run   func(v mapVector) (cells []int32, scores []float64, simplex, pair []float32)
}

// fill writes what the stages make of every vector's inputs into a copy.
func (s stages) fill(v vectors) vectors {
	v.Noise, v.Map = slices.Clone(v.Noise), slices.Clone(v.Map)
	for i := range v.Noise {
		v.Noise[i].Bits = hex32(s.noise(v.Noise[i]))
	}
	for i := range v.Map {
		cells, scores, simplex, pair := s.run(v.Map[i])
		v.Map[i].Cells, v.Map[i].Scores = cells, hex64(scores)
		v.Map[i].Simplex, v.Map[i].Pair = hex32(simplex), hex32(pair)
	}
	return v
}

func hex32(values []float32) (bits []string) {
	for _, v := range values {
		bits = append(bits, fmt.Sprintf("%08x", math.Float32bits(v)))
	}
	return bits
}

func hex64(values []float64) (bits []string) {
	for _, v := range values {
		bits = append(bits, fmt.Sprintf("%016x", math.Float64bits(v)))
	}
	return bits
}

func (v mapVector) extensions() (simplex, pair backend.Extension) {
	return backend.Extension{Mode: backend.Simplex, K: v.K, MinCosine: v.MinCosine},
		backend.Extension{Mode: backend.Pair, K: v.K, MinCosine: v.MinCosine, Blend: v.Blend}
}

var oracleStages = stages{
	noise: func(v noiseVector) []float32 {
		x := make([]float32, v.N*v.D)
		reference.Noise(sources[v.Source], x, v.D, v.Seed, v.First, v.Stream)
		return x
	},
	run: func(v mapVector) (cells []int32, scores []float64, simplex, pair []float32) {
		points, heights, x, centroids := v.inputs()
		asSimplex, asPair := v.extensions()
		for row := range v.Samples {
			xr := x[row*v.D : (row+1)*v.D]
			c, s := reference.Locate(xr, points, heights, v.K)
			cells, scores = append(cells, c...), append(scores, s...)
			simplex = append(simplex, reference.Extend(xr, c, points, centroids, asSimplex)...)
			pair = append(pair, reference.Extend(xr, c, points, centroids, asPair)...)
		}
		return cells, scores, simplex, pair
	},
}

func pathStages(t *testing.T, path kernels.Path) stages {
	pool := NewPool(2)
	t.Cleanup(pool.Close)
	return stages{
		noise: func(v noiseVector) []float32 {
			x := make([]float32, v.N*v.D)
			Noise(pool, path, sources[v.Source], x, v.D, v.Seed, v.First, v.Stream)
			return x
		},
		run: func(v mapVector) (cells []int32, scores []float64, simplex, pair []float32) {
			points, heights, x, centroids := v.inputs()
			m, err := NewMap(pool, path, points, heights, centroids, v.N, v.D)
			if err != nil {
				t.Fatal(err)
			}
			cells, scores = make([]int32, v.Samples*v.K), make([]float64, v.Samples*v.K)
			m.Locate(m.NewScratch(v.Samples), x, v.Samples, v.K, cells, scores)
			simplex, pair = make([]float32, len(x)), make([]float32, len(x))
			asSimplex, asPair := v.extensions()
			m.Extend(x, cells, v.Samples, asSimplex, simplex)
			m.Extend(x, cells, v.Samples, asPair, pair)
			return cells, scores, simplex, pair
		},
	}
}

func TestVectors(t *testing.T) {
	file := filepath.Join("testdata", "vectors.json")
	if *update {
		v := oracleStages.fill(vectors{
			About: aboutVectors,
			Noise: []noiseVector{
				{Source: "gaussian", Seed: 1, N: 3, D: 10},
				{Source: "gaussian", Seed: 0xfedcba9876543210, First: 1<<32 - 1, Stream: 2, N: 2, D: 7},
				{Source: "uniform", Seed: 1, N: 2, D: 5},
			},
			Map: []mapVector{
				{Seed: 11, N: 50, D: 3, Samples: 6, K: 4, MinCosine: 0.2, Blend: 0.25},
				{Seed: 21, N: 700, D: 17, Samples: 14, K: 8, MinCosine: 0.1, Blend: 0.5},
			},
		})
		text, err := json.MarshalIndent(v, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, append(text, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var want vectors
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	compare := func(t *testing.T, got vectors) {
		for i, v := range got.Noise {
			if !slices.Equal(v.Bits, want.Noise[i].Bits) {
				t.Errorf("noise %d: got %v, want %v", i, v.Bits, want.Noise[i].Bits)
			}
		}
		for i, v := range got.Map {
			w := want.Map[i]
			if !slices.Equal(v.Cells, w.Cells) || !slices.Equal(v.Scores, w.Scores) {
				t.Errorf("map %d: cells or scores differ", i)
			}
			if !slices.Equal(v.Simplex, w.Simplex) || !slices.Equal(v.Pair, w.Pair) {
				t.Errorf("map %d: codes differ", i)
			}
		}
	}
	t.Run("oracle", func(t *testing.T) { compare(t, oracleStages.fill(want)) })
	for _, path := range kernels.Paths() {
		t.Run(path.String(), func(t *testing.T) { compare(t, pathStages(t, path).fill(want)) })
	}
}

// The host's floating-point mode changes nothing: subnormal results stay, rounding is to nearest.
func TestVectors_whatever_the_hosts_rounding(t *testing.T) {
	var denormal []locateCase // for a look at all cells, and for a tree
	for _, c := range locateCases() {
		if strings.HasPrefix(c.name, "denormal_products") {
			denormal = append(denormal, c)
		}
	}
	if len(denormal) < 2 {
		t.Fatalf("%d cases", len(denormal))
	}
	x := make([]float32, 640)
	reference.Noise(backend.Gaussian, x, 64, 5, 0, 0)
	for _, path := range kernels.Paths() {
		for name, mode := range map[string]hostmode.Mode{"flush": hostmode.Flush, "upward": hostmode.Upward} {
			got := make([]float32, len(x))
			hostmode.Run(mode, func() { kernels.Noise(path, kernels.Gaussian, got, 64, 5, 0, 0) })
			if !slices.Equal(got, x) {
				t.Errorf("%v: noise differs when the host's mode is %s", path, name)
			}
			for _, c := range denormal {
				cells, scores := locateAll(t, c, path, 1, 4)
				var gotCells []int32
				var gotScores []float64
				hostmode.Run(mode, func() { gotCells, gotScores = locateAll(t, c, path, 1, 4) })
				if !slices.Equal(gotCells, cells) || !slices.Equal(gotScores, scores) {
					t.Errorf("%v, %s: cells differ when the host's mode is %s", path, c.name, name)
				}
			}
		}
	}
}
