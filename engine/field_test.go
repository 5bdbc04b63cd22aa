package engine

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"brenier/engine/internal/field"
	"brenier/engine/internal/graph"
	"brenier/engine/internal/modelfile"
	"brenier/engine/internal/reference"
)

// wavesModel is a map and a decoder of one matrix, whose images [c,16,16] are sums of waves of about seven
// pixels' length: as cheap as can be, with the statistics of its images. Every point is there four
// times, with all waves a quarter of a period further each time, so that a wave is as strong at one
// place of the image as at another.
func wavesModel(t testing.TB, c int) *modelfile.Model {
	t.Helper()
	const n, d, size = 4000, 12, 16
	r := rand.New(rand.NewPCG(5, 6))
	points, heights := make([]float32, 0, n*d), make([]float32, n)
	for range n / 4 {
		point := gaussians(r, d, 1)
		for range 4 {
			points = append(points, point...)
			turned := make([]float32, d)
			for k := 0; k < d; k += 2 {
				turned[k], turned[k+1] = -point[k+1], point[k]
			}
			point = turned
		}
	}
	for i := range heights { // cells of equal width, or nearly
		for _, v := range points[i*d : (i+1)*d] {
			heights[i] -= v * v / 2
		}
	}
	weight, bias := make([]float32, c*size*size*d), make([]float32, c*size*size)
	for channel := range c {
		for wave := range d / 2 {
			angle := math.Pi * (float64(wave) + r.Float64()) / (d / 2)
			x, y := 0.9*math.Cos(angle), 0.9*math.Sin(angle)
			for p := range size * size {
				sin, cos := math.Sincos(x*float64(p%size) + y*float64(p/size))
				weight[(channel*size*size+p)*d+2*wave] = float32(cos)
				weight[(channel*size*size+p)*d+2*wave+1] = float32(sin)
			}
		}
		for p := range size * size {
			bias[channel*size*size+p] = float32(0.3 * math.Sin(float64(p)/9))
		}
	}
	content := &modelfile.Model{
		Points: tensor(points, n, d), Heights: tensor(heights, n),
		Extension: &modelfile.Extension{Mode: "cell", K: 1, Quantile: 1},
		Graph: &graph.Graph{
			Input: graph.Value{Name: "z", Shape: []int{d}}, Output: "image",
			Nodes: []graph.Node{
				{Name: "linear", Op: graph.Gemm, Inputs: []string{"z", "decoder.weight", "decoder.bias"}, Output: "flat", Attributes: graph.Attributes{TransB: 1}},
				{Name: "square", Op: graph.Reshape, Inputs: []string{"flat"}, Output: "image", Attributes: graph.Attributes{Shape: []int{0, c, size, size}}},
			},
		},
		Weights: map[string]*modelfile.Tensor{"decoder.weight": tensor(weight, c*size*size, d), "decoder.bias": tensor(bias, c*size*size)},
		Output:  &modelfile.Output{Range: [2]float64{-8, 8}, Channels: c, Height: size, Width: size},
	}
	wavesStatistics.Lock()
	defer wavesStatistics.Unlock()
	known := wavesStatistics.of[c]
	if known[0] == nil {
		m := openModel(t, Config{}, content)
		if err := m.MeasureImages(1 << 17); err != nil {
			t.Fatal(err)
		}
		known[0], known[1] = m.statistics.known()
		wavesStatistics.of[c] = known
	}
	content.Mean, content.Deviation = known[0], known[1]
	return content
}

// wavesStatistics are the mean and the deviation images by the number of channels, taken once.
var wavesStatistics = struct {
	sync.Mutex
	of map[int][2]*modelfile.Tensor
}{of: map[int][2]*modelfile.Tensor{}}

