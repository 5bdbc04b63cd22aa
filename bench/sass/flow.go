package main

import (
	"container/heap"
	"slices"
)

// block is a run of instructions that is entered at its first and left at its last.
type block struct {
	first, end int // instructions first..end-1
	next       []int
}

// flow is the control flow of a kernel.
type flow struct {
	code   []instruction
	blocks []block
}

func newFlow(code []instruction) *flow {
	leaders := map[int]bool{0: true}
	for at, i := range code {
		if to := i.target(); to >= 0 && to < len(code) {
			leaders[to] = true
		}
		if i.target() >= 0 || i.leaves() {
			leaders[at+1] = true
		}
	}
	f := &flow{code: code}
	number := map[int]int{} // of the block that begins at an instruction
	for at := range code {
		if leaders[at] {
			number[at] = len(f.blocks)
			f.blocks = append(f.blocks, block{first: at})
		}
		f.blocks[len(f.blocks)-1].end = at + 1
	}
	for b := range f.blocks {
		last := code[f.blocks[b].end-1]
		if to, ok := number[last.target()]; ok && last.target() >= 0 {
			f.blocks[b].next = append(f.blocks[b].next, to)
		}
		passes := last.target() < 0 && !last.leaves() || last.conditional()
		if after, ok := number[f.blocks[b].end]; ok && passes {
			f.blocks[b].next = append(f.blocks[b].next, after)
		}
	}
	return f
}

// leaves tells whether an instruction ends the thread or its function.
func (i instruction) leaves() bool {
	switch i.base() {
	case "EXIT", "RET", "BRX", "JMX", "KILL":
		return true
	}
	return false
}

// loop is a natural loop: what can reach a latch, which leads back to the head, without passing the
// head.
type loop struct {
	head    int
	latches []int
	body    map[int]bool // blocks, the head and the latches included
}

// loops finds the loops, the innermost first.
func (f *flow) loops() []loop {
	before := make([][]int, len(f.blocks))
	for b := range f.blocks {
		for _, n := range f.blocks[b].next {
			before[n] = append(before[n], b)
		}
	}
	at := map[int]int{} // a head's place in found
	var found []loop
	for latch := range f.blocks {
		for _, head := range f.blocks[latch].next {
			if head > latch || !f.dominates(head, latch) {
				continue
			}
			i, known := at[head]
			if !known {
				i = len(found)
				at[head] = i
				found = append(found, loop{head: head, body: map[int]bool{head: true}})
			}
			l := &found[i]
			l.latches = append(l.latches, latch)
			for stack := []int{latch}; len(stack) > 0; {
				b := stack[len(stack)-1]
				stack = stack[:len(stack)-1]
				if !l.body[b] {
					l.body[b] = true
					stack = append(stack, before[b]...)
				}
			}
		}
	}
	slices.SortStableFunc(found, func(a, b loop) int { return len(a.body) - len(b.body) })
	return found
}

// dominates tells whether every way from the start to b passes a.
func (f *flow) dominates(a, b int) bool {
	if a == 0 || a == b {
		return true
	}
	seen := map[int]bool{0: true}
	for stack := []int{0}; len(stack) > 0; {
		at := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if at == b {
			return false
		}
		for _, n := range f.blocks[at].next {
			if n != a && !seen[n] {
				seen[n] = true
				stack = append(stack, n)
			}
		}
	}
	return true
}

// path is the shortest way, in instructions, from one block of a loop to the nearest of some others,
// both included, that does not pass the loop's head again: what an iteration costs when it leaves out
// all that it may leave out. nil where there is none.
func (f *flow) path(l loop, from int, to ...int) []int {
	type step struct{ length, via int }
	best := map[int]step{from: {f.length(from), -1}}
	queue := &shortest{{from, f.length(from)}}
	for queue.Len() > 0 {
		at := heap.Pop(queue).(reach)
		if slices.Contains(to, at.block) {
			var way []int
			for b := at.block; b >= 0; b = best[b].via {
				way = append(way, b)
			}
			slices.Reverse(way)
			return way
		}
		if at.length > best[at.block].length {
			continue
		}
		for _, n := range f.blocks[at.block].next {
			if !l.body[n] || n == l.head {
				continue
			}
			length := at.length + f.length(n)
			if old, ok := best[n]; !ok || length < old.length {
				best[n] = step{length, at.block}
				heap.Push(queue, reach{n, length})
			}
		}
	}
	return nil
}

func (f *flow) length(b int) int { return f.blocks[b].end - f.blocks[b].first }

// reach is a block and how many instructions lead to its end.
type reach struct{ block, length int }

// shortest is a heap of reaches.
type shortest []reach

func (s shortest) Len() int           { return len(s) }
func (s shortest) Less(i, j int) bool { return s[i].length < s[j].length }
func (s shortest) Swap(i, j int)      { s[i], s[j] = s[j], s[i] }
func (s *shortest) Push(x any)        { *s = append(*s, x.(reach)) }
func (s *shortest) Pop() any {
	last := (*s)[len(*s)-1]
	*s = (*s)[:len(*s)-1]
	return last
}

// straight is a way from the kernel's start to its end, without its loops: of two ways round the shorter,
// of a way and none the way, and not the way out where one side leaves. So an epilogue is counted once,
// in its cheapest form, and what is done for elements that exist is counted as done.
func (f *flow) straight(looping map[int]bool) []int {
	end := len(f.blocks)
	next := make([][]int, end) // forwards, which in code that is laid out in order leaves a way out of every loop
	for b := range f.blocks {
		for _, n := range f.blocks[b].next {
			if n > b {
				next[b] = append(next[b], n)
			}
		}
		if len(next[b]) == 0 {
			next[b] = []int{end}
		}
	}
	meets := make([]int, end) // where all ways from a block come together again
	for b := end - 1; b >= 0; b-- {
		meets[b] = next[b][0]
		for _, n := range next[b][1:] {
			for meets[b] != n {
				if meets[b] < n {
					meets[b] = meets[meets[b]]
				} else {
					n = meets[n]
				}
			}
		}
	}
	var ahead func(from, to int) []int
	ahead = func(from, to int) (way []int) {
		for b := from; b != to && b != end; b = meets[b] {
			if !looping[b] {
				way = append(way, b)
			}
			var chosen []int
			for _, n := range next[b] {
				if n == meets[b] {
					continue
				}
				other := ahead(n, meets[b])
				longer := f.instructions(other) > f.instructions(chosen)
				if chosen == nil || longer == (meets[b] == end) {
					chosen = other
				}
			}
			way = append(way, chosen...)
		}
		return way
	}
	return ahead(0, end)
}

// instructions of some blocks.
func (f *flow) instructions(blocks []int) (sum int) {
	for _, b := range blocks {
		sum += f.length(b)
	}
	return sum
}

// beforeWait is how many instructions of a way come before it waits for the kernel ahead in the stream;
// 0 where it does not wait.
func (f *flow) beforeWait(way []int) int {
	count := 0
	for _, b := range way {
		for _, i := range f.code[f.blocks[b].first:f.blocks[b].end] {
			if i.base() == "ACQBULK" {
				return count
			}
			count++
		}
	}
	return 0
}
