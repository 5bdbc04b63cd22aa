// The signal handler does nothing on its own: it makes the thread go on in a function of ours, on the
// fiber's stack, as though the faulting instruction had called it. There, outside of the handler,
// the runtime's own way to end a kernel is open. This is sound because kernel code holds no lock and
// allocates nothing: at the faulting instruction the thread is in plain computation.
#include "kernel_faults.h"

#include <signal.h>
#include <ucontext.h>

#include <mutex>

#include "../scheduler.h"
#include "driver.h"

namespace brenier::cudadouble {

namespace {

struct sigaction earlier_segv, earlier_bus, earlier_fpe;

const struct sigaction &earlier(int signal) {
	return signal == SIGSEGV ? earlier_segv : signal == SIGBUS ? earlier_bus : earlier_fpe;
}

enum class Kind : long { read, write, misaligned, arithmetic };

[[noreturn]] void end_kernel(uintptr_t address, Kind kind) {
	switch (kind) {
	case Kind::arithmetic: host::fail(host::Fault::trap, "divides an integer by zero");
	// An x86 processor names no address when an aligned vector access finds another alignment.
	case Kind::misaligned: host::fail(host::Fault::misaligned_address, "accesses a vector at an address that it is not aligned to");
	case Kind::read:
	case Kind::write: break;
	}
	host::fail(host::Fault::illegal_address, "%s %#zx: %s", kind == Kind::write ? "writes to" : "reads", address,
	           Driver::instance().memory.describe(address).c_str());
}

Kind kind_of(int signal, const siginfo_t *info, const ucontext_t *context) {
	if (signal == SIGFPE) return Kind::arithmetic;
#if defined(__x86_64__)
	if (info->si_code == SI_KERNEL) return Kind::misaligned;  // a general protection fault
	return (context->uc_mcontext.gregs[REG_ERR] & 2) != 0 ? Kind::write : Kind::read;
#else
	(void)context;
	return signal == SIGBUS && info->si_code == BUS_ADRALN ? Kind::misaligned : Kind::read;
#endif
}

// Lets the interrupted code go on with a call of end_kernel.
bool redirect(ucontext_t *context, uintptr_t address, Kind kind) {
#if defined(__x86_64__)
	auto &registers = context->uc_mcontext.gregs;
	constexpr greg_t red_zone = 128;
	registers[REG_RSP] = ((registers[REG_RSP] - red_zone) & ~greg_t(15)) - 8;
	registers[REG_RDI] = static_cast<greg_t>(address);
	registers[REG_RSI] = static_cast<greg_t>(kind);
	registers[REG_RIP] = reinterpret_cast<greg_t>(&end_kernel);
	return true;
#elif defined(__aarch64__)
	context->uc_mcontext.sp &= ~15ull;
	context->uc_mcontext.regs[0] = address;
	context->uc_mcontext.regs[1] = static_cast<unsigned long>(kind);
	context->uc_mcontext.pc = reinterpret_cast<unsigned long>(&end_kernel);
	return true;
#else
	(void)context, (void)address, (void)kind;
	return false;
#endif
}

void on_signal(int signal, siginfo_t *info, void *raw) {
	auto *context = static_cast<ucontext_t *>(raw);
	if (host::place != nullptr &&
	    redirect(context, reinterpret_cast<uintptr_t>(info->si_addr), kind_of(signal, info, context)))
		return;
	const struct sigaction &next = earlier(signal);
	if ((next.sa_flags & SA_SIGINFO) != 0) {
		next.sa_sigaction(signal, info, raw);
	} else if (next.sa_handler == SIG_DFL || next.sa_handler == SIG_IGN) {
		sigaction(signal, &next, nullptr);  // and the instruction faults again
	} else {
		next.sa_handler(signal);
	}
}

}  // namespace

void catch_kernel_faults() {
	static std::once_flag once;
	std::call_once(once, [] {
		struct sigaction action = {};
		action.sa_sigaction = on_signal;
		action.sa_flags = SA_SIGINFO | SA_ONSTACK;  // SA_ONSTACK: Go's threads have small stacks
		sigfillset(&action.sa_mask);
		sigaction(SIGSEGV, &action, &earlier_segv);
		sigaction(SIGBUS, &action, &earlier_bus);
		sigaction(SIGFPE, &action, &earlier_fpe);
	});
}

}  // namespace brenier::cudadouble
