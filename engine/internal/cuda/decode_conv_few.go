//go:build cuda

package cuda

// #include "conv.h"
// #include "conv_tiles.h"
import "C"

import (
	"fmt"
	"unsafe"

	"brenier/engine/internal/cuda/driver"
)

// convFew is a convolution with at most 8 output channels of a group on the tensor cores, in one
// launch.
type convFew struct {
	d        *network
	f        *driver.Function
	name     string
	shapes   []fewShape // from the largest to the smallest
	params   C.brenier_cuda_conv
	groups   int
	elements int // of an image of the output, where that is a value
	pitch    int // of the output's pixels
}

// fewShape is a rectangle of a block: rows by cols pixels of every phase. All give the same bits.
type fewShape struct {
	rows, cols    int
	height, width int // of the input that its taps reach
	blocks        int // of an image and a group
	shared        int // bytes of shared memory
	params        C.brenier_cuda_conv_few
}

func (s *fewShape) String() string { return fmt.Sprintf("%dx%d", s.rows, s.cols) }

// columns is how many products of a pixel there are: a row's with every tap.
func (k *convPacking) columns() int {
	taps := 0
	for _, p := range k.conv.Phases {
		taps += len(p.Taps)
	}
	return k.outChannels() * taps
}

// mostColumns bounds the sums that a block keeps of a pixel.
const mostColumns = 160

// fewShapes are the rectangles for the kernel for few outputs, each a half of the one before; none
// where that kernel cannot serve the convolution.
func (k *convPacking) fewShapes(v *driver.Device) (list []fewShape) {
	phases := k.conv.Phases
	if k.outChannels() > C.BRENIER_CUDA_CONV_FEW || len(phases) > C.BRENIER_CUDA_CONV_PHASES ||
		k.columns() > mostColumns || k.columns() > C.BRENIER_CUDA_CONV_TAPS*k.outChannels() {
		return nil
	}
	first := &phases[0]
	rows, cols := 0, 0
	var y, x tapSpan
	for _, p := range phases {
		if p.InStepY != first.InStepY || p.InStepX != first.InStepX {
			return nil
		}
		rows, cols = max(rows, p.Rows), max(cols, p.Cols)
		for _, t := range p.Taps {
			y.add(t.DY)
			x.add(t.DX)
		}
	}
	in := k.conv.In
	const columnTile = 16
	tiles := max(1, ceil(k.columns(), columnTile))
	for h, w := rows, cols; ; {
		s := fewShape{rows: h, cols: w, height: y.reach(h, first.InStepY), width: x.reach(w, first.InStepX)}
		pitch := (min(s.height, in.H)*min(s.width, in.W)+23)/32*32 + 8
		s.shared = tiles * columnTile * pitch * 4
		s.blocks = ceil(rows, h) * ceil(cols, w)
		s.params = C.brenier_cuda_conv_few{
			rows: C.int32_t(h), cols: C.int32_t(w), tiles_y: C.int32_t(ceil(rows, h)), tiles_x: C.int32_t(ceil(cols, w)),
			first_y: C.int32_t(y.first), first_x: C.int32_t(x.first), height: C.int32_t(s.height), width: C.int32_t(s.width),
			column_tiles: C.int32_t(tiles), pitch: C.int32_t(pitch),
			by_groups: divisorOf(k.conv.Groups), by_tiles_y: divisorOf(ceil(rows, h)), by_tiles_x: divisorOf(ceil(cols, w)),
			by_area: divisorOf(h * w), by_cols: divisorOf(w), by_channels: divisorOf(k.outChannels()),
		}
		if s.shared <= v.SharedPerBlock {
			list = append(list, s)
		}
		if h == 1 && w == 1 {
			return list
		}
		if h >= w {
			h = ceil(h, 2)
		} else {
			w = ceil(w, 2)
		}
	}
}

// tapSpan is the range of the taps' offsets along one axis.
type tapSpan struct{ first, count int }

func (s *tapSpan) add(at int) {
	if s.count == 0 {
		*s = tapSpan{at, 1}
		return
	}
	end := max(s.first+s.count, at+1)
	s.first = min(s.first, at)
	s.count = end - s.first
}

