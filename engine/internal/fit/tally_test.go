package fit

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
)

// TestChiSquared simulates the counts of cells whose masses are known and holds the estimate and
// its standard error against what they estimate.
func TestChiSquared(t *testing.T) {
	const n, samples, trials = 200, 5000, 400
	for name, spread := range map[string]float64{"exact_masses": 0, "masses_10_percent_off": 0.1, "masses_40_percent_off": 0.4} {
		t.Run(name, func(t *testing.T) {
			source := rand.NewPCG(7, 8)
			mass, wanted := make([]float64, n), make([]float64, n)
			sum, wantedSum := 0.0, 0.0
			for i := range mass {
				wanted[i] = 1 + float64(i%5)
				mass[i] = wanted[i] * (1 + spread*math.Sin(float64(i)))
				sum += mass[i]
				wantedSum += wanted[i]
			}
			chi := 0.0
			for i := range mass {
				mass[i] /= sum
				wanted[i] /= wantedSum
				chi += (mass[i] - wanted[i]) * (mass[i] - wanted[i]) / wanted[i]
			}
			draw := distuv.NewCategorical(mass, source)
			estimates, errors := make([]float64, trials), make([]float64, trials)
			for trial := range trials {
				tally := newTally(bareTarget(wanted))
				cells := make([]int64, samples)
				for i := range cells {
					cells[i] = int64(draw.Rand())
				}
				tally.add(cells)
				estimates[trial], errors[trial] = tally.estimate()
			}
			mean, deviation := stat.MeanStdDev(estimates, nil)
			if z := (mean - chi) / (deviation / math.Sqrt(trials)); math.Abs(z) > 4 {
				t.Errorf("mean of the estimates %.5f, chi-squared %.5f: %.1f standard errors off", mean, chi, z)
			}
			if said := stat.Mean(errors, nil); math.Abs(said/deviation-1) > 0.15 {
				t.Errorf("standard error said %.5f, seen %.5f", said, deviation)
			}
			if spread == 0 && math.Abs(deviation/(math.Sqrt(2*n)/samples)-1) > 0.15 {
				t.Errorf("standard error seen %.5f, theory %.5f", deviation, math.Sqrt(2*n)/samples)
			}
		})
	}
}

// bareTarget has masses and no points.
func bareTarget(mass []float64) *target {
	t := &target{n: len(mass), mass: mass, owner: make([]int, len(mass))}
	for i := range t.owner {
		t.owner[i] = i
	}
	return t
}

func TestEmpty(t *testing.T) {
	const n = 1000
	wanted := equalMasses(n)
	wanted[0] = 0 // a duplicate is no cell
	tally := newTally(bareTarget(wanted))
	random := rand.New(rand.NewPCG(1, 1))
	cells := make([]int64, 3*n)
	for i := range cells {
		cells[i] = 1 + int64(random.IntN(n-1))
	}
	tally.add(cells)
	expected := (n - 1) * math.Exp(3*n*math.Log1p(-1./n))
	if got := tally.emptyExpected(); math.Abs(got-expected) > 1e-6 {
		t.Errorf("expected empty cells %v, want %v", got, expected)
	}
	if got := float64(tally.empty()); math.Abs(got-expected) > 5*math.Sqrt(expected) {
		t.Errorf("%v empty cells, want about %v", got, expected)
	}
	if tally.missesTooMany() {
		t.Errorf("%d empty cells of %.1f expected are said to be too many", tally.empty(), expected)
	}
	for i := range 100 {
		tally.counts[i] = 0
	}
	if !tally.missesTooMany() {
		t.Errorf("%d empty cells of %.1f expected are not said to be too many", tally.empty(), expected)
	}
}

// Cells whose masses are off, but are none of them empty, are not taken for empty by any number of samples.
func TestEmpty_masses_that_are_off(t *testing.T) {
	const n, chi = 60_000, 0.1
	random := rand.New(rand.NewPCG(2, 7))
	law := distuv.Gamma{Alpha: 1 / chi, Beta: 1 / chi, Src: random}
	tally := newTally(bareTarget(equalMasses(n)))
	var places []float64 // where the masses end, laid side by side
	sum := 0.0
	for range n {
		sum += law.Rand()
		places = append(places, sum)
	}
	for perCell := 2; perCell <= 20; perCell += 2 {
		cells := make([]int64, 2*n)
		for i := range cells {
			cell, _ := slices.BinarySearch(places, sum*random.Float64())
			cells[i] = int64(cell)
		}
		tally.add(cells)
		if tally.missesTooMany() {
			t.Errorf("%d samples a cell: %d empty cells are said to be too many", perCell, tally.empty())
		}
	}
	for i := range 20 {
		tally.counts[i] = 0
	}
	if !tally.missesTooMany() {
		t.Errorf("%d cells that are empty are not said to be too many", tally.empty())
	}
}

// Masses of a gamma law of shape a are missed by B samples a cell (1 + B/a)^-a of the time, whatever comes of it with
// more samples: what a simulated tally foretells is held against that.
func TestWillMiss(t *testing.T) {
	const cells, hits = 100_000, 16
	for _, shape := range []float64{1, 2, 5} {
		source := rand.NewPCG(5, 6)
		law := distuv.Gamma{Alpha: shape, Beta: shape, Src: source}
		counts := make([]int32, cells)
		for i := range counts {
			counts[i] = int32(distuv.Poisson{Lambda: hits * law.Rand(), Src: source}.Rand())
		}
		tally := tallyOf(bareTarget(equalMasses(cells)), counts)
		for _, times := range []float64{1, 2, 4} {
			got := tally.willMiss(times * float64(tally.samples))
			want := cells * math.Pow(1+times*hits/shape, -shape)
			if math.Abs(got-want) > 0.15*want*math.Sqrt(times)+3*math.Sqrt(want) {
				t.Errorf("shape %v, %v times the samples: %.0f cells missed, want %.0f", shape, times, got, want)
			}
		}
	}
	if got := tallyOf(bareTarget(equalMasses(2)), []int32{1, 3}).willMiss(100); got != 0 {
		t.Errorf("nothing was missed: want 0, got %v", got)
	}
}
