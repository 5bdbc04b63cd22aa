//go:build cuda

package cuda

import (
	"fmt"
	"math"
	"runtime"
	"slices"
	"testing"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/cpu"
	kernels "brenier/kernels/cpu"
)

// What must hold at sizes that a GPU is for. The double does the same at sizes that it has the patience
// for, so that nothing here is run for the first time on a GPU.

// allCores is the processor as a backend.
func allCores(t testing.TB) backend.Backend {
	t.Helper()
	b, err := cpu.New(runtime.GOMAXPROCS(0), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// gaussians are n values of N(0,1), made by all cores.
func gaussians(t testing.TB, n int, seed uint64) []float32 {
	t.Helper()
	path, err := kernels.ParsePath("")
	if err != nil {
		t.Fatal(err)
	}
	pool := cpu.NewPool(runtime.GOMAXPROCS(0))
	defer pool.Close()
	values := make([]float32, n)
	cpu.Noise(pool, path, backend.Gaussian, values, 1, seed, 0, 0)
	return values
}

// Every rung gives the cells and bits of scores that the CPU gives, for all rows.
func TestFullSize_locate(t *testing.T) {
	v := newTestDevice(t)
	for _, size := range []struct {
		B, N, d int
		ks      []int
	}{
		{1, 1, 1, []int{1}}, {1, 1281167, 64, []int{1, 32}}, {7, 60000, 1, []int{1, 2}}, {64, 60000, 64, []int{1, 5, 20}},
		{65, 1000003, 3, []int{1, 32}}, {1000, 60000, 129, []int{1, 20}}, {4096, 10007, 1024, []int{1, 5}},
		{65536, 60000, 64, []int{1}}, {65536, 4099, 128, []int{1, 2, 32}}, {2048, 1281167, 256, []int{1}},
		{65535, 1000, 17, []int{1, 5}},
	} {
		if v.info.Double {
			size.B, size.N, size.d = min(size.B, 130), min(size.N, 150+size.N%100), min(size.d, 70)
		} else if testing.Short() && size.B*size.N > 1<<26 {
			continue
		}
		c := mapCase{
			points: gaussians(t, size.N*size.d, 1), x: gaussians(t, size.B*size.d, 2),
			heights: make([]float32, size.N), d: size.d,
		}
		for i := range c.heights { // those of the cells of nearest points, so that most are hit
			for _, y := range c.points[i*size.d : (i+1)*size.d] {
				c.heights[i] -= y * y / 2
			}
		}
		parts := backend.Parts{Dim: size.d, Points: c.points, Heights: c.heights}
		most := min(slices.Max(size.ks), size.N)
		w := newWorkspace(t, prepare(t, allCores(t), parts), size.B, most)
		want, wantScores := make([]int64, size.B*most), make([]float64, size.B*most)
		if err := w.PutNoise(c.x); err != nil {
			t.Fatal(err)
		}
		if err := w.Locate(size.B, most); err != nil {
			t.Fatal(err)
		}
		if err := w.GetCells(size.B, most, want, wantScores); err != nil {
			t.Fatal(err)
		}
		for _, rung := range locateRungs {
			if rung.most != 0 && size.B > rung.most {
				continue
			}
			t.Run(fmt.Sprintf("%s/B=%d/N=%d/d=%d", rung.name, size.B, size.N, size.d), func(t *testing.T) {
				s := c.locateOf(t, v, rung.allow)
				for _, k := range size.ks {
					if k > size.N {
						continue
					}
					got := locateAll(t, v, s, c.x, k, nil)
					cells, scores := firstOf(want, most, k), firstOf(wantScores, most, k)
					for i := range cells {
						if int64(got.cells[i]) != cells[i] || math.Float64bits(got.scores[i]) != math.Float64bits(scores[i]) {
							t.Errorf("k=%d: cell %d of sample %d is %d with score %v, want %d with %v",
								k, i%k, i/k, got.cells[i], got.scores[i], cells[i], scores[i])
							break
						}
					}
				}
			})
		}
	}
}

// Rotated draws and their cells are the CPU's, in the groups that a fit uses.
func TestFullSize_rotated(t *testing.T) {
	b := openTestBackend(t, nil)
	for _, size := range []struct{ N, d, k int }{{60000, 64, 1}, {60000, 64, 8}, {46800, 128, 2}, {1000003, 33, 1}, {2000, 512, 3}, {100, 1100, 1}} {
		n := 8192
		if b.v.info.Double {
			size.N, size.d, n = 100+size.N%100, min(size.d, 40), 50
		} else if testing.Short() && size.N*size.d > 1<<24 {
			continue
		}
		t.Run(fmt.Sprintf("N=%d/d=%d/k=%d", size.N, size.d, size.k), func(t *testing.T) {
			parts := backend.Parts{Dim: size.d, Points: gaussians(t, size.N*size.d, 1), Heights: gaussians(t, size.N, 2)}
			got := newWorkspace(t, prepare(t, b, parts), 4, 1).(backend.RotatedDrawer)
			want := newWorkspace(t, prepare(t, allCores(t), parts), 4, 1).(backend.RotatedDrawer)
			first := uint64(got.Group() - n/2)
			wanted := drawn(t, want.DrawRotated, want.Group(), size.d, n, 1, first, n, size.k)
			drawn(t, got.DrawRotated, got.Group(), size.d, n, 1, first, n, size.k).compare(t, wanted, size.k, size.d)
		})
	}
}

// Noise, cells and codes of the example models are the CPU's for a million samples.
func TestFullSize_codes(t *testing.T) {
	total, batch := 1_000_000, 65536
	b := openTestBackend(t, nil)
	if b.v.info.Double {
		total, batch = 300, 200
	} else if testing.Short() {
		total = batch
	}
	for name, parts := range benchModels(t) {
		parts.Decoder, parts.Tensors = nil, nil
		d, e := parts.Dim, backend.Extension{Mode: backend.Simplex, K: 8, MinCosine: math.Cos(0.7)}
		gpu := newWorkspace(t, prepare(t, b, parts), batch, e.K)
		processor := newWorkspace(t, prepare(t, allCores(t), parts), batch, e.K)
		for first := 0; first < total; first += batch {
			n := min(batch, total-first)
			got, err := stages(gpu, n, d, 11, uint64(first), e)
			if err != nil {
				t.Fatal(err)
			}
			want, err := stages(processor, n, d, 11, uint64(first), e)
			if err != nil {
				t.Fatal(err)
			}
			if !sameBits(got.x, want.x) || !slices.Equal(got.cells, want.cells) || !sameBits(got.scores, want.scores) || !sameBits(got.z, want.z) {
				t.Fatalf("%s: samples %d .. %d differ from the CPU's", name, first, first+n-1)
			}
		}
	}
}

// Images have the same bits in any batch and every time.
func TestFullSize_images(t *testing.T) {
	b := openTestBackend(t, nil)
	batches := []int{1, 3, 64, 1000, 4096, 5000}
	if b.v.info.Double {
		batches = []int{1, 2}
	}
	for name, parts := range benchModels(t) {
		if b.v.info.Double && name != "mnist" {
			continue
		}
		m := prepare(t, b, parts)
		most := slices.Max(batches)
		size := m.(*model).decoder.elements()
		e := backend.Extension{Mode: backend.Simplex, K: 8, MinCosine: math.Cos(0.7)}
		w := newWorkspace(t, m, most, e.K)
		generated := func(n int) []float32 {
			images := make([]float32, n*size)
			if err := w.Generate(n, 5, 0, e, hostImage(images, backend.NCHW)); err != nil {
				t.Fatal(err)
			}
			return images
		}
		want := generated(most)
		for _, n := range append(batches, most) {
			if !sameBits(generated(n), want[:n*size]) {
				t.Errorf("%s: a batch of %d images has other bits than one of %d", name, n, most)
			}
		}
	}
}

// Models opened, used and closed again and again take no more of the device's memory than once.
func TestFullSize_cycles(t *testing.T) {
	b := openTestBackend(t, func(c *Config) { c.SkipSelfCheck = true })
	cycles := 10_000
	if b.v.info.Double {
		cycles = 20
	} else if testing.Short() {
		cycles = 100
	}
	p := testParts(200, 11)
	images := make([]float32, 2*testPixels)
	free := func() (bytes int) {
		err := b.v.do(func() error {
			now, _, err := b.v.ctx.MemoryInfo()
			bytes = int(now)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return bytes
	}
	settled := 0
	for i := range cycles {
		m, err := b.Prepare(p)
		if err != nil {
			t.Fatal(err)
		}
		w, err := m.NewWorkspace(2, 8)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Generate(2, 7, uint64(i), testExtension, hostImage(images, backend.NCHW)); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		m.Close()
		if i == cycles/10 {
			settled = free()
		}
	}
	const slack = 8 << 20 // what other programs on the card take and give meanwhile
	if now := free(); now+slack < settled {
		t.Errorf("%d bytes are free after %d cycles, %d were after %d", now, cycles, settled, cycles/10)
	}
}
