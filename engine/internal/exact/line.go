package exact

import "math"

// In one dimension the cells are intervals in the points' order, and everything has a closed form.

// lineHeights are the heights for which each of the points y [n], ascending, has the mass nu [n].
//
// The boundary b_j between the cells j and j+1 is where the source has the mass nu_0 + ... + nu_j
// below it (the monotone map; Villani, "Topics in Optimal Transportation", 2003, theorem 2.18), and
// equal scores there give h_{j+1} - h_j = -(y_{j+1} - y_j) b_j. Heights are summed from the middle
// outwards: there they are close to what they are when centred, and rounded as little.
func lineHeights(y, nu []float64, s source) []float64 {
	n := len(y)
	above := make([]float64, n) // the mass of the points after j: summed from that end, as tails are small
	var total sum
	for j := n - 1; j > 0; j-- {
		total.add(nu[j])
		above[j-1] = total.value()
	}
	steps := make([]float64, n) // h_{j+1} - h_j
	middle := 0
	total = sum{}
	for j := range n - 1 {
		total.add(nu[j])
		steps[j] = -(y[j+1] - y[j]) * s.quantile(total.value(), above[j])
		if total.value() < above[j] {
			middle = j + 1
		}
	}
	h := make([]float64, n)
	for j := middle; j < n-1; j++ {
		h[j+1] = h[j] + steps[j]
	}
	for j := middle; j > 0; j-- {
		h[j-1] = h[j] - steps[j-1]
	}
	return h
}

// lineCells are the intervals where each of the lines <x,y_i> + h_i, y ascending, is the highest; an
// empty cell has from >= to. Lines are added in order of slope, and each one ends what it covers of
// those before it.
func lineCells(y, h []float64) (from, to []float64) {
	n := len(y)
	from, to = make([]float64, n), make([]float64, n)
	seen := make([]int, 0, n) // those not covered so far
	for j := range n {
		from[j], to[j] = math.Inf(-1), math.Inf(1)
		for len(seen) > 0 {
			i := seen[len(seen)-1]
			equal := (h[i] - h[j]) / (y[j] - y[i])
			from[j] = equal
			if equal > from[i] {
				to[i] = equal
				break
			}
			to[i] = from[i]
			seen = seen[:len(seen)-1]
			from[j] = math.Inf(-1)
		}
		seen = append(seen, j)
	}
	return from, to
}

// lineDiagram measures the cells of the points y, ascending on the x axis, with heights h.
func lineDiagram(points []vector, h []float64, s source) *diagram {
	n, y := len(points), coordinates(points)
	d := &diagram{mass: make([]float64, n), moment: make([]vector, n), starts: make([]int32, n+1)}
	from, to := lineCells(y, h)
	var seen []int32 // those with a cell, in order
	for i := range int32(n) {
		if from[i] < to[i] {
			d.mass[i], d.moment[i].x = s.interval(from[i], to[i])
			seen = append(seen, i)
		}
	}
	touch := func(i, j int32, boundary float64) {
		d.neighbours = append(d.neighbours, j)
		d.weights = append(d.weights, s.density(boundary)/math.Abs(y[j]-y[i]))
	}
	for k, i := range seen {
		if k > 0 {
			touch(i, seen[k-1], from[i])
		}
		if k+1 < len(seen) {
			touch(i, seen[k+1], to[i])
		}
		d.starts[i+1] = int32(len(d.neighbours))
	}
	for i := range n { // an empty cell's row ends where it starts
		d.starts[i+1] = max(d.starts[i+1], d.starts[i])
	}
	return d
}

func coordinates(points []vector) []float64 {
	y := make([]float64, len(points))
	for i, v := range points {
		y[i] = v.x
	}
	return y
}
