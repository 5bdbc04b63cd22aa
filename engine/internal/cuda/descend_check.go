//go:build cuda

package cuda

import (
	"errors"
	"reflect"
	"slices"
	"unsafe"

	"brenier/engine/internal/cuda/driver"
	"brenier/engine/internal/sgd"
)

// checks takes steps whose outcome is known.
func (s *descendStage) checks() []check {
	return []check{{kernel: s.function.Name, run: s.ask}}
}

// ask takes three steps of 300 cells: some have had their share of hits, and of the others some are bounded.
func (s *descendStage) ask(q *driver.Stream) error {
	const N, d, steps = 300, 3, 3
	state := askedDescent(N)
	t, err := newTransport(s.v, askedNormals(0, N, d), askedNormals(1, N, 1), nil, N, d)
	if err != nil {
		return err
	}
	defer t.close()
	counts := make([]int32, N)
	at, err := s.v.upload(unsafe.Pointer(&counts[0]), 4*N)
	if err != nil {
		return err
	}
	defer s.v.free(at)
	there, err := s.newDescent(t, nil, at)
	if err != nil {
		return err
	}
	defer there.close()
	if err := there.start(q, state); err != nil {
		return err
	}
	heights := make([]float32, N)
	for i := range steps {
		step := askedStep(N, i)
		for cell := range counts {
			counts[cell] = int32((cell + i) * (cell + i) % 17)
		}
		if err := s.v.ctx.ToDevice(at, unsafe.Pointer(&counts[0]), 4*N); err != nil {
			return err
		}
		if err := there.launch(q, step); err != nil {
			return err
		}
		if err := q.Synchronize(); err != nil {
			return err
		}
		state.Take(step, counts)
		for cell, h := range state.H {
			heights[cell] = float32(h - step.Centre)
		}
	}
	back := askedDescent(N)
	if _, err := there.fetch(q, back); err != nil {
		return err
	}
	if !reflect.DeepEqual(back, state) {
		return errors.New("steps of the descent differ from the processor's")
	}
	got, err := downloadValues[float32](s.v, q, t.heights, N)
	if err != nil {
		return err
	}
	highest, err := downloadValues[float64](s.v, q, t.highest, 1)
	if err == nil && (!slices.Equal(got, heights) || highest[0] != float64(slices.Max(heights))) {
		err = errors.New("the heights after a step of the descent differ from the processor's")
	}
	return err
}

// askedDescent is a descent in progress.
func askedDescent(n int) *sgd.State {
	normals := askedNormals(2, n, 4)
	column := func(k int) []float64 {
		values := make([]float64, n)
		for i := range values {
			values[i] = float64(normals[4*i+k])
		}
		return values
	}
	s := &sgd.State{Rates: column(0), Hits: make([]int64, n), H: column(1), Averages: [sgd.Averages][]float64{column(2), column(3)}}
	for i := range s.Hits {
		s.Rates[i] *= s.Rates[i] / 3
		s.Hits[i] = int64(i % 100)
	}
	return s
}

// askedStep is a step after that of even masses; later ones are of other steepness.
func askedStep(n, i int) sgd.Step {
	return sgd.Step{
		Pace:    sgd.PaceOf(float64((60+8*i)*n)+0.5, float64(8*n), 1/float64(n), 1+float64(i)/3),
		Weights: [sgd.Averages]float64{0.3 / float64(i+1), 0.01},
		Centre:  0.1,
	}
}
