//go:build cuda

package cuda

// #include "conv.h"
import "C"

import (
	"math"
	"math/bits"
	"runtime"
	"sync"
	"sync/atomic"
	"unsafe"

	"brenier/engine/internal/cuda/driver"
	"brenier/engine/internal/lower"
)

// convPacking is a convolution on its way to the device.
type convPacking struct {
	conv       *lower.Conv
	in, out    layout
	residual   bool
	image      bool // the output is the caller's memory
	activation C.brenier_cuda_activation
}

// newConv packs a convolution for the tensor cores where it suits them, else for the plain kernel.
func (d *network) newConv(k *convPacking) (operation, error) {
	if d.plain || !k.suitsMMA() {
		return d.newConvPlain(k)
	}
	if few := k.fewShapes(d.v.info); len(few) > 0 {
		return d.newConvFew(k, few)
	}
	return d.newConvMMA(k)
}

// suitsMMA tells whether the channels of a group are whole octets and the taps fit a launch.
func (k *convPacking) suitsMMA() bool {
	c := k.conv
	if c.Groups > 1 && (c.In.C/c.Groups%octet != 0 || c.Out.C/c.Groups%octet != 0) {
		return false
	}
	for _, p := range c.Phases {
		if len(p.Taps) > C.BRENIER_CUDA_CONV_TAPS {
			return false
		}
		for _, t := range p.Taps {
			if max(t.DY, -t.DY, t.DX, -t.DX) > math.MaxInt16 {
				return false
			}
		}
	}
	return true
}

// inChannels is the channels of a group that the kernels read, padding included.
func (k *convPacking) inChannels() int { return k.in.elements() / k.conv.In.Pixels() / k.conv.Groups }

// outChannels is the channels of a group that the kernels write.
func (k *convPacking) outChannels() int {
	if k.image {
		return k.conv.Out.C / k.conv.Groups
	}
	return k.out.elements() / k.conv.Out.Pixels() / k.conv.Groups
}

// row is where row r of a group is written, among outChannels.
func (k *convPacking) row(r int) int {
	if k.image || k.conv.Groups > 1 {
		return r
	}
	return k.out.place(r)
}

// channel is where channel c of a group is read, among inChannels.
func (k *convPacking) channel(c int) int {
	if k.conv.Groups > 1 {
		return c
	}
	return k.in.place(c)
}

// packedRows is how many rows are packed together: channel after channel, so that the tensor is read
// and the packed weights are written by whole cache lines.
const packedRows = 64

// each calls f with the weights of every tap and channel, for some rows of a group at a time: those
// from `row` on. Calls for other rows run at the same time.
func (k *convPacking) each(p *lower.Phase, f func(tap, group, channel, row int, weights []float32)) {
	c := k.conv
	rows := c.Out.C / c.Groups
	blocks := ceil(rows, packedRows)
	var next atomic.Int64
	var done sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), blocks*c.Groups) {
		done.Add(1)
		go func() {
			defer done.Done()
			for part := int(next.Add(1)) - 1; part < blocks*c.Groups; part = int(next.Add(1)) - 1 {
				group, first := part/blocks, part%blocks*packedRows
				weights := make([]float32, min(packedRows, rows-first))
				for t := range p.Taps {
					for channel := range c.In.C / c.Groups {
						c.Weights(weights, &p.Taps[t], group*rows+first, channel)
						f(t, group, channel, first, weights)
					}
				}
			}
		}()
	}
	done.Wait()
}

// convMMA is a convolution on the tensor cores: launches of up to 16 phases.
type convMMA struct {
	d        *network
	name     string
	tiles    []convTile
	launches []convLaunch
	image    int // elements of an image of the output, where that is a value
	pitch    int // of the output's pixels
}

type convLaunch struct {
	shape  convShape // pixels: of an image
	params C.brenier_cuda_conv
}

