// Bulk copies from global to shared memory by the copy engine (TMA, sm_90 and later). What is copied
// lies in global memory as it will lie in shared memory, swizzle included, so that no tensor map is
// needed.
#pragma once
#include "../device.cuh"

#if BRENIER_DEVICE_CODE
namespace brenier {

// By one thread. Addresses and bytes are multiples of 16; the bytes count towards `barrier`.
__device__ inline void bulk_copy(void *shared, const void *global, uint32_t bytes, uint64_t *barrier) {
	const uint32_t to = (uint32_t)__cvta_generic_to_shared(shared);
	const uint32_t done = (uint32_t)__cvta_generic_to_shared(barrier);
	asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(to),
	             "l"(global), "r"(bytes), "r"(done)
	             : "memory");
}

// Ordinary writes of this thread to shared memory before it are seen by the copy engine and the
// tensor cores (which read shared memory on their own) after it and a barrier.
__device__ inline void fence_async_shared() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

}  // namespace brenier
#else
#include "../host/bulk_copy.h"
#endif
