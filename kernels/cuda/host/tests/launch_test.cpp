// What a launch promises: poisoned memory, errors that come back, an order drawn from the seed, limits;
// atomics among blocks; and the checks of the compiler.
#include <thread>

#include "../../ptx/block.cuh"
#include "../../ptx/dependent.cuh"
#include "../../ptx/half.cuh"
#include "../../ptx/memory.cuh"
#include "../../ptx/registers.cuh"
#include "../../ptx/warp.cuh"
#include "runner.h"

using namespace brenier;

// The last block to come adds up what all have written.
BRENIER_KERNEL(brenier_cuda_test_last_block, Params, 32, 1) {
	__shared__ uint32_t last;
	p.out[blockIdx.x * 32 + threadIdx.x] = blockIdx.x * 1000 + threadIdx.x;
	thread_fence();
	sync_threads();
	if (threadIdx.x == 0) last = atomic_add(p.counter, 1) == gridDim.x - 1;
	sync_threads();
	atomic_max(p.counter + 1, blockIdx.x * 7 % 31);
	atomic_or(p.counter + 2, 1u << blockIdx.x % 32);
	if (!last || threadIdx.x) return;
	uint32_t sum = 0;
	for (uint32_t i = 0; i < gridDim.x * 32; i++) sum += load_volatile(p.out + i);
	p.counter[3] = sum;
	p.counter[0] = atomic_exchange(p.counter, 5) + 100;
}

// What a block finds in its shared memory, and in what the block before left.
BRENIER_KERNEL(brenier_cuda_test_poison, Params, 32, 1) {
	__shared__ float floats[32];
	__shared__ double doubles[32];
	const uint16_t half = reinterpret_cast<uint16_t *>(dynamic_shared())[threadIdx.x];
	const float f = floats[threadIdx.x], dynamic_float = reinterpret_cast<float *>(dynamic_shared())[threadIdx.x];
	const double d = doubles[threadIdx.x];
	p.out[blockIdx.x * 32 + threadIdx.x] = isnan(f) && isnan(d) && isnan(half_value(half)) && isnan(dynamic_float);
	sync_threads();
	floats[threadIdx.x] = 0;
	doubles[threadIdx.x] = 0;
	memset(dynamic_shared() + threadIdx.x * 4, 0, 4);
}

BRENIER_KERNEL(brenier_cuda_test_spin, Params, 32, 1) {
	while (load_volatile(p.counter) == 0) {
	}
}

// Notes the order in which its threads and blocks come.
BRENIER_KERNEL(brenier_cuda_test_order, Params, 64, 1) {
	p.out[atomic_add(p.counter, 1)] = blockIdx.x * 64 + threadIdx.x;
	sync_warp();
}

BRENIER_KERNEL(brenier_cuda_test_dependent, Params, 32, 1) {
	launch_dependents();
	if (p.which) wait_for_prerequisites();
}

BRENIER_KERNEL(brenier_cuda_test_registers, Params, 256, 1) {
	if (p.which == 0) {
		if (threadIdx.x < 128) registers_lower<40>();
		else registers_raise<240>();
	} else {
		registers_raise<264>();
	}
}

// All that a launch can hold: dimensions of threads and blocks, and a thousand stacks.
BRENIER_KERNEL(brenier_cuda_test_dimensions, Params, 1024, 1) {
	const uint32_t block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
	const uint32_t thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
	sync_threads();
	atomic_add(p.out + block * 1024 + thread, 1 + shuffle_xor(thread, 1) - (thread ^ 1));
}

static void test_blocks() {
	for (int workers : {1, 3}) {
		auto options = options_of("random:9", 90);
		options.workers = workers;
		std::vector<uint32_t> out(100 * 32);
		uint32_t counter[4] = {};
		const host::Outcome outcome = run("brenier_cuda_test_last_block", 100, 32, 0, Params{out.data(), nullptr, counter, 0}, options);
		uint32_t sum = 0, highest = 0;
		for (uint32_t b = 0; b < 100; b++) {
			highest = b * 7 % 31 > highest ? b * 7 % 31 : highest;
			for (uint32_t t = 0; t < 32; t++) sum += b * 1000 + t;
		}
		check::that(outcome.ok() && counter[0] == 200 && counter[1] == highest && counter[2] == 0xffffffffu && counter[3] == sum,
		            "atomics, with " + std::to_string(workers) + " workers: " + outcome.message);
	}

	std::vector<uint32_t> out(64 * 32);
	bool poisoned = run("brenier_cuda_test_poison", 64, 32, 128, Params{out.data(), nullptr, nullptr, 0}).ok();
	for (uint32_t v : out) poisoned &= v == 1;
	check::that(poisoned, "shared memory, static and dynamic, starts as NaN in every block");

	expect_refusal("brenier_cuda_test_spin", 32, 0, 0, host::Fault::deadlock, "waits for another block");
	expect_refusal("brenier_cuda_test_registers", 256, 0, 1, host::Fault::illegal_instruction, "264 registers");
	expect_refusal("brenier_cuda_test_registers", 256, 0, 0, host::Fault::none, "");
	expect_refusal("brenier_cuda_test_registers", 256, 0, 0, host::Fault::illegal_instruction, "sm_80", options_of("late", 80));
	auto dependent = options_of("late", 90);
	dependent.dependent = true;
	expect_refusal("brenier_cuda_test_dependent", 32, 0, 0, host::Fault::illegal_instruction, "never waits", dependent);
	expect_refusal("brenier_cuda_test_dependent", 32, 0, 1, host::Fault::none, "", dependent);

	const auto order_of = [&](const char *schedule) {
		std::vector<uint32_t> order(64 * 8);
		uint32_t counter = 0;
		check::that(run("brenier_cuda_test_order", 8, 64, 0, Params{order.data(), nullptr, &counter, 0}, options_of(schedule, 90)).ok(), "order runs");
		return order;
	};
	const auto first = order_of("random:1");
	check::that(first == order_of("random:1"), "the same seed, the same order");
	check::that(first != order_of("random:2"), "another seed, another order");
	std::vector<uint32_t> counted(first.size());
	for (uint32_t v : first) counted[v]++;
	check::that(counted == std::vector<uint32_t>(first.size(), 1), "each thread comes once");

	std::vector<uint32_t> grid(30 * 1024);
	check::that(run("brenier_cuda_test_dimensions", dim3(5, 3, 2), dim3(16, 8, 8), 0, Params{grid.data(), nullptr, nullptr, 0}).ok(), "three dimensions run");
	check::that(grid == std::vector<uint32_t>(grid.size(), 1), "each thread of each block has its own indices");
}

