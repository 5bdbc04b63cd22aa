package engine

import (
	"unsafe"

	"brenier/engine/internal/backend"
)

// Worker does parts of several callers' work as one batch, which gives each the same bits as the
// methods of [Model]. On the processor all of it happens on the goroutine that calls Do, so that its
// thread's priority is the work's. The zero value is ready; one goroutine at a time. Nothing is
// allocated once it has seen its largest batch.
type Worker struct {
	ready  []prepared
	in     []float32
	images []byte
	cells  []int64
	scores []float64
}

// Do does a task for every part and sets each part's Err. One that is wrong does not keep the others
// from being done.
func (w *Worker) Do(m *Model, t Task, parts []Part) {
	w.ready = grown(w.ready, len(parts))
	total, together := 0, len(parts) > 1
	for i := range parts {
		p := &parts[i]
		w.ready[i], p.Err = m.prepare(&t, p)
		total += p.N
		together = together && p.Err == nil && p.Images.fits(parts[0].Images)
	}
	space, err := m.begin(&m.alone, total)
	if err != nil {
		for i := range parts {
			parts[i].Err = err
		}
		return
	}
	defer m.end(&m.alone, space)
	if together && total <= space.batch {
		err := w.together(m, space, &t, parts, total)
		for i := range parts {
			parts[i].Err = err
		}
		return
	}
	for i := range parts {
		p := &parts[i]
		for at := 0; at < p.N && p.Err == nil; at += space.batch {
			p.Err = m.step(space, &t, p, &w.ready[i], at, min(space.batch, p.N-at))
		}
	}
}

// fits says whether images of both can come out of one decode into the host's memory.
func (i Image) fits(other Image) bool {
	return i.DType == other.DType && i.Layout == other.Layout && i.Device.Address == 0 && other.Device.Address == 0
}

// together gathers what the parts give, takes it through the stages as one batch, and hands the
// results out.
func (w *Worker) together(m *Model, on backend.Workspace, t *Task, parts []Part, total int) error {
	d := m.parts.d
	w.in = grown(w.in, total*d)
	for at, i := 0, 0; i < len(parts); i++ {
		p := &parts[i]
		in := w.in[at*d : (at+p.N)*d]
		at += p.N
		if t.Kind != GenerateTask {
			copy(in, p.In)
			continue
		}
		if err := on.Noise(p.N, p.Seed, p.First); err != nil {
			return err
		}
		if err := on.GetNoise(in); err != nil {
			return err
		}
	}
	if t.Kind == LocateTask {
		return w.locate(on, t.K, parts, total)
	}
	if t.Kind == GenerateTask {
		extension := w.ready[0].extension
		if err := on.PutNoise(w.in); err != nil {
			return err
		}
		if err := on.Locate(total, extension.K); err != nil {
			return err
		}
		if err := on.Extend(total, extension); err != nil {
			return err
		}
	} else if err := on.PutCodes(w.in); err != nil {
		return err
	}
	return w.decode(on, parts, total)
}

func (w *Worker) decode(on backend.Workspace, parts []Part, total int) error {
	all := w.ready[0].images
	w.images = grown(w.images, total*all.stride)
	all.Data = unsafe.Pointer(unsafe.SliceData(w.images))
	if err := on.Decode(total, all.Image); err != nil {
		return err
	}
	rest := w.images
	for i := range parts {
		bytes := parts[i].N * all.stride
		copy(parts[i].Images.Data, rest[:bytes])
		rest = rest[bytes:]
	}
	return nil
}

func (w *Worker) locate(on backend.Workspace, k int, parts []Part, total int) error {
	if err := on.PutNoise(w.in); err != nil {
		return err
	}
	if err := on.Locate(total, k); err != nil {
		return err
	}
	w.cells, w.scores = grown(w.cells, total*k), grown(w.scores, total*k)
	if err := on.GetCells(total, k, w.cells, w.scores); err != nil {
		return err
	}
	for at, i := 0, 0; i < len(parts); i++ {
		p := &parts[i]
		copy(p.Cells, w.cells[at*k:])
		copy(p.Scores, w.scores[at*k:])
		at += p.N
	}
	return nil
}

// grown returns a slice of n elements, the given one where it is long enough; what they are is not
// said.
func grown[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}
