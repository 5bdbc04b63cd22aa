package fit

import (
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"

	"brenier/engine/internal/threads"
)

// TestGroups simulates samples that depend on one another within a group: a group draws from one of
// two distributions, whose mean is that of the known masses.
func TestGroups(t *testing.T) {
	const n, group, groups, trials = 60, 32, 40, 300
	for name, spread := range map[string]float64{"exact_masses": 0, "masses_30_percent_off": 0.3} {
		t.Run(name, func(t *testing.T) {
			wanted := equalMasses(n)
			chi := 0.0
			var tilted [2]distuv.Categorical
			source := rand.NewPCG(3, 4)
			var weights [2][]float64
			total := 0.0
			for i := range n {
				total += 1 + spread*math.Sin(float64(2*i))
			}
			for i := range n {
				m := (1 + spread*math.Sin(float64(2*i))) / total
				chi += (m - wanted[i]) * (m - wanted[i]) / wanted[i]
				tilt := 0.9 * float64(1-i%2*2) // every other cell more likely, the rest less
				weights[0] = append(weights[0], m*(1+tilt))
				weights[1] = append(weights[1], m*(1-tilt))
			}
			for side := range tilted {
				tilted[side] = distuv.NewCategorical(weights[side], source)
			}
			// The two do not quite sum to 1 each where the masses differ; what counts is their mean.
			mean := make([]float64, n)
			for side := range weights {
				sum := 0.0
				for _, w := range weights[side] {
					sum += w
				}
				for i, w := range weights[side] {
					mean[i] += w / sum / 2
				}
			}
			chi = 0
			for i := range mean {
				chi += (mean[i] - wanted[i]) * (mean[i] - wanted[i]) / wanted[i]
			}
			random := rand.New(source)
			estimates, errors, plain := make([]float64, trials), make([]float64, trials), make([]float64, trials)
			dependence := 0.0
			for trial := range trials {
				tally := newTally(bareTarget(wanted))
				tally.group = group
				for range groups {
					cells := make([]int64, group)
					side := random.IntN(2)
					for i := range cells {
						cells[i] = int64(tilted[side].Rand())
					}
					tally.add(cells)
				}
				estimates[trial], errors[trial] = tally.estimate()
				dependence += tally.moments().dependence / trials
				plain[trial] = tally.factorial(2, 1) - 1
			}
			average, deviation := stat.MeanStdDev(estimates, nil)
			if z := (average - chi) / (deviation / math.Sqrt(trials)); math.Abs(z) > 4 {
				t.Errorf("mean of the estimates %.5f, chi-squared %.5f: %.1f standard errors off", average, chi, z)
			}
			if said := stat.Mean(errors, nil); said/deviation < 0.75 || said/deviation > 1.35 {
				t.Errorf("standard error said %.5f, seen %.5f", said, deviation)
			}
			// Pairs within a group meet too often: the estimate that takes them in is biased.
			if biased := stat.Mean(plain, nil); biased-chi < 5*deviation/math.Sqrt(trials) {
				t.Errorf("the samples do not depend on one another: %.5f with their pairs, %.5f without", biased, average)
			}
			if dependence < 1.3 {
				t.Errorf("dependence %.2f", dependence)
			}
		})
	}
	t.Run("independent_samples_in_groups_are_worth_as_many", func(t *testing.T) {
		wanted := equalMasses(n)
		random := rand.New(rand.NewPCG(5, 6))
		grouped, single := newTally(bareTarget(wanted)), newTally(bareTarget(wanted))
		grouped.group = group
		for range 200 {
			cells := make([]int64, group)
			for i := range cells {
				cells[i] = int64(random.IntN(n))
			}
			grouped.add(cells)
			single.add(cells)
		}
		a, sdA := grouped.estimate()
		b, sdB := single.estimate()
		if math.Abs(a-b) > 2*sdB || sdA/sdB < 0.7 || sdA/sdB > 1.4 {
			t.Errorf("chi-squared %.5f +- %.5f in groups, %.5f +- %.5f one by one", a, sdA, b, sdB)
		}
		if worth := grouped.worth() / single.worth(); worth < 0.9 {
			t.Errorf("worth of a draw %.2f", worth)
		}
	})
}

