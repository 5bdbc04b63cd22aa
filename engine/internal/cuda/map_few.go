//go:build cuda

package cuda

// #include "select_extend.h"
import "C"

import (
	"fmt"
	"slices"
	"unsafe"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/cuda/driver"
	"brenier/kernels/cpu"
)

// fewMap takes few samples from their screen to their codes in one launch, where locate and extend alone
// make two: of what a sample takes, launches are a large part. It is used where both stages are wanted
// at once; the results are those of the two.
type fewMap struct {
	locate   *locateStage
	extend   *extendStage
	function *driver.Function // nil: failed its check, or there is no screen for few samples
}

func newFewMap(locate *locateStage, extend *extendStage) (*fewMap, error) {
	m := &fewMap{locate: locate, extend: extend}
	if locate.few == nil {
		return m, nil
	}
	f, err := locate.v.kernel("select_extend", "brenier_cuda_select_extend", locate.lifted)
	if missing(err) {
		return m, nil
	}
	m.function = f
	return m, err
}

// serves says whether n samples go this way.
func (m *fewMap) serves(n int) bool {
	return m.function != nil && n > 0 && m.locate.few != nil && m.locate.few.of(n) != nil
}

// launch is locate and extend of n samples: cells [n,e.K] and their scores, codes z [n,d], and these once
// more where the decoder reads them, unless in is nowhere.
func (m *fewMap) launch(q *driver.Stream, scratch *locateScratch, base, x driver.Address, n int, e backend.Extension, cells, scores, z driver.Address, in decoderInput) error {
	extend, err := m.extend.params(x, cells, n, e, z, in)
	if err != nil {
		return err
	}
	p := C.brenier_select_extend_params{decide: m.locate.decision(scratch, base, x, n, e.K, cells, scores), extend: extend}
	if err := m.locate.screenFew(q, m.locate.few.of(n), scratch, base, &p.decide); err != nil {
		return err
	}
	block := driver.Dim{X: C.BRENIER_SELECT_EXTEND_THREADS}
	return q.LaunchDependent(m.function, driver.Dim{X: n}, block, m.locate.lifted, unsafe.Pointer(&p))
}

// kernels says which kernel serves.
func (m *fewMap) kernels() []backend.Kernel {
	if m.function == nil || m.locate.few == nil {
		return nil
	}
	return []backend.Kernel{{Part: "locate and extend, few samples", Name: "select_extend"}}
}

// checks asks for the codes of samples near points of a small map.
func (m *fewMap) checks() []check {
	if m.function == nil || m.locate.few == nil {
		return nil
	}
	return []check{{
		kernel:  "select_extend",
		run:     func(q *driver.Stream) error { return askFewMap(m.locate.v, q) },
		plainer: func() error { m.function = nil; return nil },
	}}
}

// askFewMap asks for the codes of 3 samples with 5 cells each of a map of 150 cells in R^20.
func askFewMap(v *device, q *driver.Stream) error {
	const N, d, n, k = 150, 20, 3, 5
	points, centroids, x := askedNormals(0, N, d), askedNormals(1, N, d), askedNormals(2, n, d)
	heights := make([]float32, N)
	norms := make([]float64, N)
	cpu.PlaneNorms(cpu.Portable, points, d, norms)
	var cells []int32
	for row := range n {
		best, _ := bestCells(x[row*d:(row+1)*d], points, heights, k)
		cells = append(cells, best...)
	}
	e := backend.Extension{Mode: backend.Simplex, K: k, MinCosine: 0.1}
	want := make([]float32, n*d)
	cpu.Extend(cpu.Portable, x, cells, d, k, points, norms, centroids, cpu.Simplex, e.MinCosine, e.Blend, want)

	t, err := newTransport(v, points, heights, centroids, N, d)
	if err != nil {
		return err
	}
	defer t.close()
	locate, err := newLocateOf(v, t, rungs{few: true})
	if err != nil {
		return err
	}
	defer locate.close()
	extend, err := newExtend(v, t)
	if err != nil {
		return err
	}
	m, err := newFewMap(locate, extend)
	if err != nil {
		return err
	}
	var p plan
	scratch := locate.newScratch(&p, n, k)
	xs, cs, scores, zs := p.reserve(4*n*d), p.reserve(4*n*k), p.reserve(8*n*k), p.reserve(4*n*d)
	base, err := v.alloc(p.bytes)
	if err != nil {
		return err
	}
	defer v.free(base)
	if err := v.ctx.ToDevice(xs.at(base), unsafe.Pointer(&x[0]), xs.bytes); err != nil {
		return err
	}
	if err := m.launch(q, scratch, base, xs.at(base), n, e, cs.at(base), scores.at(base), zs.at(base), decoderInput{}); err != nil {
		return err
	}
	got, err := downloadValues[float32](v, q, zs.at(base), n*d)
	if err != nil {
		return err
	}
	if !slices.Equal(got, want) {
		return fmt.Errorf("codes of dimension %d differ from the CPU's", d)
	}
	return nil
}
