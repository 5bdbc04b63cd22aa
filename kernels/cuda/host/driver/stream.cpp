#include "stream.h"

#include <algorithm>
#include <cstring>

#include "graph.h"
#include "module.h"

namespace brenier::cudadouble {

namespace {

Driver &driver() { return Driver::instance(); }

template <class... Functions> struct Overloaded : Functions... {
	using Functions::operator()...;
};
template <class... Functions> Overloaded(Functions...) -> Overloaded<Functions...>;

// The bytes from the first of the first row to the last of the last one.
size_t extent(size_t width, size_t rows, size_t pitch) { return rows == 0 || width == 0 ? 0 : (rows - 1) * pitch + width; }

// Memory that was there when the work was asked for may be gone when it runs.
Fault check_range(uintptr_t address, size_t bytes, const char *what) {
	if (bytes == 0 || driver().memory.find(address, bytes) != nullptr) return {};
	return {CUDA_ERROR_ILLEGAL_ADDRESS,
	        std::string(what) + " ran after its memory was freed: " + driver().memory.describe(address)};
}

Fault perform_copy(const CopyWork &copy) {
	if (copy.to_ours) {
		const Fault fault = check_range(copy.to, extent(copy.width, copy.rows, copy.to_pitch), "a copy");
		if (fault.code != CUDA_SUCCESS) return fault;
	}
	if (copy.from_ours) {
		const Fault fault = check_range(copy.from, extent(copy.width, copy.rows, copy.from_pitch), "a copy");
		if (fault.code != CUDA_SUCCESS) return fault;
	}
	for (size_t row = 0; row < copy.rows; ++row) {
		auto *to = reinterpret_cast<void *>(copy.to + row * copy.to_pitch);
		const auto *from = copy.staged ? copy.staged->data() + row * copy.width
		                               : reinterpret_cast<const unsigned char *>(copy.from + row * copy.from_pitch);
		std::memmove(to, from, copy.width);
	}
	return {};
}

Fault perform_fill(const FillWork &fill) {
	const Fault fault = check_range(fill.to, extent(fill.width * fill.element, fill.rows, fill.pitch), "a memset");
	if (fault.code != CUDA_SUCCESS) return fault;
	for (size_t row = 0; row < fill.rows; ++row) {
		auto *to = reinterpret_cast<unsigned char *>(fill.to + row * fill.pitch);
		for (size_t i = 0; i < fill.width; ++i) std::memcpy(to + i * fill.element, &fill.value, fill.element);
	}
	return {};
}

Fault perform_host(const HostWork &host) {
	in_host_function() = true;
	host.function(host.data);
	in_host_function() = false;
	return {};
}

// Takes the first operation from a stream, with the kernels behind it that overlap it.
std::vector<std::shared_ptr<Operation>> take_front(Stream &stream) {
	std::vector<std::shared_ptr<Operation>> taken;
	const auto is_done = [](const std::shared_ptr<Operation> &operation) { return operation->done(); };
	do {
		taken.push_back(stream.queue.front());
		stream.queue.pop_front();
	} while (!stream.queue.empty() && std::holds_alternative<KernelWork>(taken.back()->work) &&
	         std::all_of(stream.queue.front()->after.begin(), stream.queue.front()->after.end(), is_done) &&
	         overlaps(stream.queue.front()->work, taken.size()));
	return taken;
}

// Runs the first operation of a stream, whose prerequisites are done.
void run_front(Stream &stream) {
	const auto operations = take_front(stream);
	stream.queries = 0;
	Context &context = *operations.front()->context;
	std::vector<const KernelWork *> chain;
	for (const auto &operation : operations) {
		operation->stream = nullptr;
		operation->after.clear();
		chain.push_back(std::get_if<KernelWork>(&operation->work));
	}
	if (context.lost == CUDA_SUCCESS) {
		const Fault fault = operations.size() == 1 ? perform(operations.front()->work) : perform_overlapping(chain);
		if (fault.code != CUDA_SUCCESS) context.lose(fault.code, fault.text);
	}
	for (const auto &operation : operations) {
		operation->work = EmptyWork{};
		driver().clock += 1;
		operation->finished = driver().clock;
	}
}

std::vector<Stream *> streams_of(Context &context) {
	std::vector<Stream *> streams{context.null_stream.get()};
	for (const auto &entry : driver().streams.all()) {
		if (entry.second->context == &context) streams.push_back(entry.second.get());
	}
	return streams;
}

// Lets a random amount of the waiting work happen.
void progress_at_random(Context &context) {
	const auto streams = streams_of(context);
	for (uint64_t steps = driver().random() % 3; steps > 0; --steps) {
		Stream &stream = *streams[driver().random() % streams.size()];
		if (!stream.queue.empty()) finish(stream.queue.front());
	}
}

// The implicit order between the NULL stream and the blocking ones.
std::vector<std::shared_ptr<Operation>> implicit_prerequisites(Stream &stream) {
	std::vector<std::shared_ptr<Operation>> after;
	const auto wait_for = [&after](const Stream &other) {
		if (other.last && !other.last->done()) after.push_back(other.last);
	};
	if (stream.legacy) {
		for (const Stream *other : streams_of(*stream.context)) {
			if (other->blocking) wait_for(*other);
		}
	} else if (stream.blocking) {
		wait_for(*stream.context->null_stream);
	}
	return after;
}

}  // namespace

Stream::~Stream() {
	for (const auto &operation : queue) operation->stream = nullptr;
}

Stream &find_stream(CUstream handle) {
	Context &context = current();
	if (handle == nullptr || handle == CU_STREAM_LEGACY || handle == CU_STREAM_PER_THREAD) return *context.null_stream;
	const auto stream = driver().streams.find(handle);
	require(stream != nullptr, CUDA_ERROR_INVALID_HANDLE);
	require(stream->context == &context, CUDA_ERROR_INVALID_CONTEXT);
	return *stream;
}

Fault perform(const Work &work) {
	return std::visit(Overloaded{
	                      [](const EmptyWork &) { return Fault{}; },
	                      [](const KernelWork &kernel) { return perform_kernel(kernel); },
	                      [](const CopyWork &copy) { return perform_copy(copy); },
	                      [](const FillWork &fill) { return perform_fill(fill); },
	                      [](const HostWork &host) { return perform_host(host); },
	                      [](const GraphWork &graph) { return perform_plan(*graph.plan); },
	                  },
	                  work);
}

std::shared_ptr<Operation> submit(Stream &stream, Work work, std::shared_ptr<Operation> after) {
	Context &context = *stream.context;
	if (stream.capture) {
		require(!stream.capture->invalid, CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
		const auto node = add_node(*stream.capture->graph, context, std::move(work), stream.frontier);
		stream.frontier = {node->handle};
		return nullptr;
	}
	if (stream.legacy) {
		for (Stream *other : streams_of(context)) {
			if (!other->blocking || !other->capture) continue;
			other->capture->invalid = true;
			refuse(CUDA_ERROR_STREAM_CAPTURE_IMPLICIT);
		}
	}
	auto operation = std::make_shared<Operation>();
	operation->work = std::move(work);
	operation->context = &context;
	operation->stream = &stream;
	operation->after = implicit_prerequisites(stream);
	if (after && !after->done()) operation->after.push_back(std::move(after));
	stream.queue.push_back(operation);
	stream.last = operation;
	stream.queries = 0;
	if (driver().options.streams == host::When::early) finish(operation);
	if (driver().options.streams == host::When::random) progress_at_random(context);
	return operation;
}

void finish(const std::shared_ptr<Operation> &operation) {
	// Prerequisites were queued before what waits for them, so this ends.
	while (!operation->done()) {
		Stream &stream = *operation->stream;
		const auto front = stream.queue.front();
		const auto after = front->after;
		for (const auto &earlier : after) finish(earlier);
		if (!front->done()) run_front(stream);
	}
}

void drain(Stream &stream) {
	while (!stream.queue.empty()) finish(stream.queue.back());
}

void drain(Context &context) {
	for (Stream *stream : streams_of(context)) drain(*stream);
}

void abandon_work(Context &context) {
	for (Stream *stream : streams_of(context)) {
		for (const auto &operation : stream->queue) operation->stream = nullptr;
		stream->queue.clear();
		stream->last = nullptr;
		stream->capture = nullptr;
	}
}

void refuse_if_capturing(Stream &stream) {
	if (!stream.capture) return;
	stream.capture->invalid = true;
	refuse(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
}

void refuse_if_unsafe_in_capture(Context &context) {
	for (const auto &entry : driver().streams.all()) {
		const auto &capture = entry.second->capture;
		if (!capture || entry.second->context != &context || capture->mode == CU_STREAM_CAPTURE_MODE_RELAXED) continue;
		if (capture->mode == CU_STREAM_CAPTURE_MODE_THREAD_LOCAL && capture->thread != std::this_thread::get_id()) continue;
		capture->invalid = true;
		refuse(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
	}
}

}  // namespace brenier::cudadouble
