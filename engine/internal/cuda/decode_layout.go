//go:build cuda

package cuda

import (
	"brenier/engine/internal/fault"
	"brenier/engine/internal/lower"
)

// layout is how a value [H,W,C] lies on the device: runs of `run` elements, each padded to a
// multiple of 8. A run is a pixel's channels wherever a step reads or makes pixels.
type layout struct{ size, run int }

func (l layout) pitch() int    { return padded(l.run) }
func (l layout) elements() int { return l.size / l.run * l.pitch() }

// place is where element i is.
func (l layout) place(i int) int { return i/l.run*l.pitch() + i%l.run }

// builder turns a program's steps into a decoder's. A value of the program may be several here: the
// same elements in other layouts.
type builder struct {
	d      *network
	p      *lower.Program
	wanted []int       // by value of the program: the run that its first demanding reader wants, or 0
	made   []int       // by value of the program: the value here, as it was made
	values []layout    // here; value 0 is the input as the caller has it
	copies map[key]int // other layouts of values, by value here
}

type key struct{ value, run int }

// inputValue is the input in the caller's memory.
const inputValue = 0

func newBuilder(d *network, p *lower.Program) *builder {
	b := &builder{
		d: d, p: p, wanted: make([]int, len(p.Values)), made: make([]int, len(p.Values)),
		values: []layout{{p.Values[0], p.Values[0]}}, copies: map[key]int{},
	}
	for i := len(p.Steps) - 1; i >= 0; i-- {
		s := &p.Steps[i]
		want := func(k, run int) {
			if run > 0 {
				b.wanted[s.In[k]] = run
			}
		}
		switch op := s.Op.(type) {
		case *lower.Conv:
			if !readsAnyRun(op) {
				want(0, op.In.C)
			}
			if len(s.In) > 1 && !makesAnyRun(op) {
				want(1, op.Out.C)
			}
		case *lower.GroupNorm:
			want(0, op.Shape.C)
		case *lower.Resize:
			want(0, op.In.C)
		case *lower.Pointwise:
			want(0, b.wanted[s.Out])
		case *lower.Binary:
			want(0, b.wanted[s.Out])
			want(1, b.wanted[s.Out])
		}
	}
	return b
}

// readsAnyRun tells whether a convolution's weights can be packed for any layout of its input: it
// has one pixel.
func readsAnyRun(c *lower.Conv) bool { return c.In.Pixels() == 1 && c.Groups == 1 }

// makesAnyRun tells the same of its output.
func makesAnyRun(c *lower.Conv) bool { return c.Out.Pixels() == 1 && c.Groups == 1 }

// maxImageBytes bounds the activations of one image, which a file of a few hundred bytes can ask for.
const maxImageBytes = 4 << 30

// checkSize refuses what no device holds before anything is made for it.
func (b *builder) checkSize() error {
	total := 0
	for _, s := range b.p.Steps {
		size := b.p.Values[s.Out]
		if size > maxElements/octet {
			return fault.New(fault.ErrOutOfMemory, "%s: step %q makes %d elements for one image; at most %d are taken", b.d.what(), s.Name, size, maxElements/octet)
		}
		total += size * b.d.element.bytes()
	}
	if total > maxImageBytes {
		return fault.New(fault.ErrOutOfMemory, "%s: one image takes %d MB of activations; at most %d MB are taken", b.d.what(), total>>20, maxImageBytes>>20)
	}
	return nil
}

// runOf is the run of a value that its maker may choose.
func (b *builder) runOf(value int) int {
	if run := b.wanted[value]; run > 0 && b.p.Values[value]%run == 0 {
		return run
	}
	return b.p.Values[value]
}

// add makes a value of the program here, of the given run.
func (b *builder) add(value, run int) int {
	b.made[value] = b.newValue(layout{b.p.Values[value], run})
	return b.made[value]
}

func (b *builder) newValue(l layout) int {
	b.values = append(b.values, l)
	b.d.most = max(b.d.most, l.elements())
	return len(b.values) - 1
}

// read returns a value of the program here in runs of `run`, 0 for whichever it has: the one made,
// or a copy.
func (b *builder) read(value, run int) (int, error) {
	v := b.made[value]
	if v == inputValue { // as a value of the network's elements
		if run == 0 {
			run = b.runOf(value)
		}
		if b.d.encodes {
			return b.copy("pixels", v, run, func(from, to layout) (operation, error) { return b.d.newPixels(to) })
		}
		return b.copy("code", v, run, func(from, to layout) (operation, error) { return b.d.newCode(to) })
	}
	if run == 0 || b.values[v].run == run {
		return v, nil
	}
	return b.copy("layout", v, run, func(from, to layout) (operation, error) {
		source := make([]int32, to.size)
		for i := range source {
			source[i] = int32(i)
		}
		return b.d.newGather(to, []layout{from}, 0, func(i int) (int, int) { return 0, i })
	})
}

// copy returns value v in another layout, made by operation if it has not been made yet.
func (b *builder) copy(name string, v, run int, operation func(from, to layout) (operation, error)) (int, error) {
	if c, ok := b.copies[key{v, run}]; ok {
		return c, nil
	}
	to := layout{b.values[v].size, run}
	op, err := operation(b.values[v], to)
	if err != nil {
		return 0, err
	}
	c := b.newValue(to)
	b.copies[key{v, run}] = c
	b.d.steps = append(b.d.steps, networkStep{name, []int{v}, c, op})
	return c, nil
}

