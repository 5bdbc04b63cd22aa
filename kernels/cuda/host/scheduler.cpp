#include "scheduler.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <algorithm>
#include <map>

namespace brenier {
namespace host {

__thread const Place *place = nullptr;

namespace {

// As an integer far out of any range; as float16, float32, float64 and two halves a NaN.
constexpr uint32_t poison = 0x7fff7fffu;
constexpr size_t guard_bytes = 4096;  // poison behind dynamic shared memory, which nobody may write

void fill_poison(unsigned char *at, size_t bytes) {
	size_t done = std::min(bytes, sizeof poison);
	if (done) memcpy(at, &poison, done);
	for (size_t n; done < bytes; done += n) memcpy(at + done, at, n = std::min(done, bytes - done));
}

// Offset of the first word that is not poison; bytes, a multiple of 4, if all are.
size_t find_unpoisoned(const unsigned char *at, size_t bytes) {
	if (memcmp(at, &poison, 4) == 0 && memcmp(at, at + 4, bytes - 4) == 0) return bytes;
	size_t i = 0;
	while (memcmp(at + i, &poison, 4) == 0) i += 4;
	return i;
}

// Index of a set bit of a mask that has one, each as likely.
unsigned draw_bit(uint32_t mask, Random &random) {
	for (unsigned skip = random.below((unsigned)__builtin_popcount(mask)); skip; skip--) mask &= mask - 1;
	return (unsigned)__builtin_ctz(mask);
}

// The first set bit from a drawn place on: quick, and fair enough among the lanes of a warp.
unsigned draw_lane(uint32_t mask, Random &random) {
	const unsigned turn = random.below(32);
	const uint32_t turned = turn ? mask >> turn | mask << (32 - turn) : mask;
	return ((unsigned)__builtin_ctz(turned) + turn) % 32;
}

std::string format_text(const char *format, va_list arguments) {
	char text[1024];
	vsnprintf(text, sizeof text, format, arguments);
	return text;
}

}  // namespace

Block::~Block() {
	if (shared) munmap(shared, shared_capacity);
}

bool Block::set_up(const Kernel &k, dim3 blocks, dim3 thread_count, uint3 block_index, size_t bytes) {
	kernel = &k;
	index = block_index;
	count = alive = thread_count.x * thread_count.y * thread_count.z;
	fault = Fault::none;
	message.clear();
	waited_for_prerequisites = false;
	answered_polls = 0;
	at_barrier = 0;
	for (Meeting &m : warpgroup_meetings) m.arrived = 0;
	for (NamedBarrier &b : barriers) b = NamedBarrier();
	for (ProductQueue &q : products) q.clear();
	std::fill(std::begin(registers), std::end(registers), 0);
	mbarriers.clear();
	bulk_copies.clear();
	if (!set_up_shared(bytes)) return false;
	set_up_threads(blocks, thread_count);
	return true;
}

bool Block::set_up_shared(size_t bytes) {
	const size_t wanted = (bytes + guard_bytes + 4095) / 4096 * 4096;
	if (wanted > shared_capacity) {
		if (shared) munmap(shared, shared_capacity);
		void *p = mmap(nullptr, wanted, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		shared = p == MAP_FAILED ? nullptr : static_cast<unsigned char *>(p);
		shared_capacity = shared ? wanted : 0;
		if (!shared) {
			report(Fault::configuration, "no memory for the block's shared memory");
			return false;
		}
	}
	shared_bytes = bytes;
	fill_poison(shared, bytes);
	fill_poison(shared + bytes, guard_bytes);
	view.clear();
	fence_pending = false;

	if (static_shared_of != kernel->function) {
		place = nullptr;  // touches the thread-local memory, which may not exist before
		static_shared = find_static_shared(reinterpret_cast<const void *>(kernel->function));
		static_shared_of = kernel->function;
	}
	fill_poison(static_shared.begin, static_shared.bytes);
	place = nullptr;  // it may lie among the kernels' variables
	return true;
}

void Block::set_up_threads(dim3 blocks, dim3 thread_count) {
	while (threads.size() < count) threads.push_back(std::make_unique<Thread>());
	free_fibers.clear();
	for (const auto &fiber : fibers) free_fibers.push_back(fiber.get());
	for (unsigned i = 0; i < count; i++) {
		Thread &t = *threads[i];
		t.thread = {i % thread_count.x, i / thread_count.x % thread_count.y, i / thread_count.x / thread_count.y};
		t.block = index;
		t.threads = thread_count;
		t.blocks = blocks;
		t.dynamic_shared = shared;
		t.linear = i;
		t.owner = this;
		t.fiber = nullptr;
		t.exited = false;
		t.waits_in = nullptr;
		t.waits_for = nullptr;
		t.spins = 0;
		t.copies.clear();
		t.copy_groups.clear();
		t.uncommitted_copies = 0;
		t.products_issued = t.product_groups = 0;
		t.fenced = false;
	}
	ready_warps = 0;
	for (unsigned w = 0; w < max_warps; w++) {
		const unsigned first = w * lanes;
		const unsigned n = count > first ? std::min<unsigned>(lanes, count - first) : 0;
		warps[w].ready = n == lanes ? 0xffffffffu : (1u << n) - 1;
		warps[w].exited = ~warps[w].ready;
		warps[w].meeting.arrived = 0;
		if (n) ready_warps |= 1u << w;
	}
	// A quarter of the warps lags behind: who relies on another to have come first is found out.
	slow_warps = (uint32_t)(random.next() & random.next());
	current_warp = draw_bit(ready_warps, random);
}

bool Block::run(const Kernel &k, dim3 blocks, dim3 thread_count, uint3 block_index, size_t bytes,
                const void *kernel_params, const Options &o) {
	options = o;
	params = kernel_params;
	random = Random(o.schedule.seed * 0x2545f4914f6cdd1du ^
	                (block_index.x + (uint64_t)blocks.x * (block_index.y + (uint64_t)blocks.y * block_index.z)));
	if (!set_up(k, blocks, thread_count, block_index, bytes)) return false;
	while (fault == Fault::none && alive) {
		if (Thread *next = choose()) {
			Fiber *fiber = fiber_of(*next);
			if (!fiber) break;
			place = next;
			scheduler.switch_to(*fiber);
		} else if (fault == Fault::none && !advance() && !answer_polls()) {
			report(Fault::deadlock, "no thread can go on: " + describe_waiting());
		}
	}
	place = nullptr;
	if (fault == Fault::none) check_ending();
	if (fault != Fault::none) {
		char where[256];
		snprintf(where, sizeof where, "%s, block (%u, %u, %u): ", k.name, index.x, index.y, index.z);
		message.insert(0, where);
	}
	return fault == Fault::none;
}

// The fiber of a thread; a new one for a thread that starts. Null, and an error, if there is no memory.
Fiber *Block::fiber_of(Thread &thread) {
	if (thread.fiber) return thread.fiber;
	if (free_fibers.empty()) {
		auto fiber = std::make_unique<Fiber>();
		if (!fiber->allocate((unsigned)fibers.size())) {
			report(Fault::configuration, "no memory for the stacks of the block's threads");
			return nullptr;
		}
		free_fibers.push_back(fiber.get());
		fibers.push_back(std::move(fiber));
	}
	thread.fiber = free_fibers.back();
	free_fibers.pop_back();
	thread.fiber->prepare(enter, &thread);
	return thread.fiber;
}

void Block::enter(void *first_thread) {
	Thread *self = static_cast<Thread *>(first_thread);
	Block &block = *self->owner;
	for (;;) {
		block.kernel->invoke(block.kernel->function, block.params);
		self = &block.exit(*self);
	}
}

// Returns, if at all, as another thread that starts on the same fiber: threads that never wait use one
// stack in turn, which stays in the cache.
Thread &Block::exit(Thread &self) {
	Warp &warp = warps[self.warp()];
	if (warp.meeting.arrived)
		fail(Fault::deadlock, "ends while other lanes of its warp wait for it in %s", warp.meeting.operation->name);
	if (warpgroup_meetings[self.linear / warpgroup_threads].arrived)
		fail(Fault::deadlock, "ends while other threads of its warpgroup wait for it in %s",
		     warpgroup_meetings[self.linear / warpgroup_threads].operation->name);
	if (at_barrier)
		fail(Fault::deadlock, "ends while %u threads of the block wait for it in sync_threads", at_barrier);
	self.exited = true;
	warp.exited |= 1u << self.lane();
	alive--;
	Fiber *fiber = self.fiber;
	self.fiber = nullptr;
	Thread *next = choose();
	place = next;
	if (next && !next->fiber) {
		next->fiber = fiber;
		return *next;
	}
	free_fibers.push_back(fiber);
	fiber->switch_to(next ? *next->fiber : scheduler);
	__builtin_unreachable();
}

// What must not be left over when all threads have ended.
void Block::check_ending() {
	char text[256];
	const auto note = [&](Fault f, const char *format, auto... values) {
		snprintf(text, sizeof text, format, values...);
		report(f, text);
	};
	const size_t behind = find_unpoisoned(shared + shared_bytes, guard_bytes);
	if (behind < guard_bytes)
		note(Fault::illegal_address, "somebody wrote %zu bytes behind the %zu bytes of dynamic shared memory", behind, shared_bytes);
	const Fault illegal = Fault::illegal_instruction;
	if (!bulk_copies.empty())
		note(illegal, "the block ended with %zu bulk copies under way: nobody waited for them", bulk_copies.size());
	for (const MbarrierState &b : mbarriers)
		if (b.bytes)
			note(illegal, "the block ended with %lld bytes outstanding at an mbarrier (shared + %td)", (long long)b.bytes,
			     reinterpret_cast<unsigned char *>(b.word) - shared);
	for (unsigned i = 1; i < named_barriers; i++)
		if (barriers[i].arrived)
			note(illegal, "the block ended with %u of %u threads arrived at named barrier %u", barriers[i].arrived,
			     barriers[i].expected, i);
	for (const ProductQueue &q : products)
		if (!q.is_idle()) report(illegal, "the block ended with wgmma under way: nobody waited for them");
	if (options.dependent && !waited_for_prerequisites)
		report(illegal, "launched to overlap the kernel before it, but never waits for its results");
}

void Block::report(Fault f, std::string text) {
	if (fault != Fault::none) return;
	fault = f;
	message = std::move(text);
}

void Block::stop(Fault f, const char *format, va_list arguments) {
	Thread &self = running();
	char where[128];
	snprintf(where, sizeof where, "thread (%u, %u, %u) ", self.thread.x, self.thread.y, self.thread.z);
	report(f, where + format_text(format, arguments));
	self.fiber->switch_to(scheduler);
	__builtin_unreachable();
}

void Block::make_ready(Thread &thread) { make_warp_ready(thread.warp(), 1u << thread.lane()); }

void Block::make_warp_ready(unsigned w, uint32_t mask) {
	warps[w].ready |= mask & ~warps[w].exited;
	if (warps[w].ready) ready_warps |= 1u << w;
}

// A warp goes on for a while before another gets its turn, for the sake of the cache.
Thread *Block::choose() {
	if (options.schedule.copies == When::random || options.schedule.products == When::random) advance_at_random();
	if (fault != Fault::none || !ready_warps) return nullptr;
	if (!((ready_warps & ~slow_warps) >> current_warp & 1) || random.one_in(8)) {
		const uint32_t fast = ready_warps & ~slow_warps;
		// Now and then a slow one has its turn too: a fast one may wait for it in a loop.
		current_warp = draw_bit(fast && !random.one_in(64) ? fast : ready_warps, random);
	}
	Warp &warp = warps[current_warp];
	const unsigned lane = draw_lane(warp.ready, random);
	warp.ready &= ~(1u << lane);
	if (!warp.ready) ready_warps &= ~(1u << current_warp);
	return threads[current_warp * lanes + lane].get();
}

void Block::suspend() {
	Thread &self = running();
	Thread *next = choose();
	if (next == &self) return;
	Fiber *to = next ? fiber_of(*next) : nullptr;
	place = to ? next : nullptr;
	self.fiber->switch_to(to ? *to : scheduler);
}

void Block::yield() {
	make_ready(running());
	suspend();
}

void Block::meet(Thread &self, unsigned group_threads, const Operation &operation, void *operand) {
	const unsigned first = self.linear / group_threads * group_threads;
	if (first + group_threads > count)
		fail(Fault::illegal_instruction, "%s needs %u threads, but the block has only %u from thread %u on",
		     operation.name, group_threads, count - first, first);
	for (unsigned w = first / lanes; w < (first + group_threads) / lanes; w++)
		if (warps[w].exited)
			fail(Fault::deadlock, "%s waits for thread %u, which has ended", operation.name,
			     w * lanes + (unsigned)__builtin_ctz(warps[w].exited));
	Meeting &meeting = group_threads == lanes ? warps[self.warp()].meeting
	                                          : warpgroup_meetings[self.linear / warpgroup_threads];
	if (meeting.arrived && meeting.operation != &operation)
		fail(Fault::deadlock, "is at %s while others of its warp or warpgroup are at %s", operation.name,
		     meeting.operation->name);
	self.spins = 0;
	self.waits_in = operation.name;
	self.waits_for = nullptr;
	meeting.operation = &operation;
	meeting.operands[self.linear - first] = operand;
	if (++meeting.arrived < group_threads) {
		suspend();
		return;
	}
	meeting.arrived = 0;
	publish_fenced();
	if (!operation.compute(*this, first, meeting.operands)) {
		suspend();
		return;
	}
	for (unsigned w = first / lanes; w < (first + group_threads) / lanes; w++)
		make_warp_ready(w, w == self.warp() ? ~(1u << self.lane()) : 0xffffffffu);
}

void Block::sync_threads(Thread &self) {
	if (alive < count) fail(Fault::deadlock, "is at sync_threads, but %u of the block's %u threads have ended", count - alive, count);
	self.spins = 0;
	self.waits_in = "sync_threads";
	self.waits_for = nullptr;
	if (++at_barrier < count) {
		suspend();
		return;
	}
	at_barrier = 0;
	publish_fenced();
	for (unsigned w = 0; w * lanes < count; w++)
		make_warp_ready(w, w == self.warp() ? ~(1u << self.lane()) : 0xffffffffu);
	if (random.one_in(2)) yield();
}

// Nobody can go on: something that is under way must happen.
bool Block::advance() {
	unsigned awaited[max_warps / 4], n = 0;
	for (unsigned g = 0; g * warpgroup_threads < count; g++)
		if (products[g].is_awaited()) awaited[n++] = g;
	const unsigned choices = n + (unsigned)bulk_copies.size();
	if (!choices) return false;
	const unsigned pick = random.below(choices);
	if (pick < n) products[awaited[pick]].release(*this, awaited[pick] * warpgroup_threads);
	else land_bulk_copy(*this, pick - n);
	return true;
}

void Block::advance_at_random() {
	if (!random.one_in(16)) return;
	if (options.schedule.copies == When::random && !bulk_copies.empty())
		land_bulk_copy(*this, random.below((unsigned)bulk_copies.size()));
	if (options.schedule.products == When::random)
		products[random.below((count + warpgroup_threads - 1) / warpgroup_threads)].compute_one(*this);
}

bool Block::answer_polls() {
	constexpr unsigned patience = 1000;
	bool any = false;
	for (MbarrierState &b : mbarriers)
		for (unsigned w = 0; w < max_warps; w++)
			for (uint32_t rest = b.waiting[w]; rest; rest &= rest - 1) {
				const unsigned lane = (unsigned)__builtin_ctz(rest);
				Thread &t = *threads[w * lanes + lane];
				if (!t.polls) continue;
				b.waiting[w] &= ~(1u << lane);
				make_ready(t);
				any = true;
			}
	return any && answered_polls++ < patience;
}

std::string Block::describe_waiting() const {
	std::map<std::string, std::vector<unsigned>> who;
	for (unsigned i = 0; i < count; i++) {
		const Thread &t = *threads[i];
		if (t.exited) continue;
		std::string what = t.waits_in ? t.waits_in : "nothing";
		if (t.waits_for) what += t.waits_for(t);
		who[what].push_back(i);
	}
	std::string text;
	for (const auto &[what, which] : who) {
		if (!text.empty()) text += "; ";
		text += std::to_string(which.size()) + (which.size() == 1 ? " thread (" : " threads (first ") +
		        std::to_string(which[0]) + ") in " + what;
	}
	if (alive < count) text += "; " + std::to_string(count - alive) + " have ended";
	return text;
}

bool Block::is_shared(const void *at, size_t bytes) const {
	const unsigned char *p = static_cast<const unsigned char *>(at);
	const size_t dynamic_offset = (size_t)(p - shared), static_offset = (size_t)(p - static_shared.begin);
	if (dynamic_offset < shared_bytes && bytes <= shared_bytes - dynamic_offset) return true;
	if (!static_shared.begin) return dynamic_offset >= shared_capacity;  // it cannot be told
	return static_offset < static_shared.bytes && bytes <= static_shared.bytes - static_offset;
}

unsigned char *Block::async_view() {
	if (view.empty()) {
		view.resize(shared_bytes + 1);
		fill_poison(view.data(), shared_bytes);
	}
	return view.data();
}

void Block::publish_fenced() {
	if (!fence_pending) return;
	fence_pending = false;
	memcpy(async_view(), shared, shared_bytes);
}

void fail(Fault fault, const char *format, ...) {
	va_list arguments;
	va_start(arguments, format);
	running().owner->stop(fault, format, arguments);
}

void trap() { fail(Fault::trap, "traps"); }

void check_shared(const char *instruction, const void *at, size_t bytes, size_t alignment) {
	if (!running().owner->is_shared(at, bytes))
		fail(Fault::illegal_address, "%s of %zu bytes at %p: outside the block's shared memory (shared + %td)",
		     instruction, bytes, at, static_cast<const unsigned char *>(at) - place->dynamic_shared);
	if (reinterpret_cast<uintptr_t>(at) % alignment)
		fail(Fault::misaligned_address, "%s at %p (shared + %td): wants a multiple of %zu", instruction, at,
		     static_cast<const unsigned char *>(at) - place->dynamic_shared, alignment);
}

void check_global(const char *instruction, const void *at, size_t bytes, size_t alignment) {
	if (reinterpret_cast<uintptr_t>(at) % alignment)
		fail(Fault::misaligned_address, "%s at %p: wants a multiple of %zu", instruction, at, alignment);
	const Options &options = running().owner->options;
	if (!at || (options.is_device_memory && !options.is_device_memory(at, bytes)))
		fail(Fault::illegal_address, "%s of %zu bytes at %p: no memory of the device", instruction, bytes, at);
}

}  // namespace host
}  // namespace brenier
