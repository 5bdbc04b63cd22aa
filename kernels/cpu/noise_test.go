package cpu

import (
	"fmt"
	"math"
	"testing"
)

// Random123's published known answers, kat_vectors of the philox4x32 with ten rounds.
func TestNoise_philox_known_answers(t *testing.T) {
	for _, c := range []struct {
		counter [4]uint32
		key     [2]uint32
		want    [4]uint32
	}{
		{[4]uint32{}, [2]uint32{}, [4]uint32{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
		{[4]uint32{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, [2]uint32{0xffffffff, 0xffffffff},
			[4]uint32{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
		{[4]uint32{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, [2]uint32{0xa4093822, 0x299f31d0},
			[4]uint32{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
	} {
		if got := Philox(c.counter, c.key); got != c.want {
			t.Errorf("Philox(%08x, %08x) = %08x, want %08x", c.counter, c.key, got, c.want)
		}
	}
}

func BenchmarkNoise(b *testing.B) {
	for _, p := range Paths() {
		b.Run(fmt.Sprintf("gaussian/d=64/path=%v", p), func(b *testing.B) {
			x := make([]float32, 64*1024)
			b.SetBytes(int64(4 * len(x)))
			for b.Loop() {
				Noise(p, Gaussian, x, 64, 1, 0, 0)
			}
			if math.IsNaN(float64(x[0])) {
				b.Fatal("NaN")
			}
		})
	}
}
