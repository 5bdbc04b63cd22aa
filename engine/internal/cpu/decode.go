package cpu

import (
	"unsafe"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/fault"
	"brenier/engine/internal/graph"
	"brenier/engine/internal/lower"
	kernels "brenier/kernels/cpu"
)

// Decoder is a decoder lowered to steps and packed for one instruction set. It is read-only, so
// any number of goroutines may decode with it, each with its own scratch.
type Decoder struct {
	pool   *Pool
	path   kernels.Path
	dim    int // of the code
	shape  lower.Shape
	steps  []decodeStep
	output int // the value that is the image
	macs   int64
	memory memoryPlan
}

// decodeStep is one step and where its values are.
type decodeStep struct {
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

// NewDecoder lowers a graph over its tensors and packs the weights; neither is kept. Errors are
// those of lower.Lower.
func NewDecoder(pool *Pool, path kernels.Path, g *graph.Graph, tensors map[string]backend.Tensor) (*Decoder, error) {
	p, err := lower.Lower(g, tensors)
	if err != nil {
		return nil, err
	}
	d := &Decoder{pool: pool, path: path, dim: p.Values[0], shape: p.Shape, output: p.Output, macs: p.MACs(), memory: planMemory(p)}
	if bytes := 4 * int64(d.memory.size); bytes > maxImageBytes {
		return nil, fault.New(fault.ErrOutOfMemory, "decoder: one image takes %d MB of activations; at most %d MB are taken", bytes>>20, maxImageBytes>>20)
	}
	for _, s := range p.Steps {
		a := packActivation(s.Activation)
		step := decodeStep{in: s.In, out: s.Out}
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

// OutputShape returns the image's channels, rows and columns.
func (d *Decoder) OutputShape() (c, h, w int) { return d.shape.C, d.shape.H, d.shape.W }

// MACs returns the multiply-adds per image: those of the convolutions in phase form.
func (d *Decoder) MACs() int64 { return d.macs }

// on returns the same decoder with its work on another pool.
func (d *Decoder) on(pool *Pool) *Decoder {
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

// DecodeScratch is the memory of one Decode call at a time.
type DecodeScratch struct {
	d     *Decoder
	chunk int       // images at once, at most
	arena []float32 // the values, as Decoder.memory places them
	work  stepWork
	step  operation // at work
	image imageStep
}

// NewScratch makes scratch for batches of up to batch images; more are decoded too, in chunks.
func (d *Decoder) NewScratch(batch int) *DecodeScratch {
	chunk := max(1, min(batch, chunkBytes/(4*d.memory.widest)))
	return &DecodeScratch{
		d:     d,
		chunk: chunk,
		arena: alignedFloats(d.memory.size * chunk),
		work:  stepWork{threads: d.pool.Threads(), in: make([][]float32, 0, d.memory.mostInputs)},
	}
}

// Decode turns codes z [n,dim] into n images at out. It allocates nothing. Where n or out's
// element does not fit, fault.ErrInvalidArgument.
func (d *Decoder) Decode(s *DecodeScratch, z []float32, n int, out backend.Image) error {
	if n < 0 || len(z) < n*d.dim {
		return fault.Invalid("codes: want %d of %d elements, got %d elements", n, d.dim, len(z))
	}
	if out.Data == nil && n > 0 {
		return fault.Invalid("image: the output has no memory")
	}
	if err := s.image.set(d, out); err != nil {
		return err
	}
	size := d.shape.Size()
	chunks := (n + s.chunk - 1) / s.chunk
	for chunk := range chunks { // of nearly one size
		first := chunk * n / chunks
		count := (chunk+1)*n/chunks - first
		s.work.n = count
		codes := z[first*d.dim : (first+count)*d.dim]
		direct := []float32(nil)
		if s.image.direct {
			direct = unsafe.Slice((*float32)(out.Data), n*size)[first*size : (first+count)*size]
		}
		for i := range d.steps {
			step := &d.steps[i]
			s.work.in = s.work.in[:0]
			for _, v := range step.in {
				s.work.in = append(s.work.in, s.value(v, codes))
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
		s.work.in = append(s.work.in[:0], s.value(d.output, codes))
		s.image.first = first
		s.run(&s.image)
	}
	return nil
}

// value is where value v of the chunk is.
func (s *DecodeScratch) value(v int, codes []float32) []float32 {
	if v == 0 {
		return codes
	}
	at, size := s.d.memory.at[v]*s.chunk, s.d.memory.sizes[v]*s.work.n
	return s.arena[at : at+size : at+size]
}

func (s *DecodeScratch) run(o operation) {
	s.step = o
	s.d.pool.Run(o.parts(s.work.n, s.work.threads), s)
}

// Do is the part of a step that the pool asks for.
func (s *DecodeScratch) Do(part int) { s.step.run(&s.work, part) }

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
