package engine

import (
	"math"
	"math/bits"
	"sync"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/fault"
	"brenier/engine/internal/field"
)

// U16 is an element type of what a [Field] reads, and of nothing else.
const U16 = backend.U8 + 1

const (
	// MaxOctaves is how many octaves a field may have.
	MaxOctaves = 16
	// MaxLevel is the coarsest level, of one pixel for 2^MaxLevel along each axis.
	MaxLevel = 30

	maxScale     = 1 << 16
	defaultCache = 64 << 20
	planeEnd     = 1 << 62 // pixels of level 0 lie at -planeEnd .. planeEnd-1
)

// Octave is one layer of a [Field].
type Octave struct {
	// Scale is how many of the field's pixels one of its own is wide: a power of two up to 65536; 0: 1.
	Scale int
	// Amplitude is the standard deviation of what it adds, in units of the field's Scale; 0: 1.
	Amplitude float64
	// Modulation, in 0 .. 1, is how far the slope of the octave before this one decides on its
	// amplitude: the value is multiplied by
	//
	//	1 - Modulation + Modulation * min(2, slope / root mean square slope)
	//
	// so that plains are smooth and mountains rough. The slope is that of the octave alone, without its
	// own modulation, channel by channel, and slightly blurred.
	Modulation float64
}

// FieldOptions say what a [Field] is made of. The zero value is one octave of the model's tiles, all
// channels, with zero mean and unit deviation.
type FieldOptions struct {
	Octaves  []Octave // from coarse to fine; nil: one of scale 1
	Channel  int      // the first of the image's channels that is read
	Channels int      // how many; 0: from Channel to the last
	// A value is Offset + Scale * the sum of the octaves. Scale 0, which wants Offset 0 too, is what
	// suits the element type: 1 for floats; for integers the mean in the middle of their range and four
	// standard deviations to either end.
	Offset, Scale float64
	// CacheBytes is how much memory tiles may take that are kept for later reads; 0: 64 MiB, below 0:
	// none. No result depends on it.
	CacheBytes int
	RowPitch   int // bytes from one row of a result to the next; 0: rows follow without a gap
}

// Field is an unbounded plane made of a model's images. Its methods may be called from any goroutine,
// many at once. It holds no part of the device; closing the model ends it.
//
// # The plane
//
// Tiles of an octave, H x W pixels, lie on a lattice of half their size: tile (i, j) covers rows i*H/2 ..
// i*H/2+H-1 and columns j*W/2 .. j*W/2+W-1, for i and j of 64 bits, so that every pixel lies in four.
// It is the image that the model makes, by its own extension, of noise of its own (see package
// field, stream.go). With the model's mean image and deviation image,
//
//	value = sum over the four of  a(row) a(column) (image - mean) / deviation
//	a(p)  = sin(t + 0.08 sin 4t),  t = pi (p + 1/2) / H,  p = 0 .. H-1 the tile's row;
//	        likewise of its column with W
//
// The shares a^2 of the tiles that overlap sum to 1, so that the value has zero mean and unit variance at
// every pixel, whatever its place in the lattice (Heitz and Neyret, "High-performance by-example noise
// using a histogram-preserving blending operator", 2018, have weights over the root of the sum of
// their squares). But for the term 0.08 sin 4t the shares are Hann's window; RATIONALE.md says what it
// is for. Where an image's deviation is less than 1/32 of its root mean square, as where nothing is ever
// seen, it counts as that.
//
// An octave of scale s is read between its pixels by cubic convolution, and the octaves' sum is taken in
// the order of the options.
//
// # Levels
//
// Pixel (x, y) of level l is the mean of the pixels of level 0 from (x 2^l, y 2^l) to the next one's, for
// octaves of a scale of 2^l or more exactly so, with the modulation taken at the middle.
// Of a finer octave that mean is estimated from the tiles' codes without decoding them (see package
// field, [field.Estimate]), for a decode would be for few pixels: down to tiles of 4 pixels. Beyond, the
// octave is left out, and coarser ones must have what is to be seen. So a pixel costs about the same at
// every level: up to twice what it costs at level 0. The first read of a level that needs the estimate makes it, which takes some seconds on a
// CPU.
//
// # Bits
//
// A pixel depends on model, options, seed and place alone, bit for bit on one device: not on how a
// region is cut into reads, their order, the threads, or the cache.
type Field struct {
	model  *Model
	octs   []fieldOctave
	option FieldOptions
	ext    backend.Extension
	shift  []float32 // mean * gain, of the channels that are read [C,H,W]
	gain   []float32 // a(row) a(column) / deviation [C,H,W]
	rms    float64   // root mean square slope of an octave; 0: no octave asks for it
	spread float64   // standard deviation of the octaves' sum
	cache  *field.Cache

	mu         sync.Mutex
	resamplers map[fieldGrid]*field.Resampler
	idle       []*Reading

	solving   sync.Mutex        // for a step of the estimate at most
	sampling  *sampling         // nil: not begun, or done
	estimates []*field.Estimate // by log2 of the filter; 0 is the tile itself
}

// fieldOctave is an [Octave] that was checked.
type fieldOctave struct {
	scale                 int // log2
	amplitude, modulation float32
}

// NewField makes a field of the model. A model without output.mean and output.deviation has them
// estimated now, of 4,096 images, and keeps them.
func (m *Model) NewField(o FieldOptions) (*Field, error) {
	if err := m.needDecoder(); err != nil {
		return nil, err
	}
	ext, err := m.samples(0, 0, Extension{})
	if err != nil {
		return nil, err
	}
	f := &Field{model: m, option: o, ext: ext, resamplers: map[fieldGrid]*field.Resampler{}}
	if err := f.check(); err != nil {
		return nil, err
	}
	if err := f.weigh(); err != nil {
		return nil, err
	}
	for _, oct := range f.octs {
		if oct.modulation > 0 && f.rms == 0 {
			if f.rms, err = f.measureSlope(); err != nil {
				return nil, err
			}
		}
	}
	return f, nil
}

