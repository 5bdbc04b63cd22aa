package cpu

/*
// So that Philox keeps its arrays on the stack.
#cgo noescape brenier_philox
#cgo nocallback brenier_philox
#include "noise.h"
*/
import "C"

import "unsafe"

// Sources of noise, by the numbers of noise.h.
const (
	Gaussian = C.BRENIER_GAUSSIAN
	Uniform  = C.BRENIER_UNIFORM
)

// Philox returns the Philox4x32-10 block of a counter under a key.
func Philox(counter [4]uint32, key [2]uint32) (out [4]uint32) {
	C.brenier_philox((*C.uint32_t)(&counter[0]), (*C.uint32_t)(&key[0]), (*C.uint32_t)(&out[0]))
	return out
}

// Noise writes samples first, first+1, ... of seed to x [n,d]; n = len(x)/d. See noise.h.
func Noise(p Path, source int, x []float32, d int, seed, first uint64, stream uint32) {
	if len(x) == 0 {
		return
	}
	C.brenier_cpu_noise(C.int(p), C.int(source), (*C.float)(unsafe.Pointer(&x[0])), C.int64_t(len(x)/d),
		C.int64_t(d), C.uint64_t(seed), C.uint64_t(first), C.uint32_t(stream))
}
