package exact

// Parallel does work on 0 .. n-1, cut into stretches [first,end) for some threads, and returns when all is done.
// Results do not hang on how it cuts.
type Parallel func(n int, work func(first, end int))

// alone is the caller's thread.
func alone(n int, work func(first, end int)) { work(0, n) }
