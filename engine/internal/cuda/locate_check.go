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
		return func(q *driver.Stream) error {
			for _, n := range samples {
				for _, k := range []int{1, 5} {
					if err := askLocate(s.v, q, allow, n, d, k); err != nil {
						return err
					}
				}
			}
			return nil
		}
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

// askLocate asks one rung for the k best of 300 cells of n samples in R^d. The samples are near
// points of the map, so that a wrong product is a wrong cell, and some cells are twice in it.
func askLocate(v *device, q *driver.Stream, allow rungs, n, d, k int) error {
	const N, seed, stream = 300, 1, 3
	points := make([]float32, N*d)
	cpu.Noise(cpu.Portable, cpu.Gaussian, points, d, seed, 0, stream)
	copy(points[200*d:], points[:50*d])
	heights := make([]float32, N)
	for i := range heights {
		heights[i] = float32(i%50) / 8
	}
	x := make([]float32, n*d)
	for i := range x {
		x[i] = points[(i/d*37%N)*d+i%d] * float32(1+i/d%3)
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
	scratch := s.newScratch(&p, n, k)
	xs, cells, scores := p.reserve(4*n*d), p.reserve(4*n*k), p.reserve(8*n*k)
	base, err := v.alloc(p.bytes)
	if err != nil {
		return err
	}
	defer v.free(base)
	if err := v.ctx.ToDevice(xs.at(base), unsafe.Pointer(&x[0]), xs.bytes); err != nil {
		return err
	}
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
	for row := range n {
		wantCells, wantScores := bestCells(x[row*d:(row+1)*d], points, heights, k)
		if !slices.Equal(gotCells[row*k:(row+1)*k], wantCells) || !slices.Equal(gotScores[row*k:(row+1)*k], wantScores) {
			return fmt.Errorf("the %d best cells of a sample in dimension %d are not the right ones", k, d)
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
