package engine

import (
	"brenier/engine/internal/backend"
	"brenier/engine/internal/field"
)

// tileMemory is a reading's memory for the tiles of one step.
type tileMemory struct {
	tiles   []float32 // [n,C,h,w], those to make first and those of the cache from the end
	at      []int     // where in tiles the step's tiles are, in their order [n]
	missing []field.Key
	noise   []float32 // [n,d]
	codes   []float32 // [n,d]
	images  []float32 // [n,C,H,W], with all of the model's channels
}

// addTiles adds the next tiles of the lattice of an octave, filtered to 2^filter pixels of its own, to
// r.own, and makes at most `most` decodes' worth of them. It returns how many that were.
func (r *Reading) addTiles(octave uint32, filter, most int) (made int, err error) {
	if filter > 0 {
		if made, there, err := r.advanceEstimate(most); !there {
			return made, err
		}
	}
	s, l := r.f.model.parts, &r.lattice
	h, w := s.h>>filter, s.w>>filter
	room, worth := max(1, tileFloats/(s.c*s.h*s.w)), 1
	if filter > 0 {
		worth = estimateWorth
	}
	// The steps of about the same size: a device is slow with the few that would remain.
	left := l.tiles - l.next
	steps := (left + room*worth - 1) / (room * worth)
	key := func(k int) field.Key {
		k += l.next
		return field.Key{
			Seed: r.seed, Octave: octave, Filter: int32(filter),
			I: l.top + int64(k/l.columns), J: l.left + int64(k%l.columns),
		}
	}
	size := r.f.option.Channels * h * w
	if err := r.gatherTiles((left+steps-1)/steps, min(most, room)*worth, size, key); err != nil {
		return 0, err
	}
	for k, at := range r.memory.at {
		tile := key(k)
		r.own.Add(r.memory.tiles[at*size:][:size], h, w, tile.J*int64(w/2), tile.I*int64(h/2))
	}
	l.next += len(r.memory.at)
	return (len(r.memory.missing) + worth - 1) / worth, nil
}

// gatherTiles brings the first of n tiles of size values from the cache or makes them, up to the last
// before one that would be more than `most` made.
func (r *Reading) gatherTiles(n, most, size int, key func(k int) field.Key) error {
	t, cache := &r.memory, r.f.cache
	t.tiles = field.Grow(t.tiles, n*size)
	t.at, t.missing = t.at[:0], t.missing[:0]
	for k := range n {
		last := n - 1 - (k - len(t.missing)) // the place for one from the cache
		if cache.Get(key(k), t.tiles[last*size:][:size]) {
			t.at = append(t.at, last)
			continue
		}
		if len(t.missing) == most {
			break
		}
		t.at = append(t.at, len(t.missing))
		t.missing = append(t.missing, key(k))
	}
	if len(t.missing) == 0 {
		return nil
	}
	made := t.tiles[:len(t.missing)*size]
	if err := r.makeTiles(made, t.missing); err != nil {
		return err
	}
	for k, key := range t.missing {
		cache.Put(key, made[k*size:][:size])
	}
	return nil
}

// makeTiles makes tiles, all of one octave and filter, from their noise on.
func (r *Reading) makeTiles(tiles []float32, keys []field.Key) error {
	t, m := &r.memory, r.f.model
	d := m.parts.d
	t.noise = field.Grow(t.noise, len(keys)*d)
	var row uint64
	for k, key := range keys {
		if k == 0 || key.I != keys[k-1].I {
			row = field.RowKey(key.Seed, key.Octave, key.I)
		}
		field.Noise(m.parts.source, t.noise[k*d:(k+1)*d], row, key.J)
	}
	if filter := int(keys[0].Filter); filter > 0 {
		estimate := r.f.estimate(filter)
		t.codes = field.Grow(t.codes, len(keys)*d)
		if err := m.codesOf(r.lane, t.noise, r.f.ext, t.codes); err != nil {
			return err
		}
		size := len(tiles) / len(keys)
		for k := range keys {
			estimate.Tile(tiles[k*size:(k+1)*size], t.codes[k*d:(k+1)*d])
		}
		return nil
	}
	t.images = field.Grow(t.images, len(keys)*m.parts.c*m.parts.h*m.parts.w)
	if err := m.imagesOf(r.lane, t.noise, r.f.ext, t.images); err != nil {
		return err
	}
	r.f.standardise(tiles, t.images)
	return nil
}

