package cpu

import (
	"brenier/engine/internal/backend"
	kernels "brenier/kernels/cpu"
)

// extendRows is how many samples a part of the extend stage has at least: some 20 us of work.
const extendRows = 32

// HasCentroids reports whether the map has mass centres, without which Simplex cannot work.
func (m *Map) HasCentroids() bool { return m.centroids != nil }

// Extend writes the codes z [n,d] of samples x [n,d] whose e.K best cells are cells [n,e.K].
func (m *Map) Extend(x []float32, cells []int32, n int, e backend.Extension, z []float32) {
	t := m.takeExtend()
	t.x, t.cells, t.z, t.n, t.extension = x, cells, z, n, e
	t.run()
}

// Cosines writes, for samples whose k best cells are cells [n,k], the cosines between the planes of
// the first cell and of each to cosines [n,k]; the first column is 1 but for rounding.
func (m *Map) Cosines(cells []int32, n, k int, cosines []float64) {
	t := m.takeExtend()
	t.cells, t.n, t.extension.K, t.cosines = cells, n, k, cosines
	t.run()
}

// extendTask is one call of Extend or, with cosines, of Cosines.
type extendTask struct {
	m         *Map
	x, z      []float32
	cells     []int32
	cosines   []float64
	n, parts  int
	extension backend.Extension
}

func (m *Map) takeExtend() *extendTask {
	select {
	case t := <-m.extends:
		return t
	default:
		return &extendTask{m: m}
	}
}

// run does the task and puts it back for the next call.
func (t *extendTask) run() {
	m := t.m
	t.parts = min(4*m.pool.Threads(), (t.n+extendRows-1)/extendRows)
	m.pool.Run(t.parts, t)
	*t = extendTask{m: m}
	select {
	case m.extends <- t:
	default:
	}
}

// Do does one part of the samples.
func (t *extendTask) Do(part int) {
	m, e := t.m, t.extension
	first, stop := part*t.n/t.parts, (part+1)*t.n/t.parts
	cells := t.cells[first*e.K : stop*e.K]
	if t.cosines != nil {
		kernels.Cosines(m.path, cells, m.d, e.K, m.points, m.norms, t.cosines[first*e.K:stop*e.K])
		return
	}
	mode := [...]int{backend.Cell: kernels.Cell, backend.Simplex: kernels.Simplex, backend.Pair: kernels.Pair}
	kernels.Extend(m.path, t.x[first*m.d:stop*m.d], cells, m.d, e.K, m.points, m.norms, m.centroids,
		mode[e.Mode], e.MinCosine, e.Blend, t.z[first*m.d:stop*m.d])
}
