// Named barriers and mbarriers: what they promise, and what they refuse.
#include "../../ptx/block.cuh"
#include "../../ptx/mbarrier.cuh"
#include "../../ptx/warp.cuh"
#include "runner.h"

using namespace brenier;

// Warps 0 and 1 hand a word to warps 2 and 3 and take it back, by two named barriers.
BRENIER_KERNEL(brenier_cuda_test_named, Params, 128, 1) {
	__shared__ uint32_t words[64];
	const unsigned i = threadIdx.x % 64;
	uint32_t sum = 0;
	for (uint32_t round = 0; round < 20; round++) {
		if (threadIdx.x < 64) {
			words[i] = round * 100 + i;
			named_arrive(1, 128);
			named_sync(2, 128);
		} else {
			named_sync(1, 128);
			sum += words[i ^ 33];
			named_arrive(2, 128);
		}
	}
	p.out[threadIdx.x] = sum;
}

BRENIER_KERNEL(brenier_cuda_test_barrier_misuse, Params, 128, 1) {
	__shared__ uint64_t barriers[2];
	switch (p.which) {
	case 0: named_sync(0, 128); break;
	case 1: named_sync(16, 128); break;
	case 2: named_sync(1, 100); break;
	case 3: named_sync(1, threadIdx.x < 64 ? 128 : 96); break;
	case 4: named_sync(1, threadIdx.x % 2 ? 128 : 96); break;
	case 5:
		if (threadIdx.x < 96) named_sync(3, 128);
		break;
	case 6:
		if (threadIdx.x >= 32) sync_threads();
		break;
	case 7: named_arrive(1, 160); break;
	case 8:
		if (threadIdx.x < 32) named_arrive(4, 64);
		break;
	case 9: mbarrier_arrive(barriers); break;
	case 10: mbarrier_init(reinterpret_cast<uint64_t *>(reinterpret_cast<char *>(barriers) + 4), 1); break;
	case 11: mbarrier_init(barriers, 0); break;
	case 12: mbarrier_wait(barriers, 0); break;
	case 13: {
		uint64_t local;
		mbarrier_init(&local, 1);
		break;
	}
	case 14:
		if (threadIdx.x == 0) mbarrier_init(barriers, 2);
		sync_threads();
		if (threadIdx.x < 3) mbarrier_arrive(barriers);
		if (threadIdx.x == 3) mbarrier_wait(barriers, 0);
		if (threadIdx.x == 3) mbarrier_wait(barriers, 1);
		break;
	case 15:
		if (threadIdx.x == 0) mbarrier_init(barriers, 1), mbarrier_arrive_expect(barriers, 64);
		break;
	case 16:
		if (threadIdx.x == 0) mbarrier_init(barriers, 1), mbarrier_init(barriers, 1);
		break;
	case 17:
		if (threadIdx.x % 2) sync_threads();
		else sync_warp();
		break;
	}
}

static void test_barriers() {
	for (const std::string &schedule : all_schedules()) {
		uint32_t out[128] = {};
		bool right = run("brenier_cuda_test_named", 1, 128, 0, Params{out, nullptr, nullptr, 0}, options_of(schedule, 90)).ok();
		for (uint32_t i = 0; i < 64; i++) right &= out[64 + i] == 19 * 20 / 2 * 100 + 20 * (i ^ 33);
		check::that(right, "named barriers keep two halves in step under " + schedule);
	}
	const char *name = "brenier_cuda_test_barrier_misuse";
	const auto illegal = host::Fault::illegal_instruction, deadlock = host::Fault::deadlock;
	expect_refusal(name, 128, 0, 0, illegal, "barrier 0, not 1..15");
	expect_refusal(name, 128, 0, 1, illegal, "barrier 16");
	expect_refusal(name, 128, 0, 2, illegal, "100 threads");
	expect_refusal(name, 128, 0, 3, illegal, "which others have entered");
	expect_refusal(name, 128, 0, 4, illegal, "lanes of one warp");
	expect_refusal(name, 128, 0, 5, deadlock, "96 of 128 threads");
	expect_refusal(name, 128, 0, 6, deadlock, "sync_threads");
	expect_refusal(name, 128, 0, 7, illegal, "160 threads");
	expect_refusal(name, 128, 0, 8, illegal, "32 of 64 threads arrived at named barrier 4");
	expect_refusal(name, 128, 0, 9, illegal, "no mbarrier");
	expect_refusal(name, 128, 0, 10, host::Fault::misaligned_address, "multiple of 8");
	expect_refusal(name, 128, 0, 11, illegal, "0 arrivals");
	expect_refusal(name, 128, 0, 12, illegal, "no mbarrier");
	expect_refusal(name, 128, 0, 13, host::Fault::illegal_address, "outside");
	expect_refusal(name, 128, 0, 14, deadlock, "parity 1 of the mbarrier");
	expect_refusal(name, 128, 0, 15, illegal, "64 bytes outstanding");
	expect_refusal(name, 128, 0, 16, illegal, "in use");
	expect_refusal(name, 128, 0, 17, deadlock, "64 threads (first 1) in sync_threads; 64 threads (first 0) in sync_warp");
}

// Phases as the manual has them: after init, the phase before (parity 1) counts as completed; each
// completion turns the parity. try_wait answers in the end, whatever it is asked.
BRENIER_KERNEL(brenier_cuda_test_phases, Params, 32, 1) {
	__shared__ uint64_t barrier;
	if (threadIdx.x == 0) {
		mbarrier_init(&barrier, 2);
		uint32_t *out = p.out;
		*out++ = mbarrier_try_wait(&barrier, 1);
		*out++ = mbarrier_try_wait(&barrier, 0);
		mbarrier_arrive(&barrier);
		*out++ = mbarrier_try_wait(&barrier, 0);
		mbarrier_arrive(&barrier);
		*out++ = mbarrier_try_wait(&barrier, 0);
		*out++ = mbarrier_try_wait(&barrier, 1);
		mbarrier_wait(&barrier, 0);
		mbarrier_arrive(&barrier);
		mbarrier_arrive(&barrier);
		*out++ = mbarrier_try_wait(&barrier, 1);
		*out++ = mbarrier_try_wait(&barrier, 0);
	}
}

static void test_phases() {
	uint32_t out[7];
	const host::Outcome outcome = run("brenier_cuda_test_phases", 1, 32, 0, Params{out, nullptr, nullptr, 0});
	const uint32_t want[7] = {1, 0, 0, 1, 0, 1, 0};
	check::that(outcome.ok() && memcmp(out, want, sizeof want) == 0, "mbarrier phases: " + outcome.message);
}

int main() {
	test_barriers();
	test_phases();
	return check::summary();
}
