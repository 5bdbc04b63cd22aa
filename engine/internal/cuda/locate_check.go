//go:build cuda

package cuda

import (
	"fmt"
	"math"
	"slices"
	"unsafe"

	"brenier/engine/internal/cuda/driver"
	"brenier/kernels/cpu"
)

// checks asks each rung in use to locate samples whose cells are known.
func (s *locateStage) checks() []check {
	d := 40 // one slice of 64 dimensions or more: the kernels have a way for each
	variant := ", d <= 64"
	if s.t.d > 64 {
		d, variant = 70, ", d > 64"
	}
	ask := func(allow rungs, samples ...int) func(q *driver.Stream) error {
		return func(q *driver.Stream) error { return askLocate(s.v, q, allow, samples, d) }
	}
	list := []check{{kernel: "locate_plain", run: ask(rungs{}, 20)}}
	if s.few != nil {
		list = append(list, check{
			kernel:  "locate_few" + variant,
			run:     ask(rungs{few: true}, 3, 12),
			plainer: s.without(rungs{few: true}),
		})
	}
	if s.tiles != nil {
		allow := rungs{mma: true}
		if s.tiles.name == "locate_wgmma" {
			allow = rungs{wgmma: true}
		}
		list = append(list, check{kernel: s.tiles.name + variant, run: ask(allow, 130), plainer: s.without(allow)})
	}
	return list
}

// without forbids rungs and chooses again.
func (s *locateStage) without(r rungs) func() error {
	return func() error {
		s.allow.few = s.allow.few && !r.few
		s.allow.wgmma = s.allow.wgmma && !r.wgmma
		s.allow.mma = s.allow.mma && !r.mma
		return s.choose()
	}
}

// askLocate asks one rung for the best cell and for the five best of 150 of batches of samples in R^d.
// The samples are near points of the map, so that a wrong product is a wrong cell, and some cells are
// twice in it.
func askLocate(v *device, q *driver.Stream, allow rungs, batches []int, d int) error {
	const N, most, seed, stream = 150, 5, 1, 3
	points := make([]float32, N*d)
	cpu.Noise(cpu.Portable, cpu.Gaussian, points, d, seed, 0, stream)
	copy(points[100*d:], points[:30*d])
	heights := make([]float32, N)
	for i := range heights {
		heights[i] = float32(i%50) / 8
	}
	n := slices.Max(batches)
	x := make([]float32, n*d)
	var wantCells []int32
	var wantScores []float64
	for row := range n {
		sample := x[row*d : (row+1)*d]
		for i := range sample {
			sample[i] = points[row*37%N*d+i] * float32(1+row%3)
		}
		c, s := bestCells(sample, points, heights, most)
		wantCells, wantScores = append(wantCells, c...), append(wantScores, s...)
	}

	t, err := newTransport(v, points, heights, nil, N, d)
	if err != nil {
		return err
	}
	defer t.close()
	s, err := newLocateOf(v, t, allow)
	if err != nil {
		return err
	}
	defer s.close()
	var p plan
	scratch := s.newScratch(&p, n, most)
	xs, cells, scores := p.reserve(4*n*d), p.reserve(4*n*most), p.reserve(8*n*most)
	base, err := v.alloc(p.bytes)
	if err != nil {
		return err
	}
	defer v.free(base)
	if err := v.ctx.ToDevice(xs.at(base), unsafe.Pointer(&x[0]), xs.bytes); err != nil {
		return err
	}
	for _, n := range batches {
		for _, k := range []int{1, most} {
			if err := s.launch(q, scratch, base, xs.at(base), n, k, cells.at(base), scores.at(base)); err != nil {
				return err
			}
			gotCells, err := downloadValues[int32](v, q, cells.at(base), n*k)
			if err != nil {
				return err
			}
			gotScores, err := downloadValues[float64](v, q, scores.at(base), n*k)
			if err != nil {
				return err
			}
			for i := range gotCells {
				if want := i/k*most + i%k; gotCells[i] != wantCells[want] || gotScores[i] != wantScores[want] {
					return fmt.Errorf("the %d best cells of a sample in dimension %d are not the right ones", k, d)
				}
			}
		}
	}
	return nil
}

// bestCells are the k best cells of a sample by their exact scores, as the stage's contract says.
func bestCells(x, points, heights []float32, k int) (cells []int32, scores []float64) {
	d := len(x)
	for i, h := range heights {
		score := float64(h)
		for j, v := range x {
			score = math.FMA(float64(v), float64(points[i*d+j]), score)
		}
		at := len(scores)
		for at > 0 && scores[at-1] < score {
			at--
		}
		if at < k {
			cells, scores = slices.Insert(cells, at, int32(i)), slices.Insert(scores, at, score)
			cells, scores = cells[:min(k, len(cells))], scores[:min(k, len(scores))]
		}
	}
	return cells, scores
}
