package exact

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"brenier/engine/internal/backend"
)

// newTest is a solver of a problem and the target that belongs to it.
func newTest(t testing.TB, p Problem) (*target, *solver) {
	t.Helper()
	target, err := newTarget(p)
	if err != nil {
		t.Fatal(err)
	}
	return target, target.newSolver(split)
}

// naive is the plain way to make a cell: a cut by every other point.
func naive(t *tree, i int32, domain float64) polygon {
	var k knife
	cell := rectangle(nil, vector{-domain, -domain}, vector{domain, domain})
	for j := range int32(len(t.points)) {
		if j != i {
			cell = k.cut(cell, t.points[j].minus(t.points[i]), t.heights[i]-t.heights[j], j)
		}
	}
	return cell
}

// someHeights are heights of n points: between those of equal cells and noise that hides many.
func someHeights(points []vector, noise float64) []float64 {
	r := random()
	h := make([]float64, len(points))
	for i, y := range points {
		h[i] = -y.dot(y)/2 + noise*r.NormFloat64()
	}
	return h
}

func TestTree(t *testing.T) {
	for name, target := range targets {
		t.Run("highest_is_that_of_all/"+name, func(t *testing.T) {
			_, c := newTest(t, Problem{Points: draw(300, target), Dim: 2})
			r := random()
			marks := make([]int32, len(c.tree.points))
			search := search{tree: c.tree, marks: marks, mark: 7}
			for _, noise := range []float64{0, 1e-3, 1} {
				c.tree.setHeights(someHeights(c.tree.points, noise), split)
				for range 200 {
					v := vector{r.NormFloat64(), r.NormFloat64()}
					i := int32(r.IntN(len(c.tree.points)))
					marks[r.IntN(len(marks))] = 7
					got, want, best := search.highest(v, i), int32(-1), 0.0
					excess := func(j int32) float64 {
						return v.dot(c.tree.points[j].minus(c.tree.points[i])) + (c.tree.heights[j] - c.tree.heights[i])
					}
					for j := range int32(len(marks)) {
						if e := excess(j); marks[j] != 7 && e > best {
							want, best = j, e
						}
					}
					if got != want && (got < 0 || excess(got) != best) {
						t.Fatalf("the highest above %d is %d, want %d", i, got, want)
					}
				}
			}
		})
	}
}

