package cpu

// #include "peak.h"
import "C"

import "unsafe"

// MeasureFMA runs rounds of independent fmas on the calling thread and returns the rate of its
// multiply-add units in flop per second: the floor that a matrix kernel's speed is stated against.
func MeasureFMA(p Path, rounds int64) float64 {
	var flop C.double
	seconds := C.brenier_measure_fma(C.int(p), C.int64_t(rounds), &flop)
	return float64(flop) / float64(seconds)
}

// MeasureRead reads data the given number of times on the calling thread and returns bytes per
// second.
func MeasureRead(data []float32, times int) float64 {
	seconds := C.brenier_measure_read(unsafe.Pointer(&data[0]), C.size_t(4*len(data)), C.int(times))
	return 4 * float64(len(data)) * float64(times) / float64(seconds)
}
