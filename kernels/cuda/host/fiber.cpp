#include "fiber.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#if BRENIER_FIBER_ASSEMBLY
extern "C" void brenier_fiber_switch(void **save, void *load);
extern "C" void brenier_fiber_start();
#endif

namespace brenier {
namespace host {

Fiber::~Fiber() {
	if (memory) munmap(memory, stack_bytes);
}

bool Fiber::allocate(unsigned colour) {
	void *p = mmap(nullptr, stack_bytes, PROT_READ | PROT_WRITE,
	               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED) return false;
	memory = static_cast<unsigned char *>(p);
	// The lowest page is a guard: running over the stack stops the program there.
	mprotect(memory, (size_t)sysconf(_SC_PAGESIZE), PROT_NONE);
	top = memory + stack_bytes - (colour % 32) * 128;
	return true;
}

#if BRENIER_FIBER_ASSEMBLY && defined(__x86_64__)
void Fiber::prepare(void (*entry)(void *), void *argument) {
	// As brenier_fiber_switch leaves it: r15 r14 r13 r12 rbx rbp, return address; then aligned so
	// that the call in brenier_fiber_start enters with the alignment of the ABI.
	void **sp = reinterpret_cast<void **>(top) - 9;
	memset(sp, 0, 9 * sizeof(void *));
	sp[3] = argument;
	sp[4] = reinterpret_cast<void *>(entry);
	sp[6] = reinterpret_cast<void *>(brenier_fiber_start);
	stack_pointer = sp;
}
#elif BRENIER_FIBER_ASSEMBLY
void Fiber::prepare(void (*entry)(void *), void *argument) {
	void **sp = reinterpret_cast<void **>(top) - 20;
	memset(sp, 0, 20 * sizeof(void *));
	sp[0] = reinterpret_cast<void *>(entry);                  // x19
	sp[1] = argument;                                         // x20
	sp[11] = reinterpret_cast<void *>(brenier_fiber_start);   // x30
	stack_pointer = sp;
}
#else
static void enter(unsigned entry_high, unsigned entry_low, unsigned argument_high, unsigned argument_low) {
	const uintptr_t entry = (uintptr_t)((uint64_t)entry_high << 32 | entry_low);
	const uintptr_t argument = (uintptr_t)((uint64_t)argument_high << 32 | argument_low);
	reinterpret_cast<void (*)(void *)>(entry)(reinterpret_cast<void *>(argument));
}
void Fiber::prepare(void (*entry)(void *), void *argument) {
	getcontext(&context);
	context.uc_stack.ss_sp = memory;
	context.uc_stack.ss_size = (size_t)(top - memory);
	context.uc_link = nullptr;
	const uint64_t e = (uint64_t)(uintptr_t)entry, a = (uint64_t)(uintptr_t)argument;
	makecontext(&context, reinterpret_cast<void (*)()>(enter), 4, (unsigned)(e >> 32), (unsigned)e,
	            (unsigned)(a >> 32), (unsigned)a);
}
#endif

void Fiber::switch_to(Fiber &to) {
#if BRENIER_FIBER_ASSEMBLY
	brenier_fiber_switch(&stack_pointer, to.stack_pointer);
#else
	swapcontext(&context, &to.context);
#endif
}

}  // namespace host
}  // namespace brenier
