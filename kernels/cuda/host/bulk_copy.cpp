#include "bulk_copy.h"

#include "scheduler.h"

namespace brenier {
namespace host {

void land_bulk_copy(Block &block, size_t which) {
	const BulkCopy copy = block.bulk_copies[which];
	block.bulk_copies[which] = block.bulk_copies.back();
	block.bulk_copies.pop_back();
	memcpy(copy.to, copy.from, copy.bytes);
	// To static shared memory, no tensor core looks.
	const size_t offset = (size_t)(static_cast<unsigned char *>(copy.to) - block.threads[0]->dynamic_shared);
	if (block.is_dynamic(copy.to)) memcpy(block.async_view() + offset, copy.from, copy.bytes);
	MbarrierState &b = block.mbarriers[copy.barrier];
	b.bytes -= copy.bytes;
	complete_if_full(block, b);
}

}  // namespace host

void bulk_copy(void *shared, const void *global, uint32_t bytes, uint64_t *barrier) {
	using namespace host;
	Thread &self = running();
	Block &block = *self.owner;
	self.spins = 0;
	if (!bytes || bytes % 16)
		fail(Fault::illegal_instruction, "bulk_copy of %u bytes: wants a multiple of 16 above 0", bytes);
	check_shared("bulk_copy", shared, bytes, 16);
	check_global("bulk_copy", global, bytes, 16);
	MbarrierState &b = find_mbarrier(block, barrier, "bulk_copy");
	if (!b.fenced)
		fail(Fault::illegal_instruction, "bulk_copy: its mbarrier is not visible to the copy engine (mbarrier_init_fence)");
	block.bulk_copies.push_back({shared, global, bytes, (unsigned)(&b - block.mbarriers.data())});
	const When when = block.options.schedule.copies;
	if (when == When::early || (when == When::random && block.random.one_in(3)))
		land_bulk_copy(block, block.bulk_copies.size() - 1);
	block.yield();
}

void fence_async_shared() {
	host::running().owner->fence_async();
	host::may_yield();
}

}  // namespace brenier
