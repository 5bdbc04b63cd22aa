package fit

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// begun is a fit of points on a ring that has begun, and heights that are near.
func begun(t *testing.T, o Options) (*run, []float32) {
	t.Helper()
	p := Problem{Points: ring(400), Dim: 3}
	near := solve(t, p, Options{Tolerance: 0.004, Seed: 7})
	r := newRun(p, &mapping{newNaive(p, 2)}, o)
	if err := r.begin(); err != nil {
		t.Fatal(err)
	}
	return r, near.Heights
}

// A few cells without a sample are lifted until a certificate is met; what more is wrong is left to the search, or
// at the end to rebalancing. A run that is taken up after a mend comes to the same.
func TestMend(t *testing.T) {
	for _, c := range []struct {
		name            string
		lowered         int
		last, rebalance bool
		met, goesOn     bool
	}{
		{name: "a_few", lowered: 5, met: true},
		{name: "too_many", lowered: 40, goesOn: true},
		{name: "too_many_at_the_end", lowered: 40, last: true},
		{name: "rebalanced_at_the_end", lowered: 40, last: true, rebalance: true, met: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			var saved []byte
			o := Options{Tolerance: 0.1, Seed: 3, Rebalance: c.rebalance, Now: ticking(), Every: time.Millisecond}
			o.Checkpoint = func(state []byte) error { saved = state; return nil }
			if c.last {
				o.SamplesMax = 1
			}
			r, h := begun(t, o)
			h = slices.Clone(h)
			for i := range c.lowered {
				h[i*r.target.n/c.lowered] -= 1
			}
			before := judged(t, r.target, r.sampler.device, wide(h), 64*r.target.n)
			if before.empty() != c.lowered {
				t.Fatalf("%d cells are empty before, want %d", before.empty(), c.lowered)
			}
			result, _, err := r.certifyAndMend(h)
			if err != nil {
				t.Fatal(err)
			}
			if c.goesOn {
				if result != nil {
					t.Fatalf("want the search to go on, got %+v", result.Report)
				}
				return
			}
			if result == nil {
				t.Fatal("the search goes on")
			}
			if of := result.Report; of.Met != c.met || (of.Empty == 0) != c.met {
				t.Fatalf("want it met: %v, got %+v", c.met, of)
			}
			after := judged(t, r.target, r.sampler.device, wide(result.Heights), 64*r.target.n)
			if got := after.chiSquared(); c.met && (after.empty() > 0 || got > 0.1) {
				t.Errorf("other samples find %d cells empty, chi-squared %.3f", after.empty(), got)
			}
			if !c.met {
				return
			}
			o.Resume = saved
			resumed := newRun(r.target.problem, r.sampler.device, o)
			if err := resumed.begin(); err != nil {
				t.Fatal(err)
			}
			again, _, err := resumed.certifyAndMend(resumed.lifting)
			if err != nil || again == nil || !slices.Equal(again.Heights, result.Heights) || again.Report.ChiSquared != result.Report.ChiSquared {
				t.Errorf("a run that is taken up comes to %+v, error %v, want %+v", again, err, result.Report)
			}
			if resumed.lifts.Mended != r.lifts.Mended || resumed.lifts.Mended == 0 {
				t.Errorf("it counts %d mends, want %d", resumed.lifts.Mended, r.lifts.Mended)
			}
		})
	}
}

// Mends go on while certificates find fewer cells empty than ever, once without that, and not for ever.
func TestLifts_mend(t *testing.T) {
	for _, c := range []struct {
		empty []int
		mends int
	}{
		{[]int{0}, 0},
		{[]int{5, 2, 0}, 2},
		{[]int{5, 5, 3, 0}, 3},
		{[]int{5, 6, 5}, 2},
		{[]int{5, 7, 4, 4}, 3},
		{[]int{20, 19, 18, 17, 16, 15, 14, 13, 12, 11}, mendTimes},
	} {
		var l lifts
		mends := 0
		for _, empty := range c.empty {
			if !l.mend(empty) {
				break
			}
			mends++
		}
		if mends != c.mends || l.Mended != uint64(mends) {
			t.Errorf("certificates with %d empty cells: %d mends, counted as %d, want %d", c.empty, mends, l.Mended, c.mends)
		}
	}
}

