//go:build cuda

package cuda

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/cpu"
	"brenier/engine/internal/cuda/driver"
	"brenier/engine/internal/decodertest"
	"brenier/engine/internal/modelfile"
	"brenier/engine/internal/rotated"
	kernels "brenier/kernels/cpu"
)

// Rates that floors are stated against, of an H100 with 80 GB: float16 and float32 products, memory and a
// node of a graph as measured, float64 by the data sheet.
const (
	tensorRate = 735e12 // operations a second
	floatRate  = 51e12  // the same in float32
	doubleRate = 33e12  // the same in float64, without tensor cores
	memoryRate = 3.0e12 // bytes a second
	nodeTime   = 1.2e-6 // seconds
)

// measure times b.N runs of f on a stream and reports their median beside a floor in seconds. Through the
// double it only runs f.
func measure(b *testing.B, v *device, floor float64, f func(q *driver.Stream) error) {
	b.Helper()
	us := median(b, v, b.N, b.ResetTimer, f)
	if v.info.Double {
		b.ReportMetric(1, "rehearsed")
		return
	}
	b.ReportMetric(us, "us")
	b.ReportMetric(1e6*floor, "floor-us")
}

// median is the median of runs of f on a stream in microseconds, each between two events; begin is called once
// the device is warm. Through the double nothing warms up.
func median(b *testing.B, v *device, runs int, begin func(), f func(q *driver.Stream) error) float64 {
	b.Helper()
	var took []float64
	onStream(b, v, func(q *driver.Stream) error {
		from, err := v.ctx.NewEvent(true)
		if err != nil {
			return err
		}
		defer from.Destroy()
		to, err := v.ctx.NewEvent(true)
		if err != nil {
			return err
		}
		defer to.Destroy()
		warmup := 2
		if v.info.Double {
			warmup = 0
		}
		for run := range runs + warmup {
			if run == warmup {
				begin()
			}
			if err := q.Record(from); err != nil {
				return err
			}
			if err := f(q); err != nil {
				return err
			}
			if err := q.Record(to); err != nil {
				return err
			}
			if err := q.Synchronize(); err != nil {
				return err
			}
			ms, err := driver.Elapsed(from, to)
			if err != nil {
				return err
			}
			if run >= warmup {
				took = append(took, 1e3*ms)
			}
		}
		return nil
	})
	slices.Sort(took)
	return took[len(took)/2]
}

// benchPoints are n Gaussian points of d dimensions and the heights that make each cell the points
// nearest to it.
func benchPoints(b *testing.B, n, d int) (points, heights []float32) {
	pool := cpu.NewPool(8)
	defer pool.Close()
	path, err := kernels.ParsePath("")
	if err != nil {
		b.Fatal(err)
	}
	points, heights = make([]float32, n*d), make([]float32, n)
	cpu.Noise(pool, path, backend.Gaussian, points, d, 7, 0, 1)
	for i := range heights {
		sum := 0.0
		for _, y := range points[i*d : (i+1)*d] {
			sum += float64(y) * float64(y)
		}
		heights[i] = float32(-sum / 2)
	}
	return points, heights
}

// benchLocate are the shapes that locate is timed at.
var benchLocate = []locateShape{
	{65536, 60000, 64, 1},
	{65536, 60000, 128, 1},
	{16384, 1281167, 256, 1},
	{1, 1000000, 64, 1},
	{1, 60000, 64, 1},
	{1, 60000, 64, 8},
	{64, 60000, 64, 8},
	{4096, 60000, 64, 8},
}

type locateShape struct{ batch, n, d, k int }

func (c locateShape) String() string { return fmt.Sprintf("%dx%dx%d/k=%d", c.batch, c.n, c.d, c.k) }

// The batches that decoders and all stages together are timed at, and the neighbours of the latter.
var (
	benchDecode   = []int{1, 16, 1024, 4096}
	benchGenerate = []int{1, 1024}
)

const benchNeighbours = 8

