//go:build cuda

package cuda

import (
	"math"

	"brenier/engine/internal/cuda/driver"
)

// spanAlignment is what every span begins at a multiple of: enough for any vector access and for
// the addresses of bulk copies.
const spanAlignment = 256

// plan lays out one allocation. Its makers reserve what they need, then the memory is allocated at
// once, and each span is found at its distance from the beginning. The zero value is empty.
type plan struct {
	bytes int // math.MaxInt: more than can be
}

// span is a part of a planned allocation.
type span struct {
	offset, bytes int
}

// reserve plans bytes more, at a multiple of 256 bytes from the beginning.
func (p *plan) reserve(bytes int) span {
	s := span{p.bytes, bytes}
	if bytes < 0 || bytes > math.MaxInt-spanAlignment-p.bytes {
		p.bytes = math.MaxInt
		return s
	}
	p.bytes = (p.bytes + bytes + spanAlignment - 1) / spanAlignment * spanAlignment
	return s
}

// alternatives plans for makers that never need their memory at the same time: each begins where
// the first does, and the plan grows by the largest.
func (p *plan) alternatives(makers ...func(p *plan)) {
	begin, end := p.bytes, p.bytes
	for _, maker := range makers {
		p.bytes = begin
		maker(p)
		end = max(end, p.bytes)
	}
	p.bytes = end
}

// at is where the span is in the allocation that begins at base.
func (s span) at(base driver.Address) driver.Address { return base + driver.Address(s.offset) }
