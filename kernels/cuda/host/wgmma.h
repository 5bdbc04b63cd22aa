// Twin of ptx/wgmma.cuh. A product is queued; it reads shared memory and is computed when its group is
// committed (early), when it is waited for and no thread can go on without it (late), or at random
// between. From the first product into d until the wait, d holds NaN. An error is: to write d
// meanwhile, or operand a where it is in registers; a product without a wgmma_fence since the last
// wait. Descriptors are decoded as the hardware reads them: the swizzle xors bits 4..6 of an address
// with bits 7..9.
#pragma once
#include "device.h"

namespace brenier {

namespace host {
// fragment: operand a in registers, in place of the descriptor; or null.
void wgmma_issue(float *d, int columns, uint64_t a, const uint32_t *fragment, uint64_t b, bool accumulate);
void wgmma_wait_until(unsigned pending);
}  // namespace host

uint64_t wgmma_descriptor(const void *shared);
inline uint64_t wgmma_advance(uint64_t descriptor, int bytes) { return descriptor + (uint64_t)(bytes >> 4); }

void wgmma_fence();
void wgmma_commit();
template <int pending>
inline void wgmma_wait() { host::wgmma_wait_until(pending); }
template <int count>
inline void wgmma_hold(float (&d)[count]) { asm volatile("" ::"r"(&d[0]) : "memory"); }

template <int N>
inline void wgmma_f16(float (&d)[N / 2], uint64_t a, uint64_t b, int accumulate) {
	static_assert(N == 64 || N == 128 || N == 256, "the widths of ptx/wgmma.cuh");
	host::wgmma_issue(d, N, a, nullptr, b, accumulate != 0);
}
template <int N>
inline void wgmma_f16(float (&d)[N / 2], const uint32_t (&a)[4], uint64_t b, int accumulate) {
	static_assert(N == 128, "the widths of ptx/wgmma.cuh");
	host::wgmma_issue(d, N, 0, a, b, accumulate != 0);
}

}  // namespace brenier
