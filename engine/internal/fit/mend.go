package fit

import (
	"errors"
	"maps"
	"math"
	"slices"
)

const (
	polishHits   = 16  // samples that a cell expects of those that say which cells lack mass
	polishMissed = 0.1 // cells that the certificate is expected to find empty for rounds to end
	raiseTimes   = 8
	raiseFew     = 32 // cells, which cost little to lift
	mendTimes    = 8
	mendStalls   = 2  // that do not leave fewer cells empty than ever
	mendMost     = 64 // one of so many cells may be empty for heights to be mended
)

// A raising lifts cells of less than a share of their mass to a share of it.
type raising struct{ below, to float64 }

// raisings are those of the rounds before a certificate. More of them would lift what chance makes light of polishHits
// samples, which robs others. What is thin then is told by a certificate, which has more samples.
var raisings = [...]raising{{0.8, 0.8}, {0.6, 0.7}}

// mending lifts the lightest cells alone: those that a raising has robbed, or that a certificate is likely to miss.
var mending = raising{0.2, 0.5}

// liftStuck lifts cells that the descent has not hit although it should have, many times.
func (r *run) liftStuck() error {
	if r.newton != nil {
		return nil
	}
	var stuck []int
	so := float64(r.descent.samples + r.descent.credit)
	for i, nu := range r.target.mass {
		if nu > 0 && r.descent.Hits[i] == 0 && float64(so*nu) >= stuckHits {
			stuck = append(stuck, i)
		}
	}
	return r.lift(r.descent.Averages[0], stuck)
}

// liftEmpty lifts cells that a test did not hit although it should have.
func (r *run) liftEmpty(t *tally, h []float32) error {
	if r.target.cells < 2 || !t.missesTooMany() {
		return nil
	}
	return r.lift(wide(h), t.stuck())
}

// lift lifts cells that are empty at heights h; the descent has them lifted.
func (r *run) lift(h []float64, cells []int) error {
	if len(cells) == 0 {
		return nil
	}
	lifted, err := r.sampler.lift(r.target, h, cells, r.liftSamples())
	if err == nil {
		r.descent.set(cells, lifted)
	}
	return err
}

// polish makes heights ready to be certified where the energy is steep: the iterate of a narrow cell goes from too
// much mass to none and back, and at the average of such heights it has too little. Rounds on fresh samples lift cells
// that lack mass (thin.go), unless so few samples miss a cell that the certificate's will not.
//
// Tried without gain: rounds that lift once what has less than half of its mass, to 0.75; lifts that take from no
// neighbour that has less, which leave as many cells empty as they find, for thin cells lie together; Newton's step on
// the same samples (newton.go), which goes away.
func (r *run) polish(heights []float32) ([]float32, error) {
	if !r.steep() || r.target.cells < 2 {
		return heights, nil
	}
	for r.lifts.Raised < uint64(len(raisings)) && (r.lifts.Raised == 0 || !r.spent()) {
		h := wide(heights)
		samples, err := r.stock(h)
		if err != nil {
			return nil, err
		}
		seen := tallyOf(r.target, samples.counts(r.target))
		if r.lifts.Raised > 0 && seen.willMiss(float64(r.certificateSamples())) < polishMissed {
			break
		}
		if heights, err = r.raise(h, samples, seen, raisings[r.lifts.Raised]); err != nil {
			return nil, err
		}
		r.lifts.Raised++
		if err := r.lifted(heights); err != nil {
			return nil, err
		}
	}
	r.lifts.Raised = uint64(len(raisings)) // what comes now does not go back to them
	return heights, nil
}

// lifted makes heights those that a run which is taken up goes on from.
func (r *run) lifted(heights []float32) error {
	r.lifting = heights
	return r.checkpoint()
}

// toPolish is how many samples it should still take to make heights ready.
func (r *run) toPolish() uint64 {
	if !r.steep() {
		return 0
	}
	return uint64(max(0, len(raisings)-int(r.lifts.Raised)) * r.stockSamples())
}

// stock is samples at heights h.
func (r *run) stock(h []float64) (*stock, error) {
	return r.sampler.stock(r.target, h, r.stockSamples())
}

// stockSamples is how many samples give a cell polishHits.
func (r *run) stockSamples() int {
	return min(max(polishHits*r.target.cells, r.sampler.batch), liftFloats/r.sampler.d)
}

// raise lifts the cells of heights h that lack mass by a tally of h, over samples of h, and then mends: of many cells that
// are lifted at once some are robbed by others. The descent has them lifted too. It is the heights as they are stored.
func (r *run) raise(h []float64, samples *stock, seen *tally, by raising) (stored []float32, err error) {
	samples.keeps = true
	defer func() { err = errors.Join(err, samples.close()) }()
	t := r.target
	up := &raiser{t, r.sampler, h, t.meanHeight(h), seen, samples, samples.counts(t), map[int]bool{}}
	for _, by := range []raising{by, mending} {
		if err := up.raise(by); err != nil {
			return nil, err
		}
	}
	cells := slices.Sorted(maps.Keys(up.raised))
	r.descent.set(cells, heightsOver(up.mean, h, cells))
	stored = make([]float32, t.n)
	t.stored(stored, h)
	return stored, nil
}

