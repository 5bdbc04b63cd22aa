//go:build cuda

package driver

/*
#include "calls.h"
#cgo noescape brenier_cuda_set_kernel
#cgo nocallback brenier_cuda_set_kernel
*/
import "C"

import (
	"slices"
	"unsafe"
)

// Graph is captured work: kernels, copies, and what waits for what.
type Graph struct{ handle C.CUgraph }

// Instantiate makes the graph ready to be launched, on its own: the graph may be destroyed then, unless
// its kernels are to be set.
func (g *Graph) Instantiate() (*Executable, error) {
	x := new(Executable)
	if err := status("cuGraphInstantiate", C.cuGraphInstantiate(&x.handle, g.handle, 0)); err != nil {
		return nil, err
	}
	return x, nil
}

// Destroy gives the graph back, with its nodes.
func (g *Graph) Destroy() error {
	err := status("cuGraphDestroy", C.cuGraphDestroy(g.handle))
	g.handle = nil
	return err
}

// Node is a kernel's place in a graph.
type Node struct {
	handle   C.CUgraphNode
	function C.CUfunction
}

// Runs tells whether the node launches the function.
func (n Node) Runs(f *Function) bool { return n.function == f.handle }

// Kernels returns the nodes that launch kernels, each after those that it depends on: for the capture of
// one stream, in the order of the launches.
func (g *Graph) Kernels() ([]Node, error) {
	nodes, err := g.ordered()
	if err != nil {
		return nil, err
	}
	var kernels []Node
	for _, handle := range nodes {
		var kind C.CUgraphNodeType
		if err := status("cuGraphNodeGetType", C.cuGraphNodeGetType(handle, &kind)); err != nil {
			return nil, err
		}
		if kind != C.CU_GRAPH_NODE_TYPE_KERNEL {
			continue
		}
		n := Node{handle: handle}
		if err := status("cuGraphKernelNodeGetParams", C.brenier_cuda_node_function(handle, &n.function)); err != nil {
			return nil, err
		}
		kernels = append(kernels, n)
	}
	return kernels, nil
}

// ordered returns the graph's nodes, each after those that it depends on. The driver lists them in no
// order that it promises.
func (g *Graph) ordered() ([]C.CUgraphNode, error) {
	var count C.size_t
	if err := status("cuGraphGetNodes", C.cuGraphGetNodes(g.handle, nil, &count)); err != nil || count == 0 {
		return nil, err
	}
	listed := make([]C.CUgraphNode, count)
	if err := status("cuGraphGetNodes", C.cuGraphGetNodes(g.handle, &listed[0], &count)); err != nil {
		return nil, err
	}
	// The newer form of the call: the older refuses where a dependency is programmatic (LaunchDependent).
	needs := make(map[C.CUgraphNode][]C.CUgraphNode, count)
	edges := make([]C.CUgraphEdgeData, count)
	for _, node := range listed {
		from, found := make([]C.CUgraphNode, count), count
		code := C.cuGraphNodeGetDependencies_v2(node, &from[0], &edges[0], &found)
		if err := status("cuGraphNodeGetDependencies", code); err != nil {
			return nil, err
		}
		needs[node] = from[:found]
	}
	placed := make(map[C.CUgraphNode]bool, count)
	nodes := make([]C.CUgraphNode, 0, count)
	for len(nodes) < len(listed) {
		before := len(nodes)
		for _, node := range listed {
			waits := slices.ContainsFunc(needs[node], func(n C.CUgraphNode) bool { return !placed[n] })
			if !placed[node] && !waits {
				placed[node] = true
				nodes = append(nodes, node)
			}
		}
		if len(nodes) == before {
			return nil, &Error{Call: "Kernels", Code: noLibrary, Text: "the nodes of the CUDA graph wait for one another in a circle"}
		}
	}
	return nodes, nil
}

// Executable is a graph that can be launched, many times, as one.
type Executable struct{ handle C.CUgraphExec }

// SetKernel changes how later launches of the executable launch the kernel of a node of its graph. The
// parameters are as for Stream.Launch, and copied. It allocates nothing.
func (x *Executable) SetKernel(n Node, f *Function, grid, block Dim, shared int, params unsafe.Pointer) error {
	return status("cuGraphExecKernelNodeSetParams",
		C.brenier_cuda_set_kernel(x.handle, n.handle, f.handle, grid.c(), block.c(), C.uint(shared), (*C.uchar)(params)))
}

// Launch puts the whole graph into the stream.
func (x *Executable) Launch(s *Stream) error {
	return status("cuGraphLaunch", C.cuGraphLaunch(x.handle, s.c()))
}

// Destroy gives the executable back once what runs of it is done.
func (x *Executable) Destroy() error {
	err := status("cuGraphExecDestroy", C.cuGraphExecDestroy(x.handle))
	x.handle = nil
	return err
}
