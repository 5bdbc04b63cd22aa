package main

import (
	"sync"
	"sync/atomic"
	"testing"
)

func TestHandle(t *testing.T) {
	t.Run("a token names one object of one table while it is open", func(t *testing.T) {
		numbers, others := table[int]{tag: engineTag}, table[int]{tag: modelTag}
		one, two := 1, 2
		a, _ := numbers.insert(&one)
		b, _ := numbers.insert(&two)
		if a == b {
			t.Fatalf("both objects have the token %#x", uint64(a))
		}
		s := numbers.acquire(a)
		if s == nil || *s.object != 1 {
			t.Fatal("the token does not lead to its object")
		}
		s.release()
		for _, wrong := range []token{0, 1, ^token(0), a + 1<<24, b + 1, a ^ 1<<63} {
			if numbers.acquire(wrong) != nil {
				t.Errorf("%#x leads to an object", uint64(wrong))
			}
			if numbers.retire(wrong) != nil {
				t.Errorf("%#x can be closed", uint64(wrong))
			}
		}
		if others.acquire(a) != nil {
			t.Error("the token leads to an object of another kind")
		}
		numbers.remove(numbers.retire(a))
		if numbers.acquire(a) != nil || numbers.retire(a) != nil {
			t.Error("the token of a closed object still works")
		}
		c, _ := numbers.insert(&one)
		if c == a || uint64(c)&(maxSlots-1) != uint64(a)&(maxSlots-1) {
			t.Errorf("the slot of %#x should be used again with another generation; got %#x", uint64(a), uint64(c))
		}
	})

	t.Run("a slot whose generations are used up is not used again", func(t *testing.T) {
		var numbers table[int]
		one := 1
		a, _ := numbers.insert(&one)
		s := numbers.retire(a)
		s.state.Store(0xFFFFFFFF<<32 | closingFlag)
		numbers.remove(s)
		b, _ := numbers.insert(&one)
		if uint64(b)&(maxSlots-1) == uint64(a)&(maxSlots-1) {
			t.Errorf("%#x is in the slot of %#x", uint64(b), uint64(a))
		}
	})

	t.Run("retire waits for the calls at work and refuses later ones", func(t *testing.T) {
		var numbers table[int]
		one := 1
		a, _ := numbers.insert(&one)
		first, second := numbers.acquire(a), numbers.acquire(a)
		retired := make(chan *slot[int])
		go func() { retired <- numbers.retire(a) }()
		for {
			s := numbers.acquire(a)
			if s == nil {
				break
			}
			s.release()
		}
		first.release()
		select {
		case <-retired:
			t.Fatal("retired with a call at work")
		default:
		}
		second.release()
		if s := <-retired; s != first {
			t.Fatal("retire did not return the slot")
		}
	})

	t.Run("no call sees a closed object", func(t *testing.T) {
		var numbers table[atomic.Bool]
		var shared atomic.Uint64
		var stop atomic.Bool
		var users sync.WaitGroup
		for range 4 {
			users.Add(1)
			go func() {
				defer users.Done()
				for !stop.Load() {
					if s := numbers.acquire(token(shared.Load())); s != nil {
						if !s.object.Load() {
							t.Error("a call got an object that was closed")
						}
						s.release()
					}
				}
			}()
		}
		for range 2000 {
			open := &atomic.Bool{}
			open.Store(true)
			k, _ := numbers.insert(open)
			shared.Store(uint64(k))
			s := numbers.retire(k)
			open.Store(false)
			numbers.remove(s)
		}
		stop.Store(true)
		users.Wait()
	})

	t.Run("looking up does not allocate", func(t *testing.T) {
		var numbers table[int]
		one := 1
		a, _ := numbers.insert(&one)
		if n := testing.AllocsPerRun(100, func() { numbers.acquire(a).release() }); n != 0 {
			t.Errorf("%v allocations", n)
		}
	})
}

func BenchmarkHandle(b *testing.B) {
	var numbers table[int]
	one := 1
	k, _ := numbers.insert(&one)
	for b.Loop() {
		numbers.acquire(k).release()
	}
}
