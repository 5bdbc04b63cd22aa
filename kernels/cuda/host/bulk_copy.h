// Twin of ptx/bulk_copy.cuh. A copy lands, and its source is read, at once (early), when no thread
// can go on without it (late), or at random between; copies do not keep their order.
//
// Not seen by the twin: ordinary stores to shared memory that a copy or a wgmma reads without
// fence_async_shared between. On the host every store is visible at once.
#pragma once
#include "device.h"

namespace brenier {

void bulk_copy(void *shared, const void *global, uint32_t bytes, uint64_t *barrier);
void fence_async_shared();

}  // namespace brenier
