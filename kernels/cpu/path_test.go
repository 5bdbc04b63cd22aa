package cpu

import "testing"

func TestParsePath(t *testing.T) {
	for _, p := range Paths() {
		got, err := ParsePath(p.String())
		if err != nil || got != p {
			t.Errorf("ParsePath(%q) = %v, %v", p.String(), got, err)
		}
		t.Logf("this processor has %s", p)
	}
	if got, err := ParsePath(""); err != nil || got != Best() {
		t.Errorf("ParsePath of nothing = %v, %v; want the best path, %v", got, err, Best())
	}
	if _, err := ParsePath("sse9"); err == nil {
		t.Error("ParsePath takes a name that is no path")
	}
}

func BenchmarkFMA(b *testing.B) {
	for _, p := range Paths() {
		b.Run(p.String(), func(b *testing.B) {
			b.ReportMetric(MeasureFMA(p, int64(b.N)*1000)/1e9, "GFLOP/s")
		})
	}
}
