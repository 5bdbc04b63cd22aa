//go:build cuda

package cuda

// networkMemory places a network's values in one arena, in bytes per image. Values that are never
// needed at the same time share memory.
type networkMemory struct {
	at     []int // of each value; the input has none
	bytes  int   // of the arena
	widest int   // the most that one step reads and writes
}

// planNetworkMemory gives each value a slot from its first making to its last reading: the smallest
// free one that is large enough, else the largest one, grown.
func planNetworkMemory(values []layout, steps []networkStep, elementBytes int) networkMemory {
	m := networkMemory{at: make([]int, len(values))}
	size := func(v int) int { // whole lines, so that every value begins on one
		return (values[v].elements()*elementBytes + spanAlignment - 1) / spanAlignment * spanAlignment
	}
	last, slotOf := make([]int, len(values)), make([]int, len(values))
	for i, s := range steps {
		for _, v := range s.in {
			last[v] = i
		}
	}
	type slot struct{ bytes, value int } // value: the one that it holds, or -1
	var slots []slot
	placed := make([]bool, len(values))
	for i, s := range steps {
		width := 0
		if s.out >= 0 {
			width = size(s.out)
		}
		if s.out >= 0 && !placed[s.out] { // several steps may make parts of one value
			best := -1
			for k, c := range slots {
				if c.value >= 0 {
					continue
				}
				fits, bestFits := c.bytes >= width, best >= 0 && slots[best].bytes >= width
				if best < 0 || fits && (!bestFits || c.bytes < slots[best].bytes) || !fits && !bestFits && c.bytes > slots[best].bytes {
					best = k
				}
			}
			if best < 0 {
				slots = append(slots, slot{})
				best = len(slots) - 1
			}
			slots[best] = slot{max(slots[best].bytes, width), s.out}
			slotOf[s.out], placed[s.out] = best, true
		}
		for _, v := range s.in {
			width += size(v)
			if v != inputValue && last[v] == i {
				slots[slotOf[v]].value = -1
			}
		}
		m.widest = max(m.widest, width)
	}
	begins := make([]int, len(slots))
	for k, c := range slots {
		begins[k] = m.bytes
		m.bytes += c.bytes
	}
	for v := range values {
		if placed[v] {
			m.at[v] = begins[slotOf[v]]
		}
	}
	return m
}
