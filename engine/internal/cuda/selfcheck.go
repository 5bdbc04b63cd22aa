//go:build cuda

package cuda

import (
	"errors"

	"brenier/engine/internal/cuda/driver"
	"brenier/engine/internal/fault"
)

// check is a small question to a kernel whose answer is known. A card is believed after it has
// answered: when a model is opened, every kernel that it will use is asked, once for each device.
type check struct {
	kernel  string                       // the kernel and variant, as info names it; unique
	run     func(q *driver.Stream) error // asks, waits for the answer and compares it; runs inside do
	plainer func() error                 // puts the next plainer kernel in its place; nil: there is none
}

// checked is a stage whose kernels can be asked.
type checked interface {
	// checks returns those of the kernels that the stage would use now. After a check's plainer
	// it is asked again, for the kernels that it would use then.
	checks() []check
}

// selfCheck asks the kernels of a stage, puts plainer ones in the place of those that answer
// wrongly, and returns a sentence on each of these. fault.ErrDevice where no kernel is left.
func (v *device) selfCheck(s checked) (replaced []string, err error) {
	for {
		failed, reason, err := v.firstFailing(s.checks())
		if err != nil || failed == nil {
			return replaced, err
		}
		if failed.plainer == nil {
			return replaced, fault.New(fault.ErrDevice,
				"cuda:%d (%s): kernel %s fails its self-check and no plainer one is left: %w; update the driver, or use the device \"cpu\"",
				v.info.Index, v.info.Name, failed.kernel, reason)
		}
		if err := failed.plainer(); err != nil {
			return replaced, err
		}
		replaced = append(replaced, failed.kernel+" failed its self-check ("+reason.Error()+")")
	}
}

// firstFailing runs checks, those of them that this device has not been asked before, up to the
// first that fails. err is a failure of the device itself.
func (v *device) firstFailing(checks []check) (failed *check, reason, err error) {
	for i := range checks {
		c := &checks[i]
		v.mu.Lock()
		reason, asked := v.verdicts[c.kernel]
		v.mu.Unlock()
		if !asked {
			reason = v.ask(c)
			if lost := v.lost.Load(); lost != nil {
				return nil, nil, *lost
			}
			if errors.Is(reason, fault.ErrOutOfMemory) {
				return nil, nil, reason // says nothing about the kernel
			}
			if !errors.As(reason, new(*driver.Error)) { // an answer, right or wrong
				v.mu.Lock()
				v.verdicts[c.kernel] = reason
				v.mu.Unlock()
			}
		}
		if reason != nil {
			return c, reason, nil
		}
	}
	return nil, nil, nil
}

// ask runs one check on a stream of its own.
func (v *device) ask(c *check) error {
	return v.do(func() error {
		q, err := v.ctx.NewStream()
		if err != nil {
			return err
		}
		err = c.run(q)
		if waited := q.Synchronize(); err == nil {
			err = waited
		}
		if destroyed := q.Destroy(); err == nil {
			err = destroyed
		}
		return err
	})
}
