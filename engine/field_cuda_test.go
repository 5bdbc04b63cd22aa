//go:build cuda

package engine

import (
	"math"
	"testing"
)

// A field on the GPU is one plane too, whatever the parts it is read in, and the CPU's within what
// float16 is allowed.
func TestCUDAField(t *testing.T) {
	content := smallModel(60, 8)
	size := content.Output.Channels * content.Output.Height * content.Output.Width
	ones := make([]float32, size)
	for i := range ones {
		ones[i] = 1
	}
	shape := []int{content.Output.Channels, content.Output.Height, content.Output.Width}
	content.Mean, content.Deviation = tensor(make([]float32, size), shape...), tensor(ones, shape...)
	options := FieldOptions{Octaves: []Octave{{Scale: 4}, {Amplitude: 0.5}}}
	f := newField(t, openOn(t, newCUDA(t, Config{}), content), options)
	const seed = 9
	r := Region{X: -1 << 40, Y: -11, Width: 26, Height: 20}
	whole := readFloats(t, f, seed, r)

	options.CacheBytes = -1
	cold := newField(t, f.model, options)
	for _, part := range []Region{{X: r.X + 5, Y: -4, Width: 3, Height: 9}, {X: r.X, Y: 8, Width: 26, Height: 1}} {
		var want []float32
		for y := range part.Height {
			at := ((int(part.Y-r.Y)+y)*r.Width + int(part.X-r.X)) * 2
			want = append(want, whole[at:at+2*part.Width]...)
		}
		if err := equalBits(readFloats(t, cold, seed, part), want); err != nil {
			t.Errorf("%+v: %v", part, err)
		}
	}

	onCPU := readFloats(t, newField(t, openModel(t, Config{}, content), options), seed, r)
	worst := 0.0
	for k, v := range whole {
		worst = max(worst, math.Abs(float64(v)-float64(onCPU[k])))
	}
	// Two octaves, and in each up to four tiles, whose weights sum to 2 at most.
	t.Logf("largest distance from the CPU's %.2g", worst)
	if limit := (1 + 0.5) * 2 * 2e-3 * 2 * 1.2; !(worst <= limit) { // 1.2: cubic convolution's overshoot
		t.Errorf("largest distance from the CPU's %v, want at most %v", worst, limit)
	}
}
