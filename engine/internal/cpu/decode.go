package cpu

import (
	"unsafe"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/fault"
	"brenier/engine/internal/graph"
	"brenier/engine/internal/lower"
	kernels "brenier/kernels/cpu"
)

// Network is a decoder or an encoder lowered to steps and packed for one instruction set. It is
// read-only, so any number of goroutines may run it, each with its own scratch.
//
// What goes in and what comes out are both images; a code is one of a single pixel, float32.
type Network struct {
	pool      *Pool
	path      kernels.Path
	in, shape lower.Shape // of the input and the output
	encodes   bool
	steps     []networkStep
	output    int // the value that is the output
	macs      int64
	memory    memoryPlan
}

// networkStep is one step and where its values are.
type networkStep struct {
	operation
	in  []int
	out int
}

// operation is what a step does, cut into parts that may run at the same time. What an element
// gets does not depend on the cut or on n.
type operation interface {
	parts(n, threads int) int
	run(w *stepWork, part int)
}

// stepWork is one step on one chunk of images.
type stepWork struct {
	n       int // images
	threads int
	in      [][]float32 // [n, elements of the value] each
	out     []float32
}

// NewDecoder lowers a decoder's graph over its tensors and packs the weights; neither is kept. Errors
// are those of lower.Lower.
func NewDecoder(pool *Pool, path kernels.Path, g *graph.Graph, tensors map[string]backend.Tensor) (*Network, error) {
	p, err := lower.Lower(g, tensors)
	if err != nil {
		return nil, err
	}
	return newNetwork(pool, path, "decoder", p)
}

// NewEncoder is NewDecoder for an encoder's graph. Errors are those of lower.LowerEncoder.
func NewEncoder(pool *Pool, path kernels.Path, g *graph.Graph, tensors map[string]backend.Tensor) (*Network, error) {
	p, err := lower.LowerEncoder(g, tensors)
	if err != nil {
		return nil, err
	}
	d, err := newNetwork(pool, path, "encoder", p)
	if err == nil {
		d.encodes = true
	}
	return d, err
}

func newNetwork(pool *Pool, path kernels.Path, what string, p *lower.Program) (*Network, error) {
	d := &Network{pool: pool, path: path, in: p.Input, shape: p.Shape, output: p.Output, macs: p.MACs(), memory: planMemory(p)}
	if bytes := 4 * int64(d.memory.size); bytes > maxImageBytes {
		return nil, fault.New(fault.ErrOutOfMemory, what+": one image takes %d MB of activations; at most %d MB are taken", bytes>>20, maxImageBytes>>20)
	}
	for _, s := range p.Steps {
		a := packActivation(s.Activation)
		step := networkStep{in: s.In, out: s.Out}
		switch op := s.Op.(type) {
		case *lower.Conv:
			step.operation = packConv(pool, path, op, a)
		case *lower.Pointwise:
			step.operation = newPointwise(path, op, a)
		case *lower.Binary:
			step.operation = &binaryStep{path, op, a}
		case *lower.GroupNorm:
			step.operation = &groupNormStep{path, op, a}
		case *lower.Concat:
			step.operation = (*concatStep)(op)
		case *lower.Resize:
			step.operation = (*resizeStep)(op)
		case *lower.Reorder:
			step.operation = (*reorderStep)(op)
		}
		d.steps = append(d.steps, step)
	}
	return d, nil
}

// OutputShape returns a decoder's channels, rows and columns.
func (d *Network) OutputShape() (c, h, w int) { return d.shape.C, d.shape.H, d.shape.W }

// MACs returns the multiply-adds per image: those of the convolutions in phase form.
func (d *Network) MACs() int64 { return d.macs }

// on returns the same network with its work on another pool.
func (d *Network) on(pool *Pool) *Network {
	other := *d
	other.pool = pool
	return &other
}

// chunkBytes bounds what the largest step of a chunk of images reads and writes, so that it finds
// in a shared cache of 16 MB and more what the step before it wrote. Larger chunks read the weights
// less often.
const chunkBytes = 12 << 20

// maxImageBytes bounds the activations of one image, which a file of a few hundred bytes can ask for.
const maxImageBytes = 4 << 30

// NetworkScratch is the memory of one Run at a time.
type NetworkScratch struct {
	d      *Network
	chunk  int       // images at once, at most
	arena  []float32 // the values, as Network.memory places them
	input  []float32 // value 0 where it is not read where the caller has it; nil for codes
	work   stepWork
	step   operation // at work
	pixels pixelStep
	image  imageStep
}

