/* What the library built for tests (libbrenier_check.so) shows beside brenier.h. */
#ifndef BRENIER_TESTS_CHECK_HOOKS_H
#define BRENIER_TESTS_CHECK_HOOKS_H

#include <stdint.h>

/* Makes the next call that reaches an engine panic. */
enum { PANIC_IN_EXPORT = 1, PANIC_IN_WORKER = 2 };
void brenier_check_plant_panic(int32_t where);

/* How many objects Go has allocated since the library was loaded. */
uint64_t brenier_check_go_allocations(void);

#endif