// reach is how many input pixels `count` pixels `step` apart reach.
func (s *tapSpan) reach(count, step int) int {
	if s.count == 0 {
		return 0
	}
	return (count-1)*step + s.count
}

// newConvFew packs the weights as conv.h says.
func (d *network) newConvFew(k *convPacking, shapes []fewShape) (operation, error) {
	c := k.conv
	s := &convFew{
		d: d, name: "conv_mma_" + d.element.String() + "_few", shapes: shapes, groups: c.Groups,
		elements: k.out.elements(), pitch: k.out.elements() / c.Out.Pixels(),
	}
	largest := 0
	for _, shape := range shapes {
		largest = max(largest, shape.shared)
	}
	var err error
	if s.f, err = d.v.kernel(d.mmaModule(), "brenier_cuda_conv_"+d.element.String()+"_few", largest); err != nil {
		return nil, err
	}

	const groupRows, step, columnTile, lane = C.BRENIER_CUDA_CONV_FEW, C.BRENIER_CUDA_CONV_STEP, 16, 16
	scales := k.rowScales(groupRows)
	steps, tiles := ceil(k.inChannels(), step), int(shapes[0].params.column_tiles)
	weights := make([]uint16, c.Groups*tiles*steps*32*lane)
	firstTap := 0
	for i := range c.Phases {
		p := &c.Phases[i]
		k.each(p, func(tap, group, channel, row int, w []float32) {
			at := k.channel(channel)
			t, m, r, e := at%step/8, at/4%2, at/2%2, at%2
			for q, x := range w {
				to := k.row(row + q)
				column := k.outChannels()*firstTap + to*len(p.Taps) + tap
				g, upper := column%8, column/8%2
				begin := ((group*tiles+column/columnTile)*steps+at/step)*32 + 4*g + t
				weights[begin*lane+8*m+2*(2*r+upper)+e] = d.element.bits(x / scales[group*groupRows+to])
			}
		})
		firstTap += len(p.Taps)
	}
	if s.params, err = d.convParams(k, weights, scales, groupRows); err != nil {
		return nil, err
	}
	firstTap = 0
	for i := range c.Phases {
		k.addPhase(&s.params, &c.Phases[i], 0, firstTap)
		firstTap += len(c.Phases[i].Taps)
	}
	return s, nil
}

func (s *convFew) kernel() string { return s.name }

// shape is the rectangle for n images: the one whose taps reach the fewest pixels beyond it, with
// a share for the room that it takes; then smaller ones while there are too few blocks for the device
// and a block has more than one group of 8 pixels for each warp.
func (s *convFew) shape(n int) *fewShape {
	v := s.d.v.info
	cost := func(f *fewShape) float64 {
		reached := min(f.height, int(s.params.in_height)) * min(f.width, int(s.params.in_width))
		return float64(reached) / float64(f.rows*f.cols) * (1 + float64(f.shared)/float64(max(1, v.SharedPerMultiprocessor)))
	}
	best := 0
	for i := range s.shapes {
		if cost(&s.shapes[i]) < cost(&s.shapes[best]) {
			best = i
		}
	}
	const group = C.BRENIER_CUDA_CONV_FEW_THREADS / 32 * 8
	for ; best+1 < len(s.shapes); best++ {
		f := &s.shapes[best]
		if n*s.groups*f.blocks >= C.BRENIER_CUDA_CONV_FEW_BLOCKS*v.Multiprocessors || f.height*f.width <= group {
			break
		}
	}
	return &s.shapes[best]
}

func (s *convFew) launch(q *driver.Stream, w *stepWork) error {
	shape := s.shape(w.n)
	p := s.params
	p.few = shape.params
	p.in, p.residual, p.n = C.uint64_t(w.in[0]), C.uint64_t(w.in[1]), C.int32_t(w.n)
	p.out = valueOut(w.out, s.elements, s.pitch)
	if w.image != nil {
		p.out = w.image.chunk()
	}
	return q.LaunchDependent(s.f, driver.Dim{X: w.n * s.groups * shape.blocks}, driver.Dim{X: C.BRENIER_CUDA_CONV_FEW_THREADS},
		shape.shared, unsafe.Pointer(&p))
}
