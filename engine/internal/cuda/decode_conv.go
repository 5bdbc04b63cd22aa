//go:build cuda

package cuda

// #include "conv.h"
import "C"

import (
	"math"
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
	return d.newConvMMA(k)
}

// suitsMMA tells whether the channels of a group are whole octets and the taps fit a launch.
func (k *convPacking) suitsMMA() bool {
	c := k.conv
	if c.Groups > 1 && (c.In.C/c.Groups%octet != 0 || c.Out.C/c.Groups%octet != 0) {
		return false
	}
	for _, p := range k.phases() {
		if len(p.taps) > C.BRENIER_CUDA_CONV_TAPS {
			return false
		}
		for _, t := range p.taps {
			if max(t.dy, -t.dy, t.dx, -t.dx) > math.MaxInt16 {
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

// packedPhase is a phase with its taps, or several phases that are made together as rows of one:
// taps that any of them reads, each with the tap and the first row of those that do.
type packedPhase struct {
	lower.Phase
	taps []packedTap
}

type packedTap struct {
	dy, dx  int
	sources []tapSource
}

type tapSource struct {
	tap *lower.Tap
	row int
}

// merges tells whether all phases are made together: they have few rows and the same pixels, so
// that one pass over the input serves them all.
func (k *convPacking) merges() bool {
	c := k.conv
	if !k.image || c.Groups > 1 || len(c.Phases) < 2 || len(c.Phases)*c.Out.C > C.BRENIER_CUDA_CONV_FEW {
		return false
	}
	for _, p := range c.Phases {
		if first := c.Phases[0]; p.Rows != first.Rows || p.Cols != first.Cols || p.InStepY != first.InStepY || p.InStepX != first.InStepX ||
			p.OutStepY != first.OutStepY || p.OutStepX != first.OutStepX {
			return false
		}
	}
	return true
}

// phases are the convolution's phases, or the one that they make together.
func (k *convPacking) phases() []packedPhase {
	c := k.conv
	var list []packedPhase
	for i := range c.Phases {
		p := packedPhase{Phase: c.Phases[i]}
		row := 0
		if k.merges() {
			if row = i * c.Out.C; i > 0 {
				p = list[0]
				list = list[:0]
			} else {
				p.OutY, p.OutX = 0, 0
			}
		}
		for t := range c.Phases[i].Taps {
			p.add(&c.Phases[i].Taps[t], row)
		}
		list = append(list, p)
	}
	return list
}

func (p *packedPhase) add(t *lower.Tap, row int) {
	for i := range p.taps {
		if p.taps[i].dy == t.DY && p.taps[i].dx == t.DX {
			p.taps[i].sources = append(p.taps[i].sources, tapSource{t, row})
			return
		}
	}
	p.taps = append(p.taps, packedTap{t.DY, t.DX, []tapSource{{t, row}}})
}

// packedRows is how many rows are packed together: channel after channel, so that the tensor is read
// and the packed weights are written by whole cache lines.
const packedRows = 64

// each calls f with the weights of every tap and channel, for some rows of a group at a time: those
// from `row` on. Calls for other rows run at the same time.
func (k *convPacking) each(p *packedPhase, f func(tap, group, channel, row int, weights []float32)) {
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
				for t := range p.taps {
					for _, s := range p.taps[t].sources {
						for channel := range c.In.C / c.Groups {
							c.Weights(weights, s.tap, group*rows+first, channel)
							f(t, group, channel, s.row+first, weights)
						}
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

// newConvMMA packs the weights as conv.h says. A row is scaled by a power of two to within 1..2, so
// that 16 bits serve any weights; the kernel scales back.
func (d *network) newConvMMA(k *convPacking) (operation, error) {
	c := k.conv
	phases := k.phases()
	rows := k.outChannels()
	if k.merges() {
		rows *= len(c.Phases)
	}
	few := rows <= C.BRENIER_CUDA_CONV_FEW
	groupRows := C.BRENIER_CUDA_CONV_FEW
	if !few {
		groupRows = ceil(rows, C.BRENIER_CUDA_CONV_GROUP) * C.BRENIER_CUDA_CONV_GROUP
	}
	s := &convMMA{d: d, image: k.out.elements(), pitch: k.out.elements() / c.Out.Pixels()}
	var err error
	if s.tiles, err = d.tiles(few); err != nil {
		return nil, err
	}
	s.name = "conv_mma_" + d.element.String()
	if few {
		s.name += "_few"
	}

	// The weights of all phases.
	scales := k.rowScales(phases, groupRows)
	const step = C.BRENIER_CUDA_CONV_STEP
	tapsFastest := k.inChannels()%step == 0
	steps, begins, size := make([]int, len(phases)), make([]int, len(phases)), 0
	for i := range phases {
		steps[i] = ceil(len(phases[i].taps)*k.inChannels(), step)
		begins[i] = size
		size += c.Groups * steps[i] * groupRows * step
	}
	weights := make([]uint16, size)
	for i := range phases {
		k.each(&phases[i], func(tap, group, channel, row int, w []float32) {
			at := tap*k.inChannels() + k.channel(channel)
			if c := k.channel(channel); tapsFastest {
				at = (c/step*len(phases[i].taps)+tap)*step + c%step
			}
			begin := begins[i] + (group*steps[i]+at/step)*groupRows*step + at%step
			for r, x := range w {
				to := k.row(row + r)
				place := to
				if !few {
					place = packedRow(to)
				}
				weights[begin+place*step] = d.element.bits(x / scales[group*groupRows+to])
			}
		})
	}
	weightsAt, err := uploadTo(d, weights)
	if err != nil {
		return nil, err
	}
	scaleBias := make([]float32, 2*c.Groups*groupRows)
	for r := range c.Out.C {
		group := r / (c.Out.C / c.Groups)
		for phase := range len(c.Phases) {
			to := group*groupRows + k.row(r%(c.Out.C/c.Groups))
			if k.merges() {
				to += phase * c.Out.C
			}
			scaleBias[2*to], scaleBias[2*to+1] = scales[to], float32(c.Bias[r])
		}
	}
	scaleBiasAt, err := uploadTo(d, scaleBias)
	if err != nil {
		return nil, err
	}

	pitch := k.in.elements() / c.In.Pixels()
	common := C.brenier_cuda_conv{
		weights: C.uint64_t(weightsAt), scale_bias: C.uint64_t(scaleBiasAt),
		residual_image: C.int32_t(s.image), residual_pixel: C.int32_t(s.pitch),
		in_height: C.int32_t(c.In.H), in_width: C.int32_t(c.In.W), in_pitch: C.int32_t(pitch), in_image: C.int32_t(k.in.elements()),
		groups: C.int32_t(c.Groups), in_octets: C.int32_t(k.inChannels() / octet), out_channels: C.int32_t(k.outChannels()),
		packed_rows: C.int32_t(groupRows), activation: k.activation,
	}
	if tapsFastest {
		common.taps_fastest = 1
	}
	for r := range C.BRENIER_CUDA_CONV_FEW {
		common.row_channel[r] = -1
		if few && r < rows {
			common.row_channel[r] = C.int32_t(r % k.outChannels())
			if k.merges() {
				p := &c.Phases[r/c.Out.C]
				common.row_pixel[r] = C.int32_t(p.OutY*c.Out.W + p.OutX)
			}
		}
	}
	for i := 0; i < len(phases); {
		l := convLaunch{params: common, shape: convShape{rows: groupRows, groups: c.Groups}}
		for taps := 0; i < len(phases) && l.shape.phases < C.BRENIER_CUDA_CONV_PHASES && taps+len(phases[i].taps) <= C.BRENIER_CUDA_CONV_TAPS; i++ {
			p := &phases[i]
			for t, tap := range p.taps {
				l.params.taps[taps+t] = C.brenier_cuda_conv_tap{
					offset: C.int32_t((tap.dy*c.In.W + tap.dx) * pitch), dy: C.int16_t(tap.dy), dx: C.int16_t(tap.dx),
				}
			}
			packed := k.packPhase(p, begins[i], taps)
			packed.steps = C.int32_t(steps[i])
			l.params.phases[l.shape.phases] = packed
			taps += len(p.taps)
			l.shape.phases++
			l.shape.pixels = max(l.shape.pixels, p.Rows*p.Cols)
			l.shape.steps = max(l.shape.steps, steps[i])
		}
		l.params.phase_count = C.int32_t(l.shape.phases)
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

// packPhase is a phase as the kernels take it.
func (k *convPacking) packPhase(p *packedPhase, weights, firstTap int) C.brenier_cuda_conv_phase {
	width := k.conv.Out.W
	return C.brenier_cuda_conv_phase{
		weights: C.int64_t(weights), rows: C.int32_t(p.Rows), cols: C.int32_t(p.Cols),
		out_pixel: C.int32_t(p.OutY*width + p.OutX), out_step_y: C.int32_t(p.OutStepY * width), out_step_x: C.int32_t(p.OutStepX),
		in_step_y: C.int32_t(p.InStepY), in_step_x: C.int32_t(p.InStepX),
		first_tap: C.int32_t(firstTap), taps: C.int32_t(len(p.taps)),
	}
}

// rowScales are the powers of two that bring each row's largest weight to within 1..2, by group, each
// of `groupRows` packed rows, and output channel.
func (k *convPacking) rowScales(phases []packedPhase, groupRows int) []float32 {
	scales := make([]float32, k.conv.Groups*groupRows)
	for i := range phases {
		k.each(&phases[i], func(_, group, _, row int, weights []float32) {
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
