package engine

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// A cold region against the decoder's time for the same number of images, in turns; and the levels,
// and a region that is all in the cache.
func BenchmarkField(b *testing.B) {
	m := openExample(b, "terrain", Config{})
	const side, seed = 512, 7
	out := Float32Image(make([]float32, side*side), NHWC)
	read := func(b *testing.B, f *Field, level int) time.Duration {
		start := time.Now()
		if err := f.Read(seed, Region{X: 1 << 30, Y: -1 << 20, Width: side, Height: side, Level: level}, out, Slices{}); err != nil {
			b.Fatal(err)
		}
		return time.Since(start)
	}
	b.Run("cold/one octave", func(b *testing.B) {
		const tiles = (side/32 + 1) * (side/32 + 1)
		f := newField(b, m, FieldOptions{CacheBytes: -1})
		codes, images := make([]float32, tiles*128), make([]float32, tiles*64*64)
		if err := m.Codes(codes, seed, 0, Extension{}); err != nil {
			b.Fatal(err)
		}
		var field, decode []time.Duration
		for b.Loop() {
			field = append(field, read(b, f, 0))
			start := time.Now()
			if err := m.Decode(codes, Float32Image(images, NCHW)); err != nil {
				b.Fatal(err)
			}
			decode = append(decode, time.Since(start))
		}
		b.ReportMetric(float64(slices.Min(field).Microseconds())/1e3, "ms/region")
		b.ReportMetric(float64(slices.Min(decode).Microseconds())/1e3, "ms/decode")
		b.ReportMetric(float64(slices.Min(field))/float64(slices.Min(decode)), "of-decode")
	})
	// Terrain Diffusion's measure: a region at a random far place, then the one beside it.
	b.Run("first and second region", func(b *testing.B) {
		f := newField(b, m, FieldOptions{})
		r := rand.New(rand.NewPCG(1, 1))
		var first, second []time.Duration
		for b.Loop() {
			at := Region{X: r.Int64N(1 << 40), Y: -r.Int64N(1 << 40), Width: side, Height: side}
			for _, times := range []*[]time.Duration{&first, &second} {
				start := time.Now()
				if err := f.Read(seed, at, out, Slices{}); err != nil {
					b.Fatal(err)
				}
				*times = append(*times, time.Since(start))
				at.X += side
			}
		}
		for name, times := range map[string][]time.Duration{"first": first, "second": second} {
			slices.Sort(times)
			b.ReportMetric(float64(times[len(times)/2].Microseconds())/1e3, "ms-p50-"+name)
			b.ReportMetric(float64(times[len(times)*95/100].Microseconds())/1e3, "ms-p95-"+name)
		}
	})
	world := FieldOptions{Octaves: []Octave{{Scale: 8}, {Scale: 1, Amplitude: 0.3, Modulation: 1}}, CacheBytes: -1}
	for level := range 6 {
		b.Run(fmt.Sprintf("cold/two octaves/level=%d", level), func(b *testing.B) {
			f := newField(b, m, world)
			read(b, f, level) // solves for the estimate
			for b.Loop() {
				read(b, f, level)
			}
		})
	}
	// For scale: what the same region costs as gradient noise.
	b.Run("peer/Perlin, 8 octaves", func(b *testing.B) {
		heights := make([]float32, side*side)
		for b.Loop() {
			for k := range heights {
				sum, x, y, amplitude := 0.0, 1e6+float64(k%side)/128, float64(k/side)/128, 1.0
				for range 8 {
					sum += amplitude * perlin(x, y)
					x, y, amplitude = 2*x, 2*y, amplitude/2
				}
				heights[k] = float32(sum)
			}
		}
	})
	b.Run("warm/two octaves", func(b *testing.B) {
		world.CacheBytes = 0
		f := newField(b, m, world)
		read(b, f, 0)
		b.ReportAllocs()
		for b.Loop() {
			read(b, f, 0)
		}
	})
}

// perlin is gradient noise: Perlin, "Improving noise" (SIGGRAPH 2002), in two dimensions, with a hash in
// the place of the table.
func perlin(x, y float64) float64 {
	column, row := math.Floor(x), math.Floor(y)
	x, y = x-column, y-row
	corner := func(dx, dy float64) float64 {
		h := uint32(int32(column+dx))*0x9E3779B1 ^ uint32(int32(row+dy))*0x85EBCA77
		h = (h ^ h>>15) * 0x2C1B3C6D
		u, v := x-dx, y-dy
		if h&(1<<20) != 0 {
			u = -u
		}
		if h&(1<<21) != 0 {
			v = -v
		}
		return u + v
	}
	fade := func(t float64) float64 { return t * t * t * (t*(t*6-15) + 10) }
	u, v := fade(x), fade(y)
	top := corner(0, 0) + u*(corner(1, 0)-corner(0, 0))
	return top + v*(corner(0, 1)+u*(corner(1, 1)-corner(0, 1))-top)
}
