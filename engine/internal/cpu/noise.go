package cpu

import (
	"brenier/engine/internal/backend"
	kernels "brenier/kernels/cpu"
)

// noiseValues is how many values a part of the noise stage makes at least: some 20 us of work.
const noiseValues = 4096

// Noise writes samples first, first+1, ... of seed to x [n,d], n = len(x)/d. Stream 0 is the noise
// that users see; the others are the engine's own draws.
func Noise(pool *Pool, path kernels.Path, source backend.Source, x []float32, d int, seed, first uint64, stream uint32) {
	var t *noiseTask
	select {
	case t = <-noiseTasks:
	default:
		t = new(noiseTask)
	}
	*t = noiseTask{path: path, source: kernelSource(source), x: x, d: d, seed: seed, first: first, stream: stream}
	t.parts = min(4*pool.Threads(), (len(x)+noiseValues-1)/noiseValues, len(x)/d)
	pool.Run(t.parts, t)
	t.x = nil
	select {
	case noiseTasks <- t:
	default:
	}
}

// kernelSource is a source by its number among the kernels.
func kernelSource(source backend.Source) int {
	if source == backend.Uniform {
		return kernels.Uniform
	}
	return kernels.Gaussian
}

// noiseTasks are tasks to use again, so that a call does not allocate.
var noiseTasks = make(chan *noiseTask, 64)

// noiseTask is one call of Noise.
type noiseTask struct {
	path        kernels.Path
	source      int
	x           []float32
	d, parts    int
	seed, first uint64
	stream      uint32
}

// Do makes one part of the samples.
func (t *noiseTask) Do(part int) {
	n := len(t.x) / t.d
	begin, end := part*n/t.parts, (part+1)*n/t.parts
	kernels.Noise(t.path, t.source, t.x[begin*t.d:end*t.d], t.d, t.seed, t.first+uint64(begin), t.stream)
}
