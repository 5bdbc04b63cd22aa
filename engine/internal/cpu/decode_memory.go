package cpu

import "brenier/engine/internal/lower"

// memoryPlan places a network's values in one arena, all in floats per image. Values that are
// never needed at the same time share memory.
type memoryPlan struct {
	at         []int // of each value; the input, value 0, has none
	sizes      []int // of each value
	size       int   // of the arena
	widest     int   // the most that one step reads and writes
	mostInputs int
}

// planMemory gives each value a slot from its making to its last reading: the smallest free one
// that is large enough, else the largest one, grown.
func planMemory(p *lower.Program) memoryPlan {
	const line = 16 // floats; keeps every value on a cache line's boundary
	m := memoryPlan{at: make([]int, len(p.Values)), sizes: p.Values, widest: p.Values[0], mostInputs: 1}
	lastRead := make([]int, len(p.Values))
	lastRead[p.Output] = len(p.Steps)
	for i, s := range p.Steps {
		for _, v := range s.In {
			lastRead[v] = max(lastRead[v], i)
		}
		m.mostInputs = max(m.mostInputs, len(s.In))
	}
	type slot struct{ size, value int } // value: the one that it holds, or -1
	var slots []slot
	slotOf := make([]int, len(p.Values))
	for i, s := range p.Steps {
		need := (p.Values[s.Out] + line - 1) / line * line
		best := -1
		for k, c := range slots {
			if c.value >= 0 {
				continue
			}
			switch {
			case best < 0,
				c.size >= need && (slots[best].size < need || c.size < slots[best].size),
				c.size < need && slots[best].size < need && c.size > slots[best].size:
				best = k
			}
		}
		if best < 0 {
			slots = append(slots, slot{})
			best = len(slots) - 1
		}
		slots[best] = slot{max(slots[best].size, need), s.Out}
		slotOf[s.Out] = best
		width := p.Values[s.Out]
		for _, v := range s.In {
			width += p.Values[v]
			if v != 0 && lastRead[v] == i {
				slots[slotOf[v]].value = -1
			}
		}
		m.widest = max(m.widest, width)
	}
	begins := make([]int, len(slots))
	for k, c := range slots {
		begins[k] = m.size
		m.size += c.size
	}
	for _, s := range p.Steps {
		m.at[s.Out] = begins[slotOf[s.Out]]
	}
	return m
}
