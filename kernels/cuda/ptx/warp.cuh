// What the 32 lanes of a warp do together. All of them must take part.
#pragma once
#include "../device.cuh"

#if BRENIER_DEVICE_CODE
namespace brenier {

__device__ inline unsigned lane_id() {
	unsigned lane;
	asm("mov.u32 %0, %%laneid;" : "=r"(lane));
	return lane;
}

// T is an integer or a floating-point type of 4 or 8 bytes.
template <class T>
__device__ inline T shuffle(T value, int source) { return __shfl_sync(0xffffffffu, value, source); }
template <class T>
__device__ inline T shuffle_xor(T value, int mask) { return __shfl_xor_sync(0xffffffffu, value, mask); }
// The value of the lane `delta` above; the lane's own where there is none.
template <class T>
__device__ inline T shuffle_down(T value, int delta) { return __shfl_down_sync(0xffffffffu, value, delta); }
// The value of the lane `delta` below; the lane's own where there is none.
template <class T>
__device__ inline T shuffle_up(T value, int delta) { return __shfl_up_sync(0xffffffffu, value, delta); }

__device__ inline uint32_t ballot(bool vote) { return __ballot_sync(0xffffffffu, vote); }
__device__ inline bool any(bool vote) { return __any_sync(0xffffffffu, vote); }
__device__ inline bool all(bool vote) { return __all_sync(0xffffffffu, vote); }
// Also orders the lanes' accesses to shared and global memory.
__device__ inline void sync_warp() { __syncwarp(); }

}  // namespace brenier
#else
#include "../host/warp.h"
#endif
