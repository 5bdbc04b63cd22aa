#include "dependent.h"

#include "scheduler.h"

namespace brenier {

void launch_dependents() { host::may_yield(); }

void wait_for_prerequisites() {
	host::Block &block = *host::running().owner;
	block.waited_for_prerequisites = true;
	host::may_yield();
	host::Prerequisite *prerequisite = block.options.prerequisite;
	if (!prerequisite || prerequisite->completed()) return;
	// First the block's other threads come as far as they can, each on its own.
	for (int turns = 0; turns < 32 && !prerequisite->completed(); turns++) block.yield();
	prerequisite->complete();
}

}  // namespace brenier
