package fit

// The seed's streams. None of them is the noise of the same seed that a model's user sees.
const (
	trainStream     = iota + 1 // samples of the descent
	testStream                 // of trials and of the certificate, one after another
	anglesStream               // of the table of angles
	steepnessStream            // of the steepness, one measurement after another
)

// streamSeed derives the seed of a stream by SplitMix64's finaliser (Steele, Lea and Flood 2014),
// a bijection: streams of one seed differ, and so do seeds of one stream.
func streamSeed(seed, stream uint64) uint64 {
	z := seed + stream*0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// sampler draws from the streams of a seed, a batch at a time.
type sampler struct {
	device Device
	tick   func() error // called after every batch
	seed   uint64
	d      int

	tested        uint64 // samples of the test stream used so far
	steepnessUsed uint64 // of the steepness stream

	cells  []int64   // [Batch,k] for any k up to neighbours+1
	x      []float32 // [Batch,d]
	counts []int32   // [N]
}

func newSampler(device Device, n, d int, seed uint64) *sampler {
	return &sampler{
		device: device, seed: seed, d: d,
		cells: make([]int64, Batch*(neighbours+1)), x: make([]float32, Batch*d), counts: make([]int32, n),
	}
}

// train counts the batch that starts at sample first of the training stream, by cell [N]. The
// counts are valid until the next call.
func (s *sampler) train(first uint64) ([]int32, error) {
	cells := s.cells[:Batch]
	if err := s.device.Draw(Batch, streamSeed(s.seed, trainStream), first, 1, cells, nil, nil); err != nil {
		return nil, err
	}
	clear(s.counts)
	for _, c := range cells {
		s.counts[c]++
	}
	return s.counts, s.tick()
}

// test adds fresh samples to a tally until it has n of them.
func (s *sampler) test(t *tally, n uint64) error {
	return s.draw(t, n, nil, func(int64, []float32) {})
}

// draw adds fresh samples of the test stream to a tally until it has n, and hands each one on with
// its cell if x is given to hold them.
func (s *sampler) draw(t *tally, n uint64, x []float32, visit func(cell int64, x []float32)) error {
	for t.samples < n {
		count := int(min(n-t.samples, Batch))
		cells := s.cells[:count]
		if err := s.device.Draw(count, streamSeed(s.seed, testStream), s.tested, 1, cells, nil, x); err != nil {
			return err
		}
		s.tested += uint64(count)
		t.add(cells)
		if x != nil {
			for i, c := range cells {
				visit(c, x[i*s.d:(i+1)*s.d])
			}
		}
		if err := s.tick(); err != nil {
			return err
		}
	}
	return nil
}
