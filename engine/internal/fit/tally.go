package fit

import (
	"math"

	"brenier/engine/internal/threads"
)

// tally counts the samples of a test by cell; a duplicate's count for its owner.
//
// Samples may come in groups of `group` that depend on one another, while groups are independent
// and every sample has the source's law. All that is said of the masses then rests on pairs of
// different groups. With c_g the counts of group g, P its size and w_g = c_g/(P sqrt(nu)),
//
//	sum_i m_i^2/nu_i  is estimated without bias by  (|sum_g w_g|^2 - sum_g |w_g|^2) / (G (G-1)),
//
// the U-statistic of order two with the kernel f(g,g') = <w_g,w_g'> over G groups. Independent
// samples are groups of one.
type tally struct {
	target   *target
	group    int // P
	parallel threads.Share
	counts   []int64 // [N]
	samples  uint64
	scores   float64 // sum of the best scores; of trials
	cells    []int32 // of every sample, in order; only where group > 1

	known   moments // of the first knownAt samples
	knownAt uint64
	groups  []groupSums // of the groups that moments have been asked of
}

func newTally(t *target) *tally {
	return &tally{target: t, group: 1, parallel: threads.Alone, counts: make([]int64, t.n)}
}

// tallyOf is the tally of independent samples by cell [N].
func tallyOf(target *target, counts []int32) *tally {
	t := newTally(target)
	for i, c := range counts {
		t.counts[i] = int64(c)
		t.samples += uint64(c)
	}
	return t
}

func (t *tally) add(cells []int64) {
	counts, all := t.counts, t.cells
	for _, c := range cells {
		c = t.target.ownerOf(c)
		counts[c]++
		if t.group > 1 {
			all = append(all, int32(c))
		}
	}
	t.cells = all
	t.samples += uint64(len(cells))
}

// moments are those of the U-statistic.
type moments struct {
	mean       float64 // estimate of sum_i m_i^2/nu_i
	z1         float64 // Var_g E_g' f(g,g')
	z2         float64 // Var f(g,g')
	groups     float64 // G
	dependence float64 // variance of a group's masses over that of as many independent samples
}

// minGroups is the fewest groups that a tally is asked for: the variances come from them.
const minGroups = 16

func (t *tally) moments() moments {
	if t.knownAt != t.samples {
		t.known, t.knownAt = t.measure(), t.samples
	}
	return t.known
}

func (t *tally) measure() moments {
	if t.group > 1 {
		return t.groupMoments()
	}
	mean := t.factorial(2, 1)
	return moments{
		mean:   mean,
		z1:     max(t.factorial(3, 2)-float64(mean*mean), 0),
		z2:     max(t.factorial(2, 2)-float64(mean*mean), 0),
		groups: float64(t.samples), dependence: 1,
	}
}

// strides is to how many groups before it a group is compared for the variance of the kernel, at most.
const strides = 8

// compared is to how many groups before it group g is compared: ever fewer, as some hundred pairs in all tell a
// variance to a tenth.
func compared(g int) int { return min(g, strides, max(1, strides*minGroups/max(1, g))) }

// groupSums are what a group has to do with itself and with those before it, times P^2: no group that
// comes later changes them.
type groupSums struct {
	own        float64 // |w_g|^2
	pairs      float64 // sum of f(g,g') over the groups that it is compared to
	pairSquare float64 // sum of f(g,g')^2
}

