package fit

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"brenier/engine/internal/threads"
)

// mapping is a naive Mapper, and a Map.
type mapping struct{ *naive }

func (v *mapping) NewMap(points []float32) (Map, error) {
	return &mapping{&naive{points: points, d: v.d, uniform: v.uniform, threads: v.threads}}, nil
}

func (v *mapping) Locate(x []float32, k int, cells []int64) error {
	for i := range len(x) / v.d {
		v.best(x[i*v.d:(i+1)*v.d], cells[i*k:(i+1)*k])
	}
	return nil
}

func (v *mapping) Close() error { return nil }

// full is a Mapper without room for another map.
type full struct{ *naive }

func (v *full) NewMap([]float32) (Map, error) { return nil, nil }

// ring is points around a circle in space, unevenly wide and dense.
func ring(n int) []float32 {
	random := rand.New(rand.NewPCG(3, 4))
	y := make([]float32, 0, 3*n)
	for range n {
		angle := 2 * math.Pi * random.Float64()
		wide := 0.1 + 0.2*random.Float64()
		sin, cos := math.Sincos(angle + 0.3*math.Sin(angle))
		y = append(y, float32(2*cos+wide*random.NormFloat64()), float32(2*sin+wide*random.NormFloat64()), float32(wide*random.NormFloat64()))
	}
	return y
}

// judged is the counts of n fresh draws at heights.
func judged(t *testing.T, target *target, device Device, h []float64, n int) *tally {
	t.Helper()
	s := newSampler(device, target, 4321)
	stored := make([]float32, target.n)
	target.stored(stored, h)
	if err := device.SetHeights(stored); err != nil {
		t.Fatal(err)
	}
	fresh := newTally(target)
	if err := s.test(fresh, uint64(n)); err != nil {
		t.Fatal(err)
	}
	return fresh
}

// Cells that are lifted together come to about the share of their mass that they are lifted to, and so do those
// that are lifted one by one.
func TestLift_many(t *testing.T) {
	const n, share = 300, 0.5
	p := Problem{Points: ring(n), Dim: 3}
	device := &mapping{newNaive(p, 2)}
	target := newTarget(p, threads.Alone)
	r, err := Solve(p, device, Options{Tolerance: 0.05})
	if err != nil {
		t.Fatal(err)
	}
	var low []int
	h := wide(r.Heights)
	for i := 0; i < n; i += 2 {
		h[i] -= 100
		low = append(low, i)
	}
	for name, lift := range map[string]func(s *sampler, over *stock) ([]float64, error){
		"together": func(s *sampler, over *stock) ([]float64, error) {
			return s.liftMany(target, nil, low, over, target.samplesOf(share))
		},
		"one_by_one": func(s *sampler, over *stock) ([]float64, error) {
			return s.liftOver(target, nil, low, over, target.samplesOf(share))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSampler(device, target, 99)
			samples, err := s.stock(target, h, 16*n)
			if err != nil {
				t.Fatal(err)
			}
			lifted, err := lift(s, samples)
			if err != nil {
				t.Fatal(err)
			}
			after := slices.Clone(h)
			mean := target.meanHeight(h)
			for j, i := range low {
				after[i] = lifted[j] + mean
			}
			fresh := judged(t, target, device, after, 200*n)
			mass := 0.0
			for _, i := range low {
				of := float64(fresh.counts[i]) / 200
				mass += of / float64(len(low))
				if of > 3 {
					t.Errorf("cell %d has %.2f times its mass", i, of)
				}
			}
			if mass < 0.7*share || mass > 1.4*share || fresh.empty() > n/20 {
				t.Errorf("the lifted cells have %.3f of their mass, want %v; %d cells are empty", mass, share, fresh.empty())
			}
		})
	}
}

// A start by scales is near, where that of the distances is far off.
func TestMultiscale(t *testing.T) {
	p := Problem{Points: ring(multiscaleFrom + 10), Dim: 3}
	copy(p.Points[30:60], p.Points[:30]) // ten duplicates
	device := &mapping{newNaive(p, 2)}
	start := func(device Device) (*run, []float64) {
		r := newRun(p, device, Options{Tolerance: 0.1, Seed: 5})
		h := r.target.start()
		if err := r.approach(h); err != nil {
			t.Fatal(err)
		}
		return r, h
	}
	r, h := start(device)
	before := judged(t, r.target, device, r.target.start(), 4*multiscaleFrom)
	after := judged(t, r.target, device, h, 4*multiscaleFrom)
	if before.chiSquared() < 500 || after.chiSquared() > 10 {
		t.Errorf("chi-squared from %.3g to %.3g", before.chiSquared(), after.chiSquared())
	}
	if r.samples() < multiscaleFrom {
		t.Errorf("%d samples", r.samples())
	}
	_, again := start(&mapping{newNaive(p, 3)})
	if !slices.Equal(h, again) {
		t.Error("three threads and two differ")
	}
	r = newRun(p, &full{newNaive(p, 2)}, Options{Tolerance: 0.1, Seed: 5})
	kept := slices.Clone(h)
	if done, err := r.multiscale(h); done || err != nil || !slices.Equal(h, kept) {
		t.Errorf("without room for another map: %v, error %v", done, err)
	}
}
