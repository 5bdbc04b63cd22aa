package fit

import "math/rand/v2"

const (
	kmeansPoints = 4096 // that the centres are found on
	kmeansRounds = 8
)

// kmeans splits the points into k clusters and returns each one's [N]: k-means++ seeding (Arthur
// and Vassilvitskii 2007), then Lloyd's rounds, on some of the points; then every point goes to the
// nearest centre.
func (t *target) kmeans(k int, seed uint64) []int {
	random := rand.New(rand.NewPCG(seed, 0x6b6d65616e73))
	d := t.problem.Dim
	some := random.Perm(t.n)[:min(t.n, kmeansPoints)]
	centres := make([]float64, 0, k*d)
	add := func(i int) {
		for _, v := range t.point(i) {
			centres = append(centres, float64(v))
		}
	}
	add(some[random.IntN(len(some))])
	far := make([]float64, len(some)) // squared distance to the nearest centre
	for len(centres) < k*d {
		sum := 0.0
		for j, i := range some {
			v := squared(t.point(i), centres[len(centres)-d:])
			if len(centres) == d || v < far[j] {
				far[j] = v
			}
			sum += far[j]
		}
		at, left := 0, float64(sum*random.Float64())
		for at < len(some)-1 && left >= far[at] {
			left -= far[at]
			at++
		}
		add(some[at])
	}
	label := make([]int, t.n)
	for range kmeansRounds {
		sums, counts := make([]float64, k*d), make([]int, k)
		for _, i := range some {
			c := nearest(t.point(i), centres)
			counts[c]++
			for j, v := range t.point(i) {
				sums[c*d+j] += float64(v)
			}
		}
		for c, count := range counts {
			for j := c * d; j < (c+1)*d && count > 0; j++ {
				centres[j] = sums[j] / float64(count)
			}
		}
	}
	for i := range t.n {
		label[i] = nearest(t.point(i), centres)
	}
	return label
}

// nearest is the row of centres [k,d] that is nearest to a point.
func nearest(point []float32, centres []float64) int {
	d := len(point)
	best, least := 0, 0.0
	for c := range len(centres) / d {
		if v := squared(point, centres[c*d:(c+1)*d]); c == 0 || v < least {
			best, least = c, v
		}
	}
	return best
}

func squared(a []float32, b []float64) float64 {
	sum := 0.0
	for k, v := range a {
		e := float64(v) - b[k]
		sum += float64(e * e)
	}
	return sum
}
