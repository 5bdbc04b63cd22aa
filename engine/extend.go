package engine

import (
	"math"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/fault"
)

// Mode is how the points of neighbouring cells make a code.
type Mode int

const (
	ModeDefault Mode = iota // the model's own
	Cell                    // y_i0, the point of x's cell
	Simplex                 // the admissible cells' points, weighted by 1/|x - c_j|
	Pair                    // y_i0 and the best admissible neighbour's point, blended
)

// Angle is the unit of [Extension.Theta].
type Angle int

const (
	AngleDefault Angle = iota // the model's own; Theta is not read
	Quantile                  // a share, in [0,1], of the angles between neighbours over the source
	Radians                   // in [0, pi]
)

// Extension is the setting of the extend stage. The zero value is the model's own.
//
// Neighbours whose plane's normal is at an angle above theta to the best cell's lie across the
// singular set of the map and are left out; quantile 1 leaves none out. See An et al., AE-OT
// (ICLR 2020), for the angle test.
type Extension struct {
	Mode  Mode
	K     int // cells considered, the best one included; 0: the model's own
	Angle Angle
	Theta float64
	Blend float64 // Pair: z = (1-Blend) y_i0 + Blend y_ij
}

// resolve turns a setting into what the backend compares: cosines, whose order is that of the
// angles and which every device rounds alike.
func (m *Model) resolve(e Extension) (backend.Extension, error) {
	own := m.file.Extension()
	r := backend.Extension{K: e.K, Blend: e.Blend}
	switch e.Mode {
	case ModeDefault:
		r.Mode = own.BackendMode()
	case Cell:
		r.Mode = backend.Cell
	case Simplex:
		r.Mode = backend.Simplex
	case Pair:
		r.Mode = backend.Pair
	default:
		return r, fault.Invalid("extension: want mode default, cell, simplex or pair (0 .. 3), got %d", e.Mode)
	}
	if e.K == 0 {
		r.K = min(own.K, m.parts.n)
	}
	if r.K < 1 || r.K > min(MaxK, m.parts.n) {
		return r, fault.Invalid("extension: k: want 1 .. %d (the model has %d cells), got %d", min(MaxK, m.parts.n), m.parts.n, e.K)
	}
	if r.Mode == backend.Simplex && !m.parts.centroids {
		return r, fault.New(fault.ErrUnsupported, "extension: simplex needs ot.centroids, which the model lacks; fit again, or use cell or pair")
	}
	if !(e.Blend >= 0 && e.Blend <= 1) {
		return r, fault.Invalid("extension: blend: want 0 .. 1, got %v", e.Blend)
	}
	switch e.Angle {
	case AngleDefault:
		r.MinCosine = cosineOfQuantile(own.Cosines, own.Quantile)
	case Quantile:
		if !(e.Theta >= 0 && e.Theta <= 1) {
			return r, fault.Invalid("extension: theta: want a quantile in 0 .. 1, got %v", e.Theta)
		}
		if len(own.Cosines) == 0 && e.Theta < 1 && r.Mode != backend.Cell {
			return r, fault.New(fault.ErrUnsupported, "extension: the model has no table of angles for a quantile; give theta in radians, or fit again")
		}
		r.MinCosine = cosineOfQuantile(own.Cosines, e.Theta)
	case Radians:
		if !(e.Theta >= 0 && e.Theta <= math.Pi) {
			return r, fault.Invalid("extension: theta: want 0 .. pi radians, got %v", e.Theta)
		}
		r.MinCosine = cosine(e.Theta)
	default:
		return r, fault.Invalid("extension: want angle default, quantile or radians (0 .. 2), got %d", e.Angle)
	}
	if r.Mode == backend.Cell {
		r.K = 1
	}
	return r, nil
}

// cosineOfQuantile interpolates a table whose entry i is the cosine at the angles' quantile
// i/(len-1). Quantile 1, and a model without a table, cut nothing off.
func cosineOfQuantile(table []float64, q float64) float64 {
	if q >= 1 || len(table) == 0 {
		return -1
	}
	at := float64(q * float64(len(table)-1))
	i := int(at)
	return math.FMA(at-float64(i), table[i+1]-table[i], table[i])
}

// cosine is cos(theta) for theta in [0, pi], to about 1e-15, by operations that every machine
// rounds alike; math.Cos is not the same code on all of them. It halves the angle, sums Taylor's
// series of 1 - cos, which has no cancellation there, and doubles back: 1 - cos 2a = 2 v (2 - v)
// with v = 1 - cos a.
func cosine(theta float64) float64 {
	const halvings = 4
	a := theta / (1 << halvings)
	square := float64(a * a)
	sum := 0.0
	for k := 9; k >= 1; k-- {
		// (a^2/2)(1 - a^2/(3*4)(1 - a^2/(5*6)(...)))
		sum = float64(square/float64((2*k-1)*(2*k))) * float64(1-sum)
	}
	for range halvings {
		sum = float64(2*sum) * float64(2-sum)
	}
	return 1 - sum
}

// Extend makes codes z [n,d] of noise x [n,d] and the cells [n,k] that [Model.Locate] found for it;
// of the k cells the extension's first are used.
func (m *Model) Extend(x []float32, cells []int64, k int, e Extension, z []float32) error {
	if err := m.needMap(); err != nil {
		return err
	}
	d := m.parts.d
	n, err := rows("x", len(x), d)
	if err != nil {
		return err
	}
	if k < 1 || len(cells) != n*k {
		return fault.Invalid("cells: want [%d,%d], got %d values", n, k, len(cells))
	}
	if len(z) != n*d {
		return fault.Invalid("codes: want [%d,%d], got %d values", n, d, len(z))
	}
	if e.K == 0 {
		e.K = min(k, m.file.Extension().K)
	}
	extension, err := m.resolve(e)
	if err != nil {
		return err
	}
	if extension.K > k {
		return fault.Invalid("cells: extend considers %d cells a row, got %d; locate with k = %d", extension.K, k, extension.K)
	}
	for i, c := range cells {
		if c < 0 || c >= int64(m.parts.n) {
			return fault.Invalid("cells: row %d, column %d is %d; want 0 .. %d", i/k, i%k, c, m.parts.n-1)
		}
	}
	if err := finite("x", x, d, 0); err != nil {
		return err
	}
	return m.inBatches(n, func(w backend.Workspace, at, count int) error {
		if err := w.PutNoise(x[at*d : (at+count)*d]); err != nil {
			return err
		}
		if err := w.PutCells(count, k, extension.K, cells[at*k:(at+count)*k]); err != nil {
			return err
		}
		if err := w.Extend(count, extension); err != nil {
			return err
		}
		return w.GetCodes(z[at*d : (at+count)*d])
	})
}
