package engine

import (
	"math"

	"brenier/engine/internal/modelfile"
)

// DefaultImages is how many images the mean and the deviation are of that the command line and the
// library's interface keep in a model: a deviation's standard error is 1.6 %.
const DefaultImages = 2048

// imagesSeed is the seed of the samples that image statistics are taken of: not the fit's own, so
// that images that a user makes with that one are not those that were averaged.
func imagesSeed(seed uint64) uint64 { return seed ^ 0x6272656e696572 }

// imageStatistics is the mean and the standard deviation, pixel by pixel, of n of the model's
// images [C,H,W] under its own extension.
func (m *Model) imageStatistics(n int, seed uint64) (mean, deviation *modelfile.Tensor, err error) {
	s := m.parts
	size := s.c * s.h * s.w
	sums, squares := make([]float64, size), make([]float64, size)
	const step = 256
	images := make([]float32, min(n, step)*size)
	for at := 0; at < n; at += step {
		count := min(step, n-at)
		out := images[:count*size]
		if err := m.Generate(count, seed, uint64(at), Extension{}, Float32Image(out, NCHW)); err != nil {
			return nil, nil, err
		}
		for i, v := range out {
			sums[i%size] += float64(v)
			squares[i%size] += float64(float64(v) * float64(v))
		}
	}
	mean = &modelfile.Tensor{Shape: []int{s.c, s.h, s.w}, Data: make([]float32, size)}
	deviation = &modelfile.Tensor{Shape: []int{s.c, s.h, s.w}, Data: make([]float32, size)}
	for i := range size {
		average := sums[i] / float64(n)
		mean.Data[i] = float32(average)
		deviation.Data[i] = float32(math.Sqrt(max(0, squares[i]/float64(n)-float64(average*average))))
	}
	return mean, deviation, nil
}
