package fit

import "sync"

// share does work on 0 .. n-1, cut into [first,end) for some threads at most, and returns when all is
// done. What work writes must hang on the index alone.
func share(threads, n int, work func(first, end int)) {
	parts := max(1, min(threads, n))
	var others sync.WaitGroup
	for part := 1; part < parts; part++ {
		others.Go(func() { work(part*n/parts, (part+1)*n/parts) })
	}
	work(0, n/parts)
	others.Wait()
}
