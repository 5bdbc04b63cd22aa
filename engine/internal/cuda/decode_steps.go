//go:build cuda

package cuda

// #include "gather.h"
// #include "group_norm.h"
// #include "pointwise.h"
import "C"

import (
	"math"
	"unsafe"

	"brenier/engine/internal/cuda/driver"
	"brenier/engine/internal/lower"
)

// The steps beside convolution, bound by memory.

// affineStep is a scale, a shift and an activation, element by element.
type affineStep struct {
	f      *driver.Function
	octets int // of an image
	params C.brenier_cuda_affine
}

func (d *network) newAffine(l layout, op *lower.Pointwise, a lower.Activation) (operation, error) {
	f, err := d.v.kernel("pointwise", "brenier_cuda_affine_"+d.element.String(), 0)
	if err != nil {
		return nil, err
	}
	s := &affineStep{f: f, octets: l.elements() / octet}
	s.params.activation = packActivation(a)
	if len(op.Scale) == 0 {
		return s, nil
	}
	// One period of whole runs.
	period := layout{len(op.Scale), l.run}
	if period.size%l.run != 0 {
		period.size = l.size
		if l.run%len(op.Scale) == 0 {
			period.size = l.run
		}
	}
	scale, shift := make([]float32, period.elements()), make([]float32, period.elements())
	for i := range period.size {
		at := period.place(i)
		scale[at], shift[at] = op.Scale[i%len(op.Scale)], op.Shift[i%len(op.Shift)]
	}
	s.params.period = C.int32_t(period.elements() / octet)
	at, err := uploadTo(d, scale)
	if err != nil {
		return nil, err
	}
	s.params.scale = C.uint64_t(at)
	at, err = uploadTo(d, shift)
	s.params.shift = C.uint64_t(at)
	return s, err
}

func (s *affineStep) kernel() string { return s.f.Name }

func (s *affineStep) launch(q *driver.Stream, w *stepWork) error {
	p := s.params
	p.in, p.out, p.octets = C.uint64_t(w.in[0]), C.uint64_t(w.out), C.int64_t(w.n*s.octets)
	return launchElements(q, s.f, w.n*s.octets, threads, unsafe.Pointer(&p))
}

// binaryStep is a sum or a product of two values.
type binaryStep struct {
	f      *driver.Function
	octets int
	params C.brenier_cuda_binary
}

func (d *network) newBinary(l layout, op *lower.Binary, a lower.Activation) (operation, error) {
	f, err := d.v.kernel("pointwise", "brenier_cuda_binary_"+d.element.String(), 0)
	s := &binaryStep{f: f, octets: l.elements() / octet}
	s.params.activation = packActivation(a)
	if op.Multiply {
		s.params.multiply = 1
	}
	return s, err
}

func (s *binaryStep) kernel() string { return s.f.Name }

func (s *binaryStep) launch(q *driver.Stream, w *stepWork) error {
	p := s.params
	p.a, p.b, p.out, p.octets = C.uint64_t(w.in[0]), C.uint64_t(w.in[1]), C.uint64_t(w.out), C.int64_t(w.n*s.octets)
	return launchElements(q, s.f, w.n*s.octets, threads, unsafe.Pointer(&p))
}

// groupNormStep has a block for each group of each image.
type groupNormStep struct {
	f      *driver.Function
	params C.brenier_cuda_group_norm
}

func (d *network) newGroupNorm(op *lower.GroupNorm, a lower.Activation) (operation, error) {
	f, err := d.v.kernel("group_norm", "brenier_cuda_group_norm_"+d.element.String(), 0)
	if err != nil {
		return nil, err
	}
	s := &groupNormStep{f: f}
	p := &s.params
	p.pixels, p.pitch = C.int32_t(op.Shape.Pixels()), C.int32_t(padded(op.Shape.C))
	p.channels, p.groups, p.epsilon = C.int32_t(op.Shape.C), C.int32_t(op.Groups), C.float(op.Epsilon)
	p.activation = packActivation(a)
	at, err := uploadTo(d, op.Scale)
	if err != nil {
		return nil, err
	}
	p.scale = C.uint64_t(at)
	at, err = uploadTo(d, op.Shift)
	p.shift = C.uint64_t(at)
	return s, err
}

