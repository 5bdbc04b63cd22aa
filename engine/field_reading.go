package engine

import (
	"math"

	"brenier/engine/internal/field"
)

// BlockSize is the side of the squares that [Field.Begin] cuts a region into: as large as pixels go
// between octaves in about a millisecond.
const BlockSize = 256

// tileFloats is about how much memory a reading takes for tiles.
const tileFloats = 1 << 21

// estimateWorth is how many estimated tiles take about the time of a decode.
const estimateWorth = 16

// Reading is a block of a region that is read step by step, so that whoever reads it may do something
// else meanwhile. One goroutine at a time.
type Reading struct {
	f    *Field
	lane *lane
	seed uint64

	// What is read, and how far it has come.
	pixels    fieldPixels
	level     int
	left, top int // of the block in the region
	octave    int
	lattice   lattice // of the octave; its tiles is 0 where the octave was not begun

	sum, value          field.Plane // of the block
	own                 field.Plane // of the octave: its own pixels
	slope, slopeAtPixel field.Plane // of the octave before: on its own grid, and of the block
	scratch             []float32
	memory              tileMemory
}

// lattice is the tiles of an octave that a plane wants, row by row.
type lattice struct {
	top, left int64 // of the first tile
	columns   int
	tiles     int // how many
	next      int // the first that has not been added
}

// Begin begins to read a block of a region: those of BlockSize x BlockSize pixels that it is cut into from
// its first pixel on, row by row, at the right and at the bottom what is left. All blocks together are
// what [Field.Read] does, with the same bits, in any order and side by side; on the processor, each on
// the goroutine that calls Step alone. The caller ends the reading.
func (f *Field) Begin(seed uint64, r Region, out Image, block int) (*Reading, error) {
	pixels, err := f.pixels(r, out)
	if err != nil {
		return nil, err
	}
	columns := (r.Width + BlockSize - 1) / BlockSize
	read := f.takeReading(&f.model.alone, seed)
	read.begin(pixels, r, block%columns*BlockSize, block/columns*BlockSize, BlockSize)
	return read, nil
}

// End gives the reading's memory back.
func (r *Reading) End() {
	r.pixels = fieldPixels{} // the caller's
	r.f.mu.Lock()
	defer r.f.mu.Unlock()
	r.f.idle = append(r.f.idle, r)
}

func (f *Field) takeReading(on *lane, seed uint64) *Reading {
	f.mu.Lock()
	defer f.mu.Unlock()
	var r *Reading
	if last := len(f.idle) - 1; last >= 0 {
		r = f.idle[last]
		f.idle = f.idle[:last]
	} else {
		r = &Reading{f: f}
	}
	r.lane, r.seed = on, seed
	return r
}

// begin sets a reading to the start of a block, of a size where the region does not end before.
func (r *Reading) begin(pixels fieldPixels, of Region, left, top, size int) {
	r.pixels, r.level, r.left, r.top = pixels, of.Level, left, top
	r.octave, r.lattice = 0, lattice{}
	r.sum.Reset(of.X+int64(left), of.Y+int64(top), min(size, of.Width-left), min(size, of.Height-top), r.f.option.Channels)
}

// Step makes at most `most` tiles of an octave, adds them and those that are in the cache, and, once it has
// all, the octave to the block. It returns how many were made, in units of a decode, and whether the
// block's pixels are written.
func (r *Reading) Step(most int) (made int, done bool, err error) {
	f := r.f
	if err := f.model.gate.enter(); err != nil { // where all is in the cache, nobody else asks
		return 0, false, err
	}
	f.model.gate.leave()
	if g, there := f.grid(r.octave, r.level); there {
		modulates := r.octave+1 < len(f.octs) && f.octs[r.octave+1].modulation > 0
		if r.lattice.tiles == 0 {
			r.beginOctave(&r.sum, g, modulates)
		}
		made, err = r.addTiles(uint32(r.octave), g.filter(), most)
		if err != nil || r.lattice.next < r.lattice.tiles {
			return made, false, err
		}
		r.endOctave(g, modulates)
		r.octave++
		r.lattice = lattice{}
		if r.octave < len(f.octs) {
			if _, there := f.grid(r.octave, r.level); there {
				return made, false, nil
			} // and those after it, which are finer, are not there either
		}
	}
	r.pixels.store(&r.sum, r.left, r.top)
	return made, true, nil
}

// beginOctave sets r.own to zeros where a block needs the octave's own pixels, with what its slope
// needs around them, and r.lattice to their tiles.
func (r *Reading) beginOctave(block *field.Plane, g fieldGrid, slope bool) {
	resampler := r.f.resampler(g)
	x, w := resampler.Span(block.X, block.W)
	y, h := resampler.Span(block.Y, block.H)
	margin := 0
	if slope {
		margin = field.SlopeReach
	}
	r.own.Reset(x-int64(margin), y-int64(margin), w+2*margin, h+2*margin, block.C)
	s := r.f.model.parts
	top, bottom := field.Lattice(r.own.Y, r.own.H, s.h>>g.filter()/2)
	left, right := field.Lattice(r.own.X, r.own.W, s.w>>g.filter()/2)
	r.lattice = lattice{top: top, left: left, columns: int(right - left + 1)}
	r.lattice.tiles = r.lattice.columns * int(bottom-top+1)
}

// endOctave adds the octave, whose pixels r.own has, to the block.
func (r *Reading) endOctave(g fieldGrid, modulates bool) {
	oct := r.f.octs[r.octave]
	r.value.Reset(r.sum.X, r.sum.Y, r.sum.W, r.sum.H, r.sum.C)
	r.scratch = r.f.resampler(g).Read(&r.value, &r.own, r.scratch)
	for k, v := range r.value.Values {
		if oct.modulation > 0 {
			m := 1 + float32(oct.modulation*(min(2, r.slopeAtPixel.Values[k])-1))
			v = float32(v * m)
		}
		r.sum.Values[k] += float32(v * oct.amplitude)
	}
	if modulates {
		r.readSlope(&r.sum, g)
	}
}

// readSlope sets r.slopeAtPixel to the slope of r.own in the place of a block, over the root mean square
// slope of an octave.
func (r *Reading) readSlope(block *field.Plane, g fieldGrid) {
	f := r.f
	const margin = field.SlopeReach
	r.slope.Reset(r.own.X+margin, r.own.Y+margin, r.own.W-2*margin, r.own.H-2*margin, block.C)
	r.scratch = field.Slope(&r.slope, &r.own, 1<<g.filter(), r.scratch)
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
	r := f.takeReading(&f.model.shared, slopeSeed)
	defer r.End()
	s := f.model.parts
	block := field.Plane{W: slopeTiles * s.w / 2, H: slopeTiles * s.h / 2, C: f.option.Channels}
	r.beginOctave(&block, fieldGrid{}, true)
	for r.lattice.next < r.lattice.tiles {
		if _, err := r.addTiles(slopeOctave, 0, math.MaxInt); err != nil {
			return 0, err
		}
	}
	r.readSlope(&block, fieldGrid{})
	square := 0.0
	for _, v := range r.slope.Values {
		square += float64(float64(v) * float64(v))
	}
	return math.Sqrt(square / float64(len(r.slope.Values))), nil
}
