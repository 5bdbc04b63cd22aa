//go:build cuda

package cuda

import (
	"math"
	"testing"

	"brenier/engine/internal/cuda/driver"
)

func TestPlan(t *testing.T) {
	t.Run("spans_are_aligned_and_do_not_overlap", func(t *testing.T) {
		var p plan
		end := 0
		for _, bytes := range []int{1, 0, 256, 257, 4096, 3} {
			s := p.reserve(bytes)
			if s.offset%256 != 0 || s.offset < end {
				t.Errorf("%d bytes at %d, after a span that ends at %d", bytes, s.offset, end)
			}
			if want := driver.Address(1<<20 + s.offset); s.at(1<<20) != want {
				t.Errorf("at: got %#x, want %#x", s.at(1<<20), want)
			}
			end = s.offset + bytes
		}
		if p.bytes < end {
			t.Errorf("the plan has %d bytes, its last span ends at %d", p.bytes, end)
		}
	})
	t.Run("alternatives_share_memory", func(t *testing.T) {
		var p plan
		p.reserve(256)
		var small, large span
		p.alternatives(
			func(p *plan) { large = p.reserve(1024) },
			func(p *plan) { small = p.reserve(512) },
		)
		after := p.reserve(1)
		if small.offset != 256 || large.offset != 256 || after.offset != 256+1024 {
			t.Errorf("got offsets %d, %d and then %d; want 256, 256 and 1280", small.offset, large.offset, after.offset)
		}
	})
	t.Run("a_sum_beyond_memory_is_remembered", func(t *testing.T) {
		for _, bytes := range []int{-1, math.MaxInt, math.MaxInt - 300} {
			var p plan
			p.reserve(512)
			p.reserve(bytes)
			p.reserve(1)
			if p.bytes != math.MaxInt {
				t.Errorf("after %d bytes the plan has %d", bytes, p.bytes)
			}
		}
	})
}
