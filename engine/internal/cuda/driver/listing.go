//go:build cuda

package driver

import "unsafe"

// listing is what a stream has that runs nothing and tells what it would run.
type listing func(f *Function, grid, block Dim, shared int, params unsafe.Pointer)

// NewListing returns a stream that runs nothing and hands each launch to visit, which may look at the
// parameters until it returns. So what a call would launch at a size that nobody waits for can be known.
func NewListing(visit func(f *Function, grid, block Dim, shared int, params unsafe.Pointer)) *Stream {
	return &Stream{listing: visit}
}

// launch hides from the compiler that visit sees the parameters: they would be on the heap for every
// launch into any stream, as nobody can tell what a function does that comes in a variable.
func (l listing) launch(f *Function, grid, block Dim, shared int, params unsafe.Pointer) {
	hidden := uintptr(params)
	l(f, grid, block, shared, *(*unsafe.Pointer)(unsafe.Pointer(&hidden)))
}
