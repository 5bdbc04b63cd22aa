package engine

import "brenier/engine/internal/backend"

// Generate makes the images of samples first .. first+n-1 of seed: every stage, in order.
func (m *Model) Generate(n int, seed, first uint64, e Extension, out Image) error {
	return m.do(Task{Kind: GenerateTask, Extension: e}, Part{N: n, Seed: seed, First: first, Images: out})
}

// Codes makes the codes z [n,d] of samples first .. first+n-1 of seed, n = len(z)/d.
func (m *Model) Codes(z []float32, seed, first uint64, e Extension) error {
	d := m.parts.d
	n, err := rows("codes", len(z), d)
	if err != nil {
		return err
	}
	extension, err := m.samples(n, first, e)
	if err != nil {
		return err
	}
	return m.inBatches(n, func(w backend.Workspace, at, count int) error {
		if err := w.Draw(count, extension.K, seed, first+uint64(at), nil); err != nil {
			return err
		}
		if err := w.Extend(count, extension); err != nil {
			return err
		}
		return w.GetCodes(z[at*d : (at+count)*d])
	})
}

// samples checks what a call says that takes n samples from noise to code.
func (m *Model) samples(n int, first uint64, e Extension) (backend.Extension, error) {
	if err := m.needMap(); err != nil {
		return backend.Extension{}, err
	}
	if err := checkFirst(n, first); err != nil {
		return backend.Extension{}, err
	}
	return m.resolve(e)
}