// step adds a step of the program; last tells whether it makes the image.
func (b *builder) step(s *lower.Step, last bool) error {
	switch op := s.Op.(type) {
	case *lower.Conv:
		return b.conv(s, op, last && s.Out == b.p.Output)
	case *lower.Pointwise:
		in, err := b.read(s.In[0], 0)
		if err != nil {
			return err
		}
		made, err := b.d.newAffine(b.values[in], op, s.Activation)
		return b.append(s, made, err, b.values[in].run, in)
	case *lower.Binary:
		x, err := b.read(s.In[0], 0)
		if err != nil {
			return err
		}
		y, err := b.read(s.In[1], b.values[x].run)
		if err != nil {
			return err
		}
		made, err := b.d.newBinary(b.values[x], op, s.Activation)
		return b.append(s, made, err, b.values[x].run, x, y)
	case *lower.GroupNorm:
		in, err := b.read(s.In[0], op.Shape.C)
		if err != nil {
			return err
		}
		made, err := b.d.newGroupNorm(op, s.Activation)
		return b.append(s, made, err, op.Shape.C, in)
	case *lower.Concat:
		return b.concat(s, op)
	case *lower.Resize:
		c := op.In.C
		return b.gather(s, func(i int) (int, int) {
			pixel, channel := i/c, i%c
			y, x := op.Rows[pixel/len(op.Cols)], op.Cols[pixel%len(op.Cols)]
			return 0, (int(y)*op.In.W+int(x))*c + channel
		})
	case *lower.Reorder:
		return b.gather(s, func(i int) (int, int) { return 0, int(op.Source[i]) })
	}
	return fault.New(fault.ErrUnsupported, "node %q: no kernel for its step", s.Name)
}

// append adds a step that makes s's value in runs of `run` from values here.
func (b *builder) append(s *lower.Step, op operation, err error, run int, in ...int) error {
	if err != nil {
		return err
	}
	b.d.steps = append(b.d.steps, networkStep{s.Name, in, b.add(s.Out, run), op})
	return nil
}

// concat is a step that takes each element from one of its inputs.
func (b *builder) concat(s *lower.Step, op *lower.Concat) error {
	row, begins := 0, make([]int, len(op.Runs))
	for k, run := range op.Runs {
		begins[k] = row
		row += run
	}
	owner := make([]int32, row)
	for k, run := range op.Runs {
		for i := range run {
			owner[begins[k]+i] = int32(k)
		}
	}
	return b.gather(s, func(i int) (int, int) {
		k := int(owner[i%row])
		return k, i/row*op.Runs[k] + i%row - begins[k]
	})
}

// gather is a step that only moves elements: source says which input's element is the output's
// element i. Each input is a launch.
func (b *builder) gather(s *lower.Step, source func(i int) (input, element int)) error {
	run := b.runOf(s.Out)
	if r, ok := s.Op.(*lower.Resize); ok {
		run = r.In.C
	}
	to := layout{b.p.Values[s.Out], run}
	ins, layouts := make([]int, len(s.In)), make([]layout, len(s.In))
	for k, value := range s.In {
		v, err := b.read(value, 0)
		if err != nil {
			return err
		}
		ins[k], layouts[k] = v, b.values[v]
	}
	out := b.add(s.Out, run)
	for k := range s.In {
		made, err := b.d.newGather(to, layouts, k, source)
		if err != nil {
			return err
		}
		b.d.steps = append(b.d.steps, networkStep{s.Name, []int{ins[k]}, out, made})
	}
	if s.Activation.Kind == lower.None {
		return nil
	}
	made, err := b.d.newAffine(to, &lower.Pointwise{Size: to.size}, s.Activation)
	return b.append(s, made, err, run, out)
}

// conv is a convolution, which writes the image itself where it makes it pixel by pixel.
func (b *builder) conv(s *lower.Step, c *lower.Conv, image bool) error {
	inRun, outRun := c.In.C, c.Out.C
	if readsAnyRun(c) {
		inRun = 0
	}
	if makesAnyRun(c) {
		outRun = b.runOf(s.Out)
	}
	image = image && (c.Out == b.p.Shape || c.Out.Size() == c.Out.C && (b.p.Shape.C == 1 || b.p.Shape.Pixels() == 1))
	if image {
		outRun = c.Out.C
	}
	in, err := b.read(s.In[0], inRun)
	if err != nil {
		return err
	}
	ins := []int{in}
	if len(s.In) > 1 {
		residual, err := b.read(s.In[1], outRun)
		if err != nil {
			return err
		}
		ins = append(ins, residual)
	}
	pack := convPacking{
		conv: c, in: b.values[in], out: layout{c.Out.Size(), outRun}, residual: len(ins) > 1, image: image,
		activation: packActivation(s.Activation),
	}
	made, err := b.d.newConv(&pack)
	if err != nil {
		return err
	}
	if image {
		b.d.steps = append(b.d.steps, networkStep{s.Name, ins, imageValue, made})
		b.made[s.Out] = imageValue
		return nil
	}
	return b.append(s, made, nil, outRun, ins...)
}

// imageValue is the caller's memory.
const imageValue = -1

// finish adds the step that writes the image where none does yet.
func (b *builder) finish() error {
	var codes []int // the code in the decoder's elements
	for of, copied := range b.copies {
		if of.value == inputValue {
			codes = append(codes, copied)
		}
	}
	if len(codes) == 1 && !b.d.encodes {
		b.d.input = decoderInput{layout: b.values[codes[0]], element: b.d.element, value: codes[0]}
	}
	b.d.most = max(b.d.most, b.p.Input.Size(), b.p.Shape.Size())
	if b.made[b.p.Output] == imageValue {
		return nil
	}
	last, err := b.read(b.p.Output, 0)
	if err != nil {
		return err
	}
	made, err := b.d.newImage(b.values[last])
	if err != nil {
		return err
	}
	b.d.steps = append(b.d.steps, networkStep{"image", []int{last}, imageValue, made})
	return nil
}
