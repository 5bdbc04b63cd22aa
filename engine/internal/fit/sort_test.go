package fit

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// The order is that of the standard library's sort.
func TestSortByKey(t *testing.T) {
	type item struct {
		key float64
		tie int
	}
	random := rand.New(rand.NewPCG(1, 1))
	for name, key := range map[string]func() float64{
		"even":            random.Float64,
		"normal":          random.NormFloat64,
		"one_far_away":    func() float64 { return 1e300 * math.Floor(random.Float64()+1e-3) },
		"few_values":      func() float64 { return float64(random.IntN(5)) },
		"all_the_same":    func() float64 { return -2.5 },
		"next_each_other": func() float64 { return 1 + float64(random.IntN(3))*0x1p-52 },
	} {
		for _, n := range []int{0, 1, 2, 1000} {
			items := make([]item, n)
			for i := range items {
				items[i] = item{key(), random.IntN(1 << 40)}
			}
			ties := func(a, b item) int { return cmp.Compare(a.tie, b.tie) }
			got := sortByKey(inTwo, items, func(i item) float64 { return i.key }, ties)
			slices.SortFunc(items, func(a, b item) int { return cmp.Or(cmp.Compare(a.key, b.key), ties(a, b)) })
			if !slices.Equal(got, items) {
				t.Errorf("%s, %d items: another order", name, n)
			}
		}
	}
}
