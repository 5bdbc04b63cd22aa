// Streams, events, and the work that waits in them.
#pragma once
#include <array>
#include <set>
#include <thread>
#include <variant>

#include "driver.h"

namespace brenier::cudadouble {

struct Fault {
	CUresult code = CUDA_SUCCESS;
	std::string text;
};

struct KernelWork {
	std::shared_ptr<Function> function;
	std::array<unsigned, 3> grid;
	std::array<unsigned, 3> block;
	unsigned shared;                    // dynamic, bytes
	std::vector<unsigned char> params;  // as they were when the launch was asked for
	bool dependent;                     // may start before the kernel ahead of it has ended
};

// `rows` rows of `width` bytes. A host address is read or written when the work runs, unless it is
// pageable: then, as the driver says, what is read was staged when the copy was asked for.
struct CopyWork {
	uintptr_t to, from;
	size_t width, rows, to_pitch, from_pitch;
	bool to_ours, from_ours;  // device or pinned memory, which must still be there when the copy runs
	std::shared_ptr<std::vector<unsigned char>> staged;
};

// `rows` rows of `width` elements of 1, 2 or 4 bytes.
struct FillWork {
	uintptr_t to;
	size_t pitch, width, rows;
	unsigned value, element;
};

struct HostWork {
	CUhostFn function;
	void *data;
};

struct GraphWork {
	std::shared_ptr<const struct GraphPlan> plan;
};

struct EmptyWork {};

using Work = std::variant<EmptyWork, KernelWork, CopyWork, FillWork, HostWork, GraphWork>;

struct Operation {
	Work work;
	Context *context;
	Stream *stream;  // null once done
	std::vector<std::shared_ptr<Operation>> after;
	double finished = 0;  // Driver::clock then

	bool done() const { return stream == nullptr; }
};

// Work of one or more streams on its way into a graph.
struct Capture {
	std::shared_ptr<Graph> graph;
	Stream *origin;
	CUstreamCaptureMode mode;
	std::thread::id thread;
	bool invalid = false;
	std::set<Stream *> streams;
};

struct Stream {
	CUstream handle = nullptr;
	Context *context = nullptr;
	bool legacy = false;    // the NULL stream: waits for the blocking ones, and they for it
	bool blocking = false;
	unsigned flags = 0;
	int priority = 0;
	unsigned long long id = 0;
	unsigned queries = 0;   // since the last one that made progress
	std::deque<std::shared_ptr<Operation>> queue;
	std::shared_ptr<Operation> last;

	std::shared_ptr<Capture> capture;
	std::vector<CUgraphNode> frontier;  // nodes that the next captured one depends on

	~Stream();
};

struct Event {
	Context *context = nullptr;
	unsigned flags = 0;
	std::shared_ptr<Operation> record;  // of the latest record, null before the first

	std::shared_ptr<Capture> capture;   // set while the latest record is in a capture
	std::vector<CUgraphNode> captured;
};

// The stream of a handle as a call of the current context means it.
Stream &find_stream(CUstream handle);

// Puts work into a stream, behind an operation of another one where `after` is given, or into the
// graph that the stream is being captured into. What was queued is given back (null when captured).
std::shared_ptr<Operation> submit(Stream &stream, Work work, std::shared_ptr<Operation> after = nullptr);

// Runs an operation and everything that must come before it.
void finish(const std::shared_ptr<Operation> &operation);
void drain(Stream &stream);
void drain(Context &context);
// Drops what a context that goes away has not run.
void abandon_work(Context &context);
// Refuses, and spoils the capture, if the stream (null: anything that this call would touch) is in one.
void refuse_if_capturing(Stream &stream);
void refuse_if_unsafe_in_capture(Context &context);

// Does one piece of work now.
Fault perform(const Work &work);

}  // namespace brenier::cudadouble
