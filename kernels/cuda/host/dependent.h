// Twin of ptx/dependent.cuh. A kernel that is launched to overlap the one before it may have it run as
// late as here (Options::prerequisite): what it touches earlier is then as it was before. One that
// never waits is an error (scheduler.cpp).
#pragma once
#include "device.h"

namespace brenier {

void launch_dependents();
void wait_for_prerequisites();

}  // namespace brenier