// groupMoments estimates the moments where groups are more than one sample. The variance z2 is that
// of f over pairs of groups near one another, and z1 is the variance over g of
// a_g = sum_{g' != g} f(g,g')/(G-1) less what the other groups add to it, (z2 - 2 z1)/(G-1).
func (t *tally) groupMoments() moments {
	p := t.group
	groups := len(t.cells) / p
	nu := t.target.mass
	scale := 1 / float64(p) / float64(p)
	total := 0.0 // |sum_g w_g|^2
	spread := 0.0
	relative := make([]float64, t.target.n) // sum_g c_g/nu
	for i, c := range t.counts {
		if nu[i] > 0 {
			v := float64(c)
			relative[i] = v / nu[i]
			total += float64(v * relative[i])
			spread += relative[i]
		}
	}
	a := make([]float64, groups)
	t.sumGroups(groups)
	t.parallel(groups, func(first, end int) {
		for g := first; g < end; g++ {
			with := 0.0
			for _, c := range t.cells[g*p : (g+1)*p] {
				with += relative[c]
			}
			a[g] = float64((with-t.groups[g].own)*scale) / float64(groups-1)
		}
	})
	own, pairs, pairSum, pairSquare := 0.0, 0, 0.0, 0.0
	for g, s := range t.groups[:groups] {
		own += s.own
		pairs += compared(g)
		pairSum += float64(s.pairs * scale)
		pairSquare += float64(float64(s.pairSquare*scale) * scale)
	}
	m := moments{groups: float64(groups), mean: float64((total-own)*scale) / (float64(groups) * float64(groups-1))}
	pairMean := pairSum / float64(pairs)
	m.z2 = max(pairSquare/float64(pairs)-float64(pairMean*pairMean), 0)
	mean, variance := 0.0, 0.0
	for _, v := range a {
		mean += v / float64(groups)
	}
	for _, v := range a {
		variance += float64((v-mean)*(v-mean)) / float64(groups-1)
	}
	others := 1 / float64(groups-1)
	m.z1 = max((variance-float64(m.z2*others))/(1-float64(2*others)), 0)
	independent := (spread/float64(t.samples) - m.mean) / float64(p)
	if independent > 0 {
		m.dependence = max(1, (float64(own*scale)/float64(groups)-m.mean)/independent)
	} else { // a single cell
		m.dependence = 1
	}
	return m
}

// sumGroups makes the sums of the first groups that have none yet.
func (t *tally) sumGroups(groups int) {
	p, nu, done := t.group, t.target.mass, len(t.groups)
	if groups <= done {
		return
	}
	t.groups = append(t.groups, make([]groupSums, groups-done)...)
	t.parallel(groups-done, func(first, end int) {
		counts := make([]int32, t.target.n) // of the group
		for g := done + first; g < done+end; g++ {
			cells := t.cells[g*p : (g+1)*p]
			for _, c := range cells {
				counts[c]++
			}
			with := func(cells []int32) (sum float64) {
				for _, c := range cells {
					if n := counts[c]; n > 0 { // few are
						sum += float64(n) / nu[c]
					}
				}
				return sum
			}
			sums := &t.groups[g]
			sums.own = with(cells)
			for before := g - compared(g); before < g; before++ {
				f := with(t.cells[before*p : (before+1)*p])
				sums.pairs += f
				sums.pairSquare += float64(f * f)
			}
			for _, c := range cells {
				counts[c] = 0
			}
		}
	})
}

// chiSquared estimates sum_i (m_i - nu_i)^2 / nu_i without bias.
func (t *tally) chiSquared() float64 { chi, _ := t.estimate(); return chi }

// estimate is chi-squared and its standard error. The variance of the U-statistic (Hoeffding 1948)
// is (4 (G-2) z1 + 2 z2) / (G (G-1)); z1 is zero for exact masses, and z2 about N for independent
// samples: the error is sqrt(2N)/B there.
func (t *tally) estimate() (chi, sd float64) {
	m := t.moments()
	return m.mean - 1, math.Sqrt((4*(m.groups-2)*m.z1 + 2*m.z2) / (m.groups * (m.groups - 1)))
}

// factorial estimates sum_i m_i^power / nu_i^divisor without bias, by falling factorials:
// E[c (c-1) ... (c-power+1)] = B (B-1) ... (B-power+1) m^power. For independent samples only.
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

// worth is the number of independent samples whose masses scatter as these do.
func (t *tally) worth() float64 { return float64(t.samples) / t.moments().dependence }

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

// stuckHits is how many hits a cell must expect without one to be taken for stuck: chance leaves 6e-6 of such.
const stuckHits = 12.

// stuck are the cells that have no sample although they should have, many times.
func (t *tally) stuck() (cells []int) {
	worth := t.worth()
	for i, nu := range t.target.mass {
		if nu > 0 && t.counts[i] == 0 && float64(worth*nu) >= stuckHits {
			cells = append(cells, i)
		}
	}
	return cells
}

// emptyExpected is the number of cells that as many samples would miss if every mass were exact.
func (t *tally) emptyExpected() float64 {
	return t.missed(func(hits float64) float64 { return math.Exp(-hits) })
}

// missed sums, over all cells, the probability that no sample falls into one, which chance gives for the
// number -ln (1-nu)^B of hits that it expects.
func (t *tally) missed(chance func(hits float64) float64) float64 {
	sum, worth := 0.0, t.worth()
	mass, missed := math.NaN(), 0.0 // of the latest mass, for masses are mostly equal
	for _, nu := range t.target.mass {
		if nu > 0 {
			if nu != mass {
				mass, missed = nu, chance(-float64(worth*math.Log1p(-min(nu, 1))))
			}
			sum += missed
		}
	}
	return sum
}