// Channels is how many channels the field reads.
func (f *Field) Channels() int { return f.option.Channels }

// RowPitch is the option of that name.
func (f *Field) RowPitch() int { return f.option.RowPitch }

// check resolves the options.
func (f *Field) check() error {
	s, o := f.model.parts, &f.option
	if s.h%2 != 0 || s.w%2 != 0 {
		return fault.New(fault.ErrUnsupported, "a field needs images of even height and width, for its lattice has half their size; the model's have %d x %d", s.h, s.w)
	}
	if len(o.Octaves) > MaxOctaves {
		return fault.Invalid("octaves: want at most %d, got %d", MaxOctaves, len(o.Octaves))
	}
	octaves := o.Octaves
	if len(octaves) == 0 {
		octaves = []Octave{{}}
	}
	square := 0.0
	for i, oct := range octaves {
		if oct.Scale == 0 {
			oct.Scale = 1
		}
		if oct.Amplitude == 0 {
			oct.Amplitude = 1
		}
		switch {
		case oct.Scale < 1 || oct.Scale > maxScale || bits.OnesCount(uint(oct.Scale)) != 1:
			return fault.Invalid("octaves: %d: scale: want a power of two, 1 .. %d, got %d", i, maxScale, oct.Scale)
		case i > 0 && bits.TrailingZeros(uint(oct.Scale)) > f.octs[i-1].scale:
			return fault.Invalid("octaves: %d: scale %d comes after a smaller one; want them from coarse to fine", i, oct.Scale)
		case !(math.Abs(oct.Amplitude) <= math.MaxFloat32):
			return fault.Invalid("octaves: %d: amplitude: want a finite number, got %v", i, oct.Amplitude)
		case !(oct.Modulation >= 0 && oct.Modulation <= 1):
			return fault.Invalid("octaves: %d: modulation: want 0 .. 1, got %v", i, oct.Modulation)
		case i == 0 && oct.Modulation > 0:
			return fault.Invalid("octaves: 0: modulation: no octave before it has a slope; want 0, got %v", oct.Modulation)
		}
		f.octs = append(f.octs, fieldOctave{bits.TrailingZeros(uint(oct.Scale)), float32(oct.Amplitude), float32(oct.Modulation)})
		square += float64(oct.Amplitude * oct.Amplitude)
	}
	f.spread = math.Sqrt(square)
	if o.Channel < 0 || o.Channel >= s.c {
		return fault.Invalid("channel: want 0 .. %d, got %d", s.c-1, o.Channel)
	}
	if o.Channels == 0 {
		o.Channels = s.c - o.Channel
	}
	if o.Channels < 1 || o.Channels > s.c-o.Channel {
		return fault.Invalid("channels: want 1 .. %d from channel %d on, or 0 for all, got %d", s.c-o.Channel, o.Channel, o.Channels)
	}
	if math.IsNaN(o.Offset) || math.IsInf(o.Offset, 0) || math.IsNaN(o.Scale) || math.IsInf(o.Scale, 0) {
		return fault.Invalid("offset and scale: want finite numbers, got %v and %v", o.Offset, o.Scale)
	}
	if o.Scale == 0 && o.Offset != 0 {
		return fault.Invalid("scale: an offset, %v, wants a scale beside it", o.Offset)
	}
	if o.RowPitch < 0 {
		return fault.Invalid("row pitch: want 0 or more bytes, got %d", o.RowPitch)
	}
	switch {
	case o.CacheBytes == 0:
		o.CacheBytes = defaultCache
	case o.CacheBytes < 0:
		o.CacheBytes = 0
	}
	f.cache = field.NewCache(o.CacheBytes)
	return nil
}

// weigh makes what an image is multiplied by and what is then taken off.
func (f *Field) weigh() error {
	s := f.model.parts
	mean, deviation, err := f.model.imageStatistics()
	if err != nil {
		return err
	}
	rows, columns := window(s.h), window(s.w)
	size := s.h * s.w
	f.gain, f.shift = make([]float32, f.option.Channels*size), make([]float32, f.option.Channels*size)
	for c := range f.option.Channels {
		mean, deviation := mean.Data[(f.option.Channel+c)*size:][:size], deviation.Data[(f.option.Channel+c)*size:][:size]
		square := 0.0
		for _, v := range deviation {
			square += float64(float64(v) * float64(v))
		}
		least := math.Sqrt(square/float64(size)) / 32
		for p := range size {
			d := max(float64(deviation[p]), least)
			if d == 0 {
				continue // a channel that never changes
			}
			gain := float64(rows[p/s.w]*columns[p%s.w]) / d
			f.gain[c*size+p] = float32(gain)
			f.shift[c*size+p] = float32(gain * float64(mean[p]))
		}
	}
	return nil
}

// bend is how far the window departs from Hann's; [Field] says why.
const bend = 0.08

// window is sin(t + bend sin 4t), t = pi (p + 1/2) / n.
func window(n int) []float64 {
	a := make([]float64, n)
	for p := range a {
		t := math.Pi * (float64(p) + 0.5) / float64(n)
		sin, cos := cosine(math.Abs(math.Pi/2-t)), cosine(t)
		sin4t := float64(4*sin) * float64(cos*(1-float64(2*float64(sin*sin))))
		a[p] = cosine(math.Abs(math.Pi/2 - t - float64(bend*sin4t)))
	}
	return a
}
