#include "memory.h"

#include "scheduler.h"

namespace brenier {
namespace host {

namespace {
constexpr uint32_t spin_limit = 1u << 22;
}

void check_load_constant_16(const void *global) { check_global("load_constant_16", global, 16, 16); }

void before_volatile_load() {
	Thread &self = running();
	if (++self.spins == spin_limit)
		fail(Fault::deadlock,
		     "has read global memory %u times on end: it waits for another block, but blocks run one after another here",
		     spin_limit);
	if (self.owner->random.one_in(4)) self.owner->yield();
}

void before_atomic(const void *at, size_t bytes) {
	if (!running().owner->is_shared(at, bytes)) check_global("an atomic", at, bytes, bytes);
	else check_shared("an atomic", at, bytes, bytes);
	before_volatile_load();
}

}  // namespace host

void thread_fence() {
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	host::may_yield();
}

}  // namespace brenier