// TestRotated fits with draws that share rotations and judges the result by dense ones.
func TestRotated(t *testing.T) {
	const n, d = 40, 24
	p := Problem{Points: randomPoints(n, d), Dim: d}
	device := &rotating{naive: newNaive(p, 1), group: 512, axes: 8}
	r, err := Solve(p, device, Options{Tolerance: 0.01, SamplesMax: 60_000})
	if err != nil {
		t.Fatal(err)
	}
	if r.Report.Group != 512 || r.Report.Empty != 0 {
		t.Errorf("report %+v", r.Report)
	}
	dense := newTally(newTarget(p, threads.Alone))
	s := newSampler(newNaive(p, 2), dense.target, 77)
	if err := s.device.SetHeights(r.Heights); err != nil {
		t.Fatal(err)
	}
	if err := s.test(dense, 40_000); err != nil {
		t.Fatal(err)
	}
	chi, sd := dense.estimate()
	if math.Abs(chi-r.Report.ChiSquared) > 4*math.Hypot(sd, r.Report.ChiSquaredError) {
		t.Errorf("chi-squared %.5f +- %.5f on dense draws, %.5f +- %.5f in the report", chi, sd, r.Report.ChiSquared, r.Report.ChiSquaredError)
	}
	p.Uniform = true
	device = &rotating{naive: newNaive(p, 1), group: 512, axes: 8}
	if s := newSampler(device, newTarget(p, threads.Alone), 0); s.group != 1 {
		t.Error("a uniform source has no rotated draws")
	}
}

// A plan is of whole groups where it has some; where it has fewer than tell an error, of independent samples, and
// the cost of both is that of the same heights.
func TestPlan_groups(t *testing.T) {
	const n, d = 30, 24
	p := Problem{Points: randomPoints(n, d), Dim: d}
	given := solve(t, p, Options{Tolerance: 0.05, SamplesMax: 20_000})
	var reports []Report
	for _, group := range []int{planLeast / planGroups, planLeast/planGroups + 1} { // 2048 and 2049 of 8192
		device := &rotating{naive: newNaive(p, 2), group: group, axes: 8}
		r, err := Certify(p, given.Heights, device, Options{Tolerance: 0.05})
		if err != nil {
			t.Fatal(err)
		}
		if r.Report.Group != group || !(r.Report.W2UpperError > 0 && r.Report.W2UpperError < 0.05*r.Report.W2Upper) {
			t.Errorf("groups of %d: report %+v", group, r.Report)
		}
		s := newSampler(device, newTarget(p, threads.Alone), 0)
		plan, err := s.plan()
		if err != nil {
			t.Fatal(err)
		}
		want := group
		if group > planLeast/planGroups {
			want = blockOf(1)
		}
		if plan.block != want {
			t.Errorf("groups of %d: blocks of %d, want %d", group, plan.block, want)
		}
		reports = append(reports, r.Report)
	}
	a, b := reports[0], reports[1]
	if math.Abs(a.W2Upper-b.W2Upper) > 4*math.Hypot(a.W2UpperError, b.W2UpperError) {
		t.Errorf("W2^2 up to %.4g +- %.2g by groups, %.4g +- %.2g by independent samples", a.W2Upper, a.W2UpperError, b.W2Upper, b.W2UpperError)
	}
}