func newField(t testing.TB, m *Model, o FieldOptions) *Field {
	t.Helper()
	f, err := m.NewField(o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// readFloats reads a region as float32 [H,W,C].
func readFloats(t testing.TB, f *Field, seed uint64, r Region) []float32 {
	t.Helper()
	values := make([]float32, r.Width*r.Height*f.option.Channels)
	if err := f.Read(seed, r, Float32Image(values, NHWC), Slices{}); err != nil {
		t.Fatal(err)
	}
	return values
}

// oracle evaluates a field's definition in float64, pixel by pixel, from noise that the reference
// draws.
type oracle struct {
	t       testing.TB
	m       *Model
	content *modelfile.Model
	seed    uint64
	tiles   map[[3]int64][]float32 // by octave, i, j
}

func (o *oracle) tile(octave uint32, i, j int64) []float32 {
	key := [3]int64{int64(octave), i, j}
	if o.tiles[key] == nil {
		words := reference.Philox([4]uint32{uint32(i), uint32(uint64(i) >> 32), octave, field.RowStream}, [2]uint32{uint32(o.seed), uint32(o.seed >> 32)})
		info, k := o.m.Info(), o.content.Extension.K
		x, z := make([]float32, info.Dimension), make([]float32, info.Dimension)
		reference.Noise(o.m.parts.source, x, info.Dimension, uint64(words[1])<<32|uint64(words[0]), uint64(j), field.TileStream)
		cells, image := make([]int64, k), make([]float32, info.Channels*info.Height*info.Width)
		for _, err := range []error{o.m.Locate(x, k, cells, nil), o.m.Extend(x, cells, k, Extension{}, z), o.m.Decode(z, Float32Image(image, NCHW))} {
			if err != nil {
				o.t.Fatal(err)
			}
		}
		o.tiles[key] = image
	}
	return o.tiles[key]
}

func floorDiv(a, b int64) int64 { return int64(math.Floor(float64(a) / float64(b))) } // of small numbers

// pixel is an octave's value at its own pixel (x, y), which is near 0.
func (o *oracle) pixel(octave uint32, c int, x, y int64) float64 {
	out, sum := o.content.Output, 0.0
	h, w := int64(out.Height), int64(out.Width)
	for i := floorDiv(y, h/2) - 1; i <= floorDiv(y, h/2); i++ {
		for j := floorDiv(x, w/2) - 1; j <= floorDiv(x, w/2); j++ {
			row, column := y-i*h/2, x-j*w/2
			p := (int64(c)*h+row)*w + column
			window := func(p, n int64) float64 {
				t := math.Pi * (float64(p) + 0.5) / float64(n)
				return math.Sin(t + 0.08*math.Sin(4*t))
			}
			a := window(row, h) * window(column, w)
			sum += a * (float64(o.tile(octave, i, j)[p]) - float64(o.content.Mean.Data[p])) / float64(o.content.Deviation.Data[p])
		}
	}
	return sum
}

// between reads a function of pixels by cubic convolution at (x, y).
func between(at func(x, y int64) float64, x, y float64) float64 {
	kernel := func(s float64) float64 {
		if s = math.Abs(s); s < 1 {
			return 1.5*s*s*s - 2.5*s*s + 1
		} else if s < 2 {
			return -0.5*s*s*s + 2.5*s*s - 4*s + 2
		}
		return 0
	}
	sum := 0.0
	for dy := int64(math.Floor(y)) - 1; dy <= int64(math.Floor(y))+2; dy++ {
		for dx := int64(math.Floor(x)) - 1; dx <= int64(math.Floor(x))+2; dx++ {
			if w := kernel(x-float64(dx)) * kernel(y-float64(dy)); w != 0 {
				sum += w * at(dx, dy)
			}
		}
	}
	return sum
}

// slope is the blurred slope of an octave at its own pixel.
func (o *oracle) slope(octave uint32, c int, x, y int64) float64 {
	binomial, sum := [5]float64{1, 4, 6, 4, 1}, 0.0
	for b, v := range binomial {
		for a, u := range binomial {
			px, py := x+int64(a)-2, y+int64(b)-2
			dx := (o.pixel(octave, c, px+1, py) - o.pixel(octave, c, px-1, py)) / 2
			dy := (o.pixel(octave, c, px, py+1) - o.pixel(octave, c, px, py-1)) / 2
			sum += u * v / 256 * (dx*dx + dy*dy)
		}
	}
	return math.Sqrt(sum)
}

func TestFieldIsItsDefinition(t *testing.T) {
	content := wavesModel(t, 2)
	m := openModel(t, Config{}, content)
	o := &oracle{t: t, m: m, content: content, seed: 1<<63 + 9, tiles: map[[3]int64][]float32{}}
	f := newField(t, m, FieldOptions{
		Octaves: []Octave{{Scale: 4, Amplitude: 2}, {Scale: 2, Amplitude: -0.5, Modulation: 0.75}, {}},
		Channel: 1, Offset: 3, Scale: 0.5,
	})
	r := Region{X: -21, Y: -13, Width: 40, Height: 30}
	got := readFloats(t, f, o.seed, r)
	worst := 0.0
	for k := 0; k < len(got); k += 13 {
		x, y := r.X+int64(k%r.Width), r.Y+int64(k/r.Width)
		at := func(octave uint32, scale float64) (value, slope float64) {
			px, py := (float64(x)+0.5)/scale-0.5, (float64(y)+0.5)/scale-0.5
			value = between(func(x, y int64) float64 { return o.pixel(octave, 1, x, y) }, px, py)
			if octave == 0 {
				slope = between(func(x, y int64) float64 { return o.slope(octave, 1, x, y) }, px, py)
			}
			return value, slope
		}
		coarse, slope := at(0, 4)
		middle, _ := at(1, 2)
		fine, _ := at(2, 1)
		want := 3 + 0.5*(2*coarse-0.5*middle*(0.25+0.75*min(2, slope/f.rms))+fine)
		worst = max(worst, math.Abs(float64(got[k])-want))
	}
	t.Logf("largest error %.2g", worst)
	if !(worst < 2e-5) {
		t.Errorf("largest error %v", worst)
	}
	if f.rms < 0.4 || f.rms > 0.9 { // waves of 0.9 a pixel: half the difference over two pixels is sin(0.9)
		t.Errorf("root mean square slope %v, want about 0.7", f.rms)
	}
}

// A world with all that a read can do.
var everything = FieldOptions{Octaves: []Octave{{Scale: 8}, {Scale: 2, Amplitude: 0.5, Modulation: 1}, {Amplitude: 0.25, Modulation: 0.5}}}

func TestFieldIsTheSameInAnyParts(t *testing.T) {
	content := wavesModel(t, 2)
	m := openModel(t, Config{}, content)
	const seed = 77
	whole := newField(t, m, everything)
	tileBytes := 2 * 16 * 16 * 4
	for _, where := range []Region{
		{X: -130, Y: 70, Width: 260, Height: 190},
		{X: 1<<40 - 100, Y: -1<<40 - 60, Width: 200, Height: 120},
		{X: -60, Y: -50, Width: 150, Height: 130, Level: 2},
		{X: 5, Y: -9, Width: 90, Height: 70, Level: 4},
	} {
		want := readFloats(t, whole, seed, where)
		for _, cache := range []int{-1, 3 * tileBytes, 40 * tileBytes, 0} {
			options := everything
			options.CacheBytes = cache
			f := newField(t, m, options)
			got := make([]float32, len(want))
			// The region in random rectangles, in random order, from 16 goroutines.
			r := rand.New(rand.NewPCG(uint64(cache), uint64(where.Level)))
			parts := make(chan Region, where.Width*where.Height)
			cut(r, where, parts)
			close(parts)
			var all sync.WaitGroup
			for range 16 {
				all.Go(func() {
					for part := range parts {
						values := make([]float32, part.Width*part.Height*2)
						tiles := int(part.X & 3)
						if err := f.Read(seed, part, Float32Image(values, NHWC), Slices{Tiles: tiles}); err != nil {
							t.Error(err)
						}
						for y := range part.Height {
							to := (int(part.Y-where.Y)+y)*where.Width + int(part.X-where.X)
							copy(got[2*to:], values[2*y*part.Width:2*(y+1)*part.Width])
						}
					}
				})
			}
			all.Wait()
			if err := equalBits(got, want); err != nil {
				t.Errorf("%+v, cache %d: %v", where, cache, err)
			}
		}
	}
	// On another number of threads, and another seed.
	where := Region{X: -130, Y: 70, Width: 60, Height: 60}
	want := readFloats(t, whole, seed, where)
	if err := equalBits(readFloats(t, newField(t, openModel(t, Config{Threads: 3}, content), everything), seed, where), want); err != nil {
		t.Errorf("three threads: %v", err)
	}
	if equalBits(readFloats(t, whole, seed+1, where), want) == nil {
		t.Error("two seeds have the same world")
	}
}

// The blocks of a region have the pixels of one read, whatever the steps, and however they are mixed and
// cancelled: two goroutines do steps of random sizes of random blocks.
func TestFieldReadsStepByStep(t *testing.T) {
	m := openModel(t, Config{}, wavesModel(t, 2))
	for level := range 3 {
		for _, cache := range []int{-1, 0} {
			options := everything
			options.CacheBytes = cache
			f := newField(t, m, options)
			r := Region{X: -300, Y: 1<<40 - 9, Width: 2*BlockSize + 3, Height: 40, Level: level}
			want := readFloats(t, f, 9, r)
			got := make([]float32, len(want))
			type block struct {
				*Reading
				sync.Mutex
			}
			var blocks [3]block
			var left atomic.Int32
			left.Store(int32(len(blocks)))
			var both sync.WaitGroup
			for thread := range 2 {
				both.Go(func() {
					random := rand.New(rand.NewPCG(uint64(thread), uint64(level)))
					for left.Load() > 0 {
						k := random.IntN(len(blocks))
						b := &blocks[k]
						if !b.TryLock() {
							continue
						}
						if b.Reading == nil {
							var err error
							if b.Reading, err = f.Begin(9, r, Float32Image(got, NHWC), k); err != nil {
								t.Error(err)
							}
						}
						if b.f != nil { // nil: it is done
							most := 1 + random.IntN(300)
							switch made, done, err := b.Step(most); {
							case err != nil || made > most:
								t.Errorf("a step of %d tiles: made %d, %v", most, made, err)
							case done:
								b.End()
								b.Reading = &Reading{}
								left.Add(-1)
							case random.IntN(40) == 0: // from the start again
								b.End()
								b.Reading = nil
							}
						}
						b.Unlock()
					}
				})
			}
			both.Wait()
			if err := equalBits(got, want); err != nil {
				t.Errorf("level %d, cache %d: %v", level, cache, err)
			}
		}
	}
}

// cut cuts a rectangle at random places and sends the parts in random order.
func cut(r *rand.Rand, whole Region, to chan<- Region) {
	parts := []Region{whole}
	for len(parts) < 40 {
		k := r.IntN(len(parts))
		p := parts[k]
		a, b := p, p
		if r.IntN(2) == 0 && p.Width > 1 {
			a.Width = 1 + r.IntN(p.Width-1)
			b.X, b.Width = p.X+int64(a.Width), p.Width-a.Width
		} else if p.Height > 1 {
			a.Height = 1 + r.IntN(p.Height-1)
			b.Y, b.Height = p.Y+int64(a.Height), p.Height-a.Height
		} else {
			continue
		}
		parts[k] = a
		parts = append(parts, b)
	}
	for _, k := range r.Perm(len(parts)) {
		to <- parts[k]
	}
}

// The mean is 0 and the variance 1 at each of the 64 places in the lattice, and no line of it stands
// out.
func TestFieldStatistics(t *testing.T) {
	const step, cells = 8, 317 // 100,489 pixels a place
	const side = step * cells
	f := newField(t, openModel(t, Config{}, wavesModel(t, 1)), FieldOptions{CacheBytes: -1})
	v := readFloats(t, f, 3, Region{X: -side / 2, Y: 1000, Width: side, Height: side})
	var sums, squares [step * step]float64
	var across, along [step]float64 // mean absolute differences, by the place along the axis
	place := func(at int64) int { return int(((at % step) + step) % step) }
	for y := range side {
		py := place(1000 + int64(y))
		for x := range side {
			px := place(-side/2 + int64(x))
			value := float64(v[y*side+x])
			sums[py*step+px] += value
			squares[py*step+px] += value * value
			if x > 0 { // between px-1 and px
				difference := math.Abs(value - float64(v[y*side+x-1]))
				across[px] += difference
				along[py] += difference
			}
		}
	}
	const n = cells * cells
	for p := range sums {
		mean := sums[p] / n
		variance := squares[p]/n - mean*mean
		if math.Abs(mean) > 0.02 || math.Abs(variance-1) > 0.02 {
			t.Errorf("at (%d, %d) of the lattice: mean %.4f, variance %.4f; want 0 and 1 within 0.02", p%step, p/step, mean, variance)
		}
	}
	for name, d := range map[string][step]float64{"across": across, "along": along} {
		elsewhere := 0.0
		for _, g := range d[1:] {
			elsewhere += g / (step - 1)
		}
		ratio := d[0] / elsewhere
		t.Logf("gradient %s the lattice's lines: %.4f of elsewhere", name, ratio)
		if math.Abs(ratio-1) > 0.05 {
			t.Errorf("the mean absolute gradient %s the lattice's lines is %.4f of elsewhere, want 1 within 0.05", name, ratio)
		}
	}
}

// filtered is the mean of level 0 over each pixel of a region of a level.
func filtered(t testing.TB, f *Field, seed uint64, r Region) []float64 {
	n, c := 1<<r.Level, f.option.Channels
	fine := readFloats(t, f, seed, Region{X: r.X << r.Level, Y: r.Y << r.Level, Width: r.Width * n, Height: r.Height * n})
	means := make([]float64, r.Width*r.Height*c)
	for k, v := range fine {
		x, y := k/c%(r.Width*n)/n, k/c/(r.Width*n)/n
		means[(y*r.Width+x)*c+k%c] += float64(v) / float64(n*n)
	}
	return means
}

// distance is the root mean square of a - b over that of b.
func distance(a []float32, b []float64) float64 {
	difference, size := 0.0, 0.0
	for k, v := range b {
		difference += (float64(a[k]) - v) * (float64(a[k]) - v)
		size += v * v
	}
	return math.Sqrt(difference / size)
}

func TestFieldLevelsAreFilteredLevel0(t *testing.T) {
	waves := openModel(t, Config{}, wavesModel(t, 2))
	for _, c := range []struct {
		name    string
		m       *Model
		octaves []Octave
		levels  []int
		within  float64
	}{
		{"octaves of larger pixels", waves, []Octave{{Scale: 16}, {Scale: 8, Amplitude: 0.5}}, []int{1, 2, 3}, 2e-6},
		// The decoder is linear, and so is the estimate.
		{"tiles estimated", waves, []Octave{{}}, []int{1, 2}, 5e-3},
		// What lies between the pixels of an octave of scale 4 is left out of the mean beyond level 2.
		{"octaves of smaller pixels", waves, []Octave{{Scale: 4}}, []int{3, 4}, 0.1},
		{"modulation", waves, []Octave{{Scale: 16}, {Scale: 4, Amplitude: 0.5, Modulation: 1}}, []int{1, 2}, 0.05},
		{"modulation of tiles estimated", waves, []Octave{{Scale: 16}, {Scale: 4, Amplitude: 0.5, Modulation: 1}}, []int{3}, 0.1},
		{"a trained decoder, whose estimate is not exact", openExample(t, "terrain", Config{}), []Octave{{}}, []int{1}, 0.3},
	} {
		for _, level := range c.levels {
			f := newField(t, c.m, FieldOptions{Octaves: c.octaves})
			r := Region{X: -9, Y: 4, Width: 30, Height: 25, Level: level}
			got := distance(readFloats(t, f, 5, r), filtered(t, f, 5, r))
			t.Logf("%s, level %d: %.2g of the filtered field's size away from it", c.name, level, got)
			if !(got <= c.within) {
				t.Errorf("%s, level %d: %v of the filtered field's size away from it, want at most %v", c.name, level, got, c.within)
			}
		}
	}
	// A level leaves out octaves whose filtered tiles would be smaller than four pixels.
	f := newField(t, waves, FieldOptions{Octaves: []Octave{{Scale: 64}, {Scale: 1}}})
	coarse := newField(t, waves, FieldOptions{Octaves: []Octave{{Scale: 64}}})
	r := Region{Width: 50, Height: 3, Level: 5}
	if err := equalBits(readFloats(t, f, 5, r), readFloats(t, coarse, 5, r)); err != nil {
		t.Errorf("level 5 with and without an octave of scale 1: %v", err)
	}
	flat := readFloats(t, newField(t, waves, FieldOptions{}), 5, Region{Width: 9, Height: 9, Level: MaxLevel})
	if slices.Max(flat) != 0 || slices.Min(flat) != 0 {
		t.Errorf("level %d of one octave is %v .. %v, want 0", MaxLevel, slices.Min(flat), slices.Max(flat))
	}
}

func TestFieldWithoutStatisticsTakesThem(t *testing.T) {
	content := wavesModel(t, 1)
	r := Region{Width: 40, Height: 40}
	want := readFloats(t, newField(t, openModel(t, Config{}, content), FieldOptions{}), 1, r)
	content.Mean, content.Deviation = nil, nil
	m := openModel(t, Config{}, content)
	got := readFloats(t, newField(t, m, FieldOptions{}), 1, r)
	for k := range want {
		if math.Abs(float64(got[k]-want[k])) > 0.25 {
			t.Fatalf("pixel %d is %v, want about %v", k, got[k], want[k])
		}
	}
	again := readFloats(t, newField(t, openModel(t, Config{}, content), FieldOptions{}), 1, r)
	if err := equalBits(got, again); err != nil {
		t.Errorf("a second field: %v", err)
	}
	// The model has them now, and so has its file.
	path := t.TempDir() + "/m.safetensors"
	if err := m.Save(path); err != nil {
		t.Fatal(err)
	}
	saved, err := m.engine.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"output.mean", "output.deviation"} {
		if err := equalBits(saved.Tensor(name), m.Tensor(name)); err != nil || saved.Tensor(name) == nil {
			t.Errorf("%s of the saved model: %v", name, err)
		}
	}
	if err := equalBits(readFloats(t, newField(t, saved, FieldOptions{}), 1, r), got); err != nil {
		t.Errorf("a field of the saved model: %v", err)
	}
}

func TestFieldFormats(t *testing.T) {
	m := openModel(t, Config{}, wavesModel(t, 2))
	const w, h = 21, 9
	r := Region{X: 3, Y: 4, Width: w, Height: h}
	values := readFloats(t, newField(t, m, FieldOptions{}), 1, r)
	// Integers by default: mean in the middle, four deviations to either end.
	for dtype, most := range map[DType]float64{U8: 255, U16: 65535} {
		f := newField(t, m, FieldOptions{RowPitch: 300})
		size := 1
		if dtype == U16 {
			size = 2
		}
		for _, layout := range []Layout{NHWC, NCHW} {
			out := bytes.Repeat([]byte{0xAA}, 300*h*2)
			if err := f.Read(1, r, Image{Data: out, DType: dtype, Layout: layout}, Slices{}); err != nil {
				t.Fatal(err)
			}
			for k, v := range values {
				c, x, y := k%2, k/2%w, k/2/w
				at := y*300 + (2*x+c)*size
				if layout == NCHW {
					at = (c*h+y)*300 + x*size
				}
				got := float64(out[at])
				if dtype == U16 {
					got += 256 * float64(out[at+1])
				}
				want := math.RoundToEven(min(max(most/2+float64(v)*most/8, 0), most))
				if math.Abs(got-want) > 0 {
					t.Fatalf("dtype %d, layout %d: pixel (%d, %d), channel %d is %v, want %v", dtype, layout, x, y, c, got, want)
				}
			}
			if end := 2 * w * size; layout == NHWC && !bytes.Equal(out[end:300], bytes.Repeat([]byte{0xAA}, 300-end)) {
				t.Errorf("dtype %d: wrote beyond the end of a row", dtype)
			}
		}
	}
	one := readFloats(t, newField(t, m, FieldOptions{Channel: 1}), 1, r)
	for k, v := range one {
		if v != values[2*k+1] {
			t.Fatalf("channel 1 alone: pixel %d is %v, want %v", k, v, values[2*k+1])
		}
	}
}

func TestFieldSlices(t *testing.T) {
	m := openModel(t, Config{}, wavesModel(t, 1))
	f := newField(t, m, FieldOptions{CacheBytes: -1})
	r := Region{Width: 80, Height: 80} // 11 x 11 tiles
	out := Float32Image(make([]float32, 80*80), NHWC)
	calls := 0
	if err := f.Read(1, r, out, Slices{Tiles: 10, Next: func() error { calls++; return nil }}); err != nil || calls != 13 {
		t.Errorf("121 tiles, 10 a slice: %d slices and %v, want 13", calls, err)
	}
	stop := errors.New("enough")
	calls = 0
	err := f.Read(1, r, out, Slices{Tiles: 10, Next: func() error {
		if calls++; calls == 3 {
			return stop
		}
		return nil
	}})
	if err != stop || calls != 3 {
		t.Errorf("stopped at the third slice: got %v after %d", err, calls)
	}
}

// A read allocates nothing once there is memory for its size and the cache is full, warm or cold.
func TestFieldAllocatesNothing(t *testing.T) {
	options := everything
	options.CacheBytes = 50 * 3 * 1024
	f := newField(t, openModel(t, Config{Threads: 1}, wavesModel(t, 2)), options)
	out := Float32Image(make([]float32, 40*40*2), NHWC)
	x := int64(0)
	read := func() {
		x += 37
		if err := f.Read(1, Region{X: x, Width: 40, Height: 40}, out, Slices{}); err != nil {
			t.Fatal(err)
		}
	}
	for range 10 {
		read()
	}
	if n := testing.AllocsPerRun(20, read); n > 0 {
		t.Errorf("%v allocations in a read at a new place", n)
	}
}

func TestFieldRefuses(t *testing.T) {
	m := openModel(t, Config{}, wavesModel(t, 2))
	many := make([]Octave, MaxOctaves+1)
	for _, c := range []struct {
		o    FieldOptions
		want string
	}{
		{FieldOptions{Octaves: many}, "octaves: want at most 16, got 17"},
		{FieldOptions{Octaves: []Octave{{Scale: 3}}}, "octaves: 0: scale: want a power of two, 1 .. 65536, got 3"},
		{FieldOptions{Octaves: []Octave{{Scale: -1}}}, "octaves: 0: scale"},
		{FieldOptions{Octaves: []Octave{{Scale: 1 << 17}}}, "octaves: 0: scale"},
		{FieldOptions{Octaves: []Octave{{Scale: 4}, {Scale: 8}}}, "octaves: 1: scale 8 comes after a smaller one"},
		{FieldOptions{Octaves: []Octave{{Amplitude: math.NaN()}}}, "octaves: 0: amplitude: want a finite number, got NaN"},
		{FieldOptions{Octaves: []Octave{{Amplitude: math.Inf(1)}}}, "octaves: 0: amplitude"},
		{FieldOptions{Octaves: []Octave{{}, {Modulation: 1.5}}}, "octaves: 1: modulation: want 0 .. 1, got 1.5"},
		{FieldOptions{Octaves: []Octave{{}, {Modulation: math.NaN()}}}, "octaves: 1: modulation"},
		{FieldOptions{Octaves: []Octave{{Modulation: 1}}}, "octaves: 0: modulation: no octave before it"},
		{FieldOptions{Channel: 2}, "channel: want 0 .. 1, got 2"},
		{FieldOptions{Channel: -1}, "channel"},
		{FieldOptions{Channel: 1, Channels: 2}, "channels: want 1 .. 1 from channel 1 on, or 0 for all, got 2"},
		{FieldOptions{Channels: -1}, "channels"},
		{FieldOptions{Offset: math.NaN()}, "offset and scale"},
		{FieldOptions{Scale: math.Inf(-1)}, "offset and scale"},
		{FieldOptions{Offset: 1}, "scale: an offset, 1, wants a scale"},
		{FieldOptions{RowPitch: -4}, "row pitch: want 0 or more bytes, got -4"},
	} {
		f, err := m.NewField(c.o)
		if f != nil || !errors.Is(err, ErrInvalidArgument) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got %v, want %q", c.o, err, c.want)
		}
	}

	pitched := newField(t, m, FieldOptions{RowPitch: 40})
	dense := newField(t, m, FieldOptions{})
	memory := make([]byte, 40*5)
	good := Region{X: 1, Y: 2, Width: 5, Height: 5}
	float := Image{Data: memory, DType: F32, Layout: NHWC}
	if err := pitched.Read(0, good, float, Slices{}); err != nil {
		t.Errorf("a region that fits: %v", err)
	}
	const end = int64(1) << 62
	for _, c := range []struct {
		f    *Field
		r    Region
		out  Image
		kind error
		want string
	}{
		{dense, Region{Width: 0, Height: 1}, float, ErrInvalidArgument, "region: want a width and a height of 1 .. 2147483647, got 0 x 1"},
		{dense, Region{Width: 1, Height: -1}, float, ErrInvalidArgument, "region: want a width"},
		{dense, Region{Width: math.MaxInt, Height: 1}, float, ErrInvalidArgument, "region: want a width"},
		{dense, Region{Width: 1, Height: 1, Level: -1}, float, ErrInvalidArgument, "level: want 0 .. 30, got -1"},
		{dense, Region{Width: 1, Height: 1, Level: 31}, float, ErrInvalidArgument, "level"},
		{dense, Region{X: end, Width: 1, Height: 1}, float, ErrInvalidArgument, "beyond the plane's end"},
		{dense, Region{X: math.MaxInt64, Width: 5, Height: 1}, float, ErrInvalidArgument, "beyond the plane's end"},
		{dense, Region{Y: math.MinInt64, Width: 5, Height: 1}, float, ErrInvalidArgument, "beyond the plane's end"},
		{dense, Region{Y: end>>3 - 4, Width: 5, Height: 5, Level: 3}, float, ErrInvalidArgument, "beyond the plane's end"},
		{dense, Region{Width: 5, Height: 6}, float, ErrShortBuffer, "pixels: 6 rows of 40 bytes at a pitch of 40 do not fit in 200 bytes"},
		{dense, Region{Width: math.MaxInt32, Height: math.MaxInt32}, float, ErrShortBuffer, "pixels"},
		{pitched, Region{Width: 6, Height: 1}, float, ErrInvalidArgument, "row pitch: a row of 6 pixels takes 48 bytes in elements of 4; got 40"},
		{newField(t, m, FieldOptions{RowPitch: 42}), good, float, ErrInvalidArgument, "row pitch"},
		{dense, good, Image{Data: memory, DType: 9}, ErrInvalidArgument, "pixels: want dtype F32, F16, U8 or U16, got 9"},
		{dense, good, Image{Data: memory, Layout: 7}, ErrInvalidArgument, "pixels: want layout NCHW or NHWC, got 7"},
		{dense, good, Image{Device: DeviceMemory{Address: 64, Bytes: 4096}}, ErrUnsupported, "pixels: a field is read to the host's memory"},
	} {
		err := c.f.Read(0, c.r, c.out, Slices{})
		if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got %v, want %q", c.r, err, c.want)
		}
	}
	// The last pixels of the plane are there.
	readFloats(t, dense, 0, Region{X: end - 3, Y: -end, Width: 3, Height: 3})

	odd := wavesModel(t, 1)
	odd.Graph.Nodes[1].Attributes.Shape = []int{0, 1, 256, 1}
	odd.Output.Height, odd.Output.Width, odd.Mean, odd.Deviation = 256, 1, nil, nil
	if _, err := openModel(t, Config{}, odd).NewField(FieldOptions{}); !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), "even height and width") {
		t.Errorf("images of odd width: got %v", err)
	}
	codes := smallModel(20, 4)
	codes.Graph, codes.Weights, codes.Output = nil, nil, nil
	if _, err := openModel(t, Config{}, codes).NewField(FieldOptions{}); !errors.Is(err, ErrUnsupported) {
		t.Errorf("a model without a decoder: got %v", err)
	}
	m.Close()
	if err := dense.Read(0, Region{Width: 1, Height: 1}, float, Slices{}); !errors.Is(err, ErrClosed) {
		t.Errorf("a field of a closed model: got %v", err)
	}
}
