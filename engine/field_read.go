package engine

import (
	"math"

	"brenier/engine/internal/fault"
	"brenier/engine/internal/field"
)

// Region is a rectangle of a [Field], in pixels of its level: columns X .. X+Width-1 and rows Y ..
// Y+Height-1.
type Region struct {
	X, Y          int64
	Width, Height int
	Level         int // 0 .. MaxLevel
}

// Slices let a read be stopped, and other work be done meanwhile. The zero value asks for neither.
type Slices struct {
	Tiles int          // decode at most so many tiles between two calls of Next; 0: as many as suit the device
	Next  func() error // called before each slice; an error ends the read and is returned; nil: no calls
}

// blockSize is the side of the squares that a large region is read in. What they have in common is
// read twice where the cache does not hold it: some 6 % for tiles of 64 pixels.
const blockSize = 1024

// tileFloats is about how much memory a reader takes for tiles.
const tileFloats = 1 << 21

// estimateWorth is how many estimated tiles take about the time of a decode.
const estimateWorth = 16

// Read writes a region's pixels: [Height,Width,C] with the layout NHWC, [C,Height,Width] with NCHW,
// rows at the options' pitch, C the number of channels that the options select. Floats hold the
// value; U8 and U16 hold it rounded to the nearest whole number, ties to even, and clamped. A read that
// fails half-way leaves a part of the pixels written.
func (f *Field) Read(seed uint64, r Region, out Image, s Slices) error {
	pixels, err := f.pixels(r, out)
	if err != nil {
		return err
	}
	if err := f.model.gate.enter(); err != nil { // where all is in the cache, nobody else asks
		return err
	}
	f.model.gate.leave()
	read := f.takeReader()
	defer f.giveReader(read)
	read.seed, read.slices = seed, s
	for top := 0; top < r.Height; top += blockSize {
		for left := 0; left < r.Width; left += blockSize {
			b := &read.sum
			b.Reset(r.X+int64(left), r.Y+int64(top), min(blockSize, r.Width-left), min(blockSize, r.Height-top), f.option.Channels)
			if err := read.block(b, r.Level); err != nil {
				return err
			}
			pixels.store(b, left, top)
		}
	}
	return nil
}

// fieldPixels is the memory of a read, checked.
type fieldPixels struct {
	data                 []byte
	format               field.Format
	column, row, channel int // bytes from one to the next
	channels             int
	offset, scale        float64
}

func (f *Field) pixels(r Region, out Image) (p fieldPixels, err error) {
	if r.Level < 0 || r.Level > MaxLevel {
		return p, fault.Invalid("level: want 0 .. %d, got %d", MaxLevel, r.Level)
	}
	if r.Width < 1 || r.Height < 1 || r.Width > math.MaxInt32 || r.Height > math.MaxInt32 {
		return p, fault.Invalid("region: want a width and a height of 1 .. %d, got %d x %d", math.MaxInt32, r.Width, r.Height)
	}
	end := int64(planeEnd) >> r.Level
	if r.X < -end || r.Y < -end || r.X > end-int64(r.Width) || r.Y > end-int64(r.Height) {
		return p, fault.Invalid("region: %d x %d at (%d, %d) of level %d is beyond the plane's end; want it within -%d .. %d", r.Width, r.Height, r.X, r.Y, r.Level, end, end-1)
	}
	p.offset, p.scale, p.channels = f.option.Offset, f.option.Scale, f.option.Channels
	most := 0.0 // of an integer
	switch out.DType {
	case F32:
		p.format = field.F32
	case F16:
		p.format = field.F16
	case U8:
		p.format, most = field.U8, math.MaxUint8
	case U16:
		p.format, most = field.U16, math.MaxUint16
	default:
		return p, fault.Invalid("pixels: want dtype F32, F16, U8 or U16, got %d", out.DType)
	}
	if p.scale == 0 {
		p.scale = 1
		if most > 0 {
			p.offset, p.scale = most/2, most/8/f.spread
		}
	}
	if out.Device.Address != 0 {
		return p, fault.New(fault.ErrUnsupported, "pixels: a field is read to the host's memory, not to a device's")
	}
	size := p.format.Bytes()
	dense, rows := r.Width*size, r.Height
	switch out.Layout {
	case NHWC:
		dense *= p.channels
		p.column, p.channel = p.channels*size, size
	case NCHW:
		rows *= p.channels
		p.column = size
	default:
		return p, fault.Invalid("pixels: want layout NCHW or NHWC, got %d", out.Layout)
	}
	p.row = f.option.RowPitch
	if p.row == 0 {
		p.row = dense
	}
	if p.row < dense || p.row%size != 0 {
		return p, fault.Invalid("row pitch: a row of %d pixels takes %d bytes in elements of %d; got %d", r.Width, dense, size, f.option.RowPitch)
	}
	if out.Layout == NCHW {
		p.channel = r.Height * p.row
	}
	if p.row > (math.MaxInt-dense)/rows || (rows-1)*p.row+dense > len(out.Data) {
		return p, fault.New(fault.ErrShortBuffer, "pixels: %d rows of %d bytes at a pitch of %d do not fit in %d bytes", rows, dense, p.row, len(out.Data))
	}
	p.data = out.Data
	return p, nil
}

// store writes a block whose first pixel is at column left and row top of the region.
func (p *fieldPixels) store(b *field.Plane, left, top int) {
	for c := range p.channels {
		for y := range b.H {
			to := p.data[(top+y)*p.row+left*p.column+c*p.channel:]
			field.Store(to, p.column, p.format, b.Channel(c)[y*b.W:(y+1)*b.W], p.offset, p.scale)
		}
	}
}

