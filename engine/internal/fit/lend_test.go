package fit

import (
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"brenier/engine/internal/sgd"
)

// A device that takes the steps itself leaves the heights that the host's steps leave.
func TestDescender(t *testing.T) {
	zipf := make([]float64, 40)
	sum := 0.0
	for i := range zipf {
		zipf[i] = 1 / float64(i+1)
		sum += zipf[i]
	}
	for i := range zipf {
		zipf[i] /= sum
	}
	twice := randomPoints(40, 3)
	copy(twice[30*3:], twice[:3*3])
	for name, c := range map[string]struct {
		p     Problem
		there bool // the device takes the steps
		here  bool // the host does
	}{
		"even":         {Problem{Points: randomPoints(40, 3), Dim: 3}, true, false},
		"steep":        {mixture(60, 2), true, false},
		"two_points":   {Problem{Points: []float32{-1, 2}, Dim: 1}, true, false},
		"one_point":    {Problem{Points: []float32{3}, Dim: 1}, false, false},
		"zipf_masses":  {Problem{Points: randomPoints(40, 3), Dim: 3, Masses: zipf}, false, true},
		"duplicates":   {Problem{Points: twice, Dim: 3}, false, true},
		"given_masses": {Problem{Points: randomPoints(4, 3), Dim: 3, Masses: []float64{0.25, 0.25, 0.25, 0.25}}, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			o := Options{Tolerance: 1e-2, SamplesMax: 200_000, Now: ticking()}
			want := solve(t, c.p, o)
			device := newDescending(c.p)
			o.Now = ticking()
			got, err := Solve(c.p, device, o)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got.Heights, want.Heights) || !reflect.DeepEqual(got.Trials, want.Trials) {
				t.Error("other heights or trials than of steps on the host")
			}
			if (device.steps > 0) != c.there || device.started != device.fetched || (device.taken > 0) != c.here {
				t.Errorf("%d steps there, begun %d times, fetched %d, counts taken %d times",
					device.steps, device.started, device.fetched, device.taken)
			}
		})
	}
}

// Where cells have more hits than there are known steps, the host goes on.
func TestDescender_shares_beyond_known_steps(t *testing.T) {
	p := Problem{Points: randomPoints(20, 3), Dim: 3}
	stretch := func(device Device) *run {
		r := newRun(p, device, Options{Tolerance: 1e-3})
		r.steepness = 1
		r.descent = newDescent(r.target, r.target.start(), sgd.Known*20-8*leastBatch, r.sampler.batch)
		r.until = 40 * leastBatch
		if err := r.descend(); err != nil {
			t.Fatal(err)
		}
		return r
	}
	device := newDescending(p)
	got, want := stretch(device), stretch(newNaive(p, 2))
	if !reflect.DeepEqual(got.descent.State, want.descent.State) {
		t.Error("other states than of steps on the host")
	}
	if device.steps == 0 || device.taken == 0 {
		t.Errorf("%d steps on the device, %d on the host; want some of each", device.steps, device.taken)
	}
}

// A checkpoint has the state that the device has by then, and a fit that takes it up ends with the same
// heights on any device.
func TestDescender_checkpoint(t *testing.T) {
	p := Problem{Points: randomPoints(60, 8), Dim: 8}
	o := Options{Tolerance: 1e-9, SamplesMax: 80_000, Now: ticking(), Every: 2 * time.Second}
	want := solve(t, p, o)
	var states [][]byte
	o.Checkpoint = func(state []byte) error { states = append(states, slices.Clone(state)); return nil }
	o.Progress = func(p Progress) bool { return p.Samples < 50_000 }
	o.Now = ticking()
	device := newDescending(p)
	if _, err := Solve(p, device, o); !errors.As(err, new(Stopped)) {
		t.Fatalf("error %v, want Stopped", err)
	}
	if len(states) < 2 || device.steps <= len(states) {
		t.Fatalf("%d checkpoints in %d steps", len(states), device.steps)
	}
	if device.started != device.fetched+1 {
		t.Errorf("a descent was begun %d times and fetched %d times; want it stopped in between", device.started, device.fetched)
	}
	for _, device := range []Device{newNaive(p, 1), newDescending(p)} {
		for _, state := range [][]byte{states[0], states[len(states)-1]} {
			got, err := Solve(p, device, Options{Tolerance: 1e-9, SamplesMax: 80_000, Now: ticking(), Resume: state})
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got.Heights, want.Heights) {
				t.Error("taken up, the heights are others")
			}
		}
	}
}
