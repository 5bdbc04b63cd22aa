#include "block.h"

#include "scheduler.h"

namespace brenier {
namespace host {

namespace {

struct BarrierOperand {
	int id, threads;
};

std::string describe_named(const Thread &t) {
	const NamedBarrier &b = t.owner->barriers[t.waits_id];
	return " at barrier " + std::to_string(t.waits_id) + ", which has " + std::to_string(b.arrived) + " of " +
	       std::to_string(b.expected) + " threads";
}

bool arrive(Block &block, unsigned first_thread, void *const *operands, bool waits) {
	const BarrierOperand o = *static_cast<BarrierOperand *>(operands[0]);
	for (int l = 1; l < lanes; l++) {
		const BarrierOperand &other = *static_cast<BarrierOperand *>(operands[l]);
		if (other.id != o.id || other.threads != o.threads)
			fail(Fault::illegal_instruction, "lanes of one warp are at barriers %d of %d and %d of %d", o.id,
			     o.threads, other.id, other.threads);
	}
	NamedBarrier &b = block.barriers[o.id];
	if (b.arrived && b.expected != (unsigned)o.threads)
		fail(Fault::illegal_instruction, "barrier %d of %d threads, which others have entered as one of %u", o.id,
		     o.threads, b.expected);
	b.expected = (unsigned)o.threads;
	b.arrived += lanes;
	const unsigned warp = first_thread / lanes;
	if (b.arrived < b.expected) {
		if (!waits) return true;
		b.waiting |= 1u << warp;
		for (unsigned l = 0; l < lanes; l++) {
			Thread &t = *block.threads[first_thread + l];
			t.waits_id = (unsigned)o.id;
			t.waits_for = describe_named;
		}
		return false;
	}
	for (uint32_t rest = b.waiting; rest; rest &= rest - 1) block.make_warp_ready((unsigned)__builtin_ctz(rest));
	b = NamedBarrier();
	return true;
}

const Operation sync_operation{"named_sync", [](Block &block, unsigned first, void *const *operands) {
	return arrive(block, first, operands, true);
}};
const Operation arrive_operation{"named_arrive", [](Block &block, unsigned first, void *const *operands) {
	return arrive(block, first, operands, false);
}};

void meet_at_barrier(const Operation &operation, int id, int threads) {
	Thread &self = running();
	if (id < 1 || id >= named_barriers) fail(Fault::illegal_instruction, "%s: barrier %d, not 1..15", operation.name, id);
	if (threads <= 0 || threads % lanes || (unsigned)threads > self.owner->count)
		fail(Fault::illegal_instruction, "%s: %d threads, not a multiple of 32 up to the block's %u", operation.name,
		     threads, self.owner->count);
	BarrierOperand o{id, threads};
	self.owner->meet(self, lanes, operation, &o);
}

}  // namespace
}  // namespace host

void sync_threads() {
	host::Thread &self = host::running();
	self.owner->sync_threads(self);
}

void named_sync(int id, int threads) { host::meet_at_barrier(host::sync_operation, id, threads); }
void named_arrive(int id, int threads) { host::meet_at_barrier(host::arrive_operation, id, threads); }

}  // namespace brenier
