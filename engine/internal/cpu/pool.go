package cpu

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Task is work cut into parts that may run at the same time and in any order.
type Task interface {
	// Do does part number part of those that Run was asked for. It may itself call Run.
	Do(part int)
}

// Pool is the CPU backend's threads: workers that live as long as the pool and share out the parts
// of a task with the goroutine that brings it. Any number of goroutines may call Run at once.
type Pool struct {
	workers int
	spin    time.Duration
	jobs    chan *job // one entry for every worker asked to help with a job
	free    chan *job // jobs to use again, so that Run does not allocate
	closed  atomic.Bool
	joined  sync.WaitGroup
}

// job is one call of Run.
type job struct {
	task     Task
	parts    int64
	next     atomic.Int64 // the first part that nobody has taken
	left     atomic.Int64 // parts not finished
	holders  atomic.Int64 // the caller, and the entries of Pool.jobs not yet dealt with
	finished chan struct{}
	failure  atomic.Pointer[failure]
}

// failure is what a part panicked with.
type failure struct{ value any }

// spinTime is how long a worker that has run out of work looks for more before it sleeps. Waking
// a thread costs 5 to 50 us; the stages of one call follow one another within a few microseconds.
const spinTime = 50 * time.Microsecond

// NewPool starts a pool of threads threads, the caller of Run being one of them. threads < 1
// means one for every processor that Go may use.
func NewPool(threads int) *Pool {
	if threads < 1 {
		threads = runtime.GOMAXPROCS(0)
	}
	p := &Pool{
		workers: threads - 1,
		jobs:    make(chan *job, 4*threads),
		free:    make(chan *job, 64),
	}
	if threads <= runtime.GOMAXPROCS(0) {
		p.spin = spinTime // otherwise a spinning worker would keep another thread from its work
	}
	p.joined.Add(p.workers)
	for range p.workers {
		go p.work()
	}
	return p
}

// Threads returns how many threads work on a task.
func (p *Pool) Threads() int { return p.workers + 1 }

// Run does all parts of a task and returns when they are finished. Where a part panics, the others
// are still done and Run then panics with the first value.
func (p *Pool) Run(parts int, t Task) {
	helpers := min(p.workers, parts-1)
	if helpers <= 0 || p.closed.Load() {
		for part := range parts {
			t.Do(part)
		}
		return
	}
	j := p.newJob(t, parts)
	for range helpers {
		j.holders.Add(1)
		select {
		case p.jobs <- j:
		default: // every worker is busy and has as much waiting
			j.holders.Add(-1)
		}
	}
	if !j.work() {
		j.wait(p.spin)
	}
	failed := j.failure.Load()
	p.release(j)
	if failed != nil {
		panic(failed.value)
	}
}

// Share does work on 0 .. n-1, cut into stretches [first,end) for the threads.
func (p *Pool) Share(n int, work func(first, end int)) {
	parts := max(1, min(p.Threads(), n))
	p.Run(parts, stretches{n, parts, work})
}

// stretches is work on 0 .. n-1, cut into parts.
type stretches struct {
	n, parts int
	work     func(first, end int)
}

// Do does one stretch.
func (s stretches) Do(part int) { s.work(share(s.n, part, s.parts)) }

// Close ends the workers and waits until they have ended. No Run may be at work; a later one runs
// on its caller alone.
func (p *Pool) Close() {
	if p.closed.Swap(true) {
		return
	}
	close(p.jobs)
	p.joined.Wait()
}

// work is the life of a worker.
func (p *Pool) work() {
	defer p.joined.Done()
	for {
		j, open := p.take()
		if !open {
			return
		}
		if j.work() {
			j.finished <- struct{}{}
		}
		p.release(j)
	}
}

// take returns the next job, spinning a while before it sleeps; false when the pool has closed.
func (p *Pool) take() (j *job, open bool) {
	if p.spin > 0 {
		for start := time.Now(); time.Since(start) < p.spin; {
			for range 32 {
				select {
				case j, open = <-p.jobs:
					return j, open
				default:
				}
			}
		}
	}
	j, open = <-p.jobs
	return j, open
}

func (p *Pool) newJob(t Task, parts int) *job {
	var j *job
	select {
	case j = <-p.free:
	default:
		j = &job{finished: make(chan struct{}, 1)}
	}
	j.task, j.parts = t, int64(parts)
	j.next.Store(0)
	j.left.Store(int64(parts))
	j.holders.Store(1)
	j.failure.Store(nil)
	return j
}

// release gives up one hold on j; the last one puts it back for use again.
func (p *Pool) release(j *job) {
	if j.holders.Add(-1) > 0 {
		return
	}
	j.task = nil
	select {
	case p.free <- j:
	default:
	}
}

// work does parts until none is left to take. It reports whether it finished the last one, which
// happens to exactly one of those who work on a job.
func (j *job) work() (last bool) {
	for {
		part := j.next.Add(1) - 1
		if part >= j.parts {
			return last
		}
		j.do(int(part))
		last = j.left.Add(-1) == 0
	}
}

func (j *job) do(part int) {
	defer func() {
		if value := recover(); value != nil {
			j.failure.CompareAndSwap(nil, &failure{value})
		}
	}()
	j.task.Do(part)
}

// wait returns when the worker that finished the last part has said so.
func (j *job) wait(spin time.Duration) {
	for start := time.Now(); j.left.Load() > 0 && time.Since(start) < spin; {
	}
	<-j.finished
}
