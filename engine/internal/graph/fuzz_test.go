package graph

import (
	"reflect"
	"strings"
	"testing"
)

// FuzzGraph: whatever the JSON and the weights' shapes, Parse and Shapes return; what they accept
// stays within the limits and reads back the same.
func FuzzGraph(f *testing.F) {
	for _, sound := range soundGraphs {
		f.Add(sound, uint64(0x0304_0202), uint64(4))
	}
	f.Add(`{"input":{"name":"z","shape":[9]},"output":"a","nodes":[]}`, uint64(1), uint64(1))
	f.Add(strings.Repeat("[", 100), uint64(0), uint64(0))
	f.Fuzz(func(t *testing.T, text string, matrix, vector uint64) {
		g, err := Parse([]byte(text))
		if err != nil {
			return
		}
		// Every tensor that the graph reads gets one of a few shapes that the fuzzer chooses, so
		// that it can get past the weights.
		tensors := map[string][]int{}
		for _, name := range g.Tensors() {
			weight := []int{int(matrix >> 24 & 0xff), int(matrix >> 16 & 0xff), int(matrix >> 8 & 0xff), int(matrix & 0xff)}
			switch {
			case strings.HasSuffix(name, "matrix"):
				tensors[name] = weight[:2]
			case strings.HasSuffix(name, "weight"):
				tensors[name] = weight
			default:
				tensors[name] = []int{int(vector & 0xffffffff)}
			}
		}
		values, err := g.Shapes(tensors)
		if err != nil {
			return
		}
		again, err := Parse([]byte(g.String()))
		if err != nil {
			t.Fatalf("%s does not read back: %v", g, err)
		}
		again.Normalize(tensors)
		g.Normalize(tensors)
		if !reflect.DeepEqual(g, again) {
			t.Errorf("reads back as another graph:\n%s\n%s", g, again)
		}
		for name, shape := range values {
			if _, ok := elements(shape, MaxElements); !ok || len(shape) == 0 || len(shape) >= MaxRank {
				t.Errorf("%s: shape %v is beyond the limits", name, shape)
			}
		}
		if len(values[g.Output]) != 3 {
			t.Errorf("output %v was accepted", values[g.Output])
		}
	})
}
