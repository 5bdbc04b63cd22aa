//go:build cuda

package cuda

// #cgo CFLAGS: -I${SRCDIR}/../../../kernels/cuda
// #include "activation.h"
import "C"

import (
	"math"
	"unsafe"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/cuda/driver"
	"brenier/engine/internal/fault"
	"brenier/engine/internal/graph"
	"brenier/engine/internal/lower"
)

// network is a decoder or an encoder lowered to steps, its weights packed on the device. It is read-only
// once made, so any number of streams may run it, each with its own scratch.
//
// What goes in and what comes out are both images; a code is one of a single pixel, float32.
type network struct {
	v       *device
	element element
	program *lower.Program // until settle
	encodes bool
	in      lower.Shape // of the input
	shape   lower.Shape // of the output
	steps   []networkStep
	memory  networkMemory
	input   decoderInput // where a code may lie as the first step reads it; nothing where steps differ
	widest  int          // the most bytes per image that one step reads and writes
	most    int          // the most elements per image of a value, the input or the output
	owned   []driver.Address
	plain   bool // every convolution by the plain kernel
}

// networkStep is one step, the values that it reads and the one that it makes; out is -1 where it
// writes the output.
type networkStep struct {
	name string
	in   []int
	out  int
	operation
}

// decoderInput is where codes lie as a decoder's steps read them.
type decoderInput struct {
	layout
	element element
	value   int            // of the decoder's; 0, which is the code itself, where no step reads it so
	address driver.Address // 0: nowhere
}

// bytes of one code.
func (i decoderInput) bytes() int { return i.elements() * i.element.bytes() }

// operation is what a step does. What an element gets does not depend on the images beside it.
type operation interface {
	launch(q *driver.Stream, w *stepWork) error
	kernel() string // that serves it, as info names it
}

// stepWork is one step on one chunk of images.
type stepWork struct {
	n     int // images
	in    [maxInputs]driver.Address
	out   driver.Address
	from  *imageTarget // the network's input
	image *imageTarget // where the step's output is the network's
}

// maxInputs is how many values a launch reads; a Concat of more is several launches.
const maxInputs = 2

// newDecoder lowers a decoder's graph over its tensors and packs the weights, for activations of the given
// element type. Errors are those of lower.Lower, fault.ErrOutOfMemory, and the device's. The tensors
// stay in memory until settle.
func newDecoder(v *device, e element, g *graph.Graph, tensors map[string]backend.Tensor) (*network, error) {
	return newDecoderOf(v, e, v.capability() < leastMMA, g, tensors)
}

// newDecoderOf is newDecoder on whatever card; with plain, or for float32, every convolution is done
// by the plain kernel.
func newDecoderOf(v *device, e element, plain bool, g *graph.Graph, tensors map[string]backend.Tensor) (*network, error) {
	p, err := lower.Lower(g, tensors)
	if err != nil {
		return nil, err
	}
	return newNetwork(v, e, plain, false, p)
}

// newEncoder is newDecoder for an encoder's graph. Errors are those of lower.LowerEncoder and the device's.
func newEncoder(v *device, e element, g *graph.Graph, tensors map[string]backend.Tensor) (*network, error) {
	return newEncoderOf(v, e, v.capability() < leastMMA, g, tensors)
}

func newEncoderOf(v *device, e element, plain bool, g *graph.Graph, tensors map[string]backend.Tensor) (*network, error) {
	p, err := lower.LowerEncoder(g, tensors)
	if err != nil {
		return nil, err
	}
	return newNetwork(v, e, plain, true, p)
}