// TestGroupMoments holds the moments against the definition, pair by pair, and those of other threads, and
// of a tally that was asked before it had all groups, against the same bits.
func TestGroupMoments(t *testing.T) {
	const n, group, groups = 40, 24, 30
	random := rand.New(rand.NewPCG(8, 9))
	wanted := make([]float64, n)
	for i := range wanted {
		wanted[i] = float64(1+i%3) / (2*n - 1)
	}
	drawn := make([][]int64, groups)
	for g := range drawn {
		for range group {
			drawn[g] = append(drawn[g], int64(random.IntN(n/(1+g%3)))) // a law of its own
		}
	}
	of := func(threads int, asked ...int) moments {
		tally := newTally(bareTarget(wanted))
		tally.group = group
		tally.parallel = func(n int, work func(first, end int)) {
			var wait sync.WaitGroup
			for part := range threads {
				wait.Add(1)
				go func() {
					defer wait.Done()
					work(part*n/threads, (part+1)*n/threads)
				}()
			}
			wait.Wait()
		}
		for g, cells := range drawn {
			tally.add(cells)
			if slices.Contains(asked, g) {
				tally.moments()
			}
		}
		return tally.moments()
	}
	got := of(1)
	for name, other := range map[string]moments{"3 threads": of(3), "asked before": of(2, 1, 17, 18)} {
		if other != got {
			t.Errorf("%s: %+v, want %+v", name, other, got)
		}
	}

	f := func(g, other int) (sum float64) {
		for _, a := range drawn[g] {
			for _, b := range drawn[other] {
				if a == b {
					sum += 1 / wanted[a] / group / group
				}
			}
		}
		return sum
	}
	var means, near []float64 // over the other groups, of each; of pairs
	own := 0.0
	for g := range groups {
		own += f(g, g) / groups
		with := 0.0
		for other := range groups {
			if other != g {
				with += f(g, other) / (groups - 1)
			}
			if other < g && g-other <= compared(g) {
				near = append(near, f(g, other))
			}
		}
		means = append(means, with)
	}
	spread := 0.0
	for _, cells := range drawn {
		for _, c := range cells {
			spread += 1 / wanted[c] / group / groups
		}
	}
	mean, variance := stat.MeanVariance(means, nil)
	_, z2 := stat.PopMeanVariance(near, nil)
	want := moments{
		mean: mean, z2: z2, z1: (variance - z2/(groups-1)) / (1 - 2./(groups-1)), groups: groups,
		dependence: (own - mean) * group / (spread - mean),
	}
	for name, pair := range map[string][2]float64{
		"mean": {got.mean, want.mean}, "z1": {got.z1, want.z1}, "z2": {got.z2, want.z2},
		"groups": {got.groups, want.groups}, "dependence": {got.dependence, want.dependence},
	} {
		if math.Abs(pair[0]-pair[1]) > 1e-10*math.Abs(pair[1]) {
			t.Errorf("%s is %v, want %v", name, pair[0], pair[1])
		}
	}
}

// Some hundred pairs of groups, however many there are, and none of a group with itself or one that comes later.
func TestCompared(t *testing.T) {
	for g, want := range map[int]int{0: 0, 1: 1, 7: 7, 8: 8, 16: 8, 17: 7, 32: 4, 128: 1, 1000: 1} {
		if got := compared(g); got != want {
			t.Errorf("group %d is compared to %d before it, want %d", g, got, want)
		}
	}
}

// A step ends where a group does, if it is long enough, and is never empty.
func TestToGroupEnd(t *testing.T) {
	for _, c := range []struct{ group, batch, at, batches, want int }{
		{1, 1024, 7 * 1024, 9, 9},                             // independent
		{512, 1024, 3 * 1024, 2, 2}, {1024, 1024, 1024, 5, 5}, // whole groups
		{3072, 1024, 0, 9, 9}, {3072, 1024, 1024, 9, 8}, {3072, 1024, 2048, 9, 7}, {3072, 1024, 0, 8, 6},
		{3072, 1024, 0, 2, 2}, {3072, 1024, 1024, 1, 1}, {3072, 1024, 2048, 2, 1}, {3072, 1024, 2048, 3, 1},
	} {
		s := &sampler{group: c.group, batch: c.batch}
		s.next[trainStream] = uint64(c.at)
		if got := s.toGroupEnd(trainStream, c.batches); got != c.want {
			t.Errorf("%+v: %d batches", c, got)
		}
	}
}
