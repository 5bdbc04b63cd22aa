package fit

import (
	"math"
	"testing"
)

// Three atoms on a line: the best cell's neighbours are known for every x, and so are the angles.
func TestAngles(t *testing.T) {
	p := Problem{Points: []float32{-1, 0, 1}, Dim: 1}
	device := newNaive(p, 2)
	if err := device.SetHeights([]float32{-0.5, 0, -0.5}); err != nil {
		t.Fatal(err)
	}
	s := newSampler(device, 3, p, 0)
	table, standardError, _, err := s.angles(newTarget(p), 2)
	if err != nil {
		t.Fatal(err)
	}
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

// distNormal is the standard normal's distribution function.
func distNormal(x float64) float64 { return 0.5 * math.Erfc(-x/math.Sqrt2) }

// The cosines of points far from the origin are those of the points as they were given.
func TestNormals_of_shifted_points(t *testing.T) {
	const n, d, shift = 20, 7, 64.
	p := Problem{Points: randomPoints(n, d), Dim: d}
	moved := Problem{Points: make([]float32, n*d), Dim: d}
	for i, v := range p.Points {
		moved.Points[i] = v + shift
	}
	centred := moved
	if centred.Centre(); centred.Shift == nil {
		t.Fatal("nothing was taken off")
	}
	planes := newNormals(&centred)
	for i := range n {
		for j := range n {
			dot, ii, jj := 1., 1., 1.
			for k := range d {
				a, b := float64(moved.Points[i*d+k]), float64(moved.Points[j*d+k])
				dot, ii, jj = dot+a*b, ii+a*a, jj+b*b
			}
			if want := dot / math.Sqrt(ii*jj); math.Abs(planes.cosine(i, j)-want) > 1e-7 {
				t.Errorf("cosine of %d and %d is %v, want %v", i, j, planes.cosine(i, j), want)
			}
		}
	}
}
