// Asynchronous copies from global to shared memory by the threads themselves (sm_80 and later).
#pragma once
#include "../device.cuh"

#if BRENIER_DEVICE_CODE
namespace brenier {

// 16 bytes, both addresses aligned to 16; zeros, and no access, where `valid` is false.
__device__ inline void cp_async_16(void *shared, const void *global, bool valid = true) {
	const uint32_t to = (uint32_t)__cvta_generic_to_shared(shared);
	const int bytes = valid ? 16 : 0;
	asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(global), "r"(bytes)
	             : "memory");
}
// The same through the first-level cache, for what other copies of the multiprocessor read soon.
__device__ inline void cp_async_16_cached(void *shared, const void *global, bool valid = true) {
	const uint32_t to = (uint32_t)__cvta_generic_to_shared(shared);
	const int bytes = valid ? 16 : 0;
	asm volatile("cp.async.ca.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(global), "r"(bytes)
	             : "memory");
}
// 4 bytes, both addresses aligned to 4.
__device__ inline void cp_async_4(void *shared, const void *global, bool valid = true) {
	const uint32_t to = (uint32_t)__cvta_generic_to_shared(shared);
	const int bytes = valid ? 4 : 0;
	asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(to), "l"(global), "r"(bytes)
	             : "memory");
}

// Ends a group of this thread's copies; a thread may commit an empty group.
__device__ inline void cp_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Until at most `pending` of this thread's youngest groups are under way. Other threads see the
// copies after a barrier.
template <int pending>
__device__ inline void cp_async_wait() {
	asm volatile("cp.async.wait_group %0;" ::"n"(pending) : "memory");
}

}  // namespace brenier
#else
#include "../host/cp_async.h"
#endif
