// What a register holds; and registers handed between the warpgroups of a block (sm_90a): all warps of
// a warpgroup take part, count is a multiple of 8.
#pragma once
#include "../device.cuh"

namespace brenier {

// The compiler knows nothing about v from here on: it stays in its register and is not computed anew
// wherever it is used.
__device__ inline void keep(int &v) { asm volatile("" : "+r"(v)); }

}  // namespace brenier

#if BRENIER_DEVICE_CODE
namespace brenier {

template <int count>
__device__ inline void registers_raise() { asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(count)); }
template <int count>
__device__ inline void registers_lower() { asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(count)); }

}  // namespace brenier
#else
#include "../host/registers.h"
#endif
