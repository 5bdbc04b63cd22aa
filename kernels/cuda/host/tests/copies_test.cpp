// Asynchronous copies of both kinds, and loads of 16 bytes: what lands where, and what is refused.
#include "../../ptx/block.cuh"
#include "../../ptx/bulk_copy.cuh"
#include "../../ptx/cp_async.cuh"
#include "../../ptx/mbarrier.cuh"
#include "../../ptx/memory.cuh"
#include "runner.h"

using namespace brenier;

BRENIER_KERNEL(brenier_cuda_test_copies, Params, 64, 1) {
	unsigned char *shared = dynamic_shared();
	uint32_t *words = reinterpret_cast<uint32_t *>(shared);
	uint64_t *barrier = reinterpret_cast<uint64_t *>(shared + 4096);
	// Two groups of this thread, then one of single words, some of them zeros.
	cp_async_16(shared + threadIdx.x * 16, p.in + threadIdx.x * 4);
	cp_async_commit();
	cp_async_16(shared + 1024 + threadIdx.x * 16, p.in + threadIdx.x * 4, threadIdx.x % 2 == 0);
	cp_async_4(shared + 2048 + threadIdx.x * 4, p.in + 63 - threadIdx.x);
	cp_async_commit();
	cp_async_wait<1>();
	uint32_t sum = 0;
	for (int i = 0; i < 4; i++) sum += words[threadIdx.x * 4 + (unsigned)i];  // own copies need no barrier
	p.out[threadIdx.x] = sum;
	cp_async_wait<0>();
	if (threadIdx.x == 0) {
		mbarrier_init(barrier, 1);
		mbarrier_init_fence();
	}
	sync_threads();
	p.out[64 + threadIdx.x] = words[256 + (threadIdx.x ^ 9) * 4];
	p.out[128 + threadIdx.x] = words[512 + (threadIdx.x ^ 9)];
	if (threadIdx.x == 0) {
		mbarrier_arrive_expect(barrier, 512);
		for (int i = 0; i < 4; i++) bulk_copy(shared + 3072 + 128 * i, p.in + 32 * i, 128, barrier);
	}
	mbarrier_wait(barrier, 0);
	p.out[192 + threadIdx.x] = words[768 + threadIdx.x] + words[768 + 64 + threadIdx.x];
	const uint4 four = load_constant_16(p.in + threadIdx.x / 4 * 4);
	p.out[256 + threadIdx.x] = four.x + 10 * four.y + 100 * four.z + 1000 * four.w;
}

BRENIER_KERNEL(brenier_cuda_test_copy_misuse, Params, 32, 1) {
	unsigned char *shared = dynamic_shared();
	uint64_t *barrier = reinterpret_cast<uint64_t *>(shared + 512);
	if (threadIdx.x == 0) {
		mbarrier_init(barrier, 1);
		mbarrier_init_fence();
		mbarrier_arrive_expect(barrier, p.which == 8 ? 32 : 64);
	}
	sync_threads();
	const bool one = threadIdx.x == 7;
	switch (p.which) {
	case 0: cp_async_16(shared + 8, p.in); break;
	case 1: cp_async_16(shared, p.in + 1); break;
	case 2: cp_async_4(shared + 2, p.in); break;
	case 3: cp_async_16(shared + 1024, p.in); break;
	case 4: cp_async_16(shared, nullptr); break;
	case 5: p.out[0] = load_constant_16(p.in + 2).x; break;
	case 6:
		if (one) bulk_copy(shared, p.in, 24, barrier);
		break;
	case 7:
		if (one) bulk_copy(shared + 1008, p.in, 64, barrier);
		break;
	case 8:
		if (one) bulk_copy(shared, p.in, 64, barrier);
		mbarrier_wait(barrier, 0);
		break;
	case 9:
		if (one) bulk_copy(shared, p.in, 64, barrier);
		break;  // nobody waits
	case 10: shared[1024 + threadIdx.x] = 1; break;
	}
	cp_async_commit();
	cp_async_wait<0>();
}

static void test_copies() {
	alignas(16) uint32_t in[256];
	for (uint32_t i = 0; i < 256; i++) in[i] = i * 3 + 1;
	for (const std::string &schedule : all_schedules()) {
		uint32_t out[320] = {};
		const host::Outcome outcome = run("brenier_cuda_test_copies", 1, 64, 4104, Params{out, in, nullptr, 0}, options_of(schedule, 90));
		bool right = outcome.ok();
		for (uint32_t t = 0; t < 64; t++) {
			const uint32_t other = t ^ 9, quad = t / 4 * 4;
			right &= out[t] == in[4 * t] + in[4 * t + 1] + in[4 * t + 2] + in[4 * t + 3];
			right &= out[64 + t] == (other % 2 == 0 ? in[4 * other] : 0);
			right &= out[128 + t] == in[63 - other];
			right &= out[192 + t] == in[t] + in[64 + t];
			right &= out[256 + t] == in[quad] + 10 * in[quad + 1] + 100 * in[quad + 2] + 1000 * in[quad + 3];
		}
		check::that(right, "copies land under " + schedule + ": " + outcome.message);
	}
	const char *name = "brenier_cuda_test_copy_misuse";
	const auto illegal = host::Fault::illegal_instruction, misaligned = host::Fault::misaligned_address, address = host::Fault::illegal_address;
	const auto late = options_of("late:1", 90);
	expect_refusal(name, 32, 1024, 0, misaligned, "multiple of 16", late);
	expect_refusal(name, 32, 1024, 1, misaligned, "multiple of 16", late);
	expect_refusal(name, 32, 1024, 2, misaligned, "multiple of 4", late);
	expect_refusal(name, 32, 1024, 3, address, "outside the block's shared memory", late);
	expect_refusal(name, 32, 1024, 4, address, "no memory of the device", late);
	expect_refusal(name, 32, 1024, 5, misaligned, "load_constant_16", late);
	expect_refusal(name, 32, 1024, 6, illegal, "24 bytes", late);
	expect_refusal(name, 32, 1024, 7, address, "outside", late);
	expect_refusal(name, 32, 1024, 8, illegal, "32 bytes more than were announced", late);
	expect_refusal(name, 32, 1024, 9, illegal, "bulk copies under way", late);
	expect_refusal(name, 32, 1024, 10, address, "behind the 1024 bytes", late);
	auto elsewhere = late;
	elsewhere.is_device_memory = [](const void *, size_t) { return false; };
	expect_refusal("brenier_cuda_test_copies", 64, 4104, 0, address, "no memory of the device", elsewhere);
}

int main() {
	test_copies();
	return check::summary();
}
