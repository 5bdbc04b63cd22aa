package fit

import (
	"errors"
	"math"
	"reflect"
	"testing"

	"brenier/engine/internal/threads"
)

func TestCentroids(t *testing.T) {
	t.Run("halves_of_the_line", func(t *testing.T) {
		// y = -1, 1 and equal masses: the cells are the half-lines, of mean -+sqrt(2/pi).
		r := solve(t, Problem{Points: []float32{-1, 1}, Dim: 1}, Options{Tolerance: 1e-4})
		want := math.Sqrt(2 / math.Pi)
		for i, sign := range []float64{-1, 1} {
			if got := float64(r.Centroids[i]); math.Abs(got-sign*want) > 0.02 {
				t.Errorf("centroid %d is %.4f, want %.4f", i, got, sign*want)
			}
		}
	})
	t.Run("a_cell_without_samples_gets_the_model's_mean", func(t *testing.T) {
		p := Problem{Points: []float32{-3, 0, 3, 0, 0, 4, 0, -4}, Dim: 2, Uniform: true}
		target := newTarget(p, threads.Alone)
		c, err := newCentres(target, newSampler(newNaive(p, 1), target, 1), inTwo)
		if err != nil {
			t.Fatal(err)
		}
		c.add(drawn{cells: []int64{1, 2, 3}, x: []float32{0.25, 0, 0, 0.25, 0, -0.25}, squares: []float64{0.0625, 0.0625, 0.0625}})
		got, _ := c.means([]int64{0, 1, 1, 1})
		// sigma q (y - mean)/|y - mean| with q = PHI^-1(3/4) = 0.6745 and sigma^2 = 1/12
		if math.Abs(float64(got[0])+0.6744898/math.Sqrt(12)) > 1e-6 || got[1] != 0 {
			t.Errorf("centroid %v", got[:2])
		}
	})
}

// A device that sums samples itself, or has no room for it, changes no bit, and is let go.
func TestSums(t *testing.T) {
	dense := Problem{Points: randomPoints(40, 3), Dim: 3}
	copy(dense.Points[30*3:], dense.Points[:3*3]) // duplicates
	uniform := dense
	uniform.Uniform = true
	rotated := Problem{Points: randomPoints(30, 24), Dim: 24}
	for name, p := range map[string]Problem{"dense": dense, "uniform": uniform, "rotated": rotated} {
		plain := func() Device {
			if name != "rotated" {
				return newNaive(p, 2)
			}
			return &rotating{naive: newNaive(p, 2), group: 512, axes: 8}
		}
		o := Options{Tolerance: 0.05, SamplesMax: 20_000}
		want, err := Solve(p, plain(), o)
		if err != nil {
			t.Fatal(err)
		}
		for _, room := range []bool{true, false} {
			device := &summing{Device: plain(), d: p.Dim, cells: len(p.Points) / p.Dim, room: room}
			on := func() Device {
				if r, ok := device.Device.(*rotating); ok {
					return &rotatedSumming{device, r}
				}
				return device
			}
			got, err := Solve(p, on(), o)
			if err != nil {
				t.Fatal(err)
			}
			got.Report.Seconds = want.Report.Seconds
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s, room %v: another result\n%+v\n%+v", name, room, got.Report, want.Report)
			}
			if (device.begun > 0) != room || device.ended != device.begun {
				t.Errorf("%s, room %v: %d sums were begun and %d ended", name, room, device.begun, device.ended)
			}
			device.begun, device.ended = 0, 0
			o := o
			o.Progress = func(p Progress) bool { return p.Tested == 0 }
			o.Now = ticking()
			if _, err := Solve(p, on(), o); !errors.As(err, new(Stopped)) || (device.begun > 0) != room || device.ended != device.begun {
				t.Errorf("%s, room %v, stopped: %v, %d sums were begun and %d ended", name, room, err, device.begun, device.ended)
			}
		}
	}
}

// A certificate that fails in the end has drawn its plan for nothing where a device sums; the next one's is
// the same as elsewhere.
func TestSums_certificate_that_fails(t *testing.T) {
	const n = 30
	p := Problem{Points: randomPoints(n, 3), Dim: 3}
	given := solve(t, p, Options{Tolerance: 0.1, SamplesMax: 10_000})
	device := &summing{Device: newNaive(p, 2), d: 3, cells: n, room: true}
	r := newRun(p, device, Options{Tolerance: given.Report.ChiSquared}) // too near to tell
	defer func() { r.settle() }()
	result, err := r.certify(given.Heights, true)
	if err != nil || result != nil || device.begun != 1 || device.ended != 1 {
		t.Fatalf("%v, %v, %d sums were begun and %d ended", result, err, device.begun, device.ended)
	}
	if drawn, tested := r.sampler.next[anglesStream], r.sampler.next[testStream]; drawn != 0 || tested < r.certificateSamples() {
		t.Errorf("%d samples of the plan are gone, %d were tested", drawn, tested)
	}
}
