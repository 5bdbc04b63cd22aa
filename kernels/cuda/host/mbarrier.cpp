#include "mbarrier.h"

#include <algorithm>

#include "mbarrier_state.h"
#include "scheduler.h"

namespace brenier {
namespace host {

namespace {

constexpr uint64_t stamp = 0x6d62617272696572u;  // + index of the state
constexpr unsigned most_arrivals = (1u << 20) - 1;
constexpr int64_t most_bytes = (1 << 20) - 1;

std::string describe(const Thread &t) {
	const MbarrierState &b = t.owner->mbarriers[t.waits_id];
	char text[256];
	snprintf(text, sizeof text, " for parity %u of the mbarrier at shared + %td: phase %u, %u of %u arrivals and %lld bytes to come",
	         t.waits_parity, reinterpret_cast<unsigned char *>(b.word) - t.dynamic_shared, b.phase, b.pending, b.expected,
	         (long long)b.bytes);
	return text;
}

void arrive(Block &block, MbarrierState &b, const char *name) {
	if (!b.pending)
		fail(Fault::illegal_instruction,
		     "%s: all %u arrivals of phase %u at shared + %td have been made (%lld bytes are to come)", name, b.expected,
		     b.phase, reinterpret_cast<unsigned char *>(b.word) - place->dynamic_shared, (long long)b.bytes);
	b.pending--;
	complete_if_full(block, b);
}

}  // namespace

MbarrierState &find_mbarrier(Block &block, uint64_t *word, const char *name) {
	check_shared(name, word, 8, 8);
	const uint64_t index = *word - stamp;
	if (index >= block.mbarriers.size() || block.mbarriers[index].word != word)
		fail(Fault::illegal_instruction, "%s: no mbarrier is at shared + %td, or it was written over", name,
		     reinterpret_cast<unsigned char *>(word) - place->dynamic_shared);
	return block.mbarriers[index];
}

void complete_if_full(Block &block, MbarrierState &b) {
	if (b.pending || b.bytes > 0) return;
	if (b.bytes < 0) {
		const ptrdiff_t at = reinterpret_cast<unsigned char *>(b.word) - block.threads[0]->dynamic_shared;
		block.report(Fault::illegal_instruction,
		             std::to_string(-b.bytes) + " bytes more than were announced landed in phase " +
		                 std::to_string(b.phase) + " of the mbarrier at shared + " + std::to_string(at));
		return;
	}
	block.answered_polls = 0;
	block.publish_fenced();
	b.phase ^= 1;
	b.pending = b.expected;
	for (unsigned w = 0; w < max_warps; w++)
		if (b.waiting[w]) {
			block.make_warp_ready(w, b.waiting[w]);
			b.waiting[w] = 0;
		}
}

namespace {

// Waits for the end of a phase, once; the phase may have turned again when the thread goes on.
void wait_once(Thread &self, unsigned index, uint32_t parity, bool polls, const char *name) {
	MbarrierState &b = self.owner->mbarriers[index];
	self.waits_in = name;
	self.waits_for = describe;
	self.waits_id = index;
	self.waits_parity = parity;
	self.polls = polls;
	b.waiting[self.warp()] |= 1u << self.lane();
	self.owner->suspend();
}

// The phase of the given parity has completed if the one under way has the other.
bool has_completed(const MbarrierState &b, uint32_t parity) { return b.phase != parity; }

}  // namespace
}  // namespace host

using host::Fault;

void mbarrier_init(uint64_t *barrier, int arrivals) {
	host::Thread &self = host::running();
	host::Block &block = *self.owner;
	host::check_shared("mbarrier_init", barrier, 8, 8);
	if (arrivals < 1 || (unsigned)arrivals > host::most_arrivals)
		host::fail(Fault::illegal_instruction, "mbarrier_init with %d arrivals", arrivals);
	const auto old = std::find_if(block.mbarriers.begin(), block.mbarriers.end(),
	                              [&](const host::MbarrierState &b) { return b.word == barrier; });
	if (old != block.mbarriers.end() && *barrier == host::stamp + (uint64_t)(old - block.mbarriers.begin()))
		host::fail(Fault::illegal_instruction, "mbarrier_init of an mbarrier that is in use");
	if (old != block.mbarriers.end()) old->word = nullptr;
	*barrier = host::stamp + block.mbarriers.size();
	block.mbarriers.push_back({barrier, (unsigned)arrivals, (unsigned)arrivals, 0, 0, self.linear, false, {}});
}

void mbarrier_init_fence() {
	host::Thread &self = host::running();
	for (host::MbarrierState &b : self.owner->mbarriers)
		if (b.initialiser == self.linear) b.fenced = true;
	host::may_yield();
}

void mbarrier_arrive(uint64_t *barrier) {
	host::Block &block = *host::running().owner;
	host::arrive(block, host::find_mbarrier(block, barrier, "mbarrier_arrive"), "mbarrier_arrive");
	block.yield();
}

void mbarrier_arrive_expect(uint64_t *barrier, uint32_t bytes) {
	host::Block &block = *host::running().owner;
	host::MbarrierState &b = host::find_mbarrier(block, barrier, "mbarrier_arrive_expect");
	if (b.bytes + bytes > host::most_bytes)
		host::fail(Fault::illegal_instruction, "mbarrier_arrive_expect: %lld bytes in one phase, at most %lld",
		           (long long)(b.bytes + bytes), (long long)host::most_bytes);
	b.bytes += bytes;
	host::arrive(block, b, "mbarrier_arrive_expect");
	block.yield();
}

bool mbarrier_try_wait(uint64_t *barrier, uint32_t parity) {
	host::Thread &self = host::running();
	host::Block &block = *self.owner;
	host::MbarrierState &b = host::find_mbarrier(block, barrier, "mbarrier_try_wait");
	if (parity > 1) host::fail(Fault::illegal_instruction, "mbarrier_try_wait for parity %u", parity);
	if (host::has_completed(b, parity)) {
		self.spins = 0;
		host::may_yield();
		return true;
	}
	// It sleeps until the phase turns, or until nobody else can go on.
	host::wait_once(self, (unsigned)(&b - block.mbarriers.data()), parity, true, "mbarrier_try_wait");
	return host::has_completed(host::find_mbarrier(block, barrier, "mbarrier_try_wait"), parity);
}

void mbarrier_wait(uint64_t *barrier, uint32_t parity) {
	host::Thread &self = host::running();
	host::Block &block = *self.owner;
	if (parity > 1) host::fail(Fault::illegal_instruction, "mbarrier_wait for parity %u", parity);
	for (;;) {
		host::MbarrierState &b = host::find_mbarrier(block, barrier, "mbarrier_wait");
		if (host::has_completed(b, parity)) break;
		host::wait_once(self, (unsigned)(&b - block.mbarriers.data()), parity, false, "mbarrier_wait");
	}
	host::may_yield();
}

}  // namespace brenier