// BenchmarkLocate times the whole stage, from samples on the device to cells on the device.
func BenchmarkLocate(b *testing.B) {
	for _, c := range benchLocate {
		b.Run(c.String(), func(b *testing.B) {
			v := newTestDevice(b)
			if v.info.Double {
				c.batch, c.n = min(c.batch, 130), min(c.n, 200)
			}
			points, heights := benchPoints(b, c.n, c.d)
			t, err := newTransport(v, points, heights, nil, c.n, c.d)
			if err != nil {
				b.Fatal(err)
			}
			defer t.close()
			s, err := newLocate(v, t)
			if err != nil {
				b.Fatal(err)
			}
			defer s.close()
			noise, err := newNoise(v, backend.Gaussian, c.d)
			if err != nil {
				b.Fatal(err)
			}
			var p plan
			x, cells, scores := p.reserve(bytesOf(c.batch, c.d, 4)), p.reserve(bytesOf(c.batch, c.k, 4)), p.reserve(bytesOf(c.batch, c.k, 8))
			scratch := s.newScratch(&p, c.batch, c.k)
			base := scratchOn(b, v, p.bytes)
			onStream(b, v, func(q *driver.Stream) error { return noise.launch(q, x.at(base), c.batch, 1, 0) })
			arithmetic := 2 * float64(c.batch) * float64(c.n) * float64(c.d) / tensorRate
			memory := 2 * float64(c.n) * float64(c.d) / memoryRate // the points once, in float16
			measure(b, v, max(arithmetic, memory, nodeTime), func(q *driver.Stream) error {
				return s.launch(q, scratch, base, x.at(base), c.batch, c.k, cells.at(base), scores.at(base))
			})
		})
	}
}

// BenchmarkLocatePlain times the rung that scores every cell exactly.
func BenchmarkLocatePlain(b *testing.B) {
	for _, n := range []int{1, 32, 65536} {
		c := locateShape{n, 60000, 64, 1}
		b.Run(c.String(), func(b *testing.B) {
			v := newTestDevice(b)
			if v.info.Double {
				c.batch, c.n = min(c.batch, 40), 200
			}
			points, heights := benchPoints(b, c.n, c.d)
			t, err := newTransport(v, points, heights, nil, c.n, c.d)
			if err != nil {
				b.Fatal(err)
			}
			defer t.close()
			l, err := newLocatePlain(v, t)
			if err != nil {
				b.Fatal(err)
			}
			var p plan
			scratch := l.newScratch(&p, c.k)
			cells, scores := p.reserve(bytesOf(c.batch, c.k, 4)), p.reserve(bytesOf(c.batch, c.k, 8))
			base, x := scratchOn(b, v, p.bytes), onDevice(b, v, make([]float32, c.batch*c.d)) // whatever they are
			floor := max(2*float64(c.batch)*float64(c.n)*float64(c.d)/doubleRate, 4*float64(c.n)*float64(c.d)/memoryRate, nodeTime)
			measure(b, v, floor, func(q *driver.Stream) error {
				return l.launch(q, scratch, base, x, c.batch, c.k, cells.at(base), scores.at(base))
			})
		})
	}
}

// benchRotated are the maps that groups of rotated draws are timed on.
var benchRotated = []rotatedSize{{2000, 64, 1}, {60000, 64, 1}, {60000, 64, 2}, {46800, 128, 1}}

type rotatedSize struct{ n, d, k int }

func (c rotatedSize) String() string { return fmt.Sprintf("%dx%d/k=%d", c.n, c.d, c.k) }

// groups makes the frames that are made at once, and finds the cells of their groups, a piece at a time.
func (s *rotatedStage) groups(q *driver.Stream, r *rotatedScratch, base driver.Address, k int) error {
	err := s.makeFrames(q, r, base, 1, 0, s.frames)
	for group := 0; group < s.frames && err == nil; group++ {
		err = s.rotate(q, r, base, group)
		for from := 0; from < s.size && err == nil; {
			n := min(s.size-from, s.piece(r, from))
			err = s.locate(q, r, base, group, from, n, k, 0)
			from += n
		}
	}
	return err
}

