package engine

import (
	"math"
	"sync"

	"brenier/engine/internal/fault"
	"brenier/engine/internal/modelfile"
)

// DefaultImages is how many images the mean and the deviation are of that the command line and the
// library's interface keep in a model: a deviation's standard error is 1.6 %.
const DefaultImages = 2048

// fieldImages is how many they are of where a field needs them and the model brings none.
const fieldImages = 4096

// imageStatistics are the mean and the standard deviation, pixel by pixel, of a model's images
// [C,H,W]; nil until they are known.
type imageStatistics struct {
	mu              sync.Mutex // held while they are taken
	mean, deviation *modelfile.Tensor
}

// known are the mean and the deviation, or nil.
func (s *imageStatistics) known() (mean, deviation *modelfile.Tensor) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mean, s.deviation
}

// MeasureImages takes the mean and the standard deviation, pixel by pixel, of n of the model's
// images under its own extension. Save keeps them, and fields made afterwards use them. The images are
// of a seed that follows from that of the model's fit, and not those that a user makes with that one.
func (m *Model) MeasureImages(n int) error {
	m.statistics.mu.Lock()
	defer m.statistics.mu.Unlock()
	return m.measureImages(n)
}

// imageStatistics are those that the model has; if it has none, they are taken first.
func (m *Model) imageStatistics() (mean, deviation *modelfile.Tensor, err error) {
	s := &m.statistics
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mean == nil {
		err = m.measureImages(fieldImages)
	}
	return s.mean, s.deviation, err
}

// measureImages is MeasureImages for one who holds the lock.
func (m *Model) measureImages(n int) error {
	if n < 1 {
		return fault.Invalid("images: want 1 or more, got %d", n)
	}
	seed := uint64(0x6272656e696572)
	if fit := m.file.Model().Fit; fit != nil {
		seed ^= fit.Seed
	}
	s := m.parts
	size := s.c * s.h * s.w
	sums, squares := make([]float64, size), make([]float64, size)
	const step = 256
	images := make([]float32, min(n, step)*size)
	for at := 0; at < n; at += step {
		count := min(step, n-at)
		out := images[:count*size]
		if err := m.Generate(count, seed, uint64(at), Extension{}, Float32Image(out, NCHW)); err != nil {
			return err
		}
		for i, v := range out {
			sums[i%size] += float64(v)
			squares[i%size] += float64(float64(v) * float64(v))
		}
	}
	mean := &modelfile.Tensor{Shape: []int{s.c, s.h, s.w}, Data: make([]float32, size)}
	deviation := &modelfile.Tensor{Shape: []int{s.c, s.h, s.w}, Data: make([]float32, size)}
	for i := range size {
		average := sums[i] / float64(n)
		if average-average != 0 { // NaN for both
			return fault.BadModel("output.mean: element %d is %g; the decoder's images are not finite", i, average)
		}
		mean.Data[i] = float32(average)
		deviation.Data[i] = float32(math.Sqrt(max(0, squares[i]/float64(n)-float64(average*average))))
	}
	m.statistics.mean, m.statistics.deviation = mean, deviation
	return nil
}