// raiser lifts cells of the same heights again and again.
type raiser struct {
	target  *target
	sampler *sampler
	heights []float64 // [N]
	mean    float64   // that the samples' scores are over, whatever is lifted
	seen    *tally    // of the heights at first
	samples *stock    // of the same heights; what is seen may be these
	before  []int32   // of them by cell at first
	raised  map[int]bool
}

// raise lifts the cells that lack mass, then those that lack it because of that, and so on as long as each time leaves
// less than half as many, or few: what a part of space lacks comes to it from outside.
func (r *raiser) raise(by raising) error {
	before := 2 * r.target.cells
	for range raiseTimes {
		counts := r.samples.counts(r.target)
		now := r.now(counts)
		cells := now.thin(by.below)
		if len(cells) == 0 || len(cells) > max(raiseFew, before/2) {
			break
		}
		before = len(cells)
		share, drawn := r.target.samplesOf(by.to), float64(len(r.samples.scores))
		wanted := func(i, n int) int { // as many more as it lacks
			has := float64(counts[i])/drawn - float64(now.counts[i])/float64(now.samples)
			return max(1, share(i, n)+int(math.Round(float64(has*float64(n)))))
		}
		from := heightsOver(r.mean, r.heights, cells)
		lifted, err := r.sampler.liftOver(r.target, from, cells, r.samples, wanted)
		if err != nil {
			return err
		}
		for j, i := range cells {
			r.heights[i], r.raised[i] = lifted[j]+r.mean, true
		}
	}
	return nil
}

// now is what was seen, and what lifts have changed since by the counts of the samples: these may be too few to tell
// which cells are thin, but not to tell which are robbed. A loss is a share of what the samples had of a cell: one of
// which they had few has few to lose, and would seem to keep what it has lost.
func (r *raiser) now(counts []int32) *tally {
	now := newTally(r.target)
	now.samples = r.seen.samples
	scale := float64(r.seen.samples) / float64(len(r.samples.scores))
	for i, c := range counts {
		n, before := float64(r.seen.counts[i]), r.before[i]
		if c < before {
			n *= float64(c) / float64(before)
		} else {
			n += float64(scale * float64(c-before))
		}
		now.counts[i] = int64(math.Round(n))
	}
	return now
}

// certifyAndMend certifies heights. Where all that is wrong with them is a few cells that the certificate found
// empty, or at the end by [Options.Rebalance] whatever is wrong, the cells that are the lightest by the certificate's
// samples are lifted and the heights, which change little, are certified anew, on samples of their own, as long as that
// helps: a descent that went on would empty as many as it fills. Without a result the search goes on, from the heights as
// they are then.
func (r *run) certifyAndMend(heights []float32) (best *Result, mended []float32, err error) {
	for {
		last := r.spent()
		result, err := r.certify(heights, !last)
		if err != nil {
			return nil, nil, err
		}
		if best == nil || result != nil && (result.Report.Met || result.Report.Empty < best.Report.Empty) {
			best = result
		}
		if best != nil && best.Report.Met {
			return best, heights, nil
		}
		found := r.certified
		wanted := r.mendable(found) || last && r.options.Rebalance
		if !wanted || !r.lifts.mend(found.empty()) {
			if best == nil {
				err = r.liftEmpty(found, heights)
			}
			return best, heights, err
		}
		h := wide(heights)
		samples, err := r.stock(h)
		if err != nil {
			return nil, nil, err
		}
		if heights, err = r.raise(h, samples, found, mending); err != nil {
			return nil, nil, err
		}
		if err := r.lifted(heights); err != nil {
			return nil, nil, err
		}
	}
}

// lifts are how often the cells of heights were lifted since the descent left them.
type lifts struct {
	Raised uint64 // rounds of [run.polish]; all of them once it is done
	Mended uint64
	Stalls uint64 // mends that left as many cells empty as there ever were, or more
	Least  uint64 // cells that a certificate found empty, the fewest
}

// mend counts a mend of so many cells that a certificate found empty, unless the last ones did not help.
func (l *lifts) mend(empty int) (goOn bool) {
	if l.Mended > 0 && uint64(empty) >= l.Least {
		l.Stalls++
	} else {
		l.Least = uint64(empty)
	}
	if empty == 0 || l.Stalls == mendStalls || l.Mended == mendTimes {
		return false
	}
	l.Mended++
	return true
}

// mendable reports whether a few empty cells are all that is wrong with heights that were measured.
func (r *run) mendable(t *tally) bool {
	chi, sd := t.estimate()
	return chi+float64(confidence*sd) <= r.options.Tolerance && t.empty()*mendMost <= r.target.cells
}

// liftSamples bounds a lift to a small part of the samples so far, or where the energy is steep, so that a
// cell which is put in the wrong place stays there for long, to what puts it in the right one.
func (r *run) liftSamples() int {
	most := int(r.samples() / 32)
	if r.steep() {
		most = max(most, liftSamples*r.target.cells)
	}
	return most
}
