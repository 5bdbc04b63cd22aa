//go:build cuda

package cuda

import (
	"fmt"
	"slices"

	"brenier/engine/internal/backend"
	processor "brenier/engine/internal/cpu"
	"brenier/engine/internal/cuda/driver"
	"brenier/kernels/cpu"
)

// checks asks for draws whose bits are known. The one question asks all kernels of the stage, of which
// the screen alone has a plainer one.
func (s *rotatedStage) checks() []check {
	c := check{kernel: s.rung.String(), run: func(q *driver.Stream) error { return askRotated(s.v, q, s.rung) }}
	if s.rung != rotatedPlain {
		c.plainer = func() error {
			plainer, err := newRotatedStage(s.v, s.t, s.size, rotatedPlain)
			if err == nil {
				*s = *plainer
			}
			return err
		}
	}
	return []check{c}
}

func (r rotatedRung) String() string {
	return [...]string{"rotated_screen", "rotated_screen_wide", "rotated_plain"}[r]
}

// askRotated asks for 40 draws, from within a set on, and the 3 best of 300 cells of each.
func askRotated(v *device, q *driver.Stream, rung rotatedRung) error {
	const N, d, from, n, k, seed, group = 300, 37, 5, 40, 3, 1, 2
	const size = 2 * cpu.RotatedSet
	points, heights := askedNormals(0, N, d), askedNormals(1, N, 1)

	pool := processor.NewPool(1)
	defer pool.Close()
	m, err := processor.NewMap(pool, cpu.Portable, points, heights, nil, N, d)
	if err != nil {
		return err
	}
	want := struct {
		cells  []int64
		scores []float64
		x      []float32
	}{make([]int64, n*k), make([]float64, n*k), make([]float32, n*d)}
	if err := m.NewRotated(size).Draw(n, seed, group*size+from, k, want.cells, want.scores, want.x); err != nil {
		return err
	}

	t, err := newTransport(v, points, heights, nil, N, d)
	if err != nil {
		return err
	}
	defer t.close()
	if _, err := t.rotatedGroup(backend.Gaussian); err != nil { // finds the largest norm
		return err
	}
	s, err := newRotatedStage(v, t, size, rung)
	if err != nil {
		return err
	}
	r, err := s.newDraws()
	if err != nil {
		return err
	}
	defer v.free(r.base)
	for _, step := range []func() error{
		func() error { return s.makeFrames(q, r.scratch, r.base, seed, group-1, 2) },
		func() error { return s.rotate(q, r.scratch, r.base, 1) },
		func() error { return s.locate(q, r.scratch, r.base, 1, from, n, k, 0) },
		func() error { return s.draw(q, r.scratch, r.base, 1, from, n) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	cells, err := downloadValues[int32](v, q, r.scratch.cells.at(r.base), n*k)
	if err != nil {
		return err
	}
	scores, err := downloadValues[float64](v, q, r.scratch.scores.at(r.base), n*k)
	if err != nil {
		return err
	}
	x, err := downloadValues[float32](v, q, r.scratch.x.at(r.base), n*d)
	if err != nil {
		return err
	}
	same := slices.EqualFunc(cells, want.cells, func(a int32, b int64) bool { return int64(a) == b })
	if !same || !slices.Equal(scores, want.scores) || !slices.Equal(x, want.x) {
		return fmt.Errorf("draws of dimension %d, or their cells, differ from the CPU's", d)
	}
	return nil
}
