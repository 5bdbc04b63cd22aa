// Twin of ptx/mbarrier.cuh. The word in shared memory holds a stamp of the barrier's state, so that a
// barrier that was never initialised, or that data was written over, is an error. So is an arrival
// more than the phase has, more bytes than announced once all have arrived, and an address that is
// not a multiple of 8.
#pragma once
#include "device.h"

namespace brenier {

void mbarrier_init(uint64_t *barrier, int arrivals);
void mbarrier_init_fence();
void mbarrier_arrive(uint64_t *barrier);
void mbarrier_arrive_expect(uint64_t *barrier, uint32_t bytes);
bool mbarrier_try_wait(uint64_t *barrier, uint32_t parity);
void mbarrier_wait(uint64_t *barrier, uint32_t parity);

}  // namespace brenier