// newConvMMA packs the weights as conv.h says.
func (d *network) newConvMMA(k *convPacking) (operation, error) {
	c := k.conv
	phases := c.Phases
	groupRows := ceil(k.outChannels(), C.BRENIER_CUDA_CONV_GROUP) * C.BRENIER_CUDA_CONV_GROUP
	s := &convMMA{d: d, image: k.out.elements(), pitch: k.out.elements() / c.Out.Pixels()}
	var err error
	if s.tiles, err = d.tiles(); err != nil {
		return nil, err
	}
	s.name = "conv_mma_" + d.element.String()

	// The weights of all phases.
	scales := k.rowScales(groupRows)
	const step = C.BRENIER_CUDA_CONV_STEP
	tapsFastest := k.inChannels()%step == 0
	steps, begins, size := make([]int, len(phases)), make([]int, len(phases)), 0
	for i := range phases {
		steps[i] = ceil(len(phases[i].Taps)*k.inChannels(), step)
		begins[i] = size
		size += c.Groups * steps[i] * groupRows * step
	}
	weights := make([]uint16, size)
	for i := range phases {
		k.each(&phases[i], func(tap, group, channel, row int, w []float32) {
			at := tap*k.inChannels() + k.channel(channel)
			if c := k.channel(channel); tapsFastest {
				at = (c/step*len(phases[i].Taps)+tap)*step + c%step
			}
			begin := begins[i] + (group*steps[i]+at/step)*groupRows*step + at%step
			for r, x := range w {
				to := k.row(row + r)
				weights[begin+packedRow(to)*step] = d.element.bits(x / scales[group*groupRows+to])
			}
		})
	}
	common, err := d.convParams(k, weights, scales, groupRows)
	if err != nil {
		return nil, err
	}
	if tapsFastest {
		common.taps_fastest = 1
	}
	for i := 0; i < len(phases); {
		l := convLaunch{params: common, shape: convShape{rows: groupRows, groups: c.Groups}}
		for taps := 0; i < len(phases) && l.shape.phases < C.BRENIER_CUDA_CONV_PHASES && taps+len(phases[i].Taps) <= C.BRENIER_CUDA_CONV_TAPS; i++ {
			p := &phases[i]
			k.addPhase(&l.params, p, begins[i], taps)
			l.params.phases[l.shape.phases].steps = C.int32_t(steps[i])
			taps += len(p.Taps)
			l.shape.phases++
			l.shape.pixels = max(l.shape.pixels, p.Rows*p.Cols)
			l.shape.steps = max(l.shape.steps, steps[i])
		}
		s.launches = append(s.launches, l)
	}
	return s, nil
}

// packedRow is where output channel c of a group lies among the packed rows: within 32, channel
// 8t + 2j + e is row 8j + 2t + e.
func packedRow(c int) int {
	t, j, e := c/8%4, c/2%4, c%2
	return c/32*32 + 8*j + 2*t + e
}

// convParams are what the launches of a convolution on the tensor cores have in common; packed weights
// and the rows' scales go to the device.
func (d *network) convParams(k *convPacking, weights []uint16, scales []float32, groupRows int) (p C.brenier_cuda_conv, err error) {
	c := k.conv
	weightsAt, err := uploadTo(d, weights)
	if err != nil {
		return p, err
	}
	scaleBias := make([]float32, 2*c.Groups*groupRows)
	for r := range c.Out.C {
		to := r/(c.Out.C/c.Groups)*groupRows + k.row(r%(c.Out.C/c.Groups))
		scaleBias[2*to], scaleBias[2*to+1] = scales[to], float32(c.Bias[r])
	}
	scaleBiasAt, err := uploadTo(d, scaleBias)
	if err != nil {
		return p, err
	}
	return C.brenier_cuda_conv{
		weights: C.uint64_t(weightsAt), scale_bias: C.uint64_t(scaleBiasAt),
		residual_image: C.int32_t(k.out.elements()), residual_pixel: C.int32_t(k.out.elements() / c.Out.Pixels()),
		in_height: C.int32_t(c.In.H), in_width: C.int32_t(c.In.W), in_pitch: C.int32_t(k.inPitch()), in_image: C.int32_t(k.in.elements()),
		groups: C.int32_t(c.Groups), in_octets: C.int32_t(k.inChannels() / octet), out_channels: C.int32_t(k.outChannels()),
		packed_rows: C.int32_t(groupRows), activation: k.activation,
	}, nil
}

