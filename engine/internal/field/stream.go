// Package field holds what an unbounded plane of tiles is made of: the tiles' noise, the weights they
// are blended with, their cache, and the way from the tiles' pixels to the reader's.
//
// Nothing here knows of models or devices, and all arithmetic is in one written order: a pixel depends
// on where it is, and on nothing else of the call that reads it.
package field

import (
	"brenier/engine/internal/backend"
	kernels "brenier/kernels/cpu"
)

// The streams, the last word of Philox's counter, that tiles take. Noise that users ask for is of
// stream 0.
const (
	RowStream  = 0x776f7266 // of the keys of the rows of tiles
	TileStream = 0x6c697466 // of the tiles' noise
)

// RowKey is the seed of row i of tiles of an octave under a seed: the first two words, low and high, of
// the Philox4x32-10 block of
//
//	counter = (i low, i high, octave, RowStream)    key = (seed low, seed high)
//
// with i as 64 bits in two's complement. Two rows share a key as often as 64-bit hashes collide.
func RowKey(seed uint64, octave uint32, i int64) uint64 {
	words := kernels.Philox([4]uint32{uint32(i), uint32(uint64(i) >> 32), octave, RowStream}, [2]uint32{uint32(seed), uint32(seed >> 32)})
	return uint64(words[1])<<32 | uint64(words[0])
}

// Noise writes the noise x [d] of tile j, 64 bits in two's complement, of the row with a key: the
// noise that sample j of that seed has on [TileStream], as kernels/cpu/noise.h defines it.
func Noise(source backend.Source, x []float32, key uint64, j int64) {
	kind := kernels.Gaussian
	if source == backend.Uniform {
		kind = kernels.Uniform
	}
	kernels.Noise(kernels.Best(), kind, x, len(x), key, uint64(j), TileStream)
}