// BenchmarkRotated times groups of draws that share a frame, as many as frames are made at once, from the
// frames on; and alone, of one group, the three kernels that each group takes.
func BenchmarkRotated(b *testing.B) {
	for _, c := range benchRotated {
		b.Run(c.String(), func(b *testing.B) {
			v := newTestDevice(b)
			group := rotated.GroupFor(c.n, c.d)
			if v.info.Double {
				c.n, group = 200, kernels.RotatedSet
			}
			points, heights := benchPoints(b, c.n, c.d)
			t, err := newTransport(v, points, heights, nil, c.n, c.d)
			if err != nil {
				b.Fatal(err)
			}
			defer t.close()
			if _, err := t.rotatedGroup(backend.Gaussian); err != nil {
				b.Fatal(err)
			}
			s, err := newRotatedStage(v, t, group, rotatedScreened)
			if err != nil {
				b.Fatal(err)
			}
			var p plan
			scratch := s.newScratch(&p)
			base := scratchOn(b, v, p.bytes)
			// Products of tensor cores for the screen, of float32 units for the points.
			draws := float64(s.frames * group)
			screen := 2 * float64(c.n) * draws * float64(kernels.RotatedAxes) / tensorRate
			rotation := 2 * float64(c.n) * float64(c.d) * float64(c.d) * float64(s.frames) / floatRate
			measure(b, v, max(screen+rotation, 8*nodeTime), func(q *driver.Stream) error {
				return s.groups(q, scratch, base, c.k)
			})
			b.StopTimer()
			each := b.Elapsed().Seconds() / float64(b.N) / draws
			search := s.search(scratch, base, 0, 0, min(s.size, s.piece(scratch, 0)), c.k, 0)
			for _, part := range []struct {
				unit string
				run  func(q *driver.Stream) error
			}{
				{"points-us", func(q *driver.Stream) error { return s.rotate(q, scratch, base, 0) }},
				{"screen-us", func(q *driver.Stream) error { return s.launchScreen(q, &search) }},
				{"finish-us", func(q *driver.Stream) error { return s.launchFinish(q, &search) }},
			} {
				us := median(b, v, 20, func() {}, part.run)
				if !v.info.Double {
					b.ReportMetric(us, part.unit)
				}
			}
			if !v.info.Double {
				b.ReportMetric(1e9*each, "ns/draw")
			}
		})
	}
}

// BenchmarkNoise times samples of 64 dimensions.
func BenchmarkNoise(b *testing.B) {
	const d = 64
	for name, source := range sources {
		n := 65536
		b.Run(fmt.Sprintf("%s/%dx%d", name, n, d), func(b *testing.B) {
			v := newTestDevice(b)
			if v.info.Double {
				n = 100
			}
			s, err := newNoise(v, source, d)
			if err != nil {
				b.Fatal(err)
			}
			x := scratchOn(b, v, 4*n*d)
			floor := max(4*float64(n)*d/memoryRate, nodeTime)
			measure(b, v, floor, func(q *driver.Stream) error { return s.launch(q, x, n, 1, 0) })
		})
	}
}

// BenchmarkExtend times the codes of samples with 8 cells each, drawn from all of the map.
func BenchmarkExtend(b *testing.B) {
	const d, k = 64, 8
	for _, n := range []int{1, 65536} {
		N := 60000
		b.Run(fmt.Sprintf("%dx%dx%d/k=%d", n, N, d, k), func(b *testing.B) {
			v := newTestDevice(b)
			if v.info.Double {
				n, N = min(n, 100), 500
			}
			c := randomMap(N, d, n)
			cells := make([]int32, n*k)
			for i := range cells {
				cells[i] = int32(uint32(i) * 2654435761 % uint32(N))
			}
			s, err := newExtend(v, c.on(b, v))
			if err != nil {
				b.Fatal(err)
			}
			xs, cs, z := onDevice(b, v, c.x), onDevice(b, v, cells), scratchOn(b, v, 4*len(c.x))
			e := backend.Extension{Mode: backend.Simplex, K: k, MinCosine: -1}
			floor := max(4*float64(n)*d*(2*k+2)/memoryRate, nodeTime)
			measure(b, v, floor, func(q *driver.Stream) error { return s.launch(q, xs, cs, n, e, z, decoderInput{}) })
		})
	}
}

// BenchmarkDescend times a step of a descent, after its draws; what it reads and writes fits in the
// second-level cache, which the floor leaves out.
func BenchmarkDescend(b *testing.B) {
	N := 60000
	b.Run(fmt.Sprint(N), func(b *testing.B) {
		v := newTestDevice(b)
		if v.info.Double {
			N = 1000
		}
		stage, err := newDescend(v)
		if err != nil {
			b.Fatal(err)
		}
		d, err := stage.newDescent(randomMap(N, 1, 0).on(b, v), nil, onDevice(b, v, make([]int32, N)))
		if err != nil {
			b.Fatal(err)
		}
		defer d.close()
		onStream(b, v, func(q *driver.Stream) error { return d.start(q, askedDescent(N)) })
		const bytes = 2*8 + 4*16 + 8 + 4 // rates and steps, what moves, counts, heights
		floor := max(float64(bytes*N)/memoryRate, nodeTime)
		measure(b, v, floor, func(q *driver.Stream) error { return d.launch(q, askedStep(N, 0)) })
	})
}

