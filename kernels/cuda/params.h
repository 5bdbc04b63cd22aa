// What the parameter structs of the kernels share. They are plain C, read by the kernels and by the
// engine: on the device an address has its type, to the engine it is a number.
#ifndef BRENIER_KERNELS_CUDA_PARAMS_H
#define BRENIER_KERNELS_CUDA_PARAMS_H
#include <stdint.h>

#ifdef __cplusplus
#define BRENIER_ADDRESS(T) T *
#else
#define BRENIER_ADDRESS(T) uint64_t
#endif

#endif
