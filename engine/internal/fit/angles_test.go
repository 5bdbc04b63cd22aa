package fit

import (
	"math"
	"testing"

	"brenier/engine/internal/threads"
)

// Three atoms on a line: the best cell's neighbours are known for every x, and so are the angles.
func TestAngles(t *testing.T) {
	p := Problem{Points: []float32{-1, 0, 1}, Dim: 1}
	device := newNaive(p, 2)
	if err := device.SetHeights([]float32{-0.5, 0, -0.5}); err != nil {
		t.Fatal(err)
	}
	s := newSampler(device, newTarget(p, threads.Alone), 0)
	plan, err := s.plan()
	if err != nil {
		t.Fatal(err)
	}
	table, standardError := angleTable(plan.cosines(inTwo), plan.samples(), inTwo)
	if !(standardError >= 0 && standardError <= math.Pi/2) {
		t.Errorf("standard error %v", standardError)
	}
	if len(table) != 101 {
		t.Fatalf("%d entries", len(table))
	}
	// The normals (-1,-1), (0,-1), (1,-1): 45 degrees between neighbours, 90 between the outer two.
	// A sample of the middle cell has two angles of 45 degrees, others one of each kind.
	middle := 2*distNormal(0.5) - 1
	share := (1 + middle) / 2
	for i, c := range table {
		q := float64(i) / 100
		want := math.Sqrt(0.5)
		if q > share {
			want = 0
		}
		if math.Abs(q-share) > 0.02 && math.Abs(c-want) > 1e-15 {
			t.Errorf("quantile %.2f: cosine %v, want %v", q, c, want)
		}
		if i > 0 && c > table[i-1] {
			t.Errorf("quantile %.2f: cosine %v rises", q, c)
		}
	}
}

// inTwo does work on 0 .. n-1 as two threads would, the second stretch first.
func inTwo(n int, work func(first, end int)) {
	work(n/2, n)
	work(0, n/2)
}

// distNormal is the standard normal's distribution function.
func distNormal(x float64) float64 { return 0.5 * math.Erfc(-x/math.Sqrt2) }

// The cosines of points far from the origin are those of the points as they were given.
func TestAngles_of_shifted_points(t *testing.T) {
	const n, d, shift = 20, 7, 64.
	given := randomPoints(n, d)
	for i := range given {
		given[i] += shift
	}
	p := Problem{Points: given, Dim: d}
	if p.Centre(); p.Shift == nil {
		t.Fatal("nothing was taken off")
	}
	device := newNaive(p, 2)
	if err := device.SetHeights(make([]float32, n)); err != nil {
		t.Fatal(err)
	}
	plan, err := newSampler(device, newTarget(p, threads.Alone), 0).plan()
	if err != nil {
		t.Fatal(err)
	}
	cosines := plan.cosines(inTwo)
	if len(cosines) != plan.samples()*(plan.k-1) {
		t.Fatalf("%d cosines of %d samples with %d cells", len(cosines), plan.samples(), plan.k)
	}
	for at, got := range cosines {
		row := at / (plan.k - 1)
		i, j := int(plan.cells[row*plan.k]), int(plan.cells[row*plan.k+1+at%(plan.k-1)])
		dot, ii, jj := 1., 1., 1.
		for k := range d {
			a, b := float64(given[i*d+k]), float64(given[j*d+k])
			dot, ii, jj = dot+a*b, ii+a*a, jj+b*b
		}
		if want := dot / math.Sqrt(ii*jj); i == j || math.Abs(got-want) > 1e-14 {
			t.Fatalf("sample %d: cosine of %d and %d is %v, want %v", row, i, j, got, want)
		}
	}
}
