package main

import (
	"fmt"
	"sort"
)

// Budget is what a kernel's machine code takes on one architecture.
type Budget struct {
	Kernel       string
	Machine      string // "sm_90"
	Registers    int
	StaticShared int    // bytes
	Local        int    // instructions that touch local memory
	Loops        []Loop // the hot loop, and those around it, from the innermost outwards
}

// Loop is one iteration of a loop on its shortest way, without the loops inside it.
type Loop struct {
	At     string // the address of its head
	Clocks clocks
}

// budget finds the hot loop of a kernel: of the loops with tensor work, without one of those that
// compute at all, the innermost one that does most.
func budget(name string, m machine, k kernel) Budget {
	b := Budget{Kernel: k.Name, Machine: name, Registers: k.Registers, StaticShared: k.StaticShared}
	for _, i := range k.Code {
		if i.local() {
			b.Local++
		}
	}
	f := newFlow(k.Code)
	all := f.loops()
	hot, most := -1, 0.0
	for i, l := range all {
		if work := f.work(m, l); work > most && f.innermost(m, all, l) {
			hot, most = i, work
		}
	}
	if hot < 0 {
		return b
	}
	inside := all[hot]
	total := f.clocks(m, f.through(inside, f.heaviest(m, inside)))
	b.Loops = append(b.Loops, Loop{f.address(inside.head), total})
	for _, around := range all[hot+1:] {
		if len(around.body) <= len(inside.body) || !around.body[inside.head] || around.head == inside.head {
			continue
		}
		way := append(f.path(around, around.head, inside.head), f.path(around, inside.latch, around.latch)...)
		c := f.clocks(m, way)
		c.subtract(f.clocks(m, []int{inside.head}))
		if inside.latch != inside.head {
			c.subtract(f.clocks(m, []int{inside.latch}))
		} else if len(way) > 0 {
			c.subtract(f.clocks(m, []int{inside.head}))
		}
		b.Loops = append(b.Loops, Loop{f.address(around.head), c})
		inside = around
	}
	return b
}

// tensorWork is more than any other work of a loop.
const tensorWork = 1e6

// work weighs what a loop computes; 0 where it only waits or counts.
func (f *flow) work(m machine, l loop) float64 {
	var sum clocks
	for id := range l.body {
		sum.add(f.clocks(m, []int{id}))
	}
	if sum.Tensor > 0 {
		return tensorWork * sum.Tensor
	}
	if sum.FMA+sum.Double+sum.Shared == 0 && sum.Global == 0 {
		return 0
	}
	return float64(sum.Issue)
}

// innermost tells whether no loop of the same kind, with tensor work or without, lies within l.
func (f *flow) innermost(m machine, all []loop, l loop) bool {
	tensor := f.work(m, l) >= tensorWork
	for _, other := range all {
		if len(other.body) >= len(l.body) || !l.body[other.head] || other.head == l.head {
			continue
		}
		if work := f.work(m, other); work >= tensorWork || work > 0 && !tensor {
			return false
		}
	}
	return true
}

// heaviest is the block of a loop with the most tensor work, or its head.
func (f *flow) heaviest(m machine, l loop) int {
	found, most := l.head, 0.0
	ids := make([]int, 0, len(l.body))
	for id := range l.body {
		ids = append(ids, id)
	}
	sort.Ints(ids)
	for _, id := range ids {
		if tensor := f.clocks(m, []int{id}).Tensor; tensor > most {
			found, most = id, tensor
		}
	}
	return found
}

// through is an iteration's shortest way that passes a block.
func (f *flow) through(l loop, block int) []int {
	way := f.path(l, l.head, block)
	if block == l.latch {
		return way
	}
	rest := f.path(l, block, l.latch)
	if len(rest) == 0 {
		return way
	}
	return append(way, rest[1:]...)
}

func (f *flow) clocks(m machine, way []int) clocks {
	var sum clocks
	for _, id := range way {
		for _, i := range f.code[f.blocks[id].first:f.blocks[id].end] {
			sum.add(m.cost(i))
		}
	}
	return sum
}

func (f *flow) address(b int) string { return fmt.Sprintf("%#x", 16*f.blocks[b].first) }
