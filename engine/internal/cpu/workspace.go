package cpu

import (
	"brenier/engine/internal/backend"
	"brenier/engine/internal/fault"
	"brenier/engine/internal/rotated"
)

// workspace holds one batch of samples in the host's memory, from noise to code.
type workspace struct {
	model  *model
	x, z   []float32 // [batch,d]
	cells  []int32   // [batch,k], rows of the last Locate or PutCells
	scores []float64 // [batch,k]
	locate *LocateScratch
	decode *NetworkScratch
	encode *NetworkScratch // nil before the first Encode

	rotated *Rotated // nil before the first rotated draw
	counts  []int32  // [N], of the draws since they were taken last; nil before the first one counted
	counted []int64  // cells of the rotated draws at hand
}

func (w *workspace) Noise(n int, seed, first uint64) error {
	m := w.model
	Noise(m.device.pool, m.device.path, m.source, w.x[:n*m.d], m.d, seed, first, 0)
	return nil
}

func (w *workspace) Draw(n, k int, seed, first uint64, x []float32) error {
	m := w.model
	if x == nil {
		x = w.x[:n*m.d]
	}
	m.transport.Draw(w.locate, m.source, seed, first, x, n, k, w.cells[:n*k], w.scores[:n*k])
	return nil
}

func (w *workspace) PutNoise(x []float32) error { copy(w.x, x); return nil }
func (w *workspace) GetNoise(x []float32) error { copy(x, w.x); return nil }

func (w *workspace) Locate(n, k int) error {
	m := w.model
	m.transport.Locate(w.locate, w.x[:n*m.d], n, k, w.cells[:n*k], w.scores[:n*k])
	return nil
}

// Group implements [backend.RotatedDrawer].
func (w *workspace) Group() int {
	m := w.model
	if m.source != backend.Gaussian || m.transport == nil || !m.transport.rotating().Rotatable() {
		return 0
	}
	return rotated.GroupFor(m.transport.n, m.d)
}

func (w *workspace) DrawRotated(n int, seed, first uint64, k int, cells []int64, scores []float64, x []float32) error {
	if err := rotated.CheckMap(w.Group()); err != nil {
		return err
	}
	if w.rotated == nil {
		m := w.model.transport
		w.rotated = m.NewRotated(rotated.GroupFor(m.n, m.d))
	}
	return w.rotated.Draw(n, seed, first, k, cells, scores, x)
}

func (w *workspace) Count(n int, seed, first uint64, rotated bool) error {
	if w.counts == nil {
		w.counts = make([]int32, w.model.transport.n)
	}
	if rotated {
		w.counted = append(w.counted[:0], make([]int64, n)...)
		if err := w.DrawRotated(n, seed, first, 1, w.counted, nil, nil); err != nil {
			return err
		}
		for _, c := range w.counted {
			w.counts[c]++
		}
		return nil
	}
	if err := w.Draw(n, 1, seed, first, nil); err != nil {
		return err
	}
	for _, c := range w.cells[:n] {
		w.counts[c]++
	}
	return nil
}

func (w *workspace) TakeCounts(counts []int32) error {
	clear(counts[copy(counts, w.counts):]) // all where nothing was counted
	clear(w.counts)
	return nil
}

func (w *workspace) PutCells(n, k, use int, cells []int64) error {
	for i := range n {
		for j, c := range cells[i*k : i*k+use] {
			w.cells[i*use+j] = int32(c)
		}
	}
	return nil
}

func (w *workspace) GetCells(n, k int, cells []int64, scores []float64) error {
	for i := range cells {
		cells[i] = int64(w.cells[i])
	}
	copy(scores, w.scores[:n*k])
	return nil
}

func (w *workspace) Extend(n int, e backend.Extension) error {
	m := w.model
	m.transport.Extend(w.x[:n*m.d], w.cells[:n*e.K], n, e, w.z[:n*m.d])
	return nil
}

func (w *workspace) PutCodes(z []float32) error { copy(w.z, z); return nil }
func (w *workspace) GetCodes(z []float32) error { copy(z, w.z); return nil }

func (w *workspace) Decode(n int, out backend.Image) error {
	if err := onHost(out); err != nil {
		return err
	}
	m := w.model
	return m.decoder.Decode(w.decode, w.z[:n*m.d], n, out)
}

func (w *workspace) Generate(n int, seed, first uint64, e backend.Extension, out backend.Image) error {
	if err := onHost(out); err != nil {
		return err
	}
	if err := w.Draw(n, e.K, seed, first, nil); err != nil {
		return err
	}
	if err := w.Extend(n, e); err != nil {
		return err
	}
	return w.Decode(n, out)
}

func (w *workspace) Encode(n int, in backend.Image) error {
	if err := onHost(in); err != nil {
		return err
	}
	m := w.model
	if w.encode == nil {
		w.encode = m.encoder.NewScratch(len(w.z) / m.d)
	}
	return m.encoder.Encode(w.encode, in, n, w.z[:n*m.d])
}

// onHost refuses memory that no processor can read or write.
func onHost(i backend.Image) error {
	if i.Address != 0 {
		return fault.New(fault.ErrUnsupported, "images: their location is a CUDA device, and this engine runs on the CPU; give memory of the host")
	}
	return nil
}

func (w *workspace) Close() error { return nil }
