package main

import (
	"math"
	"sync"
	"sync/atomic"
)

// token is what a caller holds in place of an object: not an address, so that a wrong one can be
// told without touching memory.
//
//	bits 63..56   the tag of the kind; with these values no address of a process looks like a token
//	bits 55..24   the generation of the slot: it differs for every object that a slot has held
//	bits 23..0    the slot
type token uint64

const (
	engineTag = 0xE1
	modelTag  = 0xE2
	fieldTag  = 0xE4
)

const (
	maxSlots    = 1 << 24
	maxCalls    = 1<<31 - 1
	closingFlag = 1 << 31
)

// table finds the objects of one kind by token. Looking one up takes no lock and no memory.
type table[T any] struct {
	tag   uint64
	slots atomic.Pointer[[]*slot[T]] // only ever appended to

	mu   sync.Mutex // for what follows, and for changing slots
	free []uint32
}

// slot is the place of one object at a time.
type slot[T any] struct {
	// state is generation<<32 | closingFlag | the number of calls at work on the object. A slot
	// without an object has the flag set and the generation of the object to come.
	state  atomic.Uint64
	index  uint32
	object *T
	idle   chan struct{} // signalled by the last call to leave an object that is being closed
}

// insert gives an object a token. It fails only when 2^24 objects are open.
func (t *table[T]) insert(object *T) (token, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.vacant()
	if s == nil {
		return 0, false
	}
	s.object = object
	generation := s.state.Load() >> 32
	s.state.Store(generation << 32)
	return token(t.tag<<56 | generation<<24 | uint64(s.index)), true
}

func (t *table[T]) vacant() *slot[T] {
	var slots []*slot[T]
	if p := t.slots.Load(); p != nil {
		slots = *p
	}
	if last := len(t.free) - 1; last >= 0 {
		s := slots[t.free[last]]
		t.free = t.free[:last]
		return s
	}
	if len(slots) == maxSlots {
		return nil
	}
	s := &slot[T]{index: uint32(len(slots)), idle: make(chan struct{}, 1)}
	s.state.Store(1<<32 | closingFlag)
	// A reader that still has the shorter slice does not see the element that this writes.
	slots = append(slots, s)
	t.slots.Store(&slots)
	return s
}

// find returns the slot that a token of this table names, and the token's generation. Whether the
// slot still holds that generation is for the caller to see.
func (t *table[T]) find(k token) (s *slot[T], generation uint64) {
	if uint64(k)>>56 != t.tag {
		return nil, 0
	}
	slots := t.slots.Load()
	index := uint64(k) & (maxSlots - 1)
	if slots == nil || index >= uint64(len(*slots)) {
		return nil, 0
	}
	return (*slots)[index], uint64(k) >> 24 & math.MaxUint32
}

// acquire lets a call at the object of a token, which stays until release; nil for a token that
// names no open object of this kind.
func (t *table[T]) acquire(k token) *slot[T] {
	s, generation := t.find(k)
	if s == nil {
		return nil
	}
	for {
		state := s.state.Load()
		if state>>32 != generation || state&closingFlag != 0 || state&maxCalls == maxCalls {
			return nil
		}
		if s.state.CompareAndSwap(state, state+1) {
			return s
		}
	}
}

// held returns the object of a token that someone else keeps open meanwhile: a job its model.
func (t *table[T]) held(k token) *T {
	s, _ := t.find(k)
	return s.object
}

// release ends what acquire began.
func (s *slot[T]) release() {
	state := s.state.Add(^uint64(0))
	if state&closingFlag != 0 && state&maxCalls == 0 {
		s.idle <- struct{}{}
	}
}

// retire makes a token stale, then waits for the calls at work on its object. Of several that try,
// one gets the slot and must give it to remove; the others get nil.
func (t *table[T]) retire(k token) *slot[T] {
	s, generation := t.find(k)
	if s == nil {
		return nil
	}
	for {
		state := s.state.Load()
		if state>>32 != generation || state&closingFlag != 0 {
			return nil
		}
		if s.state.CompareAndSwap(state, state|closingFlag) {
			if state&maxCalls > 0 {
				<-s.idle
			}
			return s
		}
	}
}

// remove makes a retired slot ready for another object. One whose generations are used up is left
// empty for ever.
func (t *table[T]) remove(s *slot[T]) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s.object = nil
	generation := s.state.Load()>>32 + 1
	if generation > math.MaxUint32 {
		return
	}
	s.state.Store(generation<<32 | closingFlag)
	t.free = append(t.free, s.index)
}
