package fit

import "math"

// tally counts the samples of a test by cell; a duplicate's count for its owner.
type tally struct {
	target  *target
	counts  []int64 // [N]
	samples uint64
}

func newTally(t *target) *tally { return &tally{target: t, counts: make([]int64, t.n)} }

func (t *tally) add(cells []int64) {
	for _, c := range cells {
		t.counts[t.target.owner[c]]++
	}
	t.samples += uint64(len(cells))
}

// chiSquared estimates sum_i (m_i - nu_i)^2 / nu_i without bias.
//
// It is the U-statistic of order two with the kernel f(a,b) = [a=b]/nu_a - 1 over pairs of samples:
// with counts c of B samples, sum_i c_i (c_i - 1)/nu_i / (B (B-1)) - 1.
func (t *tally) chiSquared() float64 { return t.factorial(2, 1) - 1 }

// chiSquaredError estimates the standard error of chiSquared. The variance of the U-statistic
// (Hoeffding 1948) is (4 (B-2) z1 + 2 z2) / (B (B-1)), where z1 = Var_a(m_a/nu_a) is zero for exact
// masses and z2 = Var(f) about N: the error is sqrt(2N)/B there.
func (t *tally) chiSquaredError() float64 {
	b := float64(t.samples)
	mean := t.factorial(2, 1)
	z1 := max(t.factorial(3, 2)-mean*mean, 0)
	z2 := max(t.factorial(2, 2)-mean*mean, 0)
	return math.Sqrt((4*(b-2)*z1 + 2*z2) / (b * (b - 1)))
}

// factorial estimates sum_i m_i^power / nu_i^divisor without bias, by falling factorials:
// E[c (c-1) ... (c-power+1)] = B (B-1) ... (B-power+1) m^power.
func (t *tally) factorial(power, divisor int) float64 {
	sum := 0.0
	for i, nu := range t.target.mass {
		if nu == 0 {
			continue
		}
		term := 1.0
		for j := range power {
			term *= float64(t.counts[i]-int64(j)) / (float64(t.samples) - float64(j))
		}
		for range divisor {
			term /= nu
		}
		sum += term
	}
	return sum
}

// empty is the number of cells without a sample, duplicates left out.
func (t *tally) empty() int {
	empty := 0
	for i, nu := range t.target.mass {
		if nu > 0 && t.counts[i] == 0 {
			empty++
		}
	}
	return empty
}

// emptyExpected is the number of cells that as many samples would miss if every mass were exact.
func (t *tally) emptyExpected() float64 {
	sum := 0.0
	for _, nu := range t.target.mass {
		if nu > 0 {
			sum += math.Exp(float64(t.samples) * math.Log1p(-min(nu, 1)))
		}
	}
	return sum
}

// missesTooMany reports whether more cells are empty than chance leaves empty: the number of missed
// cells is close to a Poisson variable, so its deviation is the root of its mean.
func (t *tally) missesTooMany() bool {
	expected := t.emptyExpected()
	return float64(t.empty()) > expected+3*math.Sqrt(expected)
}
