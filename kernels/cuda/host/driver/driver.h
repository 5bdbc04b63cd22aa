// The state of the double, and how every entry point of the driver begins and ends.
//
// One lock is held through every call, kernels included: what the double does is a function of the
// order of the calls and of its options alone. Inside, a call that must not go on throws Refused;
// entry() turns it into the driver's code.
#pragma once
#include <cuda.h>

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <unordered_map>
#include <vector>

#include "../launch.h"
#include "memory.h"

namespace brenier::cudadouble {

struct Refused {
	CUresult code;
};
[[noreturn]] inline void refuse(CUresult code) { throw Refused{code}; }
inline void require(bool holds, CUresult code) {
	if (!holds) refuse(code);
}

struct Options {
	int devices = 1;
	int capability = 90;          // 10 * major + minor
	size_t memory = size_t(4) << 30;
	int multiprocessors = 4;      // few, so that a grid that fills the chip stays cheap on the host
	unsigned workers = 2;         // OS threads that run the blocks of a kernel
	// When the work of streams runs: as late as the driver's rules allow, at once, or at random between.
	host::When streams = host::When::late;
	host::Schedule kernels;       // the same inside of kernels

	// Sets one by its name (capability, memory, schedule, multiprocessors, workers, devices), to what it
	// was at the start where the value is empty; false if the name or the value is unknown.
	bool set(const std::string &name, const std::string &value);
	bool reset(const std::string &name);
	// From BRENIER_DOUBLE_CAPABILITY, BRENIER_DOUBLE_MEMORY and so on; a bad value ends the process
	// with a sentence, because a test that runs on another machine than it asked for proves nothing.
	static Options from_environment();
};

// Handles are numbers that are never used twice, each kind in a range of its own: an object that is
// gone, or of another kind, is recognised, and a dereferenced handle faults.
template <class T> class Handles {
public:
	explicit Handles(unsigned kind) : next_((uintptr_t(0xd000) + kind) << 32) {}
	uintptr_t add(std::shared_ptr<T> object) {
		next_ += 16;
		objects_[next_] = std::move(object);
		return next_;
	}
	std::shared_ptr<T> find(const void *handle) const {
		const auto found = objects_.find(reinterpret_cast<uintptr_t>(handle));
		return found == objects_.end() ? nullptr : found->second;
	}
	bool remove(const void *handle) { return objects_.erase(reinterpret_cast<uintptr_t>(handle)) != 0; }
	template <class Predicate> void remove_if(Predicate predicate) {
		for (auto it = objects_.begin(); it != objects_.end();) it = predicate(*it->second) ? objects_.erase(it) : std::next(it);
	}
	size_t size() const { return objects_.size(); }
	std::map<uintptr_t, std::shared_ptr<T>> &all() { return objects_; }

private:
	uintptr_t next_;
	std::map<uintptr_t, std::shared_ptr<T>> objects_;  // in order of creation
};

struct Stream;
struct Event;
struct Module;
struct Function;
struct Graph;
struct GraphNode;
struct GraphExec;

struct Context {
	CUcontext handle = nullptr;
	int device = 0;
	bool primary = false;
	unsigned flags = 0;
	std::shared_ptr<Stream> null_stream;
	CUresult lost = CUDA_SUCCESS;  // once set, the answer of every later call

	// The message goes to stderr too where no test has ordered the loss.
	void lose(CUresult code, const std::string &message, bool ordered = false);
};

// A failure ordered by a test.
struct Injection {
	std::string function;  // empty: any
	int remaining;         // calls until it happens, that one included
	CUresult code;
	bool sticky;           // and the current context is lost with it
};

struct Driver {
	std::mutex gate;
	bool initialised = false;
	bool device_lost = false;
	Options options = Options::from_environment();
	std::mt19937_64 random{options.kernels.seed};

	Memory memory;
	Handles<Context> contexts{1};
	Handles<Module> modules{2};
	Handles<Function> functions{3};
	Handles<Stream> streams{4};
	Handles<Event> events{5};
	Handles<Graph> graphs{6};
	Handles<GraphNode> nodes{7};
	Handles<GraphExec> execs{8};

	struct Primary {
		std::shared_ptr<Context> context;
		unsigned retained = 0;
		unsigned flags = 0;
	};
	std::map<int, Primary> primary;  // by device

	double clock = 0;                // one tick for every operation done; never a time
	uint64_t launches = 0;           // of kernels, ever
	std::vector<Injection> injections;
	bool recording = false;
	std::vector<std::string> calls;  // since the recording began
	std::string last_message;

	static Driver &instance();
	// Counts the call and gives the failure ordered for it, or null.
	const Injection *arrive(const char *function, Injection &storage);
	void say(const std::string &message);  // to stderr, and kept as the last message
	void destroy_context(const std::shared_ptr<Context> &context);
};

// The context current to this thread, alive and not lost; else the call is refused.
Context &current();
// The contexts pushed by this thread, the current one last; null stands for none.
std::vector<CUcontext> &context_stack();
std::shared_ptr<Context> find_context(CUcontext handle);
// The current context if there is a live one, lost or not; null otherwise.
std::shared_ptr<Context> current_or_null();
void check_device(CUdevice device);

// True on a thread that runs a host function of a stream, which must not call the driver.
bool &in_host_function();

enum class Releases { no, yes };

// Runs the body of an entry point. A failure ordered for a call that releases something is reported
// and the thing released all the same, as the driver does when such a call reports the failure of
// earlier work.
template <class Body>
CUresult entry(const char *function, Body &&body, Releases releases = Releases::no, bool needs_init = true) {
	if (in_host_function()) return CUDA_ERROR_NOT_PERMITTED;
	Driver &driver = Driver::instance();
	const std::lock_guard<std::mutex> lock(driver.gate);
	Injection storage;
	const Injection *injected = driver.arrive(function, storage);
	if (injected != nullptr && injected->sticky) {
		if (const auto context = current_or_null()) context->lose(injected->code, std::string(function) + ": failed on order", true);
	}
	if (injected != nullptr && releases == Releases::no) return injected->code;
	try {
		require(!needs_init || driver.initialised, CUDA_ERROR_NOT_INITIALIZED);
		const CUresult code = body();
		return injected != nullptr ? injected->code : code;
	} catch (const Refused &refused) {
		return injected != nullptr ? injected->code : refused.code;
	} catch (const std::bad_alloc &) {
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
}

}  // namespace brenier::cudadouble
