// Twin of ptx/registers.cuh: checks the counts; a fiber has all the registers it wants.
#pragma once
#include "device.h"

namespace brenier {

namespace host {
void set_registers(int count, bool raise);
}

template <int count>
inline void registers_raise() { host::set_registers(count, true); }
template <int count>
inline void registers_lower() { host::set_registers(count, false); }

}  // namespace brenier
