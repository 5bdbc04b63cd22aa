package fit

const (
	stuckHits   = 12.  // expected hits without one after which a cell is lifted
	thinShare   = 0.5  // of its mass, below which a cell is lifted before a certificate
	polishShare = 0.75 // to which it is
	polishHits  = 16   // samples that a cell expects of those that say which cells these are
	rebalances  = 8
)

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
	if len(stuck) == 0 {
		return nil
	}
	lifted, err := r.sampler.lift(r.target, r.descent.Averages[0], stuck, r.liftSamples())
	if err == nil {
		r.descent.set(stuck, lifted)
	}
	return err
}

// liftEmpty lifts cells that a test did not hit although it should have.
func (r *run) liftEmpty(t *tally, h []float32) error {
	if r.target.cells < 2 || !t.missesTooMany() {
		return nil
	}
	worth := t.worth()
	var empty []int
	for i, nu := range r.target.mass {
		if nu > 0 && t.counts[i] == 0 && float64(worth*nu) >= stuckHits {
			empty = append(empty, i)
		}
	}
	if len(empty) == 0 {
		return nil
	}
	lifted, err := r.sampler.lift(r.target, wide(h), empty, r.liftSamples())
	if err == nil {
		r.descent.set(empty, lifted)
	}
	return err
}

// polish lifts the cells of heights that are to be certified which have less than thinShare of their mass, where the
// energy is steep: the iterate of a narrow cell goes from too much mass to none and back, and at the average of
// such heights it has too little. It is the last tenth of a percent of the cells that a certificate would find
// empty. More rounds of it leave as many.
func (r *run) polish(heights []float32) ([]float32, error) {
	t, s := r.target, r.sampler
	if r.steepness <= steepnessFree || t.cells < 2 {
		return heights, nil
	}
	h := wide(heights)
	samples, err := s.stock(t, h, min(max(polishHits*t.cells, s.batch), liftFloats/s.d))
	if err != nil {
		return nil, err
	}
	var thin []int
	for i, c := range samples.counts(t) {
		if float64(c) < float64(thinShare*t.mass[i])*float64(len(samples.scores)) {
			thin = append(thin, i)
		}
	}
	if len(thin) == 0 {
		return heights, nil
	}
	lifted, err := s.liftOver(t, t.overMean(h, thin), thin, samples, polishShare)
	if err != nil {
		return nil, err
	}
	r.descent.set(thin, lifted)
	mean := t.meanHeight(h)
	for j, i := range thin {
		h[i] = lifted[j] + mean
	}
	polished := make([]float32, t.n)
	t.stored(polished, h)
	return polished, nil
}

// liftSamples bounds a lift to a small part of the samples so far, or where the energy is steep, so that a
// cell which is put in the wrong place stays there for long, to what puts it in the right one.
func (r *run) liftSamples() int {
	most := int(r.samples() / 32)
	if r.steepness > steepnessFree {
		most = max(most, liftSamples*r.target.cells)
	}
	return most
}

// rebalance nudges the cells that the certificate found empty until each is hit, or nothing helps.
func (r *run) rebalance(result *Result) (*Result, error) {
	for range rebalances {
		empty := r.unhit
		if len(empty) == 0 {
			break
		}
		h := wide(result.Heights)
		lifted, err := r.sampler.lift(r.target, h, empty, planMost)
		if err != nil {
			return nil, err
		}
		mean := r.target.meanHeight(h)
		for j, i := range empty {
			h[i] = lifted[j] + mean
		}
		stored := make([]float32, r.target.n)
		r.target.stored(stored, h)
		next, err := r.certify(stored, false)
		if err != nil {
			return nil, err
		}
		if next.Report.Empty >= result.Report.Empty {
			break
		}
		result = next
	}
	return result, nil
}
