package fit

// lend lets the device take the next step of the descent itself, where it can: it has the state then, until
// recall, and the host only says what step is next. It reports whether the device will.
func (r *run) lend() (bool, error) {
	d, s := r.descent, r.sampler
	if s.descender == nil || !d.even() {
		return false, r.recall()
	}
	if r.lent {
		return true, nil
	}
	if err := s.device.SetHeights(d.current()); err != nil {
		return false, err
	}
	r.lent = true
	return true, s.descender.StartDescent(&d.State)
}

// recall brings the state of the descent back from a device that has it.
func (r *run) recall() error {
	if !r.lent {
		return nil
	}
	r.lent = false
	return r.sampler.descender.FetchDescent(&r.descent.State)
}
