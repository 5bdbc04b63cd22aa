// What every kernel starts from: the language of the device, on the card and on the host.
//
// A kernel's source touches the hardware through ptx/*.cuh alone. nvcc compiles it for the card;
// g++ compiles the same file for the host, where a CUDA thread is a fiber and every instruction
// wrapper has a twin (host/).
#pragma once
#include <stdint.h>

#ifdef __CUDACC__
#define BRENIER_DEVICE_CODE 1

// A kernel: one struct of parameters, at most `threads` threads a block, at least `blocks` blocks
// resident on a multiprocessor.
#define BRENIER_KERNEL(name, Params, threads, blocks) \
	extern "C" __global__ void __launch_bounds__(threads, blocks) name(const __grid_constant__ Params p)

#else
#define BRENIER_DEVICE_CODE 0
#include "host/device.h"

#define BRENIER_KERNEL(name, Params, threads, blocks)                                              \
	extern "C" void name(const Params &p);                                                         \
	static const brenier::host::Registration name##_registration(#name, BRENIER_MODULE,            \
	                                                             BRENIER_LEAST_CAPABILITY, threads, \
	                                                             &name);                           \
	extern "C" void name(const Params &p)
#endif

namespace brenier {

// The block's dynamic shared memory, aligned to 1024 bytes.
__device__ inline unsigned char *dynamic_shared() {
#if BRENIER_DEVICE_CODE
	extern __shared__ __align__(1024) unsigned char brenier_dynamic_shared[];
	return brenier_dynamic_shared;
#else
	return host::dynamic_shared();
#endif
}

}  // namespace brenier
