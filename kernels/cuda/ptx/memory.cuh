// Accesses to memory beyond plain loads and stores.
#pragma once
#include "../device.cuh"

#if BRENIER_DEVICE_CODE
namespace brenier {

// 16 bytes of global memory, aligned to 16, that nothing writes while the kernel runs.
__device__ inline uint4 load_constant_16(const void *global) {
	uint4 v;
	asm("ld.global.nc.L1::no_allocate.v4.u32 {%0,%1,%2,%3}, [%4];"
	    : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
	    : "l"(global));
	return v;
}

// What other blocks have written and made visible with thread_fence before a flag.
__device__ inline uint32_t load_volatile(const uint32_t *global) {
	return *(const volatile uint32_t *)global;
}
__device__ inline float load_volatile(const float *global) { return *(const volatile float *)global; }

// Writes before it are seen by the whole device before writes after it.
__device__ inline void thread_fence() { __threadfence(); }

// Atomic on global or shared memory; the old value is returned.
__device__ inline uint32_t atomic_add(uint32_t *at, uint32_t v) { return atomicAdd(at, v); }
__device__ inline uint32_t atomic_max(uint32_t *at, uint32_t v) { return atomicMax(at, v); }
__device__ inline uint32_t atomic_or(uint32_t *at, uint32_t v) { return atomicOr(at, v); }
__device__ inline uint32_t atomic_exchange(uint32_t *at, uint32_t v) { return atomicExch(at, v); }
__device__ inline unsigned long long atomic_add(unsigned long long *at, unsigned long long v) {
	return atomicAdd(at, v);
}
__device__ inline unsigned long long atomic_max(unsigned long long *at, unsigned long long v) {
	return atomicMax(at, v);
}

}  // namespace brenier
#else
#include "../host/memory.h"
#endif
