#include "cp_async.h"

#include "scheduler.h"

namespace brenier {
namespace host {

namespace {

void land(const ThreadCopy &copy) {
	if (copy.from) memcpy(copy.to, copy.from, copy.bytes);
	else memset(copy.to, 0, copy.bytes);
}

}  // namespace

void cp_async(void *shared, const void *global, uint32_t bytes, bool valid) {
	Thread &self = running();
	self.spins = 0;
	const char *name = bytes == 16 ? "cp_async_16" : "cp_async_4";
	check_shared(name, shared, bytes, bytes);
	if (valid) check_global(name, global, bytes, bytes);
	const ThreadCopy copy{shared, valid ? global : nullptr, bytes};
	Block &block = *self.owner;
	const When when = block.options.schedule.copies;
	self.uncommitted_copies++;
	// A copy that has landed keeps its place in the queue, so that groups keep their sizes; its second
	// landing does nothing.
	if (when == When::early || (when == When::random && block.random.one_in(2))) {
		land(copy);
		self.copies.push_back({nullptr, nullptr, 0});
	} else {
		self.copies.push_back(copy);
	}
}

void cp_async_wait_until(uint32_t pending) {
	Thread &self = running();
	while (self.copy_groups.size() > pending) {
		for (uint32_t i = 0; i < self.copy_groups[0]; i++)
			if (self.copies[i].bytes) land(self.copies[i]);
		self.copies.erase(self.copies.begin(), self.copies.begin() + self.copy_groups[0]);
		self.copy_groups.erase(self.copy_groups.begin());
	}
	may_yield();
}

}  // namespace host

void cp_async_commit() {
	host::Thread &self = host::running();
	self.copy_groups.push_back(self.uncommitted_copies);
	self.uncommitted_copies = 0;
	host::Block &block = *self.owner;
	if (block.options.schedule.copies == host::When::random)
		for (host::ThreadCopy &copy : self.copies)
			if (copy.bytes && block.random.one_in(4)) {
				host::land(copy);
				copy.bytes = 0;
			}
	host::may_yield();
}

}  // namespace brenier
