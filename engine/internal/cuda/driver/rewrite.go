//go:build cuda

package driver

import (
	"fmt"
	"unsafe"
)

// rewrite is what a stream has that runs nothing. The calls that made a graph, when they are made again on
// such a stream, change what an executable of the graph launches: the i-th launch replaces what the
// executable has at the i-th of the nodes. So what differs from call to call need be known to those
// alone who launch it.
type rewrite struct {
	to       *Executable
	nodes    []Node // zero ones keep what they have
	launches int    // so far
}

// NewRewrite returns a stream that changes the kernels of an executable: for each launch that will
// be put into it the node to change, a zero one to change nothing. With nothing to change it counts.
func NewRewrite(to *Executable, nodes []Node) *Stream {
	return &Stream{rewrite: &rewrite{to: to, nodes: nodes}}
}

// Again makes the next launch into a stream of NewRewrite the first one again, and returns how many
// there have been.
func (s *Stream) Again() int {
	launches := s.rewrite.launches
	s.rewrite.launches = 0
	return launches
}

func (r *rewrite) launch(f *Function, grid, block Dim, shared int, params unsafe.Pointer) error {
	i := r.launches
	r.launches++
	if r.to == nil {
		return nil
	}
	if i >= len(r.nodes) {
		return &Error{Call: "Rewrite", Code: noLibrary, Text: fmt.Sprintf("launch %d, of %s, is not among the %d that were captured", i, f.Name, len(r.nodes))}
	}
	n := r.nodes[i]
	if n.handle == nil {
		return nil
	}
	if !n.Runs(f) {
		return &Error{Call: "Rewrite", Code: noLibrary, Text: fmt.Sprintf("launch %d, of %s, was captured as another kernel's", i, f.Name)}
	}
	return r.to.SetKernel(n, f, grid, block, shared, params)
}
