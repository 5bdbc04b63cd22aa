//go:build cuda

package driver

import "gorgonia.org/cu"

// Event marks a place in a stream.
type Event struct{ handle cu.Event }

// NewEvent returns an event, which costs less where it keeps no time.
func (c *Context) NewEvent(timed bool) (*Event, error) {
	var flags cu.EventFlags // busy waiting, as the context's own
	if !timed {
		flags = cu.DisableTiming
	}
	handle, err := cu.MakeEvent(flags)
	if err != nil {
		return nil, result("cuEventCreate", err)
	}
	return &Event{handle}, nil
}

// Synchronize waits until what was in the stream ahead of the event's last record is done.
func (e *Event) Synchronize() error { return result("cuEventSynchronize", e.handle.Synchronize()) }

// Destroy gives the event back.
func (e *Event) Destroy() error { return result("cuEventDestroy", cu.DestroyEvent(&e.handle)) }

// Elapsed is the time in milliseconds between two timed events that were recorded and have been passed.
func Elapsed(from, to *Event) (ms float64, err error) {
	ms, err = from.handle.Elapsed(to.handle)
	return ms, result("cuEventElapsedTime", err)
}