// fieldGrid is how an octave is read at a level.
type fieldGrid struct{ scale, level int } // log2 of the octave's pixel, and of the level's

// filter is log2 of the octave's pixels in one of the level's, along an axis.
func (g fieldGrid) filter() int { return max(0, g.level-g.scale) }

// grid says how octave o is read at a level; false: it is left out there.
func (f *Field) grid(o, level int) (fieldGrid, bool) {
	const least = 4 // pixels of a filtered tile
	g := fieldGrid{f.octs[o].scale, level}
	s, k := f.model.parts, g.filter()
	divides := s.h/2%(1<<k) == 0 && s.w/2%(1<<k) == 0
	return g, k == 0 || divides && min(s.h, s.w)>>k >= least
}

func (f *Field) resampler(g fieldGrid) *field.Resampler {
	if g.level > g.scale {
		g = fieldGrid{} // a pixel of the level is one of the filtered octave
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.resamplers[g]
	if r == nil {
		r = field.NewResampler(g.scale, g.level)
		f.resamplers[g] = r
	}
	return r
}

// fieldReader is the memory of one read at a time.
type fieldReader struct {
	f      *Field
	seed   uint64
	slices Slices

	sum, value          field.Plane // of the block
	octave              field.Plane // as the tiles have it
	slope, slopeAtPixel field.Plane // of the octave before: on its own grid, and of the block
	scratch             []float32
	tiles               fieldTiles
}

func (f *Field) takeReader() *fieldReader {
	f.mu.Lock()
	defer f.mu.Unlock()
	if last := len(f.idle) - 1; last >= 0 {
		r := f.idle[last]
		f.idle = f.idle[:last]
		return r
	}
	return &fieldReader{f: f}
}

func (f *Field) giveReader(r *fieldReader) {
	r.slices = Slices{}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.idle = append(f.idle, r)
}

// block adds the octaves to the zeros of a block of a level.
func (r *fieldReader) block(sum *field.Plane, level int) error {
	f := r.f
	for o, oct := range f.octs {
		g, there := f.grid(o, level)
		if !there {
			return nil // and so are those after it, which are finer
		}
		modulates := o+1 < len(f.octs) && f.octs[o+1].modulation > 0
		if err := r.readOctave(sum, uint32(o), g, modulates); err != nil {
			return err
		}
		for k, v := range r.value.Values {
			if oct.modulation > 0 {
				m := 1 + float32(oct.modulation*(min(2, r.slopeAtPixel.Values[k])-1))
				v = float32(v * m)
			}
			sum.Values[k] += float32(v * oct.amplitude)
		}
		if modulates {
			r.readSlope(sum, g)
		}
	}
	return nil
}

// readOctave sets r.value to an octave in the place of a block, and r.octave to its own pixels there,
// with what its slope needs around them.
func (r *fieldReader) readOctave(block *field.Plane, octave uint32, g fieldGrid, slope bool) error {
	f := r.f
	resampler := f.resampler(g)
	x, w := resampler.Span(block.X, block.W)
	y, h := resampler.Span(block.Y, block.H)
	margin := 0
	if slope {
		margin = field.SlopeReach
	}
	r.octave.Reset(x-int64(margin), y-int64(margin), w+2*margin, h+2*margin, block.C)
	if err := r.addTiles(&r.octave, octave, g.filter()); err != nil {
		return err
	}
	r.value.Reset(block.X, block.Y, block.W, block.H, block.C)
	r.scratch = resampler.Read(&r.value, &r.octave, r.scratch)
	return nil
}

// readSlope sets r.slopeAtPixel to the slope of r.octave in the place of a block, over the root mean
// square slope of an octave.
func (r *fieldReader) readSlope(block *field.Plane, g fieldGrid) {
	f := r.f
	const margin = field.SlopeReach
	r.slope.Reset(r.octave.X+margin, r.octave.Y+margin, r.octave.W-2*margin, r.octave.H-2*margin, block.C)
	r.scratch = field.Slope(&r.slope, &r.octave, 1<<g.filter(), r.scratch)
	if f.rms > 0 {
		unit := float32(1 / f.rms)
		for k := range r.slope.Values {
			r.slope.Values[k] *= unit
		}
	}
	r.slopeAtPixel.Reset(block.X, block.Y, block.W, block.H, block.C)
	r.scratch = f.resampler(g).Read(&r.slopeAtPixel, &r.slope, r.scratch)
}

// The tiles that the slope's root mean square is taken of: those of no octave that a field can have.
const (
	slopeSeed   = 0x65706f6c73
	slopeOctave = math.MaxUint32
	slopeTiles  = 8 // along an axis
)

// measureSlope is the root mean square slope of an octave.
func (f *Field) measureSlope() (float64, error) {
	r := f.takeReader()
	defer f.giveReader(r)
	r.seed = slopeSeed
	s := f.model.parts
	block := field.Plane{W: slopeTiles * s.w / 2, H: slopeTiles * s.h / 2, C: f.option.Channels}
	if err := r.readOctave(&block, slopeOctave, fieldGrid{}, true); err != nil {
		return 0, err
	}
	r.readSlope(&block, fieldGrid{})
	square := 0.0
	for _, v := range r.slope.Values {
		square += float64(float64(v) * float64(v))
	}
	return math.Sqrt(square / float64(len(r.slope.Values))), nil
}
