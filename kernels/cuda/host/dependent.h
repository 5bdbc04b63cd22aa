// Twin of ptx/dependent.cuh. Kernels run one after another here; but a kernel that is launched to
// overlap the one before it, and never waits for it, is an error (scheduler.cpp).
#pragma once
#include "device.h"

namespace brenier {

void launch_dependents();
void wait_for_prerequisites();

}  // namespace brenier