// What lacks mass by many samples is lifted over few, which cannot tell what does, and little else is.
func TestRaise_by_a_tally(t *testing.T) {
	const lowered, hits = 20, 4
	r, stored := begun(t, Options{Tolerance: 0.1, Seed: 3})
	h := wide(stored)
	many := func() *tally { return judged(t, r.target, r.sampler.device, h, 200*r.target.n) }
	low := map[int]bool{}
	for k := range lowered {
		low[k*r.target.n/lowered] = true
	}
	seen := many()
	for heavy := lowered; heavy > 0; seen = many() { // until each has a tenth of its mass, or nothing
		heavy = 0
		for i := range low {
			if seen.counts[i] > 200/10 {
				h[i] -= 0.02
				heavy++
			}
		}
	}
	samples, err := r.sampler.stock(r.target, h, hits*r.target.n)
	if err != nil {
		t.Fatal(err)
	}
	before := slices.Clone(h)
	if _, err := r.raise(h, samples, seen, mending); err != nil {
		t.Fatal(err)
	}
	others := 0
	for i := range h {
		if h[i] != before[i] && !low[i] {
			others++
		}
	}
	after, thin := many(), 0
	for _, c := range after.counts {
		if float64(c) < 200*mending.below {
			thin++
		}
	}
	if was := len(seen.thin(mending.below)); was < lowered || thin > lowered/10 || others > lowered/2 {
		t.Errorf("%d cells were thin, %d are; %d that were not were lifted", was, thin, others)
	}
}

// What is seen of a cell goes down by the share of the samples that it loses, up by as many as it gains.
func TestRaiser_now(t *testing.T) {
	for _, c := range []struct {
		seen          int64
		before, after int32
		want          int64
	}{
		{seen: 20, before: 4, after: 4, want: 20},
		{seen: 20, before: 4, after: 0, want: 0}, // 4 samples are 8 of what is seen: 12 would be left
		{seen: 20, before: 4, after: 1, want: 5},
		{seen: 3, before: 0, after: 5, want: 13},
		{seen: 0, before: 2, after: 1, want: 0},
	} {
		seen := tallyOf(bareTarget(equalMasses(2)), []int32{0, 0})
		seen.counts[0], seen.samples = c.seen, 64
		r := &raiser{target: seen.target, seen: seen, samples: &stock{scores: make([]float64, 32)}, before: []int32{c.before, 0}}
		now := r.now([]int32{c.after, 0})
		if now.counts[0] != c.want || now.counts[1] != 0 || now.samples != 64 {
			t.Errorf("%+v: got %d of %d samples", c, now.counts[0], now.samples)
		}
	}
}

// Rounds of lifts leave no cell thin of heights that are so uneven that many are empty.
func TestPolish(t *testing.T) {
	var saved []byte
	o := Options{Tolerance: 0.1, Seed: 3, Now: ticking(), Every: time.Millisecond}
	o.Checkpoint = func(state []byte) error { saved = state; return nil }
	r, h := begun(t, o)
	random := rand.New(rand.NewPCG(1, 2))
	uneven, all := slices.Clone(h), make([]int, len(h))
	for i := range uneven {
		uneven[i] += float32(0.02 * random.NormFloat64())
		all[i] = i
	}
	r.descent.set(all, r.target.overMean(wide(uneven), all))
	thin := func(h []float32) (thin int, of *tally) {
		of = judged(t, r.target, r.sampler.device, wide(h), 200*r.target.n)
		for _, c := range of.counts {
			if c < 200/4 {
				thin++
			}
		}
		return thin, of
	}
	before, was := thin(uneven)
	polished, err := r.polish(uneven)
	if err != nil {
		t.Fatal(err)
	}
	after, is := thin(polished)
	if was.empty() < 20 || is.empty() > 0 || before < 60 || after > before/20 || is.chiSquared() > was.chiSquared()/2 {
		t.Errorf("cells of less than a quarter of their mass: %d, then %d; empty %d, %d; chi-squared %.3f, %.3f",
			before, after, was.empty(), is.empty(), was.chiSquared(), is.chiSquared())
	}
	o.Resume = saved
	resumed := newRun(r.target.problem, r.sampler.device, o)
	if err := resumed.begin(); err != nil {
		t.Fatal(err)
	}
	if again, err := resumed.polish(resumed.lifting); err != nil || !slices.Equal(again, polished) {
		t.Errorf("a run that is taken up comes to other heights, error %v", err)
	}
	if left, of := thin(resumed.candidates()[0]); left > after || of.empty() > 0 {
		t.Errorf("its descent has %d thin cells and %d empty ones, want the %d that were left", left, of.empty(), after)
	}
	r.lifting, r.lifts = nil, lifts{}
	kept, err := r.polish(h)
	if err != nil {
		t.Fatal(err)
	}
	_, near := thin(h)
	if _, still := thin(kept); still.chiSquared() > near.chiSquared()+0.001 {
		t.Errorf("chi-squared of heights that leave no cell thin goes from %.4f to %.4f", near.chiSquared(), still.chiSquared())
	}
	r.lifting, r.lifts, r.steepness = nil, lifts{}, steepnessFree
	if kept, err := r.polish(uneven); err != nil || &kept[0] != &uneven[0] {
		t.Errorf("where the energy is not steep heights stay as they are: error %v", err)
	}
}
