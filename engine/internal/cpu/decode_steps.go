package cpu

import (
	"math"
	"slices"

	"brenier/engine/internal/lower"
	kernels "brenier/kernels/cpu"
)

// The steps beside convolution. Each is bound by memory, so it is cut by the elements it moves.

var negativeInfinity, positiveInfinity = float32(math.Inf(-1)), float32(math.Inf(1))

// partElements is how many elements a part has at least: some 3 us.
const partElements = 1 << 14

func elementParts(elements int) int { return max(1, elements/partElements) }

type pointwiseStep struct {
	path         kernels.Path
	size         int
	scale, shift []float32 // one period or several, so that the kernel's runs are long
	activation   kernels.Activation
}

func newPointwise(path kernels.Path, op *lower.Pointwise, a kernels.Activation) *pointwiseStep {
	s := &pointwiseStep{path: path, size: op.Size, activation: a}
	if period := len(op.Scale); period > 0 {
		times := (1024 + period - 1) / period
		s.scale, s.shift = slices.Repeat(op.Scale, times), slices.Repeat(op.Shift, times)
	}
	return s
}

func (s *pointwiseStep) parts(n, _ int) int { return elementParts(n * s.size) }

func (s *pointwiseStep) run(w *stepWork, part int) {
	first, end := share(len(w.out), part, s.parts(w.n, w.threads))
	kernels.Affine(s.path, s.scale, s.shift, &s.activation, w.in[0], w.out, first, end-first)
}

type binaryStep struct {
	path       kernels.Path
	op         *lower.Binary
	activation kernels.Activation
}

func (s *binaryStep) parts(n, _ int) int { return elementParts(n * s.op.Size) }

func (s *binaryStep) run(w *stepWork, part int) {
	first, end := share(len(w.out), part, s.parts(w.n, w.threads))
	f := kernels.Add
	if s.op.Multiply {
		f = kernels.Mul
	}
	f(s.path, &s.activation, w.in[0][first:end], w.in[1][first:end], w.out[first:end])
}

// groupNormStep has a part for every group of every image.
type groupNormStep struct {
	path       kernels.Path
	op         *lower.GroupNorm
	activation kernels.Activation
}

func (s *groupNormStep) parts(n, _ int) int { return n * s.op.Groups }

func (s *groupNormStep) run(w *stepWork, part int) {
	size, channels := s.op.Shape.Size(), s.op.Shape.C/s.op.Groups
	image, group := part/s.op.Groups, part%s.op.Groups
	kernels.GroupNorm(s.path, s.op.Shape.C, group*channels, channels, s.op.Epsilon, s.op.Scale, s.op.Shift,
		&s.activation, w.in[0][image*size:(image+1)*size], w.out[image*size:(image+1)*size])
}

type concatStep lower.Concat

func (s *concatStep) parts(n, _ int) int { return n }

func (s *concatStep) run(w *stepWork, image int) {
	size := len(w.out) / w.n
	out := w.out[image*size : (image+1)*size]
	for row := range s.Outer {
		for i, run := range s.Runs {
			from := (image*s.Outer + row) * run
			out = out[copy(out, w.in[i][from:from+run]):]
		}
	}
}

type resizeStep lower.Resize

func (s *resizeStep) parts(n, _ int) int { return n }

func (s *resizeStep) run(w *stepWork, image int) {
	c := s.In.C
	in, out := w.in[0][image*s.In.Size():], w.out[image*len(s.Rows)*len(s.Cols)*c:]
	for _, y := range s.Rows {
		row := in[int(y)*s.In.W*c:]
		for _, x := range s.Cols {
			copy(out[:c], row[int(x)*c:])
			out = out[c:]
		}
	}
}

type reorderStep lower.Reorder

func (s *reorderStep) parts(n, _ int) int { return n }

func (s *reorderStep) run(w *stepWork, image int) {
	size := len(s.Source)
	in, out := w.in[0][image*size:(image+1)*size], w.out[image*size:(image+1)*size]
	for i, from := range s.Source {
		out[i] = in[from]
	}
}
