package engine

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
)

// imageBytes is memory for n images of elements of size bytes.
func imageBytes(n, size int) Image { return Image{Data: make([]byte, n*pixels*size)} }

// Parts of many callers in one batch have the bits that each has alone, and from the model's own
// methods, on any number of workers at once.
func TestWorker(t *testing.T) {
	const n, d, k = 300, 19, 5
	m := openModel(t, Config{Threads: 3}, smallModel(n, d))
	for _, dtype := range []struct {
		dtype DType
		size  int
	}{{F32, 4}, {F16, 2}, {U8, 1}} {
		for _, layout := range []Layout{NCHW, NHWC} {
			t.Run(fmt.Sprintf("generate/%d/%d", dtype.dtype, layout), func(t *testing.T) {
				var group sync.WaitGroup
				for thread := range 4 {
					group.Go(func() {
						var w Worker
						r := rand.New(rand.NewPCG(3, uint64(thread)))
						for range 10 {
							parts := make([]Part, 1+r.IntN(9))
							want := make([][]byte, len(parts))
							setting := Extension{Mode: Pair, Blend: r.Float64()}
							for i := range parts {
								p := &parts[i]
								*p = Part{N: 1 + r.IntN(40), Seed: r.Uint64(), First: r.Uint64() >> 1}
								p.Images = imageBytes(p.N, dtype.size)
								p.Images.DType, p.Images.Layout = dtype.dtype, layout
								other := p.Images
								other.Data = make([]byte, len(p.Images.Data))
								want[i] = other.Data
								if err := m.Generate(p.N, p.Seed, p.First, setting, other); err != nil {
									t.Error(err)
								}
							}
							w.Do(m, Task{Kind: GenerateTask, Extension: setting}, parts)
							for i, p := range parts {
								if p.Err != nil || !slices.Equal(p.Images.Data, want[i]) {
									t.Errorf("part %d of %d: other bits than alone (%v)", i, len(parts), p.Err)
								}
							}
						}
					})
				}
				group.Wait()
			})
		}
	}

	// Codes and noise, more of them than a workspace holds too.
	parts := make([]Part, 3)
	for i, count := range []int{1, 40, 4200} {
		parts[i] = Part{N: count, In: make([]float32, count*d), Cells: make([]int64, count*k), Images: imageBytes(count, 4)}
		if err := m.Noise(parts[i].In, 7, uint64(i)<<20); err != nil {
			t.Fatal(err)
		}
	}
	parts[1].Scores = make([]float64, 40*k)
	for _, take := range []int{2, 3} { // together, and one after another
		t.Run(fmt.Sprintf("locate/%d", take), func(t *testing.T) {
			var w Worker
			w.Do(m, Task{Kind: LocateTask, K: k}, parts[:take])
			for i, p := range parts[:take] {
				cells, scores := make([]int64, p.N*k), make([]float64, p.N*k)
				if err := m.Locate(p.In, k, cells, scores); err != nil {
					t.Fatal(err)
				}
				if p.Err != nil || !slices.Equal(p.Cells, cells) || p.Scores != nil && !slices.Equal(p.Scores, scores) {
					t.Errorf("part %d: other cells or scores than alone (%v)", i, p.Err)
				}
			}
		})
		t.Run(fmt.Sprintf("decode/%d", take), func(t *testing.T) {
			var w Worker
			w.Do(m, Task{Kind: DecodeTask}, parts[:take])
			for i, p := range parts[:take] {
				want := imageBytes(p.N, 4)
				if err := m.Decode(p.In, want); err != nil {
					t.Fatal(err)
				}
				if p.Err != nil || !slices.Equal(p.Images.Data, want.Data) {
					t.Errorf("part %d: other bits than alone (%v)", i, p.Err)
				}
			}
		})
	}
}

func TestWorkerErrors(t *testing.T) {
	const d = 19
	m := openModel(t, Config{}, smallModel(300, d))
	good := func() Part { return Part{In: make([]float32, 4*d), Row: 100, Images: imageBytes(4, 4)} }
	var w Worker

	t.Run("one wrong part keeps no other from being done", func(t *testing.T) {
		parts := []Part{good(), good(), good()}
		parts[1].In[2*d+3] = float32(math.NaN())
		parts[2].Images.Data = parts[2].Images.Data[:9]
		w.Do(m, Task{Kind: DecodeTask}, parts)
		if err := parts[1].Err; !errors.Is(err, ErrInvalidArgument) || !strings.Contains(err.Error(), "codes: row 102, column 3 is NaN") {
			t.Errorf("NaN in row 102: got %v", err)
		}
		if err := parts[2].Err; !errors.Is(err, ErrShortBuffer) {
			t.Errorf("a short buffer: got %v", err)
		}
		want := imageBytes(4, 4)
		if err := m.Decode(parts[0].In, want); err != nil {
			t.Fatal(err)
		}
		if parts[0].Err != nil || !slices.Equal(parts[0].Images.Data, want.Data) {
			t.Errorf("the good part: %v", parts[0].Err)
		}
	})
	t.Run("other dtypes are not put together", func(t *testing.T) {
		parts := []Part{good(), good()}
		parts[1].Images.DType = U8
		w.Do(m, Task{Kind: DecodeTask}, parts)
		if parts[0].Err != nil || parts[1].Err != nil {
			t.Errorf("got %v, %v", parts[0].Err, parts[1].Err)
		}
	})
	t.Run("a closed model", func(t *testing.T) {
		m.Close()
		parts := []Part{good(), good()}
		w.Do(m, Task{Kind: DecodeTask}, parts)
		for i, p := range parts {
			if !errors.Is(p.Err, ErrClosed) {
				t.Errorf("part %d: got %v", i, p.Err)
			}
		}
	})
}

func TestWorkerAllocatesNothing(t *testing.T) {
	const d = 19
	m := openModel(t, Config{Threads: 2}, smallModel(300, d))
	var w Worker
	parts := make([]Part, 3)
	x, cells := make([]float32, 8*d), make([]int64, 8*4)
	image := imageBytes(8, 4)
	each := func() {
		for _, kind := range []TaskKind{GenerateTask, DecodeTask, LocateTask} {
			for i := range parts {
				parts[i] = Part{N: 8, Seed: uint64(i), In: x, Images: image, Cells: cells}
			}
			w.Do(m, Task{Kind: kind, K: 4}, parts)
		}
	}
	if allocations := testing.AllocsPerRun(50, each); allocations > 0 {
		t.Errorf("%v allocations a round of three batches", allocations)
	}
}
