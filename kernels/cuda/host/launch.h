// The GPU on the host: runs kernels that g++ compiled, one fiber a CUDA thread.
//
// A launch hands its blocks, in shuffled order, to OS threads of its own. One block runs at a time on
// such a thread: each CUDA thread is a fiber with its own stack, and runs until an instruction makes
// it wait for others. A warp instruction is a meeting of 32 lanes, and the last to arrive computes
// for all (warp.h); a barrier counts (block.h, mbarrier.h); an asynchronous action (a copy, a wgmma)
// is queued and happens when the schedule says: as late as the program allows, as early as it
// allows, or at random between. Which thread goes on is drawn from the seed. Shared memory starts
// poisoned. What the card would leave undefined is an error where it can be seen: it ends the
// launch, the fibers are dropped, and launch() says what happened.
//
// A new instruction is a wrapper in ../ptx, its twin here, and in tests/ both its definition written a
// second time and its misuse.
#pragma once
#include <stddef.h>
#include <stdint.h>

#include <string>

struct dim3 {
	unsigned x, y, z;
	constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};
struct uint3 {
	unsigned x, y, z;
};
static inline uint3 make_uint3(unsigned x, unsigned y, unsigned z) { return {x, y, z}; }

namespace brenier {
namespace host {

// A kernel of this program: registered before main by BRENIER_KERNEL, never removed.
struct Kernel {
	const char *name;      // brenier_cuda_...
	const char *module;    // stem of its source file
	int least_capability;  // 75, 80, 90: of the instructions that it uses
	int max_threads;       // a block
	size_t params_bytes, params_alignment;
	void (*invoke)(void (*function)(), const void *params);
	void (*function)();
	const Kernel *next;
};
// The first of all kernels, in no order; null where there is none.
const Kernel *first_kernel();
// By name, in the given module, or in any where `module` is null; null where there is none.
const Kernel *find_kernel(const char *module, const char *name);
void register_kernel(Kernel *kernel);

class Registration {
public:
	template <class Params>
	Registration(const char *name, const char *module, int least_capability, int threads,
	             void (*function)(const Params &))
		: kernel{name,
		         module,
		         least_capability,
		         threads,
		         sizeof(Params),
		         alignof(Params),
		         [](void (*f)(), const void *params) {
			         reinterpret_cast<void (*)(const Params &)>(f)(*static_cast<const Params *>(params));
		         },
		         reinterpret_cast<void (*)()>(function),
		         nullptr} {
		register_kernel(&kernel);
	}

private:
	Kernel kernel;
};

enum class Fault {
	none,
	configuration,       // more threads, shared memory or capability than there is
	illegal_address,
	misaligned_address,
	illegal_instruction, // an instruction used against its rules
	deadlock,            // no thread can go on
	trap,
};

struct Outcome {
	Fault fault = Fault::none;
	std::string message;  // kernel, block, thread and what happened; empty where all went well
	bool ok() const { return fault == Fault::none; }
};

// When an asynchronous action happens, within what the program allows.
enum class When { late, early, random };

struct Schedule {
	When copies = When::random;    // cp.async and bulk copies
	When products = When::random;  // wgmma
	uint64_t seed = 1;             // of this, and of the order of blocks and threads

	// "late", "early", "random:<seed>", or, each kind to its extreme, "early-copies" (products late)
	// and "late-copies" (products early); any may end in ":<seed>". False if it is none of them.
	static bool parse(const char *text, Schedule *schedule);
	// What BRENIER_DOUBLE_SCHEDULE says; the default where it is unset or none of these.
	static Schedule from_environment();
};

// How the products of tensor cores are rounded (tensor_core.h).
enum class Rounding {
	modelled,  // as the published model of the card's tensor cores
	plain,     // float sums in the order of k: faster
};
Rounding rounding_from_environment();  // BRENIER_DOUBLE_ROUNDING=plain, else modelled

// The kernel before one that is launched to overlap it.
class Prerequisite {
public:
	virtual ~Prerequisite() = default;
	// Returns once that kernel has ended. Called by the threads of the later one that come to wait for
	// it, from any of its OS threads, and more than once.
	virtual void complete() = 0;
	virtual bool completed() const = 0;
};

struct Options {
	Schedule schedule = Schedule::from_environment();
	Rounding rounding = rounding_from_environment();
	int capability = 90;              // of the card that is played: 75, 80, 86, 89, 90, 120
	size_t shared_limit = 227 * 1024; // dynamic shared bytes a block may ask for
	int workers = 1;                  // OS threads
	bool dependent = false;           // launched to overlap the kernel before it (dependent.h)
	Prerequisite *prerequisite = nullptr;  // which is that one; null: it has ended
	// Whether the bytes lie in memory of the device: asked by the instructions that take an address
	// of global memory as an operand. Null: any address but 0.
	bool (*is_device_memory)(const void *at, size_t bytes) = nullptr;
};

// Runs the kernel to its end. params points to kernel.params_bytes bytes, which are copied first.
// Several threads may launch at once.
Outcome launch(const Kernel &kernel, dim3 grid, dim3 block, size_t shared_bytes, const void *params,
               const Options &options = Options());

// What kernel code reads of the running thread.
struct Place {
	uint3 thread, block;
	dim3 threads, blocks;
	unsigned char *dynamic_shared;
	unsigned linear;  // index of the thread in its block; its lane is linear % 32
};
extern __thread const Place *place;

}  // namespace host
}  // namespace brenier
