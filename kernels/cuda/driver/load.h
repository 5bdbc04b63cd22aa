/* The driver's library, loaded on first use.
 *
 * libcuda.a (forward.cmake) defines every function that cuda.h declares as a jump through a slot. Until
 * a driver is loaded a slot leads to a function that answers CUDA_ERROR_NOT_INITIALIZED, so that a
 * program links, starts and runs without a driver. cuInit is the exception: it always succeeds and
 * does nothing, because the package init of gorgonia.org/cu exits the process when it fails. The real
 * cuInit is called by brenier_cuda_driver_load, which returns its answer.
 */
#ifndef BRENIER_KERNELS_CUDA_DRIVER_LOAD_H
#define BRENIER_KERNELS_CUDA_DRIVER_LOAD_H

#include <stddef.h>

/* What brenier_cuda_driver_load returns where the library itself could not be loaded. */
#define BRENIER_CUDA_NO_LIBRARY (-1)

/* Loads the driver from `path` (NULL: libcuda.so.1, where the system's loader finds it), fills the slots
 * and initialises it. A function that this driver lacks answers CUDA_ERROR_NOT_FOUND from then on.
 *
 * Returns 0; BRENIER_CUDA_NO_LIBRARY, with the loader's reason in `message`; or the CUresult of cuInit,
 * with the driver's own text in `message`. After a failure nothing is loaded and the slots are as
 * before. To be called by one thread at a time, and not again once it has succeeded. */
int brenier_cuda_driver_load(const char *path, char *message, size_t bytes);

/* The address of a symbol of the loaded driver, or NULL where it has none or none is loaded. */
void *brenier_cuda_driver_symbol(const char *name);

#endif