func TestDiagram(t *testing.T) {
	for name, source := range sources {
		for target, point := range targets {
			t.Run(fmt.Sprintf("cells_are_those_of_all_cuts/%s/%s", name, target), func(t *testing.T) {
				_, c := newTest(t, Problem{Points: draw(600, point), Dim: 2, Source: source}) // three blocks
				for _, noise := range []float64{0, 1e-2, 1} {
					// Twice: the second time the first cuts tried are those of the diagram before.
					for range 2 {
						d := c.diagram(someHeights(c.tree.points, noise), 0)
						masses := make([]float64, len(d.mass))
						for i := range masses {
							masses[i], _ = c.source.polygon(naive(c.tree, int32(i), c.source.domain()))
						}
						near(t, "masses", d.mass, masses, 1e-14)
						if e := math.Abs(total(d.mass) - 1); e > 1e-14 {
							t.Errorf("masses sum to 1 + %v", e)
						}
					}
				}
			})
		}
	}
	t.Run("masses_and_moments_by_rows", func(t *testing.T) {
		// On the line x_2 = r the diagram is one of the line, with heights h_i + r y_i2.
		const rows = 20000 // a side along a row is off by half of a row's height
		for name, source := range sources {
			p := Problem{Points: draw(40, eightGaussians), Dim: 2, Source: source}
			target, c := newTest(t, p)
			h := someHeights(c.tree.points, 0.1)
			d := c.diagram(h, 0)
			n := len(h)
			order := make([]int, n)
			for i := range order {
				order[i] = i
			}
			slices.SortFunc(order, func(a, b int) int {
				if target.points[a].x < target.points[b].x {
					return -1
				}
				return 1
			})
			y, row := make([]float64, n), make([]float64, n)
			mass, mx, my := make([]float64, n), make([]float64, n), make([]float64, n)
			reach := min(7, target.source.domain())
			for k := range rows {
				r := ((float64(k)+0.5)/rows*2 - 1) * reach
				for at, i := range order {
					y[at], row[at] = target.points[i].x, h[i]+r*target.points[i].y
				}
				from, to := lineCells(y, row)
				weight := 2 * reach / rows * target.source.density(r)
				for at, i := range order {
					m, c := target.source.interval(from[at], to[at])
					mass[i] += weight * m
					mx[i] += weight * c
					my[i] += weight * m * r
				}
			}
			gotX, gotY := make([]float64, n), make([]float64, n)
			for i, c := range d.moment {
				gotX[i], gotY[i] = c.x, c.y
			}
			near(t, name+": masses", d.mass, mass, 1e-4)
			near(t, name+": first moments", gotX, mx, 1e-4)
			near(t, name+": second moments", gotY, my, 1e-4)
		}
	})
	t.Run("gradient_and_hessian_by_differences", func(t *testing.T) {
		for name, source := range sources {
			target, c := newTest(t, Problem{Points: draw(60, swissRoll), Dim: 2, Masses: zipf(60), Source: source})
			h := start(c.tree.points, target.mass, target.source)
			d := c.diagram(h, 0)
			const step = 1e-6
			for _, i := range []int32{0, 7, 31, 59} {
				hi, lo := append([]float64(nil), h...), append([]float64(nil), h...)
				hi[i] += step
				lo[i] -= step
				dHi, dLo := c.diagram(hi, 0), c.diagram(lo, 0)
				eHi, _ := target.energy(hi, dHi)
				eLo, _ := target.energy(lo, dLo)
				near(t, name+": gradient", []float64{d.mass[i] - target.mass[i]}, []float64{(eHi - eLo) / (2 * step) / target.scale}, 1e-8)
				got, want := make([]float64, len(h)), make([]float64, len(h))
				for k := d.starts[i]; k < d.starts[i+1]; k++ {
					got[d.neighbours[k]] -= d.weights[k]
					got[i] += d.weights[k]
				}
				for j := range want {
					want[j] = (dHi.mass[j] - dLo.mass[j]) / (2 * step)
				}
				near(t, name+": row of the Hessian", got, want, 1e-5*got[i])
			}
		}
	})
	t.Run("ties_on_a_grid", func(t *testing.T) {
		// Heights of Voronoi cells on a grid: four cells meet at every corner.
		const m = 20
		p := Problem{Dim: 2, Source: backend.Uniform}
		for i := range m * m {
			p.Points = append(p.Points, (float64(i%m)+0.5)/m-0.5, (float64(i/m)+0.5)/m-0.5)
		}
		h := make([]float64, m*m)
		for i := range h {
			x, y := p.Points[2*i], p.Points[2*i+1]
			h[i] = -(x*x + y*y) / 2
		}
		r := measure(t, p, h)
		near(t, "masses", r.Masses, equal(m*m), 1e-15)
		near(t, "centroids", r.Centroids, p.Points, 1e-14)
		// (m-1) m sides in either direction, each of length 1/m and between points 1/m apart; those
		// between cells that share a corner only are short.
		long := 0
		for _, e := range r.Edges {
			if math.Abs(e.Weight-1) < 1e-12 {
				long++
			} else if e.Weight > 1e-12 {
				t.Errorf("edge %+v", e)
			}
		}
		if long != 2*m*(m-1) {
			t.Errorf("%d sides, want %d", long, 2*m*(m-1))
		}
	})
	t.Run("equal_heights_leave_the_hull", func(t *testing.T) {
		// With all heights 0 the highest score is the farthest point in the direction of x: the cells of
		// points inside the hull are empty, those of a square's corners are quadrants.
		p := Problem{Points: []float64{1, 1, -1, 1, -1, -1, 1, -1, 0, 0, 0.5, 0.2, 1, 0}, Dim: 2}
		for _, source := range sources {
			p.Source = source
			r := measure(t, p, make([]float64, 7))
			near(t, "masses", r.Masses, []float64{.25, .25, .25, .25, 0, 0, 0}, 1e-15)
			if r.Empty < 2 {
				t.Errorf("%d empty cells", r.Empty)
			}
		}
	})
	t.Run("slivers_have_a_mass_and_a_centre_within", func(t *testing.T) {
		// Every point of a grid lies on the hull when all heights are equal but for rounding: cells are
		// corners, lines and less.
		r := random()
		for name, source := range sources {
			p := Problem{Dim: 2, Source: source}
			h := make([]float64, 144)
			for i := range h {
				p.Points = append(p.Points, float64(i%12), float64(i/12))
				h[i] = 1e-16 * r.NormFloat64()
			}
			m := measure(t, p, h)
			cells, err := Cells(p, h, [2]float64{-reach, -reach}, [2]float64{reach, reach})
			if err != nil {
				t.Fatal(err)
			}
			for i, mass := range m.Masses {
				if mass < 0 || math.IsNaN(mass) || mass > 0 && len(cells[i].Corners) == 0 {
					t.Errorf("%s: cell %d has the mass %v and %d corners", name, i, mass, len(cells[i].Corners))
				}
				for k := range 2 {
					low, high := math.Inf(1), math.Inf(-1)
					for _, c := range cells[i].Corners {
						low, high = min(low, c[k]), max(high, c[k])
					}
					if c := m.Centroids[2*i+k]; mass > 0 && !(c >= low-1e-12 && c <= high+1e-12) {
						t.Errorf("%s: cell %d of mass %v between %v and %v has the centre %v", name, i, mass, low, high, c)
					}
				}
			}
			near(t, name+": masses of the corners", []float64{m.Masses[0], m.Masses[11], m.Masses[132], m.Masses[143]}, []float64{.25, .25, .25, .25}, 1e-14)
		}
	})
	t.Run("cells_beyond_the_square_are_empty", func(t *testing.T) {
		// The boundary between the two is x = 0.7.
		r := measure(t, Problem{Points: []float64{0, 0, 1, 0}, Dim: 2, Source: backend.Uniform}, []float64{0, -0.7})
		near(t, "masses", r.Masses, []float64{1, 0}, 0)
		if r.Empty != 1 || !math.IsNaN(r.Centroids[2]) {
			t.Errorf("got %+v", r)
		}
	})
	t.Run("neighbours_see_one_another", func(t *testing.T) {
		_, c := newTest(t, Problem{Points: draw(500, swissRoll), Dim: 2})
		d := c.diagram(someHeights(c.tree.points, 1e-4), 0)
		weights := map[[2]int32]float64{}
		for i := range int32(len(d.mass)) {
			for k := d.starts[i]; k < d.starts[i+1]; k++ {
				weights[[2]int32{i, d.neighbours[k]}] = d.weights[k]
			}
		}
		for pair, w := range weights {
			if back := weights[[2]int32{pair[1], pair[0]}]; math.Abs(w-back) > 1e-11 {
				t.Errorf("cells %v: %v one way and %v the other", pair, w, back)
			}
		}
	})
}

func TestStart(t *testing.T) {
	for name, source := range sources {
		for target, point := range targets {
			t.Run(fmt.Sprintf("no_cell_is_empty/%s/%s", name, target), func(t *testing.T) {
				for _, nu := range [][]float64{nil, zipf(400)} {
					target, c := newTest(t, Problem{Points: draw(400, point), Dim: 2, Masses: nu, Source: source})
					d := c.diagram(start(c.tree.points, target.mass, target.source), 0)
					n := float64(len(d.mass))
					// Raising the small masses makes the sum 1 + startShare at most.
					least := math.Pow(startShare/(1+startShare)/n, 2)
					if nu == nil && target.n == len(d.mass) {
						least = 1 / (n * n)
					}
					if m := slices.Min(d.mass); m < least*(1-1e-3) {
						t.Errorf("a cell has the mass %v, want %v at least", m, least)
					}
				}
			})
		}
	}
}
