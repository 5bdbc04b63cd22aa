package cpu

import (
	"brenier/engine/internal/lower"
	kernels "brenier/kernels/cpu"
)

// convStep is a convolution with its weights packed as kernels.Conv reads them.
type convStep struct {
	path       kernels.Path
	macs       int64 // per image
	phases     []convPhase
	bias       []float32 // [panel][width], the same for every phase
	activation kernels.Activation
	zeros      []float32 // [in channels], what a tap outside reads
}

// convPhase is one phase and its weights.
type convPhase struct {
	shape   kernels.ConvPhase
	taps    []kernels.ConvTap
	panels  []kernels.ConvPanel
	weights []float32
}

// packConv packs a convolution's weights, the panels shared out over the pool.
func packConv(pool *Pool, path kernels.Path, c *lower.Conv, a kernels.Activation) *convStep {
	s := &convStep{path: path, macs: c.MACs(), activation: a, zeros: alignedFloats(c.In.C)}
	few := preferFewOutputs(path, c)
	lanes := path.Lanes()
	layout := panelLayout(path, c)
	if few {
		layout = []kernels.ConvPanel{{InChannels: int32(c.In.C), OutChannels: int32(c.Out.C)}}
	}
	biases := int64(0)
	for i := range layout {
		layout[i].Bias = biases
		biases += int64(panelWidth(lanes, &layout[i]))
	}
	s.bias = alignedFloats(int(biases))
	for _, p := range layout {
		for r := range int(p.OutChannels) {
			s.bias[int(p.Bias)+r] = float32(c.Bias[int(p.FirstOut)+r])
		}
	}
	pack := &convPacking{conv: c, lanes: lanes, few: few}
	for i := range c.Phases {
		p := packPhase(c, &c.Phases[i], few)
		p.panels = append([]kernels.ConvPanel(nil), layout...)
		size := int64(0)
		for k := range p.panels {
			p.panels[k].Weights = size
			if few {
				size += int64(len(p.taps)) * int64(c.Out.C*roundUp(c.In.C, lanes))
			} else {
				size += int64(len(p.taps)) * int64(p.panels[k].InChannels) * int64(panelWidth(lanes, &p.panels[k]))
			}
		}
		p.weights = alignedFloats(int(size))
		s.phases = append(s.phases, p)
	}
	pack.step = s
	pool.Run(len(s.phases)*len(layout), pack)
	return s
}

func packPhase(c *lower.Conv, p *lower.Phase, few bool) convPhase {
	packed := convPhase{shape: kernels.ConvPhase{
		InHeight: int32(c.In.H), InWidth: int32(c.In.W), InChannels: int32(c.In.C),
		OutHeight: int32(c.Out.H), OutWidth: int32(c.Out.W), OutChannels: int32(c.Out.C),
		Rows: int32(p.Rows), Cols: int32(p.Cols),
		OutY: int32(p.OutY), OutX: int32(p.OutX), OutStepY: int32(p.OutStepY), OutStepX: int32(p.OutStepX),
		InStepY: int32(p.InStepY), InStepX: int32(p.InStepX),
		Taps: int32(len(p.Taps)),
	}}
	if few {
		packed.shape.FewOutputs = 1
	}
	for _, t := range p.Taps {
		packed.taps = append(packed.taps, kernels.ConvTap{DY: int32(t.DY), DX: int32(t.DX)})
	}
	return packed
}

// preferFewOutputs tells whether input channels fill the lanes better than output channels do.
func preferFewOutputs(path kernels.Path, c *lower.Conv) bool {
	if c.Groups > 1 || c.Out.C > kernels.MaxFewOutputs {
		return false
	}
	lanes := path.Lanes()
	return c.In.C*roundUp(c.Out.C, lanes) > c.Out.C*roundUp(c.In.C, lanes)
}

// panelLayout cuts the output channels into panels. A panel lies within a group, or holds whole
// groups where these are smaller than a vector; its weights between different groups are zero.
func panelLayout(path kernels.Path, c *lower.Conv) []kernels.ConvPanel {
	outs, ins := c.Out.C/c.Groups, c.In.C/c.Groups // of a group
	width, most := kernels.PanelWidths(path)
	together := 1
	if outs < path.Lanes() {
		together = min(path.Lanes()/outs, c.Groups)
		width, most = outs*together, outs*together
	}
	var panels []kernels.ConvPanel
	for group := 0; group < c.Groups; group += together {
		groups := min(together, c.Groups-group)
		for first := 0; first < outs*groups; {
			here := min(width, outs*groups-first)
			if left := outs*groups - first; left <= most {
				here = left
			}
			panels = append(panels, kernels.ConvPanel{
				FirstIn: int32(group * ins), InChannels: int32(groups * ins),
				FirstOut: int32(group*outs + first), OutChannels: int32(here),
			})
			first += here
		}
	}
	return panels
}

