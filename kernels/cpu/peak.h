#ifndef BRENIER_KERNELS_CPU_PEAK_H
#define BRENIER_KERNELS_CPU_PEAK_H
#include <stddef.h>
#include <stdint.h>

// Floors of this processor, measured in the run that states a speed against them.

// Runs 12 independent chains of `rounds` vector fmas on one thread. Returns the seconds it took;
// *flop is the number of floating-point operations done.
double brenier_measure_fma(int path, int64_t rounds, double *flop);

// Reads `bytes` bytes at `data` (64-byte aligned) `times` times. Returns the seconds it took.
double brenier_measure_read(const void *data, size_t bytes, int times);

#endif
