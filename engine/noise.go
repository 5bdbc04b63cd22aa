package engine

import "brenier/engine/internal/backend"

// Noise makes the noise x [n,d] of samples first .. first+n-1 of seed, n = len(x)/d, from the
// model's source: N(0,I), or uniform on [-1/2,1/2]^d.
func (m *Model) Noise(x []float32, seed, first uint64) error {
	d := m.parts.d
	n, err := rows("noise", len(x), d)
	if err != nil {
		return err
	}
	if err := checkFirst(n, first); err != nil {
		return err
	}
	return m.inBatches(n, func(w backend.Workspace, at, count int) error {
		if err := w.Noise(count, seed, first+uint64(at)); err != nil {
			return err
		}
		return w.GetNoise(x[at*d : (at+count)*d])
	})
}
