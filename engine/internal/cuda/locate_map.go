//go:build cuda

package cuda

// #include "locate.h"
import "C"

import (
	"slices"
	"unsafe"

	"brenier/engine/internal/cuda/driver"
)

// packedMap is a transport map as the screens of locate read it (kernels/cuda/locate.h).
type packedMap struct {
	t             *transport
	tiles, slices int // of 128 cells, of 64 dimensions

	packed driver.Address // [tiles][slices][16384]
	levels driver.Address // [tiles*128] float32
	known  driver.Address // brenier_locate_map

	measure []kernelLaunch // of new heights how far they go,
	relevel []kernelLaunch // and then themselves
}

// kernelLaunch is a kernel with its grid of blocks.
type kernelLaunch struct {
	function       *driver.Function
	blocks, thread int
}

func newPackedMap(t *transport) (m *packedMap, err error) {
	m = &packedMap{
		t:      t,
		tiles:  (t.n + C.BRENIER_LOCATE_TILE - 1) / C.BRENIER_LOCATE_TILE,
		slices: (t.d + C.BRENIER_LOCATE_SLICE - 1) / C.BRENIER_LOCATE_SLICE,
	}
	defer func() {
		if err != nil {
			m.close()
			m = nil
		}
	}()
	v := t.v
	for _, part := range []struct {
		at    *driver.Address
		bytes int
	}{
		{&m.packed, bytesOf(m.tiles, m.slices, C.BRENIER_LOCATE_SLICE_BYTES)},
		{&m.levels, bytesOf(m.tiles, C.BRENIER_LOCATE_TILE, 4)},
		{&m.known, C.sizeof_brenier_locate_map},
	} {
		if *part.at, err = v.alloc(part.bytes); err != nil {
			return m, err
		}
	}
	const warps = 8 // of a block of the packing kernel, a cell each
	launch := func(name string, blocks, threads int) (l kernelLaunch) {
		if err == nil {
			l = kernelLaunch{blocks: blocks, thread: threads}
			l.function, err = v.kernel("locate_pack", "brenier_cuda_locate_"+name, 0)
		}
		return l
	}
	pack := []kernelLaunch{
		launch("extent", 8*v.info.Multiprocessors, 256),
		launch("pack", m.tiles*C.BRENIER_LOCATE_TILE/warps, 256),
	}
	m.measure = []kernelLaunch{launch("heights", 1, 1024)}
	m.relevel = []kernelLaunch{launch("levels", (m.tiles*C.BRENIER_LOCATE_TILE+255)/256, 256)}
	if err != nil {
		return m, err
	}
	return m, v.ask(&check{run: func(q *driver.Stream) error {
		if err := q.Clear(m.known, C.sizeof_brenier_locate_map); err != nil {
			return err
		}
		return m.launch(q, slices.Concat(pack, m.measure, m.relevel))
	}})
}

// launch runs packing kernels one after another.
func (m *packedMap) launch(q *driver.Stream, kernels []kernelLaunch) error {
	p := C.brenier_locate_pack_params{
		points: C.uint64_t(m.t.points), heights: C.uint64_t(m.t.heights),
		packed: C.uint64_t(m.packed), levels: C.uint64_t(m.levels), _map: C.uint64_t(m.known),
		cells: C.int64_t(m.t.n), dim: C.int32_t(m.t.d), tiles: C.int32_t(m.tiles), slices: C.int32_t(m.slices),
	}
	for _, k := range kernels {
		if err := q.Launch(k.function, driver.Dim{X: k.blocks}, driver.Dim{X: k.thread}, 0, unsafe.Pointer(&p)); err != nil {
			return err
		}
	}
	return nil
}

// setHeights packs the heights that the transport has now.
func (m *packedMap) setHeights() error {
	return m.t.v.ask(&check{run: func(q *driver.Stream) error { return m.launch(q, slices.Concat(m.measure, m.relevel)) }})
}

// close frees what the map has on the device; twice is harmless.
func (m *packedMap) close() {
	for _, a := range []*driver.Address{&m.packed, &m.levels, &m.known} {
		m.t.v.free(*a)
		*a = 0
	}
}
