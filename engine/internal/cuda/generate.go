//go:build cuda

package cuda

import (
	"brenier/engine/internal/backend"
	"brenier/engine/internal/cuda/driver"
)

// mostRecorded is the largest batch whose calls are recorded: beyond it the kernels take longer
// than their launches by far, and a graph for every size of a last, smaller batch would not pay.
const mostRecorded = 4096

// Generate makes images from noise. A call shape that comes again is one graph launch: the first
// call of it records its launches, later ones only change the seed and where the images go.
func (w *workspace) Generate(n int, seed, first uint64, e backend.Extension, out backend.Image) error {
	return w.do(func() error {
		d, err := w.deliver(n, out)
		if err != nil {
			return err
		}
		if d.way == copied || n > mostRecorded {
			err = w.launchMap(w.q, n, seed, first, e)
			if err == nil {
				err = w.decodeTo(n, w.decoderInput(), d)
			}
		} else {
			err = w.generateRecorded(n, seed, first, e, d.first)
		}
		if err != nil {
			return err
		}
		return w.arrive(n, d)
	})
}

func (w *workspace) generateRecorded(n int, seed, first uint64, e backend.Extension, to target) error {
	shape := callShape{n, e, to.dtype, to.layout, to.low, to.high, w.m.heights.Load()}
	r := w.recordings.find(shape)
	if r == nil {
		made, err := w.record(shape, seed, first, to)
		if err != nil {
			return err
		}
		w.recordings.keep(made)
		r = made
	}
	return w.replay(r, seed, first, to)
}

// launchMap launches the stages from noise to code, which is then where the decoder reads it too.
func (w *workspace) launchMap(q *driver.Stream, n int, seed, first uint64, e backend.Extension) error {
	if err := w.launchNoise(q, n, seed, first); err != nil {
		return err
	}
	x, cells, scores, z, in := w.at(w.x), w.at(w.cells), w.at(w.scores), w.at(w.z), w.decoderInput()
	if w.m.fewMap.serves(n) {
		return w.m.fewMap.launch(q, w.locate, w.base, x, n, e, cells, scores, z, in)
	}
	if err := w.m.locate.launch(q, w.locate, w.base, x, n, e.K, cells, scores); err != nil {
		return err
	}
	return w.m.extend.launch(q, x, cells, n, e, z, in)
}

// launchAll launches every stage.
func (w *workspace) launchAll(q *driver.Stream, n int, seed, first uint64, e backend.Extension, to target) error {
	if err := w.launchMap(q, n, seed, first, e); err != nil {
		return err
	}
	return w.launchDecode(q, 0, n, w.decoderInput(), to)
}