// NewScratch makes scratch for batches of up to batch images; more are taken too, in chunks.
func (d *Network) NewScratch(batch int) *NetworkScratch {
	chunk := max(1, min(batch, chunkBytes/(4*d.memory.widest)))
	s := &NetworkScratch{
		d:     d,
		chunk: chunk,
		arena: alignedFloats(d.memory.size * chunk),
		work:  stepWork{threads: d.pool.Threads(), in: make([][]float32, 0, d.memory.mostInputs)},
	}
	if d.encodes {
		s.input = alignedFloats(d.in.Size() * chunk)
	}
	return s
}

// Decode turns codes z [n,dim] into n images at out. It allocates nothing. Where n or out's
// element does not fit, fault.ErrInvalidArgument.
func (d *Network) Decode(s *NetworkScratch, z []float32, n int, out backend.Image) error {
	if n < 0 || len(z) < n*d.in.Size() {
		return fault.Invalid("codes: want %d of %d elements, got %d elements", n, d.in.Size(), len(z))
	}
	return d.run(s, codes(z), n, out)
}

// Encode turns n images into codes z [n,dim], as Decode does the reverse.
func (d *Network) Encode(s *NetworkScratch, in backend.Image, n int, z []float32) error {
	if n < 0 || len(z) < n*d.shape.Size() {
		return fault.Invalid("codes: want room for %d of %d elements, got %d elements", n, d.shape.Size(), len(z))
	}
	return d.run(s, in, n, codes(z))
}

// codes are codes as images of one pixel.
func codes(z []float32) backend.Image {
	return backend.Image{Data: unsafe.Pointer(unsafe.SliceData(z))}
}

// run turns n images into n others.
func (d *Network) run(s *NetworkScratch, in backend.Image, n int, out backend.Image) error {
	if n > 0 && (in.Data == nil || out.Data == nil) {
		return fault.Invalid("image: there is no memory to read or to write")
	}
	if err := s.pixels.set(d.in, in); err != nil {
		return err
	}
	if err := s.image.set(d, out); err != nil {
		return err
	}
	chunks := (n + s.chunk - 1) / s.chunk
	for chunk := range chunks { // of nearly one size
		first := chunk * n / chunks
		s.work.n = (chunk+1)*n/chunks - first
		input := s.take(in, first)
		direct := []float32(nil)
		if s.image.direct {
			direct = floats(out, first, s.work.n, d.shape.Size())
		}
		for i := range d.steps {
			step := &d.steps[i]
			s.work.in = s.work.in[:0]
			for _, v := range step.in {
				s.work.in = append(s.work.in, s.value(v, input))
			}
			s.work.out = s.value(step.out, nil)
			if direct != nil && step.out == d.output {
				s.work.out = direct
			}
			s.run(step.operation)
		}
		if direct != nil && d.output != 0 {
			continue
		}
		s.work.in = append(s.work.in[:0], s.value(d.output, input))
		s.image.first = first
		s.run(&s.image)
	}
	return nil
}

// take returns value 0 of a chunk that begins with image first of in.
func (s *NetworkScratch) take(in backend.Image, first int) []float32 {
	if s.pixels.direct {
		return floats(in, first, s.work.n, s.pixels.size)
	}
	s.pixels.first, s.work.out = first, s.input[:s.work.n*s.pixels.size]
	s.run(&s.pixels)
	return s.work.out
}

// floats are images first .. first+n-1 of float32 ones, `size` elements each.
func floats(i backend.Image, first, n, size int) []float32 {
	return unsafe.Slice((*float32)(i.Data), (first+n)*size)[first*size:]
}

// value is where value v of the chunk is.
func (s *NetworkScratch) value(v int, input []float32) []float32 {
	if v == 0 {
		return input
	}
	at, size := s.d.memory.at[v]*s.chunk, s.d.memory.sizes[v]*s.work.n
	return s.arena[at : at+size : at+size]
}

func (s *NetworkScratch) run(o operation) {
	s.step = o
	s.d.pool.Run(o.parts(s.work.n, s.work.threads), s)
}

// Do is the part of a step that the pool asks for.
func (s *NetworkScratch) Do(part int) { s.step.run(&s.work, part) }

// packActivation is an activation as the kernels take it.
func packActivation(a lower.Activation) kernels.Activation {
	k := kernels.Activation{Kind: kernels.Linear, Alpha: 1, Low: negativeInfinity, High: positiveInfinity}
	switch a.Kind {
	case lower.Relu:
		k.Low = 0
	case lower.LeakyRelu:
		k.Alpha = a.Alpha
	case lower.Clip:
		k.Low, k.High = a.Low, a.High
	case lower.Silu:
		k.Kind = kernels.Silu
	case lower.Tanh:
		k.Kind = kernels.Tanh
	case lower.Sigmoid:
		k.Kind = kernels.Sigmoid
	}
	return k
}
