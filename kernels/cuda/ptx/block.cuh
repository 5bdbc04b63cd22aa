// Barriers among the threads of a block.
#pragma once
#include "../device.cuh"

#if BRENIER_DEVICE_CODE
namespace brenier {

// All threads of the block.
__device__ inline void sync_threads() { __syncthreads(); }

// Barrier `id` (1..15) of `threads` threads, a multiple of 32: whole warps take part. sync waits;
// arrive only counts.
__device__ inline void named_sync(int id, int threads) {
	asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}
__device__ inline void named_arrive(int id, int threads) {
	asm volatile("bar.arrive %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

}  // namespace brenier
#else
#include "../host/block.h"
#endif