// inPitch is the elements from one pixel of the input to the next.
func (k *convPacking) inPitch() int { return k.in.elements() / k.conv.In.Pixels() }

// addPhase adds a phase and its taps to a launch.
func (k *convPacking) addPhase(to *C.brenier_cuda_conv, p *lower.Phase, weights, firstTap int) {
	for t, tap := range p.Taps {
		to.taps[firstTap+t] = C.brenier_cuda_conv_tap{
			offset: C.int32_t((tap.DY*k.conv.In.W + tap.DX) * k.inPitch()), dy: C.int16_t(tap.DY), dx: C.int16_t(tap.DX),
		}
	}
	to.phases[to.phase_count] = k.packPhase(p, weights, firstTap)
	to.phase_count++
}

// packPhase is a phase as the kernels take it.
func (k *convPacking) packPhase(p *lower.Phase, weights, firstTap int) C.brenier_cuda_conv_phase {
	width := k.conv.Out.W
	return C.brenier_cuda_conv_phase{
		weights: C.int64_t(weights), rows: C.int32_t(p.Rows), cols: C.int32_t(p.Cols),
		by_image: divisorOf(p.Rows * p.Cols), by_row: divisorOf(p.Cols),
		out_pixel: C.int32_t(p.OutY*width + p.OutX), out_step_y: C.int32_t(p.OutStepY * width), out_step_x: C.int32_t(p.OutStepX),
		in_step_y: C.int32_t(p.InStepY), in_step_x: C.int32_t(p.InStepX),
		first_tap: C.int32_t(firstTap), taps: C.int32_t(len(p.Taps)),
	}
}

// divisorOf is how kernels divide by a number from 1 on; of pixels that there are none of nothing is asked.
func divisorOf(number int) C.brenier_cuda_divisor {
	shift := bits.Len(uint(max(number, 1) - 1))
	if shift == 0 {
		return C.brenier_cuda_divisor{}
	}
	return C.brenier_cuda_divisor{factor: C.uint32_t((1<<(31+shift))/number + 1), shift: C.int32_t(shift)}
}

// rowScales are the powers of two that bring each row's largest weight to within 1..2, so that 16 bits
// serve any weights; the kernels scale back. By group, each of `groupRows` packed rows, and output channel.
func (k *convPacking) rowScales(groupRows int) []float32 {
	scales := make([]float32, k.conv.Groups*groupRows)
	for i := range k.conv.Phases {
		k.each(&k.conv.Phases[i], func(_, group, _, row int, weights []float32) {
			for r, w := range weights {
				most := &scales[group*groupRows+k.row(row+r)]
				*most = max(*most, float32(math.Abs(float64(w))))
			}
		})
	}
	for r, most := range scales {
		scales[r] = 1
		if most > 0 && !math.IsInf(float64(most), 0) {
			_, exponent := math.Frexp(float64(most))
			scales[r] = float32(math.Ldexp(1, max(exponent-1, -126)))
		}
	}
	return scales
}

func (s *convMMA) kernel() string { return s.name }

func (s *convMMA) launch(q *driver.Stream, w *stepWork) error {
	for i := range s.launches {
		l := &s.launches[i]
		shape := l.shape
		shape.pixels *= w.n
		if err := s.launchTile(q, w, l, shape.fastest(s.tiles, s.d.v.info)); err != nil {
			return err
		}
	}
	return nil
}

// launchTile is a launch by tiles of a given shape.
func (s *convMMA) launchTile(q *driver.Stream, w *stepWork, l *convLaunch, t *convTile) error {
	p := l.params
	p.in, p.residual, p.n = C.uint64_t(w.in[0]), C.uint64_t(w.in[1]), C.int32_t(w.n)
	p.out = valueOut(w.out, s.image, s.pitch)
	if w.image != nil {
		p.out = w.image.chunk()
	}
	shape := l.shape
	shape.pixels *= w.n
	return q.LaunchDependent(t.f, driver.Dim{X: shape.blocks(t)}, driver.Dim{X: t.threads}, t.bytes(shape.chunks()), unsafe.Pointer(&p))
}
