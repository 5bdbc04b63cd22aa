// Barriers in shared memory that count arrivals and bytes (sm_90 and later).
#pragma once
#include "../device.cuh"

#if BRENIER_DEVICE_CODE
namespace brenier {

// One 8-byte word of shared memory. By one thread, before a fence and a block barrier; `arrivals` is
// how many complete a phase.
__device__ inline void mbarrier_init(uint64_t *barrier, int arrivals) {
	const uint32_t at = (uint32_t)__cvta_generic_to_shared(barrier);
	asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(at), "r"(arrivals) : "memory");
}
// Makes initialised barriers visible to the copy engine.
__device__ inline void mbarrier_init_fence() {
	asm volatile("fence.mbarrier_init.release.cluster;\n\tfence.proxy.async.shared::cta;" ::: "memory");
}

__device__ inline void mbarrier_arrive(uint64_t *barrier) {
	const uint32_t at = (uint32_t)__cvta_generic_to_shared(barrier);
	asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(at) : "memory");
}
// Arrives and says how many bytes are to land before the phase completes.
__device__ inline void mbarrier_arrive_expect(uint64_t *barrier, uint32_t bytes) {
	const uint32_t at = (uint32_t)__cvta_generic_to_shared(barrier);
	asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(at), "r"(bytes) : "memory");
}

// Whether the phase of the given parity has completed; waits a while in hardware.
__device__ inline bool mbarrier_try_wait(uint64_t *barrier, uint32_t parity) {
	const uint32_t at = (uint32_t)__cvta_generic_to_shared(barrier);
	uint32_t done;
	asm volatile(
		"{\n\t.reg .pred p;\n\t"
		"mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\n\t"
		"selp.u32 %0, 1, 0, p;\n\t}"
		: "=r"(done)
		: "r"(at), "r"(parity)
		: "memory");
	return done;
}

// Until the phase of the given parity has completed. A barrier that never does ends the kernel with
// a trap, after some seconds, not the display's life.
__device__ inline void mbarrier_wait(uint64_t *barrier, uint32_t parity) {
	for (uint32_t tries = 0; !mbarrier_try_wait(barrier, parity); tries++)
		if (tries == 1u << 20) __trap();
}

}  // namespace brenier
#else
#include "../host/mbarrier.h"
#endif
