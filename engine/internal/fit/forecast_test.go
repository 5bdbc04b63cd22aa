package fit

import (
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/stat/distuv"
)

// What was known and what is measured are weighed by their variances; what was measured long before it is
// wanted has a larger one; what is far from all that was known is believed alone.
func TestForecast(t *testing.T) {
	known := forecast{constant: 1.2, error: 0.1}
	variance := 0.1*0.1 + math.Pow(drift*1.2, 2) // of what is known, by now
	for _, c := range []struct {
		name                string
		constant, sd, ahead float64
		variance            float64 // of the measurement; 0: it is believed alone
	}{
		{"as exact as what is known", 1.3, math.Sqrt(variance), 0, variance},
		{"exact", 1.25, 0.01, 0, 0.0001},
		{"rough", 2, 0.5, 0, 0.25},
		{"exact, long before", 1.6, 0.01, 3, 0.0001 + math.Pow(3*early*1.2, 2)},
		{"far off", 2, 0.05, 0, 0},
	} {
		got := known.with(c.constant, c.sd, c.ahead)
		want := forecast{c.constant, c.sd}
		if c.variance > 0 {
			precision := 1/variance + 1/c.variance
			want = forecast{(1.2/variance + c.constant/c.variance) / precision, 1 / math.Sqrt(precision)}
		}
		if math.Abs(got.constant-want.constant) > 1e-12 || math.Abs(got.error-want.error) > 1e-12 {
			t.Errorf("%s: %+v, want %+v", c.name, got, want)
		}
	}
}

// Masses drawn from the gamma law of a chi-squared are missed as often as that law says.
func TestEvenEnough(t *testing.T) {
	const cells, hits = 20000, 16
	chi := evenEnough(cells, cells*hits)
	law := distuv.Gamma{Alpha: 1 / chi, Beta: 1 / chi, Src: rand.NewPCG(1, 2)}
	missed := 0.0
	const draws = 200
	for range draws * cells {
		missed += math.Exp(-hits*law.Rand()) / draws
	}
	if missed < 0.9 || missed > 1.1 {
		t.Errorf("with chi-squared %.3f %.2f cells are missed, want 1", chi, missed)
	}
	if all := evenEnough(1, 100); all < 9.99 {
		t.Errorf("a single cell: %v", all)
	}
}
