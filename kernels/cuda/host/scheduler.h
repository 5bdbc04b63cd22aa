// The block that an OS thread is running: its threads, who may go on, and what is under way.
// For the twins; kernels see launch.h and the twins' wrappers.
#pragma once
#include <stdarg.h>
#include <stdint.h>

#include <memory>
#include <string>
#include <vector>

#include "fiber.h"
#include "launch.h"
#include "mbarrier_state.h"
#include "product_queue.h"
#include "static_shared.h"

namespace brenier {
namespace host {

class Block;

// splitmix64 (Steele, Lea and Flood, 2014): small, and any seed will do.
class Random {
public:
	explicit Random(uint64_t seed = 0) : state(seed) {}
	uint64_t next() {
		uint64_t z = state += 0x9e3779b97f4a7c15u;
		z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
		z = (z ^ z >> 27) * 0x94d049bb133111ebu;
		return z ^ z >> 31;
	}
	unsigned below(unsigned n) { return (unsigned)((next() >> 32) * n >> 32); }
	bool one_in(unsigned n) { return below(n) == 0; }

private:
	uint64_t state;
};

constexpr int max_threads = 1024;
constexpr int lanes = 32;
constexpr int max_warps = max_threads / lanes;
constexpr int warpgroup_threads = 128;
constexpr int named_barriers = 16;

// One cp.async of a thread. The group that it belongs to is its place before the thread's group ends.
struct ThreadCopy {
	void *to;
	const void *from;  // null: zeros
	uint32_t bytes;
};

// A bulk copy under way.
struct BulkCopy {
	void *to;
	const void *from;
	uint32_t bytes;
	unsigned barrier;  // index in Block::mbarriers
};

// A CUDA thread.
struct Thread : Place {
	Fiber *fiber = nullptr;  // from its first instruction to its last
	Block *owner = nullptr;
	bool exited = false;
	const char *waits_in = nullptr;  // the instruction, for reports
	std::string (*waits_for)(const Thread &) = nullptr;  // more about it, or null
	unsigned waits_id = 0;           // barrier
	bool polls = false;              // waits for a phase of it, but not for long
	uint32_t waits_parity = 0;
	uint32_t spins = 0;              // reads of global memory since the last other instruction

	std::vector<ThreadCopy> copies;    // not landed, oldest first
	std::vector<uint32_t> copy_groups; // copies in each group that is committed and not waited for
	uint32_t uncommitted_copies = 0;

	unsigned products_issued = 0;      // wgmma of this thread, ever
	unsigned product_groups = 0;       // committed, ever
	bool fenced = false;               // wgmma_fence since the last wait

	unsigned warp() const { return linear / lanes; }
	unsigned lane() const { return linear % lanes; }
};

// An instruction that several threads do together. compute gets an operand of each, in order of
// threads; false keeps them all waiting until somebody makes them ready.
struct Operation {
	const char *name;
	bool (*compute)(Block &block, unsigned first_thread, void *const *operands);
};

// Where they meet.
struct Meeting {
	const Operation *operation = nullptr;
	unsigned arrived = 0;
	void *operands[warpgroup_threads];
};

struct Warp {
	uint32_t ready = 0;   // lanes that may go on
	uint32_t exited = 0;
	Meeting meeting;
};

struct NamedBarrier {
	unsigned expected = 0, arrived = 0;  // threads
	uint32_t waiting = 0;                // warps
};

class Block {
public:
	Block() = default;
	~Block();
	Block(const Block &) = delete;
	Block &operator=(const Block &) = delete;

	// Runs one block to its end; false if it failed, and why is in fault and message.
	bool run(const Kernel &kernel, dim3 blocks, dim3 threads, uint3 index, size_t shared_bytes,
	         const void *params, const Options &options);

