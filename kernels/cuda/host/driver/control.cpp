#include "cudadouble.h"

#include <algorithm>
#include <cstring>

#include "graph.h"
#include "module.h"

using namespace brenier::cudadouble;

namespace {

Driver &driver() { return Driver::instance(); }

std::lock_guard<std::mutex> locked() { return std::lock_guard<std::mutex>(driver().gate); }

size_t give(const std::string &text, char *buffer, size_t bytes) {
	if (buffer != nullptr && bytes > 0) {
		const size_t fits = std::min(text.size(), bytes - 1);
		std::memcpy(buffer, text.data(), fits);
		buffer[fits] = '\0';
	}
	return text.size() + 1;
}

}  // namespace

extern "C" {

int cudadouble_version() { return 1; }

int cudadouble_configure(const char *name, const char *value) {
	const auto lock = locked();
	if (name == nullptr || value == nullptr || !driver().options.set(name, value)) return -1;
	if (std::strcmp(name, "schedule") == 0) driver().random.seed(driver().options.kernels.seed);
	return 0;
}

void cudadouble_fail(const char *function, int nth, int code, int sticky) {
	const auto lock = locked();
	driver().injections.push_back({function == nullptr ? "" : function, std::max(nth, 1), static_cast<CUresult>(code), sticky != 0});
}

int cudadouble_clear_failures() {
	const auto lock = locked();
	const int left = static_cast<int>(driver().injections.size());
	driver().injections.clear();
	return left;
}

void cudadouble_lose_device() {
	const auto lock = locked();
	driver().device_lost = true;
	for (const auto &entry : driver().contexts.all())
		entry.second->lose(CUDA_ERROR_DEVICE_UNAVAILABLE, "the device was lost on order", true);
}

void cudadouble_restore_device() {
	const auto lock = locked();
	driver().device_lost = false;
}

void cudadouble_record(int on) {
	const auto lock = locked();
	driver().recording = on != 0;
	if (on != 0) driver().calls.clear();
}

size_t cudadouble_calls(char *buffer, size_t bytes) {
	const auto lock = locked();
	std::string text;
	for (const std::string &call : driver().calls) text += call + "\n";
	return give(text, buffer, bytes);
}

void cudadouble_objects(cudadouble_counts *counts) {
	const auto lock = locked();
	const Driver &d = driver();
	*counts = {};
	counts->contexts = d.contexts.size();
	counts->modules = d.modules.size();
	counts->functions = d.functions.size();
	counts->streams = d.streams.size();
	counts->events = d.events.size();
	counts->graphs = d.graphs.size();
	counts->execs = d.execs.size();
	counts->device_allocations = d.memory.count(MemoryKind::device);
	counts->device_bytes = d.memory.live(MemoryKind::device);
	counts->pinned_allocations = d.memory.count(MemoryKind::pinned);
	counts->pinned_bytes = d.memory.live(MemoryKind::pinned);
}

size_t cudadouble_last_message(char *buffer, size_t bytes) {
	const auto lock = locked();
	return give(driver().last_message, buffer, bytes);
}

}  // extern "C"
