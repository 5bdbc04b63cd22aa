//go:build cuda

package cuda

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"brenier/engine/internal/cuda/driver"
	"brenier/engine/internal/fault"
)

// ladder is a stage with kernels from the best to the plainest, of which some answer wrongly.
type ladder struct {
	names []string
	wrong []string
	at    int
	asked []string
}

func (r *ladder) checks() []check {
	name := r.names[r.at]
	c := check{kernel: name, run: func(*driver.Stream) error {
		r.asked = append(r.asked, name)
		if slices.Contains(r.wrong, name) {
			return errors.New("3 is not 4")
		}
		return nil
	}}
	if r.at+1 < len(r.names) {
		c.plainer = func() error { r.at++; return nil }
	}
	return []check{c}
}

func TestSelfCheck(t *testing.T) {
	names := []string{"best", "good", "plain"}
	t.Run("a_kernel_that_answers_rightly_is_used", func(t *testing.T) {
		v, r := newTestDevice(t), &ladder{names: names}
		notes, err := v.selfCheck(r)
		if err != nil || len(notes) != 0 || r.at != 0 {
			t.Errorf("got rung %d, notes %q, %v", r.at, notes, err)
		}
	})
	t.Run("one_that_answers_wrongly_is_replaced", func(t *testing.T) {
		v, r := newTestDevice(t), &ladder{names: names, wrong: []string{"best", "good"}}
		notes, err := v.selfCheck(r)
		if err != nil || r.at != 2 {
			t.Fatalf("got rung %d, %v", r.at, err)
		}
		if len(notes) != 2 || notes[0] != "best failed its self-check (3 is not 4)" {
			t.Errorf("got notes %q", notes)
		}
	})
	t.Run("none_left_is_an_error", func(t *testing.T) {
		v, r := newTestDevice(t), &ladder{names: names, wrong: names}
		_, err := v.selfCheck(r)
		if !errors.Is(err, fault.ErrDevice) || !strings.Contains(err.Error(), "kernel plain fails its self-check") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("each_is_asked_once_for_a_device", func(t *testing.T) {
		v, first, second := newTestDevice(t), &ladder{names: names, wrong: names[:1]}, &ladder{names: names, wrong: names[:1]}
		for _, r := range []*ladder{first, second} {
			if _, err := v.selfCheck(r); err != nil || r.at != 1 {
				t.Fatalf("got rung %d, %v", r.at, err)
			}
		}
		if !slices.Equal(first.asked, names[:2]) || len(second.asked) != 0 {
			t.Errorf("asked %q, then %q", first.asked, second.asked)
		}
	})
}
