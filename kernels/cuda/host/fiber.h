// Stacks and the switch between them.
#pragma once
#include <stddef.h>

// BRENIER_FIBER_UCONTEXT chooses what serves everywhere else, at a tenth of the speed.
#if (defined(__x86_64__) || defined(__aarch64__)) && !defined(BRENIER_FIBER_UCONTEXT)
#define BRENIER_FIBER_ASSEMBLY 1
#else
#define BRENIER_FIBER_ASSEMBLY 0
#include <ucontext.h>
#endif

namespace brenier {
namespace host {

// A thread of control of its own. The one that the program started with is a Fiber too, without a
// stack of ours.
class Fiber {
public:
	static constexpr size_t stack_bytes = 256 * 1024;

	Fiber() = default;
	~Fiber();
	Fiber(const Fiber &) = delete;
	Fiber &operator=(const Fiber &) = delete;

	// False if there is no memory for a stack. `colour` moves the stack's top by a few cache lines, so
	// that many fibers do not meet in the same lines of the cache.
	bool allocate(unsigned colour);
	// The next switch to it enters entry(argument), which never returns. Whatever it did before is
	// forgotten.
	void prepare(void (*entry)(void *), void *argument);
	// Goes on where `to` left off; returns when somebody switches back.
	void switch_to(Fiber &to);

private:
	unsigned char *memory = nullptr;
	unsigned char *top = nullptr;
#if BRENIER_FIBER_ASSEMBLY
	void *stack_pointer = nullptr;
#else
	ucontext_t context;
#endif
};

}  // namespace host
}  // namespace brenier
