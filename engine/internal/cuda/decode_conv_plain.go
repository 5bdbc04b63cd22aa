//go:build cuda

package cuda

// #include "conv.h"
import "C"

import (
	"unsafe"

	"brenier/engine/internal/cuda/driver"
)

// convPlain is a convolution by the plain kernel.
type convPlain struct {
	f      *driver.Function
	pixels int // of the largest phase, of an image
	phases int
	image  int
	pitch  int
	params C.brenier_cuda_conv_plain
}

// newConvPlain packs the weights as [phase][tap][channel][row] float32.
func (d *network) newConvPlain(k *convPacking) (operation, error) {
	f, err := d.v.kernel("conv_plain", "brenier_cuda_conv_plain_"+d.element.String(), 0)
	if err != nil {
		return nil, err
	}
	c := k.conv
	s := &convPlain{f: f, phases: len(c.Phases), image: k.out.elements(), pitch: k.out.elements() / c.Out.Pixels()}
	ins, rows := c.In.C/c.Groups, s.pitch
	if k.in.run != c.In.C {
		ins = k.inChannels()
	}
	var phases []C.brenier_cuda_conv_phase
	var taps []int32
	begins, size := make([]int, len(c.Phases)), 0
	for i := range c.Phases {
		p := &c.Phases[i]
		begins[i] = size
		phases = append(phases, k.packPhase(p, begins[i], len(taps)/2))
		for _, tap := range p.Taps {
			taps = append(taps, int32(tap.DY), int32(tap.DX))
		}
		size += len(p.Taps) * ins * rows
		s.pixels = max(s.pixels, p.Rows*p.Cols)
	}
	weights, bias := make([]float32, size), make([]float32, rows)
	place := func(group, r int) int { return group*(c.Out.C/c.Groups) + k.row(r) }
	for i := range c.Phases {
		k.each(&c.Phases[i], func(tap, group, channel, first int, w []float32) {
			row := weights[begins[i]+(tap*ins+k.channel(channel))*rows:][:rows]
			for r, x := range w {
				row[place(group, first+r)] = x
			}
		})
	}
	for r, b := range c.Bias {
		bias[place(r/(c.Out.C/c.Groups), r%(c.Out.C/c.Groups))] = float32(b)
	}
	p := &s.params
	p.residual_image, p.residual_pixel = C.int32_t(s.image), C.int32_t(s.pitch)
	p.in_height, p.in_width = C.int32_t(c.In.H), C.int32_t(c.In.W)
	p.in_pitch, p.in_image = C.int32_t(k.in.elements()/c.In.Pixels()), C.int32_t(k.in.elements())
	p.in_channels, p.out_channels, p.channels = C.int32_t(ins), C.int32_t(c.Out.C/c.Groups), C.int32_t(c.Out.C)
	p.out_pitch, p.written = C.int32_t(rows), C.int32_t(rows)
	if c.Groups == 1 {
		p.out_channels, p.channels = p.out_pitch, p.out_pitch
	}
	if k.image {
		p.written = C.int32_t(c.Out.C)
	}
	p.activation = k.activation
	for _, table := range []struct {
		at   *C.uint64_t
		load func() (driver.Address, error)
	}{
		{&p.weights, func() (driver.Address, error) { return uploadTo(d, weights) }},
		{&p.bias, func() (driver.Address, error) { return uploadTo(d, bias) }},
		{&p.phases, func() (driver.Address, error) { return uploadTo(d, phases) }},
		{&p.taps, func() (driver.Address, error) { return uploadTo(d, taps) }},
	} {
		at, err := table.load()
		if err != nil {
			return nil, err
		}
		*table.at = C.uint64_t(at)
	}
	return s, nil
}

func (s *convPlain) kernel() string { return s.f.Name }

func (s *convPlain) launch(q *driver.Stream, w *stepWork) error {
	p := s.params
	p.in, p.residual, p.n = C.uint64_t(w.in[0]), C.uint64_t(w.in[1]), C.int32_t(w.n)
	p.out = valueOut(w.out, s.image, s.pitch)
	if w.image != nil {
		p.out = w.image.chunk()
	}
	const block = 128
	grid := driver.Dim{X: ceil(w.n*s.pixels*int(p.written), block), Y: s.phases}
	return q.LaunchDependent(s.f, grid, driver.Dim{X: block}, 0, unsafe.Pointer(&p))
}
