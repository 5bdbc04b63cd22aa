// Twin of ptx/bulk_copy.cuh. A copy lands, and its source is read, at once (early), when no thread
// can go on without it (late), or at random between; copies do not keep their order.
//
// A wgmma that reads what threads stored without any fence_async_shared since is an error; a fence
// that some of them forget is not noticed (Block::async_view).
#pragma once
#include "device.h"

namespace brenier {

void bulk_copy(void *shared, const void *global, uint32_t bytes, uint64_t *barrier);
void fence_async_shared();

}  // namespace brenier