// emptyBeyondChance is the number of cells without a sample, less those that exact masses would miss.
func (t *tally) emptyBeyondChance() int {
	return int(math.Round(max(0, float64(t.empty())-t.emptyExpected())))
}

// emptyUneven is the number of cells that as many samples would miss of masses that are off by chi-squared in
// all: those are missed more often than exact ones, as exp(-B m) is convex in m. Where m/nu has a gamma law of
// mean 1 and variance chi-squared, it is (1 + B nu chi-squared)^(-1/chi-squared) of them. A test must not take
// that for empty cells.
func (t *tally) emptyUneven() float64 {
	chi := max(0, t.chiSquared())
	return t.missed(func(hits float64) float64 {
		if chi > 0 {
			hits = math.Log1p(float64(hits*chi)) / chi
		}
		return math.Exp(-hits)
	})
}

// willMiss is how many cells n samples will miss, from those that these missed and those that they hit once. Where the
// masses of light cells have a density like m^(a-1), B samples hit one of them c times for B^-a Gamma(a+c)/c!: a is
// the ratio of the two counts, and the first goes down like B^-a.
func (t *tally) willMiss(n float64) float64 {
	missed, once := 0., 0.
	for i, nu := range t.target.mass {
		if nu > 0 && t.counts[i] == 0 {
			missed++
		} else if t.counts[i] == 1 {
			once++
		}
	}
	if missed == 0 {
		return 0
	}
	return missed * math.Pow(float64(t.samples)/n, once/missed)
}

// missesTooMany reports whether more cells are empty than chance leaves empty: the number of missed
// cells is close to a Poisson variable, so its deviation is the root of its mean.
func (t *tally) missesTooMany() bool {
	expected := t.emptyUneven()
	return float64(t.empty()) > expected+float64(3*math.Sqrt(expected))
}

// emptyMass bounds, with probability 1-risk at least, the mass of all cells without a sample. A set
// of E given cells of mass t together is missed by B samples with probability (1-t)^B; there are
// C(N,E) such sets, so that t <= (ln C(N,E) + ln(1/risk)) / B for all at once (derived here).
func (t *tally) emptyMass(risk float64) float64 {
	e := t.empty()
	if e == 0 {
		return 0
	}
	logGamma := func(v int) float64 { l, _ := math.Lgamma(float64(v + 1)); return l }
	choices := logGamma(t.target.cells) - logGamma(e) - logGamma(t.target.cells-e)
	return min(1, (choices-math.Log(risk))/t.worth())
}

// totalVariation is sum_i |c_i/B - nu_i| / 2, and its floor the mean that it would have if every
// mass were exact: c_i/B - nu_i is then close to a Gaussian of variance nu_i (1-nu_i)/B.
func (t *tally) totalVariation() (seen, floor float64) {
	b, worth := float64(t.samples), t.worth()
	for i, nu := range t.target.mass {
		if nu > 0 {
			seen += math.Abs(float64(t.counts[i])/b-nu) / 2
			floor += math.Sqrt(float64(nu*max(0, 1-nu)) / (float64(2*math.Pi) * worth))
		}
	}
	return seen, floor
}

// largestError is the largest |c_i/(B nu_i) - 1|, the size that it would have if every mass were
// exact, and how much of it is certain: the largest over the cells of what is left when the
// sampling error, at a risk shared among all cells, is taken off. certain is 0 where the sample
// resolves no cell's error.
func (t *tally) largestError(risk float64) (seen, floor, certain float64) {
	b, worth := float64(t.samples), t.worth()
	cells := float64(t.target.cells)
	typical := math.Sqrt(float64(2 * math.Log(2*cells)))
	allowed := math.Sqrt(float64(2 * math.Log(2*cells/risk)))
	for i, nu := range t.target.mass {
		if nu == 0 {
			continue
		}
		off := math.Abs(float64(t.counts[i])/float64(b*nu) - 1)
		seen = max(seen, off)
		sd := math.Sqrt(max(0, 1-nu) / float64(worth*nu))
		floor = max(floor, float64(typical*sd))
		// A mass's own deviation grows with its root: that of a cell off by off is sqrt(1+off) sd.
		certain = max(certain, off-float64(allowed*sd*math.Sqrt(1+off)))
	}
	return seen, floor, certain
}
