#include "driver.h"

#include <cctype>
#include <cstdio>
#include <cstdlib>

#include "graph.h"
#include "module.h"
#include "stream.h"

namespace brenier::cudadouble {

namespace {

bool parse_number(const std::string &text, unsigned long long &value) {
	if (text.empty() || !std::isdigit(static_cast<unsigned char>(text[0]))) return false;
	char *end = nullptr;
	value = std::strtoull(text.c_str(), &end, 10);
	return *end == '\0';
}

// cuMemAlloc_v2 is called cuMemAlloc in sources and in tests.
std::string without_version(const char *function) {
	std::string name = function;
	const size_t at = name.rfind("_v");
	if (at != std::string::npos && at + 3 == name.size() && std::isdigit(static_cast<unsigned char>(name[at + 2])))
		name.resize(at);
	return name;
}

}  // namespace

bool Options::set(const std::string &name, const std::string &value) {
	if (value.empty()) return reset(name);
	if (name == "schedule") {
		if (!host::Schedule::parse(value.c_str(), &kernels)) return false;
		streams = value.compare(0, 4, "late") == 0    ? host::When::late
		          : value.compare(0, 5, "early") == 0 ? host::When::early
		                                              : host::When::random;
		return true;
	}
	unsigned long long number = 0;
	if (!parse_number(value, number) || number == 0) return false;
	if (name == "memory") {
		memory = number;
	} else if (name == "capability" && number >= 50 && number <= 150) {
		capability = static_cast<int>(number);
	} else if (name == "multiprocessors" && number <= 1024) {
		multiprocessors = static_cast<int>(number);
	} else if (name == "workers" && number <= 64) {
		workers = static_cast<unsigned>(number);
	} else if (name == "devices" && number <= 8) {
		devices = static_cast<int>(number);
	} else {
		return false;
	}
	return true;
}

bool Options::reset(const std::string &name) {
	const Options start = from_environment();
	if (name == "memory") {
		memory = start.memory;
	} else if (name == "capability") {
		capability = start.capability;
	} else if (name == "multiprocessors") {
		multiprocessors = start.multiprocessors;
	} else if (name == "workers") {
		workers = start.workers;
	} else if (name == "devices") {
		devices = start.devices;
	} else if (name == "schedule") {
		streams = start.streams;
		kernels = start.kernels;
	} else {
		return false;
	}
	return true;
}

Options Options::from_environment() {
	Options options;
	for (const char *name : {"capability", "memory", "schedule", "multiprocessors", "workers", "devices"}) {
		std::string variable = "BRENIER_DOUBLE_";
		for (const char *c = name; *c != '\0'; ++c) variable += static_cast<char>(std::toupper(*c));
		const char *value = std::getenv(variable.c_str());
		if (value == nullptr || *value == '\0' || options.set(name, value)) continue;
		std::fprintf(stderr, "brenier double: %s: want %s, got %s\n", variable.c_str(),
		             variable == "BRENIER_DOUBLE_SCHEDULE" ? "a schedule such as late, early or random:<seed>" : "a number in range", value);
		std::exit(2);
	}
	return options;
}

Driver &Driver::instance() {
	// Never destroyed: threads of the host program may call while the process ends.
	static Driver *const driver = new Driver;
	return *driver;
}

const Injection *Driver::arrive(const char *function, Injection &storage) {
	const std::string name = without_version(function);
	if (recording) calls.push_back(name);
	const Injection *due = nullptr;
	for (auto it = injections.begin(); it != injections.end();) {
		if ((it->function.empty() || it->function == name) && --it->remaining == 0) {
			storage = *it;
			due = &storage;
			it = injections.erase(it);
		} else {
			++it;
		}
	}
	return due;
}

void Driver::say(const std::string &message) {
	last_message = message;
	std::fprintf(stderr, "brenier double: %s\n", message.c_str());
}

void Driver::destroy_context(const std::shared_ptr<Context> &context) {
	const Context *gone = context.get();
	const auto belongs = [gone](const auto &object) { return object.context == gone; };
	abandon_work(*context);
	execs.remove_if(belongs);
	events.remove_if(belongs);
	streams.remove_if(belongs);
	functions.remove_if(belongs);
	modules.remove_if(belongs);
	memory.release_all(gone);
	contexts.remove(context->handle);
}

void Context::lose(CUresult code, const std::string &message, bool ordered) {
	if (lost != CUDA_SUCCESS) return;
	lost = code;
	if (ordered) {
		Driver::instance().last_message = message;
	} else {
		Driver::instance().say(message);
	}
}

std::vector<CUcontext> &context_stack() {
	thread_local std::vector<CUcontext> stack;
	return stack;
}

bool &in_host_function() {
	thread_local bool inside = false;
	return inside;
}

std::shared_ptr<Context> find_context(CUcontext handle) { return Driver::instance().contexts.find(handle); }

std::shared_ptr<Context> current_or_null() {
	const auto &stack = context_stack();
	return stack.empty() ? nullptr : find_context(stack.back());
}

Context &current() {
	const auto &stack = context_stack();
	require(!stack.empty() && stack.back() != nullptr, CUDA_ERROR_INVALID_CONTEXT);
	const auto context = find_context(stack.back());
	require(context != nullptr, CUDA_ERROR_CONTEXT_IS_DESTROYED);
	require(context->lost == CUDA_SUCCESS, context->lost);
	return *context;
}

void check_device(CUdevice device) {
	require(device >= 0 && device < Driver::instance().options.devices, CUDA_ERROR_INVALID_DEVICE);
}

}  // namespace brenier::cudadouble
