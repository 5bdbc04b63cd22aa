package field

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"brenier/engine/internal/backend"

	"github.com/x448/float16"
)

// Made by Philox4x32-10 in Python's unbounded integers, as stream.go says.
var streamVectors = []struct {
	seed   uint64
	octave uint32
	i, j   int64
	key    uint64
	words  [4]uint32 // block 0 of the tile's noise
}{
	{0x0, 0, 0, 0, 0x3ae9aae9e0f954ec, [4]uint32{0xd97da00f, 0x10b850eb, 0x6e0eda46, 0xd6549f31}},
	{0x7, 0, -1, 0, 0x86b3444d4a538cd0, [4]uint32{0xfbbe2488, 0x2f4bda22, 0x3dd0bc8d, 0xfcd55e28}},
	{0x7, 1, 1 << 40, -1 << 40, 0xba3dc612a14aa301, [4]uint32{0xa3142cb0, 0x340c6e15, 0xfdda5b81, 0x759ac1ad}},
	{math.MaxUint64, math.MaxUint32, math.MinInt64, math.MaxInt64, 0xda879f8cdbb748ae, [4]uint32{0xedfc8778, 0xddd09bf5, 0x4233a058, 0x425f8845}},
}

func TestStream_vectors(t *testing.T) {
	for _, v := range streamVectors {
		if got := RowKey(v.seed, v.octave, v.i); got != v.key {
			t.Errorf("RowKey(%d, %d, %d) = %#x, want %#x", v.seed, v.octave, v.i, got, v.key)
		}
		x := make([]float32, 4)
		Noise(backend.Uniform, x, v.key, v.j)
		for k, word := range v.words {
			if want := float32((float64(word)+0.5)*0x1p-32 - 0.5); x[k] != want {
				t.Errorf("tile (%d, %d) of octave %d, seed %d: x[%d] = %v, want %v", v.i, v.j, v.octave, v.seed, k, x[k], want)
			}
		}
	}
}

func TestLattice(t *testing.T) {
	for _, c := range []struct {
		at          int64
		n, step     int
		first, last int64
	}{{0, 1, 4, -1, 0}, {3, 1, 4, -1, 0}, {3, 2, 4, -1, 1}, {-1, 1, 4, -2, -1}, {-4, 4, 4, -2, -1}, {-5, 1, 4, -3, -2}, {1 << 62, 8, 4, 1<<60 - 1, 1<<60 + 1}} {
		if first, last := Lattice(c.at, c.n, c.step); first != c.first || last != c.last {
			t.Errorf("Lattice(%d, %d, %d) = %d, %d, want %d, %d", c.at, c.n, c.step, first, last, c.first, c.last)
		}
	}
}

// randomPlane is a plane of normal values.
func randomPlane(x, y int64, w, h, c int) *Plane {
	r := rand.New(rand.NewPCG(uint64(x), uint64(y)))
	var p Plane
	p.Reset(x, y, w, h, c)
	for k := range p.Values {
		p.Values[k] = float32(r.NormFloat64())
	}
	return &p
}

// cubic reads channel c of a plane by Keys's kernel in float64, as his paper writes it, at (x, y) in
// pixels of the plane.
func cubic(p *Plane, c int, x, y float64) float64 {
	kernel := func(s float64) float64 {
		switch s = math.Abs(s); {
		case s < 1:
			return 1.5*s*s*s - 2.5*s*s + 1
		case s < 2:
			return -0.5*s*s*s + 2.5*s*s - 4*s + 2
		}
		return 0
	}
	sum := 0.0
	for row := range p.H {
		for column := range p.W {
			w := kernel(y-float64(p.Y)-float64(row)) * kernel(x-float64(p.X)-float64(column))
			sum += w * float64(p.Channel(c)[row*p.W+column])
		}
	}
	return sum
}

