#include "dependent.h"

#include "scheduler.h"

namespace brenier {

void launch_dependents() { host::may_yield(); }

void wait_for_prerequisites() {
	host::running().owner->waited_for_prerequisites = true;
	host::may_yield();
}

}  // namespace brenier
