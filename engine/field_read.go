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

// readSize is the side of the squares that a large region is read in at once. What they have in common
// is read twice where the cache does not hold it: some 6 % for tiles of 64 pixels.
const readSize = 1024

// Read writes a region's pixels: [Height,Width,C] with the layout NHWC, [C,Height,Width] with NCHW,
// rows at the options' pitch, C the number of channels that the options select. Floats hold the
// value; U8 and U16 hold it rounded to the nearest whole number, ties to even, and clamped. A read that
// fails half-way leaves a part of the pixels written.
func (f *Field) Read(seed uint64, r Region, out Image, s Slices) error {
	pixels, err := f.pixels(r, out)
	if err != nil {
		return err
	}
	read := f.takeReading(&f.model.shared, seed)
	defer read.End()
	most := s.Tiles
	if most <= 0 {
		most = math.MaxInt
	}
	for top := 0; top < r.Height; top += readSize {
		for left := 0; left < r.Width; left += readSize {
			read.begin(pixels, r, left, top, readSize)
			for done := false; !done; {
				if s.Next != nil {
					if err := s.Next(); err != nil {
						return err
					}
				}
				if _, done, err = read.Step(most); err != nil {
					return err
				}
			}
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
