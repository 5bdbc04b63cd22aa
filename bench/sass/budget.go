package main

import (
	"fmt"
	"maps"
	"slices"
	"sort"
)

// Budget is what a kernel's machine code takes on one architecture.
type Budget struct {
	Kernel       string
	Machine      string // "sm_90"
	Registers    int
	StaticShared int    // bytes
	Local        int    // instructions that touch local memory
	Straight     int    // instructions outside of loops; see straight
	Early        int    // those of them before the kernel waits for the one ahead of it
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
	looping := map[int]bool{}
	for _, l := range all {
		maps.Copy(looping, l.body)
	}
	way := f.straight(looping)
	b.Straight, b.Early = f.instructions(way), f.beforeWait(way)
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
	b.Loops = append(b.Loops, Loop{f.address(inside.head), f.clocks(m, f.iteration(m, inside, nil))})
	for _, around := range all[hot+1:] {
		if !around.body[inside.head] || around.head == inside.head {
			continue
		}
		b.Loops = append(b.Loops, Loop{f.address(around.head), f.clocks(m, f.iteration(m, around, &inside))})
		inside = around
	}
	return b
}

// iteration is the shortest way through an iteration that passes all tensor work, without the blocks of
// a loop inside it.
func (f *flow) iteration(m machine, l loop, inside *loop) []int {
	stops := []int{}
	for id := range l.body {
		if inside != nil && id == inside.head || (inside == nil || !inside.body[id]) && f.clocks(m, []int{id}).Tensor > 0 {
			stops = append(stops, id)
		}
	}
	sort.Ints(stops) // in the order of addresses, which is that of an iteration
	way := []int{l.head}
	for _, stop := range stops {
		if rest := f.path(l, way[len(way)-1], stop); len(rest) > 1 {
			way = append(way, rest[1:]...)
		}
	}
	if rest := f.path(l, way[len(way)-1], l.latches...); len(rest) > 1 {
		way = append(way, rest[1:]...)
	}
	if inside == nil {
		return way
	}
	return slices.DeleteFunc(way, func(id int) bool { return inside.body[id] })
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
