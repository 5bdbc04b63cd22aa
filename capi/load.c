// A thread inherits the floating-point environment of the one that starts it, and loading the
// library starts the threads of Go's runtime. So they start in the default environment, even where
// the thread that loads the library traps on a division by zero.
//
// The first constructor runs before all others. The second has no priority, and so runs in the
// order of linking among those, where Go's own object, with Go's constructor, is the first.
#include "fenvironment.h"

static fenvironment callers;

__attribute__((constructor(101))) static void before_go(void) { callers = fenvironment_default(); }

__attribute__((constructor)) static void after_go(void) { fenvironment_restore(callers); }