	// The first error is kept; the threads are dropped when the running one next gives way.
	void report(Fault fault, std::string message);
	// Of the running thread.
	[[noreturn]] void stop(Fault fault, const char *format, va_list arguments);
	void suspend();  // until somebody makes it ready
	void yield();    // to whoever may go on, itself among them
	void meet(Thread &self, unsigned group_threads, const Operation &operation, void *operand);
	void sync_threads(Thread &self);

	void make_ready(Thread &thread);
	void make_warp_ready(unsigned warp, uint32_t mask = 0xffffffffu);
	bool is_shared(const void *at, size_t bytes) const;

	bool is_dynamic(const void *at) const { return (size_t)(static_cast<const unsigned char *>(at) - shared) < shared_bytes; }

	// Shared memory as the copy engine and the tensor cores see it: what they wrote, and what threads
	// wrote before a fence_async_shared. One fence counts for the writes of all threads up to the next
	// barrier of any kind: a fence that only some threads forget is not noticed.
	unsigned char *async_view();
	void fence_async() { fence_pending = true, async_view(); }
	void publish_fenced();

	Options options;
	Random random;
	unsigned count = 0;  // threads
	std::vector<std::unique_ptr<Thread>> threads;
	Warp warps[max_warps];
	Meeting warpgroup_meetings[max_warps / 4];
	NamedBarrier barriers[named_barriers];
	std::vector<MbarrierState> mbarriers;
	std::vector<BulkCopy> bulk_copies;
	ProductQueue products[max_warps / 4];
	int registers[max_warps / 4];  // a thread, once set (registers.h); 0 before
	bool waited_for_prerequisites = false;

	unsigned answered_polls = 0;  // times nobody could go on but those who poll, since a phase ended

	Fault fault = Fault::none;
	std::string message;

private:
	static void enter(void *first_thread);
	Fiber *fiber_of(Thread &thread);
	bool set_up(const Kernel &kernel, dim3 blocks, dim3 thread_count, uint3 index, size_t shared_bytes);
	bool set_up_shared(size_t bytes);
	void set_up_threads(dim3 blocks, dim3 thread_count);
	Thread *choose();
	bool advance();       // does one action that somebody waits for; false if there is none
	void advance_at_random();
	bool answer_polls();  // wakes those who only asked whether a phase is over; false if there are none
	Thread &exit(Thread &self);
	void check_ending();
	std::string describe_waiting() const;

	const Kernel *kernel = nullptr;
	const void *params = nullptr;
	Fiber scheduler;  // the OS thread's own
	std::vector<std::unique_ptr<Fiber>> fibers;
	std::vector<Fiber *> free_fibers;
	unsigned alive = 0;
	unsigned at_barrier = 0;  // threads in sync_threads
	uint32_t ready_warps = 0;
	uint32_t slow_warps = 0;  // go on only where no other can, most of the time
	unsigned current_warp = 0;
	uint3 index{};

	unsigned char *shared = nullptr;
	size_t shared_capacity = 0, shared_bytes = 0;
	std::vector<unsigned char> view;  // empty until something asynchronous happens in the block
	bool fence_pending = false;
	StaticShared static_shared;
	void (*static_shared_of)() = nullptr;  // the function that it was found for
};

inline Thread &running() { return *static_cast<Thread *>(const_cast<Place *>(place)); }

// Ends the launch with an error that names the running thread.
[[noreturn]] void fail(Fault fault, const char *format, ...) __attribute__((format(printf, 2, 3)));

// An operand that lies in the block's shared memory, `bytes` long, a multiple of `alignment`.
void check_shared(const char *instruction, const void *at, size_t bytes, size_t alignment);
// And one that lies in memory of the device.
void check_global(const char *instruction, const void *at, size_t bytes, size_t alignment);

// Lands one of the bulk copies under way, of any age (bulk_copy.cpp).
void land_bulk_copy(Block &block, size_t which);

// The running thread is at an instruction that orders nothing but where the card may let others pass.
inline void may_yield() {
	Thread &self = running();
	self.spins = 0;
	if (self.owner->random.one_in(4)) self.owner->yield();
}

}  // namespace host
}  // namespace brenier