// standardise makes tiles [n,C,H,W] of images [n,C,H,W] that have all of the model's channels:
// a(row) a(column) (image - mean) / deviation.
func (f *Field) standardise(tiles, images []float32) {
	s, size := f.model.parts, len(f.gain)
	for k := range len(tiles) / size {
		image := images[k*s.c*s.h*s.w+f.option.Channel*s.h*s.w:][:size]
		tile := tiles[k*size:][:size]
		for p, v := range image {
			tile[p] = float32(v*f.gain[p]) - f.shift[p]
		}
	}
}

// estimate makes tiles filtered to 2^filter pixels of codes alone. All filters come from one solution,
// which advanceEstimate has found.
func (f *Field) estimate(filter int) *field.Estimate {
	f.solving.Lock()
	defer f.solving.Unlock()
	for len(f.estimates) <= filter {
		f.estimates = append(f.estimates, f.estimates[len(f.estimates)-1].Halved())
	}
	return f.estimates[filter]
}

// estimateSeed is the seed of the samples that the estimate is solved for.
const estimateSeed = 0x6574616d69747365

// sampling is the estimate while its samples are made and it is solved for.
type sampling struct {
	n, made      int // samples: how many, and how many there are
	codes, tiles []float32
	solver       *field.Solver
}

// advanceEstimate makes up to `most` samples for the estimate, or goes on to solve for it, unless there is
// one; whoever comes next goes on from there. It takes eight samples for each dimension of the code: the
// error of a coefficient then adds an eighth to what a linear function leaves over.
func (r *Reading) advanceEstimate(most int) (made int, there bool, err error) {
	f, m, size := r.f, r.f.model, len(r.f.gain)
	s := m.parts
	f.solving.Lock()
	defer f.solving.Unlock()
	if len(f.estimates) > 0 {
		return 0, true, nil
	}
	if f.sampling == nil {
		n := max(256, 8*s.d)
		f.sampling = &sampling{n: n, codes: make([]float32, n*s.d), tiles: make([]float32, n*size)}
	}
	a := f.sampling
	if a.made == a.n {
		if a.solver == nil {
			a.solver = field.NewSolver(a.codes, a.tiles, s.d, f.option.Channels, s.h, s.w)
		} else if e := a.solver.Step(); e != nil {
			f.estimates, f.sampling = append(f.estimates, e), nil
		}
		return 1, len(f.estimates) > 0, nil
	}
	made = min(most, a.n-a.made, max(1, tileFloats/(s.c*s.h*s.w)))
	r.memory.images = field.Grow(r.memory.images, made*s.c*s.h*s.w)
	images, err := m.images(Float32Image(r.memory.images, NCHW), made)
	if err != nil {
		return 0, false, err
	}
	codes := a.codes[a.made*s.d:][:made*s.d]
	err = m.inBatchesOn(r.lane, made, func(w backend.Workspace, at, count int) error {
		if err := w.Draw(count, f.ext.K, estimateSeed, uint64(a.made+at), nil); err != nil {
			return err
		}
		if err := w.Extend(count, f.ext); err != nil {
			return err
		}
		if err := w.GetCodes(codes[at*s.d : (at+count)*s.d]); err != nil {
			return err
		}
		return w.Decode(count, images.from(at))
	})
	if err != nil {
		return 0, false, err
	}
	f.standardise(a.tiles[a.made*size:][:made*size], r.memory.images)
	a.made += made
	return made, false, nil
}

// imagesOf makes the images [n,C,H,W] of noise x [n,d].
func (m *Model) imagesOf(on *lane, x []float32, e backend.Extension, to []float32) error {
	n := len(x) / m.parts.d
	images, err := m.images(Float32Image(to, NCHW), n)
	if err != nil {
		return err
	}
	return m.fromNoise(on, x, e, func(w backend.Workspace, at, count int) error { return w.Decode(count, images.from(at)) })
}

// codesOf makes the codes [n,d] of noise x [n,d].
func (m *Model) codesOf(on *lane, x []float32, e backend.Extension, z []float32) error {
	d := m.parts.d
	return m.fromNoise(on, x, e, func(w backend.Workspace, at, count int) error { return w.GetCodes(z[at*d : (at+count)*d]) })
}

// fromNoise takes noise x [n,d] to codes, batch after batch, which end then takes on.
func (m *Model) fromNoise(on *lane, x []float32, e backend.Extension, end func(w backend.Workspace, at, count int) error) error {
	d := m.parts.d
	return m.inBatchesOn(on, len(x)/d, func(w backend.Workspace, at, count int) error {
		if err := w.PutNoise(x[at*d : (at+count)*d]); err != nil {
			return err
		}
		if err := w.Locate(count, e.K); err != nil {
			return err
		}
		if err := w.Extend(count, e); err != nil {
			return err
		}
		return end(w, at, count)
	})
}
