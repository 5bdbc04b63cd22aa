package exact

// rings are cells of a diagram in a row without their coordinates: what lies behind each side.
type rings struct {
	first  int32   // cell
	starts []int32 // [cells so far + 1]
	sides  []int32 // of cell first+i, counter-clockwise: sides[starts[i]:starts[i+1]]
}

func (r *rings) reset(first int32) {
	r.first, r.starts, r.sides = first, append(r.starts[:0], 0), r.sides[:0]
}

func (r *rings) add(p polygon) {
	for _, c := range p {
		r.sides = append(r.sides, c.side)
	}
	r.starts = append(r.starts, int32(len(r.sides)))
}

// join adds the cells that follow.
func (r *rings) join(next *rings) {
	so := int32(len(r.sides))
	for _, start := range next.starts[1:] {
		r.starts = append(r.starts, so+start)
	}
	r.sides = append(r.sides, next.sides...)
}

// of is the ring of cell i, or nil.
func (r *rings) of(i int32) []int32 {
	i -= r.first
	if i < 0 || int(i)+1 >= len(r.starts) {
		return nil
	}
	return r.sides[r.starts[i]:r.starts[i+1]]
}

// meet reports whether the cells a and b follow one another around cell i: whether the three share a
// corner.
func (r *rings) meet(i, a, b int32) bool {
	ring := r.of(i)
	for k, side := range ring {
		if side != a {
			continue
		}
		next, before := k+1, k-1
		if next == len(ring) {
			next = 0
		}
		if before < 0 {
			before = len(ring) - 1
		}
		if ring[next] == b || ring[before] == b {
			return true
		}
	}
	return false
}
