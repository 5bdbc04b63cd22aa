// The driver's entry points: streams, events, capture.
#include <algorithm>

#include "graph.h"

using namespace brenier::cudadouble;

namespace {

Driver &driver() { return Driver::instance(); }

CUresult create_stream(CUstream *handle, unsigned flags, int priority) {
	require(handle != nullptr && (flags & ~unsigned(CU_STREAM_NON_BLOCKING)) == 0, CUDA_ERROR_INVALID_VALUE);
	Context &context = current();
	auto stream = std::make_shared<Stream>();
	stream->context = &context;
	stream->flags = flags;
	stream->blocking = (flags & CU_STREAM_NON_BLOCKING) == 0;
	stream->priority = std::clamp(priority, -5, 0);
	*handle = reinterpret_cast<CUstream>(driver().streams.add(stream));
	stream->handle = *handle;
	stream->id = reinterpret_cast<uintptr_t>(*handle);
	return CUDA_SUCCESS;
}

Event &find_event(CUevent handle) {
	const auto event = driver().events.find(handle);
	require(event != nullptr, CUDA_ERROR_INVALID_HANDLE);
	return *event;
}

void refuse_if_captured(Event &event) {
	if (!event.capture) return;
	event.capture->invalid = true;
	refuse(CUDA_ERROR_CAPTURED_EVENT);
}

// A program that asks again and again sees its work done in the end, and not before it asked twice.
CUresult ask(Stream &stream) {
	if (stream.queue.empty()) return CUDA_SUCCESS;
	if (stream.queries++ > 0) finish(stream.queue.front());
	if (stream.queries > 1) stream.queries = 1;
	return stream.queue.empty() ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
}

CUresult record(CUevent handle, CUstream stream_handle) {
	Stream &stream = find_stream(stream_handle);
	Event &event = find_event(handle);
	require(event.context == stream.context, CUDA_ERROR_INVALID_HANDLE);
	if (stream.capture) {
		require(!stream.capture->invalid, CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
		event.capture = stream.capture;
		event.captured = stream.frontier;
		return CUDA_SUCCESS;
	}
	event.capture = nullptr;
	event.record = submit(stream, EmptyWork{});
	return stream.context->lost;
}

// Joins a stream to the capture that the event is in, or makes it depend on it once more.
void wait_in_capture(Stream &stream, Event &event) {
	require(!event.capture->invalid, CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
	require(!stream.legacy, CUDA_ERROR_STREAM_CAPTURE_IMPLICIT);
	if (stream.capture && stream.capture != event.capture) {
		stream.capture->invalid = event.capture->invalid = true;
		refuse(CUDA_ERROR_STREAM_CAPTURE_MERGE);
	}
	if (!stream.capture) {
		stream.capture = event.capture;
		stream.capture->streams.insert(&stream);
		stream.frontier.clear();
	}
	for (const CUgraphNode node : event.captured) {
		if (std::find(stream.frontier.begin(), stream.frontier.end(), node) == stream.frontier.end())
			stream.frontier.push_back(node);
	}
}

// Streams that joined the capture must have been waited for by the origin.
bool all_joined(const Capture &capture) {
	const auto &nodes = capture.graph->nodes;
	std::set<CUgraphNode> reached(capture.origin->frontier.begin(), capture.origin->frontier.end());
	for (auto node = nodes.rbegin(); node != nodes.rend(); ++node) {
		if (reached.count((*node)->handle) != 0) reached.insert((*node)->after.begin(), (*node)->after.end());
	}
	return reached.size() == nodes.size();
}

void leave_capture(Capture &capture) {
	const auto streams = capture.streams;
	for (Stream *stream : streams) {
		stream->capture = nullptr;
		stream->frontier.clear();
	}
}

}  // namespace

extern "C" {

CUresult CUDAAPI cuStreamCreate(CUstream *stream, unsigned flags) {
	return entry(__func__, [&] { return create_stream(stream, flags, 0); });
}

CUresult CUDAAPI cuStreamCreateWithPriority(CUstream *stream, unsigned flags, int priority) {
	return entry(__func__, [&] { return create_stream(stream, flags, priority); });
}

CUresult CUDAAPI cuStreamDestroy(CUstream handle) {
	return entry(__func__, [&] {
		Context &context = current();
		const auto stream = driver().streams.find(handle);
		require(stream != nullptr, CUDA_ERROR_INVALID_HANDLE);
		require(stream->context == &context, CUDA_ERROR_INVALID_CONTEXT);
		if (stream->capture) {
			const auto capture = stream->capture;
			capture->invalid = true;
			capture->streams.erase(stream.get());
			if (capture->origin == stream.get()) leave_capture(*capture);
		}
		drain(*stream);
		driver().streams.remove(handle);
		return context.lost;
	}, Releases::yes);
}

CUresult CUDAAPI cuStreamGetPriority(CUstream handle, int *priority) {
	return entry(__func__, [&] {
		require(priority != nullptr, CUDA_ERROR_INVALID_VALUE);
		*priority = find_stream(handle).priority;
		return CUDA_SUCCESS;
	});
}

CUresult CUDAAPI cuStreamGetFlags(CUstream handle, unsigned *flags) {
	return entry(__func__, [&] {
		require(flags != nullptr, CUDA_ERROR_INVALID_VALUE);
		*flags = find_stream(handle).flags;
		return CUDA_SUCCESS;
	});
}

CUresult CUDAAPI cuStreamGetId(CUstream handle, unsigned long long *id) {
	return entry(__func__, [&] {
		require(id != nullptr, CUDA_ERROR_INVALID_VALUE);
		*id = find_stream(handle).id;
		return CUDA_SUCCESS;
	});
}

CUresult CUDAAPI cuStreamGetCtx(CUstream handle, CUcontext *context) {
	return entry(__func__, [&] {
		require(context != nullptr, CUDA_ERROR_INVALID_VALUE);
		const auto stream = driver().streams.find(handle);
		*context = stream != nullptr ? stream->context->handle : find_stream(handle).context->handle;
		return CUDA_SUCCESS;
	});
}

CUresult CUDAAPI cuStreamSynchronize(CUstream handle) {
	return entry(__func__, [&] {
		Stream &stream = find_stream(handle);
		refuse_if_capturing(stream);
		if (stream.last) finish(stream.last);
		return stream.context->lost;
	});
}

CUresult CUDAAPI cuStreamQuery(CUstream handle) {
	return entry(__func__, [&] {
		Stream &stream = find_stream(handle);
		refuse_if_capturing(stream);
		const CUresult answer = ask(stream);
		return stream.context->lost != CUDA_SUCCESS ? stream.context->lost : answer;
	});
}

CUresult CUDAAPI cuStreamWaitEvent(CUstream handle, CUevent event_handle, unsigned) {
	return entry(__func__, [&] {
		Stream &stream = find_stream(handle);
		Event &event = find_event(event_handle);
		if (event.capture) {
			wait_in_capture(stream, event);
			return CUDA_SUCCESS;
		}
		if (stream.capture) {
			// The event is outside: the graph would have to wait for what is not in it.
			stream.capture->invalid = true;
			return CUDA_ERROR_STREAM_CAPTURE_ISOLATION;
		}
		if (event.record == nullptr || event.record->done()) return CUDA_SUCCESS;
		submit(stream, EmptyWork{}, event.record);
		return stream.context->lost;
	});
}

CUresult CUDAAPI cuLaunchHostFunc(CUstream handle, CUhostFn function, void *data) {
	return entry(__func__, [&] {
		require(function != nullptr, CUDA_ERROR_INVALID_VALUE);
		Stream &stream = find_stream(handle);
		submit(stream, HostWork{function, data});
		return stream.context->lost;
	});
}

// ---- events ----

CUresult CUDAAPI cuEventCreate(CUevent *handle, unsigned flags) {
	return entry(__func__, [&] {
		require(handle != nullptr, CUDA_ERROR_INVALID_VALUE);
		auto event = std::make_shared<Event>();
		event->context = &current();
		event->flags = flags;
		*handle = reinterpret_cast<CUevent>(driver().events.add(event));
		return CUDA_SUCCESS;
	});
}

CUresult CUDAAPI cuEventDestroy(CUevent handle) {
	return entry(__func__, [&] {
		Context &context = current();
		require(find_event(handle).context == &context, CUDA_ERROR_INVALID_CONTEXT);
		driver().events.remove(handle);
		return CUDA_SUCCESS;
	}, Releases::yes);
}

CUresult CUDAAPI cuEventRecord(CUevent event, CUstream stream) {
	return entry(__func__, [&] { return record(event, stream); });
}

CUresult CUDAAPI cuEventRecordWithFlags(CUevent event, CUstream stream, unsigned flags) {
	return entry(__func__, [&] {
		require(flags == 0, CUDA_ERROR_NOT_SUPPORTED);
		return record(event, stream);
	});
}

CUresult CUDAAPI cuEventSynchronize(CUevent handle) {
	return entry(__func__, [&] {
		Context &context = current();
		Event &event = find_event(handle);
		refuse_if_captured(event);
		if (event.record) finish(event.record);
		return context.lost;
	});
}

CUresult CUDAAPI cuEventQuery(CUevent handle) {
	return entry(__func__, [&] {
		Context &context = current();
		Event &event = find_event(handle);
		refuse_if_captured(event);
		if (event.record && !event.record->done()) {
			ask(*event.record->stream);
			if (!event.record->done()) return CUDA_ERROR_NOT_READY;
		}
		return context.lost;
	});
}

// Of the clock that counts operations: an order, never a time.
CUresult CUDAAPI cuEventElapsedTime(float *milliseconds, CUevent from_handle, CUevent to_handle) {
	return entry(__func__, [&] {
		require(milliseconds != nullptr, CUDA_ERROR_INVALID_VALUE);
		current();
		Event &from = find_event(from_handle);
		Event &to = find_event(to_handle);
		require(((from.flags | to.flags) & CU_EVENT_DISABLE_TIMING) == 0, CUDA_ERROR_INVALID_HANDLE);
		require(from.record != nullptr && to.record != nullptr, CUDA_ERROR_INVALID_HANDLE);
		require(from.record->done() && to.record->done(), CUDA_ERROR_NOT_READY);
		*milliseconds = static_cast<float>((to.record->finished - from.record->finished) / 1000);
		return CUDA_SUCCESS;
	});
}

// ---- capture ----

CUresult CUDAAPI cuStreamBeginCapture(CUstream handle, CUstreamCaptureMode mode) {
	return entry(__func__, [&] {
		Stream &stream = find_stream(handle);
		require(!stream.legacy, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
		require(!stream.capture, CUDA_ERROR_ILLEGAL_STATE);
		auto capture = std::make_shared<Capture>();
		capture->graph = std::make_shared<Graph>();
		capture->origin = &stream;
		capture->mode = mode;
		capture->thread = std::this_thread::get_id();
		capture->streams.insert(&stream);
		stream.capture = capture;
		stream.frontier.clear();
		return CUDA_SUCCESS;
	});
}

CUresult CUDAAPI cuStreamEndCapture(CUstream handle, CUgraph *graph) {
	return entry(__func__, [&] {
		require(graph != nullptr, CUDA_ERROR_INVALID_VALUE);
		*graph = nullptr;
		Stream &stream = find_stream(handle);
		require(stream.capture != nullptr, CUDA_ERROR_ILLEGAL_STATE);
		const auto capture = stream.capture;
		require(capture->origin == &stream, CUDA_ERROR_STREAM_CAPTURE_UNMATCHED);
		require(capture->mode == CU_STREAM_CAPTURE_MODE_RELAXED || capture->thread == std::this_thread::get_id(),
		        CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD);
		const bool joined = all_joined(*capture);
		leave_capture(*capture);
		if (capture->invalid || !joined) {
			drop_nodes(*capture->graph);
			return capture->invalid ? CUDA_ERROR_STREAM_CAPTURE_INVALIDATED : CUDA_ERROR_STREAM_CAPTURE_UNJOINED;
		}
		*graph = reinterpret_cast<CUgraph>(driver().graphs.add(capture->graph));
		capture->graph->handle = *graph;
		return CUDA_SUCCESS;
	});
}

CUresult CUDAAPI cuStreamIsCapturing(CUstream handle, CUstreamCaptureStatus *status) {
	return entry(__func__, [&] {
		require(status != nullptr, CUDA_ERROR_INVALID_VALUE);
		const Stream &stream = find_stream(handle);
		*status = !stream.capture            ? CU_STREAM_CAPTURE_STATUS_NONE
		          : stream.capture->invalid  ? CU_STREAM_CAPTURE_STATUS_INVALIDATED
		                                     : CU_STREAM_CAPTURE_STATUS_ACTIVE;
		return CUDA_SUCCESS;
	});
}

}  // extern "C"