// benchModels are the example models, as parts, the digits with the decoder that predictions and peers are of:
// it is larger than the example's own.
func benchModels(b testing.TB) map[string]backend.Parts {
	paths, err := filepath.Glob("../../../examples/models/*.safetensors")
	if err != nil || len(paths) == 0 {
		b.Fatalf("no example model: %v", err)
	}
	models := map[string]backend.Parts{}
	for _, path := range paths {
		file, err := modelfile.Open(path)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { file.Close() })
		models[strings.TrimSuffix(filepath.Base(path), ".safetensors")] = file.Parts()
	}
	digits := models["mnist"]
	digits.Decoder, digits.Tensors = decodertest.Digits(b)
	models["mnist"] = digits
	return models
}

// BenchmarkDecode times the decoders from codes to float16 images on the device, their launches
// recorded as one graph.
func BenchmarkDecode(b *testing.B) {
	for name, parts := range benchModels(b) {
		for _, batch := range benchDecode {
			b.Run(fmt.Sprintf("%s/%d", name, batch), func(b *testing.B) {
				v := newTestDevice(b)
				if v.info.Double && batch > 1 {
					b.Skip("through the double one image is enough")
				}
				d, err := newDecoder(v, f16, parts.Decoder, parts.Tensors)
				if err != nil {
					b.Fatal(err)
				}
				defer d.close()
				noise, err := newNoise(v, backend.Gaussian, d.in.Size())
				if err != nil {
					b.Fatal(err)
				}
				operations := 2 * float64(d.program.MACs()) * float64(batch)
				floor := max(operations/tensorRate, nodeTime*float64(len(d.steps)))
				var p plan
				z, image := p.reserve(bytesOf(batch, d.in.Size(), 4)), p.reserve(bytesOf(batch, d.elements(), 2))
				scratch := d.newScratch(&p, batch)
				base := scratchOn(b, v, p.bytes)
				out := target{address: image.at(base), dtype: backend.F16, layout: backend.NCHW}
				onStream(b, v, func(q *driver.Stream) error { return noise.launch(q, z.at(base), batch, 1, 0) })
				run := recorded(b, v, func(q *driver.Stream) error {
					return d.launch(q, scratch, base, codesAt(z.at(base)), batch, out)
				})
				measure(b, v, floor, run)
			})
		}
	}
}

// BenchmarkGenerate times everything, from seed to bytes on the device, as one graph.
func BenchmarkGenerate(b *testing.B) {
	for name, parts := range benchModels(b) {
		for _, batch := range benchGenerate {
			b.Run(fmt.Sprintf("%s/%d", name, batch), func(b *testing.B) {
				g := openTestBackend(b, nil)
				if g.v.info.Double && batch > 1 {
					b.Skip("through the double one image is enough")
				}
				m := prepare(b, g, parts)
				const k = benchNeighbours
				w := newWorkspace(b, m, batch, k).(*workspace)
				image := scratchOn(b, g.v, bytesOf(batch, m.(*model).decoder.elements()))
				out := backend.Image{Address: uint64(image), DType: backend.U8, High: 1}
				e := backend.Extension{Mode: backend.Simplex, K: k, MinCosine: math.Cos(0.5)}
				seed := uint64(0)
				warmup := 3
				if g.v.info.Double {
					warmup = 1
				}
				for range warmup {
					if err := w.Generate(batch, 1, 0, e, out); err != nil {
						b.Fatal(err)
					}
				}
				for b.Loop() {
					seed++
					if err := w.Generate(batch, 1, seed, e, out); err != nil {
						b.Fatal(err)
					}
				}
				if !g.v.info.Double {
					b.ReportMetric(1e6*b.Elapsed().Seconds()/float64(b.N), "us") // by the wall
				}
			})
		}
	}
}

// recorded is what f launches as a graph that is launched instead.
func recorded(b *testing.B, v *device, f func(q *driver.Stream) error) func(q *driver.Stream) error {
	b.Helper()
	var x *driver.Executable
	onStream(b, v, func(q *driver.Stream) error {
		if err := q.BeginCapture(); err != nil {
			return err
		}
		launched := f(q)
		g, err := q.EndCapture()
		if launched != nil {
			return launched
		}
		if err != nil {
			return err
		}
		defer g.Destroy()
		x, err = g.Instantiate()
		return err
	})
	b.Cleanup(func() {
		if err := v.do(x.Destroy); err != nil {
			b.Error(err)
		}
	})
	return x.Launch
}
