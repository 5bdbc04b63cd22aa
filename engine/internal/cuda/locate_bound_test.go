//go:build cuda

package cuda

import (
	"math"
	"math/big"
	"testing"
)

// boundCases are maps whose rounding errors add up as far as they can.
func boundCases() map[string]mapCase {
	const N, n = 200, 20
	fill := func(d int, point, sample func(i, k int) float32) mapCase {
		c := randomMap(N, d, n)
		for i := range c.points {
			c.points[i] = point(i/d, i%d)
		}
		for i := range c.x {
			c.x[i] = sample(i/d, i%d)
		}
		return c
	}
	// Halfway between two float16, less a little: rounded down by as much as can be, every time.
	low := func(i int) float32 { return 1 + (float32(i%3)+0.499)*0x1p-10 }
	sign := func(k int) float32 { return float32(1 - k%2*2) }
	cases := map[string]mapCase{
		"random/d=64":  randomMap(N, 64, n),
		"random/d=300": randomMap(N, 300, n),
		"rounded_down/d=16": fill(16, func(i, k int) float32 { return low(i + k) },
			func(i, k int) float32 { return low(i * k) }),
		"rounded_down/d=640": fill(640, func(i, k int) float32 { return low(i + k) },
			func(i, k int) float32 { return low(i * k) }),
		// Exact in float16, so that only sums are rounded: a large term, then many whose last bits are
		// cut off.
		"sums_cut_off/d=1024": fill(1024, func(_, k int) float32 { return 1 + 0x1p-10 },
			func(_, k int) float32 {
				if k == 0 {
					return 1
				}
				return 0x1p-3 * (1 + 0x1p-10)
			}),
		"cancellation/d=256": fill(256, func(i, k int) float32 { return sign(k) * low(i) },
			func(i, k int) float32 { return low(k / 2) }),
		"underflow/d=32": fill(32, func(i, k int) float32 { return float32(math.Pow(2, float64(-k-i%5))) * 1.3 },
			func(i, k int) float32 { return float32(math.Pow(2, float64(k-31))) * 1.7 }),
		"height_dominates/d=64": fill(64, func(i, k int) float32 { return 0x1p-20 * low(i+k) },
			func(i, k int) float32 { return low(k) }),
	}
	for name, by := range map[string]float32{"heights_of_a_thousand/d=64": 1e3, "heights_of_a_million/d=64": 1e6} {
		c := randomMap(N, 64, n)
		for i := range c.heights {
			c.heights[i] *= by
		}
		cases[name] = c
	}
	return cases
}

// groupScores are the highest scores of a row's groups less the highest height, in scaled units and
// without rounding: by tile and group, the cells c with (c%8)/2 == group.
func (c mapCase) groupScores(row int, scale float64) []float64 {
	highest := c.heights[0]
	extent := float32(0)
	for _, h := range c.heights {
		highest = max(highest, h)
	}
	for _, y := range c.points {
		extent = max(extent, float32(math.Abs(float64(y))))
	}
	scale = math.Ldexp(scale, 14-math.Ilogb(float64(extent)))
	const precision = 600
	groups := make([]float64, (len(c.heights)+127)/128*4)
	for g := range groups {
		groups[g] = math.Inf(-1)
	}
	var product, x, y big.Float
	for i, h := range c.heights {
		sum := new(big.Float).SetPrec(precision).SetFloat64(float64(h))
		sum.Sub(sum, big.NewFloat(float64(highest)))
		for k := range c.d {
			product.SetPrec(precision).Mul(x.SetFloat64(float64(c.x[row*c.d+k])), y.SetFloat64(float64(c.points[i*c.d+k])))
			sum.Add(sum, &product)
		}
		sum.Mul(sum, big.NewFloat(scale))
		score, _ := sum.Float64()
		g := i/128*4 + i%8/2
		groups[g] = max(groups[g], score)
	}
	return groups
}

// A screened score is off by no more than the bound says, on data that rounds as badly as it can and
// with the rounding of the card's tensor cores: half the margin, and 2^-21 of the score. And the bound
// is no idle one: on some data more than half of it is used up.
func TestLocate_screened_scores_keep_the_bound(t *testing.T) {
	v := newTestDevice(t)
	for _, rung := range locateRungs {
		t.Run(rung.name, func(t *testing.T) {
			worst := 0.0
			for name, c := range boundCases() {
				if rung.allow.wgmma && c.d > 320 {
					continue // more than the kernel takes
				}
				s := c.locateOf(t, v, rung.allow)
				n := len(c.x) / c.d
				got := locateAll(t, v, s, c.x, 2, nil)
				tiles := s.m.tiles
				maxima := fromDevice[float32](t, v, got.scratch.maxima.at(got.base), (n+7)/8*tiles*32)
				rows := fromDevice[[2]float32](t, v, got.scratch.rows.at(got.base), n) // scale, margin
				used := 0.0
				for row := range n {
					scale, margin := float64(rows[row][0]), float64(rows[row][1])
					if margin < 0 {
						t.Fatalf("%s: no bound for sample %d", name, row)
					}
					for g, want := range c.groupScores(row, scale) {
						screened := float64(maxima[((row/8*tiles+g/4)*8+row%8)*4+g%4])
						if math.IsInf(want, -1) != math.IsInf(screened, -1) {
							t.Fatalf("%s: group %d of sample %d: screened %v, exact %v", name, g, row, screened, want)
						}
						if math.IsInf(want, -1) {
							continue
						}
						allowed := margin/2 + 0x1p-21*math.Abs(screened)
						used = max(used, math.Abs(screened-want)/allowed)
					}
				}
				t.Logf("%s: %.3f of the bound", name, used)
				if used > 1 {
					t.Errorf("%s: a screened score is off by %.3f times what the bound allows", name, used)
				}
				worst = max(worst, used)
			}
			if worst < 0.5 {
				t.Errorf("no more than %.3f of the bound is used: the data of this test is not bad enough", worst)
			}
		})
	}
}
