package engine

import (
	"math"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/fault"
)

// Locate finds, for each row of x [n,d], the k cells of highest score <x,y_i> + h_i: best first,
// ties by the lowest index. cells is [n,k]; scores is [n,k] or nil.
//
// Scores are exact in this sense: each is the float64 fma chain over the dimensions in order that
// starts at h_i, and the cells are the k first of all N by those scores.
func (m *Model) Locate(x []float32, k int, cells []int64, scores []float64) error {
	return m.do(Task{Kind: LocateTask, K: k}, Part{In: x, Cells: cells, Scores: scores})
}

// Potential evaluates, at each row of x [n,d], the Brenier potential u(x) = max_i <x,y_i> + h_i and
// the Kantorovich potential |x|^2/2 - u(x). Either result [n] may be nil.
func (m *Model) Potential(x []float32, brenier, kantorovich []float64) error {
	if err := m.needMap(); err != nil {
		return err
	}
	d := m.parts.d
	n, err := rows("x", len(x), d)
	if err != nil {
		return err
	}
	if brenier != nil && len(brenier) != n || kantorovich != nil && len(kantorovich) != n {
		return fault.Invalid("potential: want [%d], got %d and %d values", n, len(brenier), len(kantorovich))
	}
	if err := finite("x", x, d, 0); err != nil {
		return err
	}
	u := brenier
	if u == nil {
		u = kantorovich // holds u until the row's own value replaces it
	}
	if u == nil {
		return nil
	}
	return m.inBatches(n, func(w backend.Workspace, at, count int) error {
		if err := w.PutNoise(x[at*d : (at+count)*d]); err != nil {
			return err
		}
		if err := w.Locate(count, 1); err != nil {
			return err
		}
		if err := w.GetCells(count, 1, nil, u[at:at+count]); err != nil {
			return err
		}
		for i := at; i < at+count && kantorovich != nil; i++ {
			square := 0.0
			for _, v := range x[i*d : (i+1)*d] {
				square = math.FMA(float64(v), float64(v), square)
			}
			kantorovich[i] = math.FMA(0.5, square, -u[i])
		}
		return nil
	})
}