func TestResampler(t *testing.T) {
	for _, c := range []struct{ scale, level int }{{0, 0}, {1, 0}, {1, 1}, {3, 0}, {3, 1}, {3, 3}, {4, 2}} {
		const w, h = 7, 5
		r := NewResampler(c.scale, c.level)
		dst := Plane{X: -9, Y: 1<<33 + 3, W: w, H: h, C: 2}
		dst.Reset(dst.X, dst.Y, w, h, 2)
		x, columns := r.Span(dst.X, w)
		y, rows := r.Span(dst.Y, h)
		octave := randomPlane(x-1, y-1, columns+2, rows+2, 2) // more than it needs
		r.Read(&dst, octave, nil)
		size, n := float64(int64(1)<<c.scale), int64(1)<<c.level
		for ch := range 2 {
			for k := range w * h {
				// The mean over the level's pixel, of points in the octave's pixels.
				want := 0.0
				for dy := range n {
					for dx := range n {
						px, py := (dst.X+int64(k%w))*n+dx, (dst.Y+int64(k/w))*n+dy
						want += cubic(octave, ch, (float64(px)+0.5)/size-0.5, (float64(py)+0.5)/size-0.5) / float64(n*n)
					}
				}
				if got := float64(dst.Channel(ch)[k]); math.Abs(got-want) > 2e-6 {
					t.Fatalf("scale 2^%d, level %d: channel %d, pixel %d is %v, want %v", c.scale, c.level, ch, k, got, want)
				}
			}
		}
	}
}

// The slope of a plane that is tilted is known, and blurring does not change it; that of one pixel that
// stands out is the blurred square of two differences.
func TestSlope(t *testing.T) {
	octave := Plane{}
	octave.Reset(-3, -3, 12, 11, 1)
	for k := range octave.Values {
		octave.Values[k] = float32(3*(k%12) - 4*(k/12))
	}
	var dst Plane
	dst.Reset(0, 0, 6, 5, 1)
	Slope(&dst, &octave, 2, nil)
	for k, v := range dst.Values {
		if math.Abs(float64(v)-2.5) > 1e-6 {
			t.Errorf("pixel %d of the tilted plane: slope %v, want 5/2", k, v)
		}
	}

	clear(octave.Values)
	octave.Values[5*12+6] = 2 // at (3, 2) of dst: its neighbours along x and y have a difference of 1
	Slope(&dst, &octave, 1, nil)
	weight := func(d int) float64 {
		if d < -2 || d > 2 {
			return 0
		}
		return []float64{1, 4, 6, 4, 1}[d+2] / 16
	}
	for y := range 5 {
		for x := range 6 {
			want := 0.0
			for _, at := range [][2]int{{2, 2}, {4, 2}, {3, 1}, {3, 3}} {
				want += weight(x-at[0]) * weight(y-at[1])
			}
			if got := float64(dst.Values[y*6+x]); math.Abs(got-math.Sqrt(want)) > 1e-6 {
				t.Errorf("pixel (%d, %d) beside one that stands out: slope %v, want %v", x, y, got, math.Sqrt(want))
			}
		}
	}
}

func TestCache(t *testing.T) {
	tile := func(v float32) []float32 { return []float32{v, v, v, v} }
	one := 4*4 + entryBytes
	c := NewCache(3*one + 1)
	got := make([]float32, 4)
	for i := range int64(3) {
		c.Put(Key{I: i}, tile(float32(i)))
	}
	if !c.Get(Key{I: 0}, got) || got[3] != 0 {
		t.Fatalf("tile 0: got %v", got)
	}
	c.Put(Key{I: 3}, tile(3)) // in the place of 1, the one used least recently
	for i, there := range []bool{true, false, true, true} {
		if c.Get(Key{I: int64(i)}, got) != there || there && got[0] != float32(i) {
			t.Errorf("tile %d: there %v, want %v; values %v", i, !there, there, got)
		}
	}
	if c.Bytes() != 3*one {
		t.Errorf("%d bytes, want %d", c.Bytes(), 3*one)
	}
	c.Put(Key{Seed: 1}, make([]float32, 4*3+2*entryBytes/4)) // as large as all
	if c.Get(Key{I: 3}, got) || c.Bytes() > 3*one+1 {
		t.Errorf("a tile as large as the cache left another there; %d bytes", c.Bytes())
	}
	c.Put(Key{Seed: 2}, make([]float32, 1000))
	if c.Get(Key{Seed: 2}, make([]float32, 1000)) {
		t.Error("a tile larger than the cache was kept")
	}
	none := NewCache(0)
	none.Put(Key{}, tile(1))
	if none.Get(Key{}, got) || none.Bytes() != 0 {
		t.Error("a cache of no bytes keeps a tile")
	}

	var all sync.WaitGroup
	shared := NewCache(20 * one)
	for worker := range uint64(8) {
		all.Go(func() {
			r, got := rand.New(rand.NewPCG(worker, 0)), make([]float32, 4)
			for range 2000 {
				i := r.Int64N(40)
				if shared.Get(Key{I: i}, got) {
					if !slices.Equal(got, tile(float32(i))) {
						t.Errorf("tile %d holds %v", i, got)
					}
				} else {
					shared.Put(Key{I: i}, tile(float32(i)))
				}
			}
		})
	}
	all.Wait()
	if shared.Bytes() > 20*one {
		t.Errorf("%d bytes, the limit is %d", shared.Bytes(), 20*one)
	}
}