// Several threads of the program launch at once, some of their kernels fail, and none disturbs another.
static void test_concurrent_launches() {
	bool right[4] = {};
	std::vector<std::thread> callers;
	for (int caller = 0; caller < 4; caller++)
		callers.emplace_back([caller, &right] {
			bool all = true;
			for (int i = 0; i < 10; i++) {
				std::vector<uint32_t> out(20 * 32);
				uint32_t counter[4] = {};
				all &= run("brenier_cuda_test_last_block", 20, 32, 0, Params{out.data(), nullptr, counter, 0}).ok() && counter[0] == 120;
				all &= run("brenier_cuda_test_registers", 1, 256, 0, Params{out.data(), nullptr, counter, 1}).fault == host::Fault::illegal_instruction;
			}
			right[caller] = all;
		});
	for (std::thread &caller : callers) caller.join();
	for (bool each : right) check::that(each, "launches from several threads");
}

static void test_launch_limits() {
	const Params p{};
	const auto refused = [&](const char *what, const host::Outcome &outcome) {
		check::that(outcome.fault == host::Fault::configuration && !outcome.message.empty(), std::string(what) + ": " + outcome.message);
	};
	refused("too many threads", run("brenier_cuda_test_spin", 1, 33, 0, p));
	refused("no threads", run("brenier_cuda_test_spin", 1, 0, 0, p));
	refused("no blocks", run("brenier_cuda_test_spin", dim3(1, 0), 32, 0, p));
	refused("a grid too high", run("brenier_cuda_test_spin", dim3(1, 65536), 32, 0, p));
	refused("too much shared memory", run("brenier_cuda_test_spin", 1, 32, 227 * 1024 + 16, p));
	refused("an older card", run("brenier_cuda_test_spin", 1, 32, 0, p, options_of("late", 70)));

	const host::Kernel *kernel = host::find_kernel(BRENIER_MODULE, "brenier_cuda_test_order");
	check::that(kernel && kernel->params_bytes == sizeof(Params) && kernel->params_alignment == alignof(Params) &&
	                kernel->max_threads == 64 && kernel->least_capability == 75,
	            "a kernel's record");
	check::that(!host::find_kernel("another", "brenier_cuda_test_order"), "a kernel is of its module");

	host::Schedule s;
	check::that(host::Schedule::parse("late", &s) && s.copies == host::When::late && s.products == host::When::late, "late");
	check::that(host::Schedule::parse("early-copies:7", &s) && s.copies == host::When::early && s.products == host::When::late && s.seed == 7, "early-copies:7");
	check::that(host::Schedule::parse("random:12", &s) && s.copies == host::When::random && s.seed == 12, "random:12");
	for (const char *wrong : {"", "sometimes", "random:", "random:x", "late:3x"})
		check::that(!host::Schedule::parse(wrong, &s), std::string("no schedule: ") + wrong);
}

// What the compiler checks (sanitizer.cpp). in: the numbers 0, 1, 2 ...
BRENIER_KERNEL(brenier_cuda_test_checks, Params, 32, 1) {
	__shared__ float values[8];
	const uint32_t n = p.in[threadIdx.x] + (uint32_t)p.which;
	switch (p.which) {
	case 0: p.out[0] = (uint32_t)reinterpret_cast<const float4 *>(p.in + n)->x; break;
	case 1: values[n] = 1; break;
	case 2: p.out[threadIdx.x] = 1u << (n + 30); break;
	case 3: p.out[threadIdx.x] = (uint32_t)(int)((float)n * 1e9f); break;
	case 4: p.out[threadIdx.x] = 100 / (n - 4); break;
	}
	sync_threads();
	if (p.which == 1) p.out[threadIdx.x] = float_bits(values[threadIdx.x % 8]);
}

static void test_checks() {
	alignas(16) uint32_t in[64], out[64];
	for (uint32_t i = 0; i < 64; i++) in[i] = i;
	const char *const words[] = {"no multiple of 16", "element ", "shifts", "out of range", "divides"};
	for (int which = 0; which < 5; which++) {
		const host::Outcome outcome = run("brenier_cuda_test_checks", 1, 32, 0, Params{out, in, nullptr, which});
		check::that(!outcome.ok() && outcome.message.find(words[which]) != std::string::npos, std::string(words[which]) + ": '" + outcome.message + "'");
	}
}

int main() {
	test_blocks();
	test_concurrent_launches();
	test_launch_limits();
	test_checks();
	return check::summary();
}
