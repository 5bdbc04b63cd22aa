package engine

import (
	"brenier/engine/internal/backend"
	"brenier/engine/internal/fault"
)

// TaskKind is what a [Task] makes.
type TaskKind int

const (
	GenerateTask TaskKind = iota // images of samples
	DecodeTask                   // images of codes
	LocateTask                   // cells of noise
)

// Task is what the samples of one batch have in common.
type Task struct {
	Kind      TaskKind
	Extension Extension // generate
	K         int       // locate: cells a sample
}

// Part is samples that a [Task] is done for, and where the results go.
type Part struct {
	N           int
	Seed, First uint64    // generate: samples First .. First+N-1 of Seed
	In          []float32 // decode: codes z [N,d]; locate: noise x [N,d]
	Row         int       // the number that an error gives the first row of In
	Images      Image     // generate, decode
	Cells       []int64   // locate: [N,K]
	Scores      []float64 // locate: [N,K], or nil
	Err         error     // set by [Worker.Do]
}

// prepared is what a model's part needs beside itself, checked.
type prepared struct {
	images    images
	extension backend.Extension
}

// prepare checks a part against the model. On failure nothing of it may be done.
func (m *Model) prepare(t *Task, p *Part) (ready prepared, err error) {
	switch t.Kind {
	case GenerateTask:
		if err = m.needDecoder(); err != nil {
			return
		}
		if ready.images, err = m.images(p.Images, p.N); err != nil {
			return
		}
		ready.extension, err = m.samples(p.N, p.First, t.Extension)
		return
	case DecodeTask:
		if err = m.needDecoder(); err != nil {
			return
		}
		if p.N, err = rows("codes", len(p.In), m.parts.d); err != nil {
			return
		}
		if ready.images, err = m.images(p.Images, p.N); err != nil {
			return
		}
		err = finite("codes", p.In, m.parts.d, p.Row)
		return
	}
	if err = m.needMap(); err != nil {
		return
	}
	if p.N, err = rows("x", len(p.In), m.parts.d); err != nil {
		return
	}
	if t.K < 1 || t.K > min(MaxK, m.parts.n) {
		return ready, fault.Invalid("k: want 1 .. %d (the model has %d cells), got %d", min(MaxK, m.parts.n), m.parts.n, t.K)
	}
	if len(p.Cells) != p.N*t.K {
		return ready, fault.Invalid("cells: want [%d,%d], got %d values", p.N, t.K, len(p.Cells))
	}
	if p.Scores != nil && len(p.Scores) != p.N*t.K {
		return ready, fault.Invalid("scores: want [%d,%d], got %d values", p.N, t.K, len(p.Scores))
	}
	return ready, finite("x", p.In, m.parts.d, p.Row)
}

// step does samples at .. at+count-1 of a prepared part, which the workspace holds at once.
func (m *Model) step(on backend.Workspace, t *Task, p *Part, ready *prepared, at, count int) error {
	if t.Kind == GenerateTask {
		return on.Generate(count, p.Seed, p.First+uint64(at), ready.extension, ready.images.from(at))
	}
	in := p.In[at*m.parts.d : (at+count)*m.parts.d]
	if t.Kind == DecodeTask {
		if err := on.PutCodes(in); err != nil {
			return err
		}
		return on.Decode(count, ready.images.from(at))
	}
	if err := on.PutNoise(in); err != nil {
		return err
	}
	if err := on.Locate(count, t.K); err != nil {
		return err
	}
	var scores []float64
	if p.Scores != nil {
		scores = p.Scores[at*t.K : (at+count)*t.K]
	}
	return on.GetCells(count, t.K, p.Cells[at*t.K:(at+count)*t.K], scores)
}

// do does one caller's part with all of the backend's threads.
func (m *Model) do(t Task, p Part) error {
	ready, err := m.prepare(&t, &p)
	if err != nil {
		return err
	}
	return m.inBatches(p.N, func(on backend.Workspace, at, count int) error {
		return m.step(on, &t, &p, &ready, at, count)
	})
}
