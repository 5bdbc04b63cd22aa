package cpu

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// tally counts how often each part was done.
type tally []atomic.Int32

func (t tally) Do(part int) { t[part].Add(1) }

func (t tally) check(test *testing.T, want int32) {
	test.Helper()
	for part := range t {
		if got := t[part].Load(); got != want {
			test.Errorf("part %d was done %d times, want %d", part, got, want)
		}
	}
}

func TestPool(t *testing.T) {
	for _, threads := range []int{1, 2, 3, 8} {
		t.Run(fmt.Sprintf("every_part_once/threads=%d", threads), func(t *testing.T) {
			p := NewPool(threads)
			defer p.Close()
			if p.Threads() != threads {
				t.Errorf("Threads() = %d, want %d", p.Threads(), threads)
			}
			for _, parts := range []int{0, 1, 2, 7, 100} {
				done := make(tally, parts)
				p.Run(parts, done)
				done.check(t, 1)
			}
		})
	}

	t.Run("sixteen_callers_at_once", func(t *testing.T) {
		p := NewPool(4)
		defer p.Close()
		var callers sync.WaitGroup
		for range 16 {
			callers.Add(1)
			go func() {
				defer callers.Done()
				done := make(tally, 13)
				for round := int32(1); round <= 200; round++ {
					p.Run(len(done), done)
					done.check(t, round)
				}
			}()
		}
		callers.Wait()
	})

	t.Run("run_within_run", func(t *testing.T) {
		p := NewPool(3)
		defer p.Close()
		inner := make(tally, 9)
		p.Run(5, taskFunc(func(int) { p.Run(len(inner), inner) }))
		inner.check(t, 5)
	})

	t.Run("a_panic_reaches_the_caller", func(t *testing.T) {
		p := NewPool(4)
		defer p.Close()
		for range 50 {
			done := make(tally, 20)
			value := catch(func() {
				p.Run(len(done), taskFunc(func(part int) {
					done.Do(part)
					if part == 11 {
						panic("part eleven")
					}
				}))
			})
			if value != "part eleven" {
				t.Fatalf("Run panicked with %v", value)
			}
			done.check(t, 1)
		}
	})

	t.Run("no_allocation", func(t *testing.T) {
		p := NewPool(2)
		defer p.Close()
		var task Task = make(tally, 8)
		if got := testing.AllocsPerRun(1000, func() { p.Run(8, task) }); got != 0 {
			t.Errorf("Run allocates %v times", got)
		}
	})

	t.Run("after_close", func(t *testing.T) {
		p := NewPool(2)
		p.Close()
		p.Close()
		done := make(tally, 3)
		p.Run(len(done), done)
		done.check(t, 1)
	})
}

// taskFunc makes a Task of a function.
type taskFunc func(part int)

func (f taskFunc) Do(part int) { f(part) }

func catch(f func()) (value any) {
	defer func() { value = recover() }()
	f()
	return nil
}

// A job's overhead: Run over empty parts, back to back (the worker still spins) and after a pause
// (it sleeps, and is woken).
func BenchmarkPool(b *testing.B) {
	for _, threads := range []int{1, 2} {
		p := NewPool(threads)
		parts := make(tally, threads)
		b.Run(fmt.Sprintf("threads=%d/back_to_back", threads), func(b *testing.B) {
			for b.Loop() {
				p.Run(len(parts), parts)
			}
		})
		b.Run(fmt.Sprintf("threads=%d/after_1ms", threads), func(b *testing.B) {
			var spent time.Duration
			for b.Loop() {
				time.Sleep(time.Millisecond)
				start := time.Now()
				p.Run(len(parts), taskFunc(func(int) { // 20 us of work a part
					for s := time.Now(); time.Since(s) < 20*time.Microsecond; {
					}
				}))
				spent += time.Since(start)
			}
			b.ReportMetric(float64(spent.Nanoseconds())/float64(b.N)-20000, "ns-over-20us")
		})
		p.Close()
	}
}
