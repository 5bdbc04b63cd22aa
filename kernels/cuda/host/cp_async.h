// Twin of ptx/cp_async.cuh. A copy lands, and its source is read, when it is issued (early), when its
// thread waits for it (late), or at some instruction of its kind between.
#pragma once
#include "device.h"

namespace brenier {

namespace host {
void cp_async(void *shared, const void *global, uint32_t bytes, bool valid);
void cp_async_wait_until(uint32_t pending);
}  // namespace host

inline void cp_async_16(void *shared, const void *global, bool valid = true) {
	host::cp_async(shared, global, 16, valid);
}
inline void cp_async_16_cached(void *shared, const void *global, bool valid = true) {
	host::cp_async(shared, global, 16, valid);
}
inline void cp_async_4(void *shared, const void *global, bool valid = true) {
	host::cp_async(shared, global, 4, valid);
}
void cp_async_commit();
template <int pending>
inline void cp_async_wait() { host::cp_async_wait_until(pending); }

}  // namespace brenier
