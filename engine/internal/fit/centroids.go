package fit

// samplesPerCell is how many samples the mass centres are made of, a cell on average: the error of a
// centre is then the spread of its cell over about 7.
const samplesPerCell = 50

// centroids draws n samples, counts them in the tally and sums them by cell [N,d].
func (s *sampler) centroids(t *tally, n uint64) ([]float64, error) {
	sums := make([]float64, t.target.n*s.d)
	err := s.draw(t, n, s.x, func(cell int64, x []float32) {
		sum := sums[t.target.owner[cell]*s.d:][:s.d]
		for k, v := range x {
			sum[k] += float64(v)
		}
	})
	return sums, err
}

// centroids divides sums [N,d] by counts [N]. A cell that was never hit has the mean that the
// random-energy model gives it: x given that <x, y_i - mean> reaches its level, which is
// deviation * quantile_i along (y_i - mean)/|y_i - mean|. A duplicate has its owner's.
func (t *target) centroids(sums []float64, counts []int64) []float32 {
	d := t.problem.Dim
	centroids := make([]float32, t.n*d)
	for i, owner := range t.owner {
		c := centroids[i*d : (i+1)*d]
		if count := counts[owner]; count > 0 {
			for k := range c {
				c[k] = float32(sums[owner*d+k] / float64(count))
			}
			continue
		}
		deviation := t.problem.Deviation
		along := float64(deviation*deviation) * t.quantile[owner] / t.scale[owner]
		for k, v := range t.point(owner) {
			c[k] = float32(along * (float64(v) - t.mean[k]))
		}
	}
	return centroids
}