func (s *groupNormStep) kernel() string { return s.f.Name }

// mostBlocksY is the largest second extent of a grid.
const mostBlocksY = math.MaxUint16

func (s *groupNormStep) launch(q *driver.Stream, w *stepWork) error {
	p := s.params
	p.in, p.out = C.uint64_t(w.in[0]), C.uint64_t(w.out)
	for first := 0; first < w.n; first += mostBlocksY {
		p.first_image = C.int32_t(first)
		grid := driver.Dim{X: int(p.groups), Y: min(w.n-first, mostBlocksY)}
		block := driver.Dim{X: C.BRENIER_CUDA_GROUP_NORM_THREADS}
		if err := q.LaunchDependent(s.f, grid, block, 0, unsafe.Pointer(&p)); err != nil {
			return err
		}
	}
	return nil
}

// gatherStep moves elements of one input as a table says.
type gatherStep struct {
	f      *driver.Function
	count  int // moves of an image
	params C.brenier_cuda_gather
}

// newGather makes the step that brings those elements of an output that come from the given input:
// source says which input's element its element i is. Octets are moved whole where all of them lie
// so that they can be.
func (d *network) newGather(to layout, from []layout, input int, source func(i int) (input, element int)) (operation, error) {
	f, err := d.v.kernel("gather", "brenier_cuda_gather_units", 0)
	if err != nil {
		return nil, err
	}
	unit := octet
	moves := octetMoves(to, from, input, source)
	if moves == nil {
		unit, moves = 1, elementMoves(to, from, input, source)
	}
	s := &gatherStep{f: f, count: len(moves)}
	s.params.unit = C.int32_t(unit * d.element.bytes())
	s.params.in_units, s.params.out_units = C.int64_t(from[input].elements()/unit), C.int64_t(to.elements()/unit)
	s.params.count = C.int32_t(len(moves))
	at, err := uploadTo(d, moves)
	s.params.moves = C.uint64_t(at)
	return s, err
}

// move is a line of the table: places in the output and the input; from is -1 for zeros.
type move struct{ to, from int32 }

// elementMoves moves element by element. The first input's step also clears the padding.
func elementMoves(to layout, from []layout, input int, source func(i int) (int, int)) []move {
	var moves []move
	for i := range to.size {
		if k, e := source(i); k == input {
			moves = append(moves, move{int32(to.place(i)), int32(from[k].place(e))})
		}
	}
	if input > 0 {
		return moves
	}
	for run := range to.size / to.run {
		for pad := to.run; pad < to.pitch(); pad++ {
			moves = append(moves, move{int32(run*to.pitch() + pad), -1})
		}
	}
	return moves
}

// octetMoves moves octets, padding included, or returns nil where one is not a whole octet of one
// input.
func octetMoves(to layout, from []layout, input int, source func(i int) (int, int)) []move {
	moves := []move{}
	for first := 0; first < to.size; {
		count := min(octet, to.run-first%to.run)
		k, e := source(first)
		at := from[k].place(e)
		if at%octet != 0 {
			return nil
		}
		for i := 1; i < count; i++ {
			if ki, ei := source(first + i); ki != k || from[k].place(ei) != at+i {
				return nil
			}
		}
		if k == input {
			moves = append(moves, move{int32(to.place(first) / octet), int32(at / octet)})
		}
		first += count
	}
	return moves
}

func (s *gatherStep) kernel() string { return s.f.Name }

func (s *gatherStep) launch(q *driver.Stream, w *stepWork) error {
	if s.count == 0 {
		return nil
	}
	p := s.params
	p.in, p.out, p.n = C.uint64_t(w.in[0]), C.uint64_t(w.out), C.int32_t(w.n)
	return launchElements(q, s.f, w.n*s.count, threads, unsafe.Pointer(&p))
}
