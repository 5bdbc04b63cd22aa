package fit

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"brenier/engine/internal/fault"
)

// ticking is a clock that every look at moves on, so that checkpoints and progress come often.
func ticking() func() time.Time {
	now := time.Unix(0, 0)
	return func() time.Time { now = now.Add(50 * time.Millisecond); return now }
}

func TestResume(t *testing.T) {
	for name, p := range map[string]Problem{
		"first_order":  {Points: randomPoints(60, 8), Dim: 8},
		"second_order": mixture(60, 2),
	} {
		t.Run(name, func(t *testing.T) {
			o := Options{Tolerance: 1e-9, SamplesMax: 150_000, Now: ticking(), Every: time.Millisecond}
			whole := solve(t, p, o)
			var states [][]byte
			o.Checkpoint = func(state []byte) error {
				states = append(states, slices.Clone(state))
				return nil
			}
			calls := 0
			o.Progress = func(p Progress) bool { calls++; return p.Samples < 90_000 }
			o.Now = ticking()
			if _, err := Solve(p, newNaive(p, 2), o); !errors.As(err, new(Stopped)) {
				t.Fatalf("error %v, want Stopped", err)
			}
			if len(states) < 4 {
				t.Fatalf("%d checkpoints", len(states))
			}
			for _, at := range []int{0, len(states) / 2, len(states) - 1} {
				o := Options{Tolerance: 1e-9, SamplesMax: 150_000, Now: ticking(), Resume: states[at]}
				got, err := Solve(p, newNaive(p, 3), o)
				if err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(got.Heights, whole.Heights) {
					t.Errorf("taken up at checkpoint %d of %d, the heights are others", at, len(states))
				}
				if got.Report.Samples < 150_000 || got.Report.ChiSquared != whole.Report.ChiSquared {
					t.Errorf("taken up: %+v, uninterrupted: %+v", got.Report, whole.Report)
				}
			}
			t.Run("refuses", func(t *testing.T) {
				state := states[len(states)-1]
				other := p
				other.Points = slices.Clone(p.Points)
				other.Points[3]++
				cut := state[:len(state)-8]
				flipped := slices.Clone(state)
				flipped[len(flipped)/2] ^= 1
				for says, c := range map[string]struct {
					p     Problem
					state []byte
				}{
					"of other points": {other, state}, "want": {p, cut}, "checksum": {p, flipped},
					"not one of this version": {p, []byte("something else")},
				} {
					_, err := Solve(c.p, newNaive(c.p, 1), Options{Tolerance: 1e-9, Resume: c.state})
					if !errors.Is(err, fault.ErrInvalidArgument) || !strings.Contains(err.Error(), says) {
						t.Errorf("error %v, want %q", err, says)
					}
				}
			})
			t.Run("a_caller_that_cannot_write_is_told", func(t *testing.T) {
				full := errors.New("disk full")
				o := Options{Tolerance: 1e-9, SamplesMax: 150_000, Now: ticking(), Every: time.Millisecond,
					Checkpoint: func([]byte) error { return full }}
				if _, err := Solve(p, newNaive(p, 2), o); !errors.Is(err, full) {
					t.Errorf("error %v", err)
				}
			})
		})
	}
}

// A fit that is killed while its last cells are lifted goes on from there, to the same heights.
func TestResume_while_lifting(t *testing.T) {
	p := Problem{Points: ring(400), Dim: 3}
	var states [][]byte
	o := Options{Tolerance: 0.2, Now: ticking(), Every: time.Millisecond}
	o.Checkpoint = func(state []byte) error {
		states = append(states, slices.Clone(state))
		return nil
	}
	whole, err := Solve(p, &mapping{newNaive(p, 2)}, o)
	if err != nil {
		t.Fatal(err)
	}
	lifting := 0
	for at := len(states) - 1; at >= 0 && len(states)-at <= 4; at-- {
		o := Options{Tolerance: 0.2, Now: ticking(), Resume: states[at]}
		r := newRun(p, &mapping{newNaive(p, 2)}, o)
		if err := r.begin(); err != nil {
			t.Fatal(err)
		}
		if r.lifting != nil {
			lifting++
		}
		got, err := Solve(p, &mapping{newNaive(p, 2)}, o)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got.Heights, whole.Heights) || got.Report.Met != whole.Report.Met || got.Report.Samples != whole.Report.Samples {
			t.Errorf("taken up at checkpoint %d of %d: %+v, uninterrupted: %+v", at, len(states), got.Report, whole.Report)
		}
	}
	if lifting == 0 {
		t.Errorf("no cell was lifted in the last of %d checkpoints", len(states))
	}
}

func TestWarmStart(t *testing.T) {
	p := Problem{Points: randomPoints(60, 8), Dim: 8}
	first := solve(t, p, Options{Tolerance: 5e-3})
	o := Options{Tolerance: 2e-3, Start: first.Heights, Seed: 3}
	warm := solve(t, p, o)
	o.Start = nil
	cold := solve(t, p, o)
	if !warm.Report.Met || !cold.Report.Met || warm.Report.Samples >= cold.Report.Samples {
		t.Errorf("warm %+v, cold %+v", warm.Report, cold.Report)
	}
	// Heights that are far off do no harm.
	wrong := make([]float32, 60)
	for i := range wrong {
		wrong[i] = float32(i)
	}
	o.Start = wrong
	if r := solve(t, p, o); !r.Report.Met {
		t.Errorf("from wrong heights: %+v", r.Report)
	}
}

func TestRebalance(t *testing.T) {
	p := clusters(300, 3, 3, 10, 1)
	o := Options{Tolerance: 1e-3, SamplesMax: 35_000}
	plain := solve(t, p, o)
	o.Rebalance = true
	nudged := solve(t, p, o)
	if plain.Report.Empty == 0 {
		t.Fatalf("no cell is empty, so nothing is shown: %+v", plain.Report)
	}
	if nudged.Report.Empty >= plain.Report.Empty/2 {
		t.Errorf("%d cells are empty, %d before", nudged.Report.Empty, plain.Report.Empty)
	}
}
