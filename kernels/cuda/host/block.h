// Twin of ptx/block.cuh. A barrier that some thread can no longer reach is an error; so is a named
// barrier that a warp reaches in parts, or with different counts.
#pragma once
#include "device.h"

namespace brenier {

void sync_threads();
void named_sync(int id, int threads);
void named_arrive(int id, int threads);

}  // namespace brenier