// Tiles that are a linear function of the code come back, and so do their means: of sizes that take
// several steps to sum and to solve.
func TestEstimate(t *testing.T) {
	const n, d, c, h, w = 1100, 64, 2, 4, 8
	r := rand.New(rand.NewPCG(3, 3))
	a := make([]float64, (d+1)*c*h*w)
	for k := range a {
		a[k] = r.NormFloat64()
	}
	tileOf := func(z []float32) []float32 {
		tile := make([]float32, c*h*w)
		for k := range tile {
			v := a[d*c*h*w+k]
			for i, u := range z {
				v += a[i*c*h*w+k] * float64(u)
			}
			tile[k] = float32(v)
		}
		return tile
	}
	z, tiles := make([]float32, n*d), []float32(nil)
	for k := range z {
		z[k] = float32(2 + r.NormFloat64())
	}
	for s := range n {
		tiles = append(tiles, tileOf(z[s*d:(s+1)*d])...)
	}
	e := solve(z, tiles, d, c, h, w)
	want, got := tileOf(z[:d]), make([]float32, c*h*w)
	e.Tile(got, z[:d])
	for k := range got {
		if math.Abs(float64(got[k]-want[k])) > 5e-3 {
			t.Fatalf("pixel %d is %v, want %v", k, got[k], want[k])
		}
	}
	got = got[:c*h*w/4]
	e.Halved().Tile(got, z[:d])
	for k := range got {
		ch, y, x := k/(h*w/4), k/(w/2)%(h/2), k%(w/2)
		at := ch*h*w + 2*y*w + 2*x
		mean := (want[at] + want[at+1] + want[at+w] + want[at+w+1]) / 4
		if math.Abs(float64(got[k]-mean)) > 5e-3 {
			t.Fatalf("pixel %d of the halved tile is %v, want %v", k, got[k], mean)
		}
	}

	same := solve(make([]float32, 4*d), make([]float32, 4*c*h*w), d, c, h, w)
	got = make([]float32, c*h*w)
	same.Tile(got, z[:d])
	for k, v := range got {
		if v != 0 {
			t.Fatalf("of codes that are all the same, pixel %d is %v, want their mean, 0", k, v)
		}
	}
}

func TestStore(t *testing.T) {
	values := []float32{-1, -0.5, 0, 0.5, 1, 1e6, float32(math.NaN())}
	dst := make([]byte, 100)
	Store(dst, 2, U8, values, 2.5, 1)
	for k, want := range []byte{2, 2, 2, 3, 4, 255, 0} { // 1.5 and 2.5 to even
		if dst[2*k] != want {
			t.Errorf("%v + 2.5 as U8 is %d, want %d", values[k], dst[2*k], want)
		}
	}
	Store(dst, 2, U16, values, 100, 1000)
	for k, want := range []uint16{0, 0, 100, 600, 1100, 65535, 0} {
		if got := binary.NativeEndian.Uint16(dst[2*k:]); got != want {
			t.Errorf("1000 * %v + 100 as U16 is %d, want %d", values[k], got, want)
		}
	}
	Store(dst, 4, F32, values[:4], 1, 0.1)
	if got := math.Float32frombits(binary.NativeEndian.Uint32(dst[12:])); got != float32(1+0.1*0.5) {
		t.Errorf("F32: got %v", got)
	}
	Store(dst, 2, F16, values[:4], 1, 0.1)
	if got := float16.Float16(binary.NativeEndian.Uint16(dst[6:])).Float32(); math.Abs(float64(got)-1.05) > 1e-3 {
		t.Errorf("F16: got %v", got)
	}
	for f, want := range map[Format]int{F32: 4, F16: 2, U8: 1, U16: 2} {
		if f.Bytes() != want {
			t.Errorf("format %d takes %d bytes, want %d", f, f.Bytes(), want)
		}
	}
}

func solve(z, tiles []float32, d, c, h, w int) *Estimate {
	s := NewSolver(z, tiles, d, c, h, w)
	for {
		if e := s.Step(); e != nil {
			return e
		}
	}
}