// panelWidth is the output channels of a panel with its padding: whole vectors.
func panelWidth(lanes int, p *kernels.ConvPanel) int { return roundUp(int(p.OutChannels), lanes) }

// convPacking is the packing of a step, one panel of one phase a part.
type convPacking struct {
	step  *convStep
	conv  *lower.Conv
	lanes int
	few   bool
}

// Do packs a panel as [tap][in channel][out channel], or for few outputs [tap][out channel][in
// channel].
func (k *convPacking) Do(part int) {
	phase := part / len(k.step.phases[0].panels)
	p := &k.step.phases[phase]
	panel := &p.panels[part%len(p.panels)]
	taps := k.conv.Phases[phase].Taps
	dst := p.weights[panel.Weights:]
	if k.few {
		row := make([]float32, panel.OutChannels)
		padded := roundUp(k.conv.In.C, k.lanes)
		for t := range taps {
			for c := range k.conv.In.C {
				k.conv.Weights(row, &taps[t], 0, c)
				for r, w := range row {
					dst[(t*len(row)+r)*padded+c] = w
				}
			}
		}
		return
	}
	width := panelWidth(k.lanes, panel)
	outs, ins := k.conv.Out.C/k.conv.Groups, k.conv.In.C/k.conv.Groups
	for t := range taps {
		for c := range int(panel.InChannels) {
			group := (int(panel.FirstIn) + c) / ins
			first := max(group*outs, int(panel.FirstOut))
			end := min((group+1)*outs, int(panel.FirstOut+panel.OutChannels))
			k.conv.Weights(dst[first-int(panel.FirstOut):end-int(panel.FirstOut)], &taps[t], first, c%ins)
			dst = dst[width:]
		}
	}
}

// How a step is cut: every phase, blocks of its pixels, groups of panels.
//
// A block's input should stay in a core's own cache (1 MB on Zen 5) beside a panel's weights while
// the panels pass over it; and there should be a few parts a thread, so that they end together.
const (
	blockBytes     = 512 << 10
	partsPerThread = 4
	leastWork      = 100_000 // multiply-adds of a part; some 3 us, well above what sharing costs
)

// convCut is how one call is cut into phases x blocks x groups.
type convCut struct{ blocks, groups int }

func (s *convStep) cut(n, threads int) convCut {
	p := &s.phases[0].shape
	pixels := n * int(p.Rows) * int(p.Cols)
	perPixel := 4 * int(p.InChannels) * int(min(p.InStepY, p.InHeight)) * int(min(p.InStepX, p.InWidth))
	block := max(blockBytes/perPixel, 48)
	c := convCut{blocks: (pixels + block - 1) / block, groups: 1}
	if threads == 1 {
		return c
	}
	want := threads * partsPerThread
	if work := float64(n) * float64(s.macs) / leastWork; work < float64(want) {
		want = max(int(work), 1)
	}
	if have := c.blocks * len(s.phases); have < want {
		c.groups = min((want+have-1)/have, len(s.phases[0].panels))
		if have *= c.groups; have < want {
			more := (want + have - 1) / have
			c.blocks = min(c.blocks*more, (pixels+47)/48)
		}
	}
	return c
}

func (s *convStep) parts(n, threads int) int {
	c := s.cut(n, threads)
	return len(s.phases) * c.blocks * c.groups
}

func (s *convStep) run(w *stepWork, part int) {
	c := s.cut(w.n, w.threads)
	p := &s.phases[part%len(s.phases)] // the phases of a block one after another: they share its input
	part /= len(s.phases)
	group, block := part%c.groups, part/c.groups
	pixels := w.n * int(p.shape.Rows) * int(p.shape.Cols)
	first, end := share(pixels, block, c.blocks)
	firstPanel, endPanel := share(len(p.panels), group, c.groups)
	if first == end || firstPanel == endPanel {
		return
	}
	var residual []float32
	if len(w.in) > 1 {
		residual = w.in[1]
	}
	kernels.Conv(s.path, &p.shape, p.taps, p.panels[firstPanel:endPanel], &s.activation, p.weights, s.bias,
		s.zeros, w.in[0], w.out, residual, first, end-first)
}

// share is part number part of parts nearly equal ones of 0..n-1.
func share(n, part, parts int) (first, end int) { return n * part / parts, n * (part + 1) / parts }

func roundUp(n, multiple int) int { return (n + multiple - 1) / multiple * multiple }
