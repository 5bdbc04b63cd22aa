#include "launch.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <numeric>
#include <thread>
#include <vector>

#include "scheduler.h"

namespace brenier {
namespace host {

namespace {

// A plain pointer is zero before any constructor runs, whatever the order of the files.
const Kernel *kernels = nullptr;

// An OS thread that runs blocks, and nothing else: its thread-local memory is the kernels' (static_shared.h).
class Worker {
public:
	Worker() : thread([this] { serve(); }) { thread.detach(); }

	void start(std::function<void(Block &)> work) {
		std::lock_guard<std::mutex> lock(mutex);
		job = std::move(work);
		changed.notify_all();
	}
	void finish() {
		std::unique_lock<std::mutex> lock(mutex);
		changed.wait(lock, [this] { return !job; });
	}

private:
	void serve() {
		// Signals to the process are for its other threads; those that this one raises come anyway.
		sigset_t all;
		sigfillset(&all);
		for (int raised : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT}) sigdelset(&all, raised);
		pthread_sigmask(SIG_BLOCK, &all, nullptr);

		const auto block = std::make_unique<Block>();
		for (;;) {
			std::unique_lock<std::mutex> lock(mutex);
			changed.wait(lock, [this] { return (bool)job; });
			lock.unlock();
			job(*block);
			lock.lock();
			job = nullptr;
			changed.notify_all();
		}
	}

	std::mutex mutex;
	std::condition_variable changed;
	std::function<void(Block &)> job;
	std::thread thread;
};

// Workers that have nothing to do. They live as long as the process, since nothing says when the
// last launch was.
class Workers {
public:
	static Workers &all() {
		static Workers *workers = new Workers;
		return *workers;
	}
	Worker *take() {
		std::lock_guard<std::mutex> lock(mutex);
		if (idle.empty()) return new Worker;
		Worker *worker = idle.back();
		idle.pop_back();
		return worker;
	}
	void give_back(Worker *worker) {
		std::lock_guard<std::mutex> lock(mutex);
		idle.push_back(worker);
	}

private:
	std::mutex mutex;
	std::vector<Worker *> idle;
};

// Blocks 0..n-1, each once, in an order drawn from a seed: i -> i * stride + start (mod n), with a
// stride that has no factor in common with n.
class BlockOrder {
public:
	BlockOrder(uint64_t n, uint64_t seed) : n(n) {
		Random random(seed);
		start = random.next() % n;
		stride = random.next() % n;
		while (std::gcd(stride, n) != 1) stride = (stride + 1) % n;
	}
	uint64_t operator()(uint64_t i) const {
		__extension__ typedef unsigned __int128 Wide;
		return (uint64_t)(((Wide)i * stride + start) % n);
	}

private:
	uint64_t n, start, stride;
};

Outcome refuse(const Kernel &kernel, const std::string &why) {
	return {Fault::configuration, std::string(kernel.name) + ": " + why};
}

}  // namespace

const Kernel *first_kernel() { return kernels; }

const Kernel *find_kernel(const char *module, const char *name) {
	for (const Kernel *k = kernels; k; k = k->next)
		if (strcmp(k->name, name) == 0 && (!module || strcmp(k->module, module) == 0)) return k;
	return nullptr;
}

void register_kernel(Kernel *kernel) {
	kernel->next = kernels;
	kernels = kernel;
}

bool Schedule::parse(const char *text, Schedule *schedule) {
	const char *colon = strchr(text, ':');
	const std::string kind = colon ? std::string(text, colon) : text;
	Schedule s;
	if (kind == "late") s.copies = s.products = When::late;
	else if (kind == "early") s.copies = s.products = When::early;
	else if (kind == "early-copies") s.copies = When::early, s.products = When::late;
	else if (kind == "late-copies") s.copies = When::late, s.products = When::early;
	else if (kind != "random") return false;
	if (colon) {
		char *end;
		s.seed = strtoull(colon + 1, &end, 10);
		if (end == colon + 1 || *end) return false;
	}
	*schedule = s;
	return true;
}

Schedule Schedule::from_environment() {
	Schedule s;
	const char *text = getenv("BRENIER_DOUBLE_SCHEDULE");
	if (text && !parse(text, &s))
		fprintf(stderr, "BRENIER_DOUBLE_SCHEDULE is '%s', none of late, early, early-copies, late-copies, random, with or without :<seed>; random:1 is used\n", text);
	return s;
}

Rounding rounding_from_environment() {
	const char *text = getenv("BRENIER_DOUBLE_ROUNDING");
	return text && strcmp(text, "plain") == 0 ? Rounding::plain : Rounding::modelled;
}

Outcome launch(const Kernel &kernel, dim3 grid, dim3 block, size_t shared_bytes, const void *params,
               const Options &options) {
	const uint64_t threads = (uint64_t)block.x * block.y * block.z;
	const uint64_t blocks = (uint64_t)grid.x * grid.y * grid.z;
	if (!threads || !blocks) return refuse(kernel, "a grid or a block without extent");
	if (grid.x > 0x7fffffffu || grid.y > 65535 || grid.z > 65535)
		return refuse(kernel, "a grid larger than 2147483647 x 65535 x 65535");
	if (threads > (uint64_t)kernel.max_threads || threads > max_threads || block.z > 64)
		return refuse(kernel, std::to_string(threads) + " threads a block, at most " +
		                          std::to_string(kernel.max_threads) + " (BRENIER_KERNEL)");
	if (shared_bytes > options.shared_limit)
		return refuse(kernel, std::to_string(shared_bytes) + " bytes of dynamic shared memory, at most " +
		                          std::to_string(options.shared_limit));
	if (options.capability < kernel.least_capability)
		return refuse(kernel, "needs compute capability " + std::to_string(kernel.least_capability) + ", not " +
		                          std::to_string(options.capability));

	struct __attribute__((aligned(64))) Chunk {
		unsigned char bytes[64];
	};
	std::vector<Chunk> copy(kernel.params_bytes / sizeof(Chunk) + 1);
	memcpy(copy.data(), params, kernel.params_bytes);

	const BlockOrder order(blocks, options.schedule.seed);
	std::atomic<uint64_t> next{0};
	std::atomic<bool> failed{false};
	std::mutex mutex;
	Outcome outcome;
	const auto work = [&](Block &runner) {
		for (uint64_t i; !failed && (i = next++) < blocks;) {
			const uint64_t b = order(i);
			const uint3 index{(unsigned)(b % grid.x), (unsigned)(b / grid.x % grid.y), (unsigned)(b / grid.x / grid.y)};
			if (runner.run(kernel, grid, block, index, shared_bytes, copy.data(), options)) continue;
			std::lock_guard<std::mutex> lock(mutex);
			if (!failed.exchange(true)) outcome = {runner.fault, runner.message};
		}
	};
	const uint64_t wanted = options.workers > 1 ? (uint64_t)options.workers : 1;
	std::vector<Worker *> team;
	for (uint64_t w = 0; w < wanted && w < blocks; w++) team.push_back(Workers::all().take());
	for (Worker *worker : team) worker->start(work);
	for (Worker *worker : team) {
		worker->finish();
		Workers::all().give_back(worker);
	}
	return outcome;
}

}  // namespace host
}  // namespace brenier