func newNetwork(v *device, e element, plain, encodes bool, p *lower.Program) (*network, error) {
	d := &network{v: v, element: e, program: p, encodes: encodes, in: p.Input, shape: p.Shape}
	if err := d.build(plain || e == f32); err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

// settle drops what only another choice of kernels would need.
func (d *network) settle() { d.program = nil }

// build turns the program's steps into launches, in place of those that there are.
func (d *network) build(plain bool) error {
	d.close()
	d.plain, d.steps, d.input = plain, nil, decoderInput{}
	p := d.program
	b := newBuilder(d, p)
	if err := b.checkSize(); err != nil {
		return err
	}
	for i := range p.Steps {
		if err := b.step(&p.Steps[i], i == len(p.Steps)-1); err != nil {
			return err
		}
	}
	if err := b.finish(); err != nil {
		return err
	}
	d.memory = planNetworkMemory(b.values, d.steps, d.element.bytes())
	d.widest = d.memory.widest
	return nil
}

// close frees the weights.
func (d *network) close() {
	for _, a := range d.owned {
		d.v.free(a)
	}
	d.owned = nil
}

// elements is the size of an output.
func (d *network) elements() int { return d.shape.Size() }

// what is what an error calls it.
func (d *network) what() string {
	if d.encodes {
		return "encoder"
	}
	return "decoder"
}

// kernels says which kernel serves each step. The two networks' steps may have the same names.
func (d *network) kernels() []backend.Kernel {
	list := make([]backend.Kernel, len(d.steps))
	for i, s := range d.steps {
		part := s.name
		if d.encodes {
			part = "encoder " + part
		}
		list[i] = backend.Kernel{Part: part, Name: s.kernel()}
	}
	return list
}

// networkScratch is the memory of one run at a time.
type networkScratch struct {
	d     *network
	chunk int // images at once, at most
	arena span

	// What a launch tells its steps, here so that it allocates nothing.
	work  stepWork
	from  imageTarget
	image imageTarget
}

// newScratch plans memory for batches of up to batch images; more are taken too, in chunks.
func (d *network) newScratch(p *plan, batch int) *networkScratch {
	// Twice the second-level cache: the steps of a chunk find there most of what the step before
	// wrote, and there are enough tiles to fill the chip several times.
	fitting := max(leastChunk, 2*d.v.info.L2Bytes/max(1, d.widest))
	addressable := max(1, maxElements/d.most)
	s := &networkScratch{d: d, chunk: max(1, min(batch, fitting, addressable))}
	s.arena = p.reserve(bytesOf(s.chunk, d.memory.bytes))
	return s
}

const (
	leastChunk  = 64      // images: fewer leave the chip idle
	maxElements = 1 << 30 // of a value of a chunk: kernels count elements in 32 bits
)

// launch runs the network from n images to n others. base is where the memory of s's plan begins.
// fault.ErrInvalidArgument where the elements at either end do not fit.
func (d *network) launch(q *driver.Stream, s *networkScratch, base driver.Address, from target, n int, out target) error {
	return d.launchInput(q, s, base, from, 0, n, out)
}

// launchInput is launch for codes that lie at input too, as d.input says, unless that is 0.
func (d *network) launchInput(q *driver.Stream, s *networkScratch, base driver.Address, from target, input driver.Address, n int, out target) error {
	var err error
	if s.from, err = newImageSource(d.in, from); err != nil {
		return err
	}
	if s.image, err = newImageTarget(d.shape, out); err != nil {
		return err
	}
	if n > 0 && out.address == 0 {
		return fault.Invalid("image: the output has no memory")
	}
	arena := s.arena.at(base)
	chunks := (n + s.chunk - 1) / s.chunk
	for chunk := range chunks { // of nearly one size
		first := chunk * n / chunks
		w := &s.work
		w.n = (chunk+1)*n/chunks - first
		s.from.first, s.image.first = first, first
		for i := range d.steps {
			step := &d.steps[i]
			if input != 0 && step.out == d.input.value {
				continue // it would only convert the code
			}
			w.in, w.out, w.from, w.image = [maxInputs]driver.Address{}, 0, &s.from, nil
			for k, v := range step.in {
				switch {
				case v == inputValue: // its step reads w.from
				case input != 0 && v == d.input.value:
					w.in[k] = input + driver.Address(first*d.input.bytes())
				default:
					w.in[k] = d.value(arena, v, s.chunk)
				}
			}
			if step.out < 0 {
				w.image = &s.image
			} else {
				w.out = d.value(arena, step.out, s.chunk)
			}
			if err := step.launch(q, w); err != nil {
				return err
			}
		}
	}
	return nil
}

// value is where a value of a chunk is.
func (d *network) value(arena driver.Address, v, chunk int) driver.Address {
	return arena + driver.Address(d.memory.at[v]*chunk)
}

// own keeps memory until close.
func (d *network) own(a driver.Address, err error) (driver.Address, error) {
	if err == nil {
		d.owned = append(d.owned, a)
	}
	return a, err
}

// uploadTo uploads values that the decoder keeps.
func uploadTo[T any](d *network, values []T) (driver.Address, error) {
	return d.own(uploadValues(d.v, values))
}

// threads is the size of a block of the kernels that give each thread an element.
const threads = 256

// launchElements launches a kernel that gives each thread one of count elements.
func launchElements(q *driver.Stream, f *driver.Function, count, block int, params unsafe.Pointer) error {
	return q.LaunchDependent(f, driver.Dim{X: (count + block - 1) / block}, driver.Dim{X: block}, 0, params)
}

// packActivation is an activation as the kernels take it.
func packActivation(a lower.Activation) C.brenier_cuda_activation {
	k := C.brenier_cuda_activation{kind: C.BRENIER_CUDA_LINEAR, alpha: 1, low: C.float(math.Inf(-1)), high: C.float(math.Inf(1))}
	switch a.Kind {
	case lower.Relu:
		k.low = 0
	case lower.LeakyRelu:
		k.alpha = C.float(a.Alpha)
	case lower.Clip:
		k.low, k.high = C.float(a.Low), C.float(a.High)
	case lower.Silu:
		k.kind = C.BRENIER_CUDA_SILU
	case lower.Tanh:
		k.kind = C.BRENIER_CUDA_TANH
	case lower.Sigmoid:
		k.kind = C.BRENIER_CUDA_SIGMOID
	}
	return k
}
