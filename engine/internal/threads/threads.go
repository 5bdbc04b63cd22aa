// Package threads says how work is shared out to threads, for those that do not care whose threads they are.
package threads

// Share does work on 0 .. n-1, cut into stretches [first,end) for some threads, and returns when all is
// done. What work writes hangs on the index alone. Where threads draw the samples of a fit, they should be
// these: they spin for a while before others get their processors. Several goroutines may call it at once.
type Share func(n int, work func(first, end int))

// Together does some things at the same time.
func (s Share) Together(things ...func()) {
	s(len(things), func(first, end int) {
		for _, do := range things[first:end] {
			do()
		}
	})
}

// Alone is the caller's thread.
func Alone(n int, work func(first, end int)) { work(0, n) }
