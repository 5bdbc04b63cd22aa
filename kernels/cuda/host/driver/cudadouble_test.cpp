// The double as a driver: what the engine's own tests do not reach of its rules. The kernels' side is
// tested through the engine (engine/internal/cuda).
#include <cuda.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "cudadouble.h"
#include "planted.h"

namespace {

int failures = 0;
const char *test_name = "";

void check(bool holds, const char *what, int line) {
	if (holds) return;
	std::fprintf(stderr, "cudadouble_test.cpp:%d: %s: %s\n", line, test_name, what);
	++failures;
}
#define CHECK(condition) check((condition), #condition, __LINE__)

void expect(CUresult got, CUresult want, const char *call, int line) {
	if (got == want) return;
	std::fprintf(stderr, "cudadouble_test.cpp:%d: %s: %s gave %d, want %d\n", line, test_name, call, got, want);
	++failures;
}
#define EXPECT(want, call) expect((call), (want), #call, __LINE__)
#define OK(call) EXPECT(CUDA_SUCCESS, call)

constexpr unsigned poison = 0xffffffffu;  // of new memory

// A context of its own, current while the test runs; nothing may be left after it.
class Fixture {
public:
	Fixture() {
		cudadouble_configure("schedule", "late");
		OK(cuInit(0));
		OK(cuCtxCreate(&context, nullptr, 0, 0));
	}
	~Fixture() {
		cuCtxDestroy(context);  // tells of the context's loss where a test has lost it
		cudadouble_counts left;
		cudadouble_objects(&left);
		cudadouble_counts none = {};
		CHECK(std::memcmp(&left, &none, sizeof none) == 0);
	}
	CUcontext context = nullptr;
};

CUdeviceptr words(size_t count) {
	CUdeviceptr memory = 0;
	OK(cuMemAlloc(&memory, 4 * count));
	return memory;
}

// Through the NULL stream, so it says nothing about streams that do not wait for that.
unsigned first_word(CUdeviceptr memory) {
	unsigned value = 0;
	OK(cuMemcpyDtoH(&value, memory, 4));
	return value;
}

CUstream stream(unsigned flags) {
	CUstream made = nullptr;
	OK(cuStreamCreate(&made, flags));
	return made;
}

CUevent event() {
	CUevent made = nullptr;
	OK(cuEventCreate(&made, 0));
	return made;
}

CUfunction planted(const char *kernel) {
	alignas(64) static const char image[192] = "BRENIER image planted";
	CUmodule module = nullptr;
	CUfunction function = nullptr;
	OK(cuModuleLoadData(&module, image + 64));
	OK(cuModuleGetFunction(&function, module, kernel));
	return function;
}

uint32_t *pointer(CUdeviceptr memory) { return reinterpret_cast<uint32_t *>(memory); }

void launch(const char *kernel, CUstream s, brenier_planted_params p, bool dependent) {
	void *params[] = {&p};
	CUlaunchAttribute attribute = {};
	attribute.id = CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION;
	attribute.value.programmaticStreamSerializationAllowed = 1;
	CUlaunchConfig config = {};
	config.gridDimX = config.gridDimY = config.gridDimZ = 1;
	config.blockDimX = 64;
	config.blockDimY = config.blockDimZ = 1;
	config.hStream = s;
	config.attrs = &attribute;
	config.numAttrs = dependent;
	OK(cuLaunchKernelEx(&config, planted(kernel), params, nullptr));
}

// ---- streams ----

void blocking_streams_and_the_null_stream_wait_for_each_other() {
	Fixture fixture;
	const CUdeviceptr a = words(4), b = words(4);
	const CUstream blocking = stream(CU_STREAM_DEFAULT);
	OK(cuMemsetD32Async(a, 1, 4, blocking));
	CHECK(first_word(a) == 1);
	OK(cuMemsetD32(b, 2, 4));  // queued in the NULL stream
	OK(cuMemcpyDtoDAsync(a, b, 16, blocking));
	OK(cuStreamSynchronize(blocking));
	CHECK(first_word(a) == 2);
}

void other_streams_wait_for_nobody() {
	Fixture fixture;
	const CUdeviceptr a = words(4), b = words(4);
	const CUstream free_running = stream(CU_STREAM_NON_BLOCKING);
	OK(cuMemsetD32Async(a, 1, 4, free_running));
	CHECK(first_word(a) == poison);
	const unsigned pageable[4] = {3, 3, 3, 3};
	OK(cuMemcpyHtoD(b, pageable, 16));  // read now, in the device's memory when the NULL stream comes to it
	OK(cuMemcpyDtoDAsync(a, b, 16, free_running));
	OK(cuStreamSynchronize(free_running));
	CHECK(first_word(a) == poison);
	OK(cuCtxSynchronize());
	OK(cuMemcpyDtoDAsync(a, b, 16, free_running));
	OK(cuStreamSynchronize(free_running));
	CHECK(first_word(a) == 3);
}

void pinned_memory_is_read_late_and_pageable_memory_at_once() {
	Fixture fixture;
	const CUdeviceptr a = words(1), b = words(1);
	const CUstream s = stream(CU_STREAM_NON_BLOCKING);
	void *memory = nullptr;
	OK(cuMemHostAlloc(&memory, 4, 0));
	auto *pinned = static_cast<unsigned *>(memory);
	unsigned pageable = 1;
	*pinned = 1;
	OK(cuMemcpyHtoDAsync(a, pinned, 4, s));
	OK(cuMemcpyHtoDAsync(b, &pageable, 4, s));
	*pinned = pageable = 2;
	OK(cuStreamSynchronize(s));
	CHECK(first_word(a) == 2);
	CHECK(first_word(b) == 1);
	OK(cuMemcpyDtoHAsync(&pageable, a, 4, s));  // waits
	CHECK(pageable == 2);
}

void queries_make_progress() {
	Fixture fixture;
	const CUdeviceptr a = words(1);
	const CUstream s = stream(CU_STREAM_NON_BLOCKING);
	const CUevent e = event();
	OK(cuEventQuery(e));  // never recorded: done
	OK(cuMemsetD32Async(a, 1, 1, s));
	OK(cuEventRecord(e, s));
	EXPECT(CUDA_ERROR_NOT_READY, cuStreamQuery(s));
	EXPECT(CUDA_ERROR_NOT_READY, cuEventQuery(e));
	float milliseconds = 0;
	EXPECT(CUDA_ERROR_NOT_READY, cuEventElapsedTime(&milliseconds, e, e));
	int asked = 0;
	while (cuStreamQuery(s) == CUDA_ERROR_NOT_READY && asked < 100) ++asked;
	CHECK(asked < 100);
	OK(cuEventQuery(e));
	OK(cuEventElapsedTime(&milliseconds, e, e));
	CHECK(first_word(a) == 1);
}

void an_event_orders_streams_as_it_was_when_waited_for() {
	Fixture fixture;
	const CUdeviceptr a = words(1), b = words(1);
	const CUstream first = stream(CU_STREAM_NON_BLOCKING), second = stream(CU_STREAM_NON_BLOCKING);
	const CUevent e = event();
	OK(cuStreamWaitEvent(second, e, 0));  // not recorded: nothing to wait for
	OK(cuMemsetD32Async(a, 1, 1, first));
	OK(cuEventRecord(e, first));
	OK(cuMemsetD32Async(a, 2, 1, first));
	OK(cuStreamWaitEvent(second, e, 0));
	OK(cuEventRecord(e, first));  // changes nothing for `second`
	OK(cuMemcpyDtoDAsync(b, a, 4, second));
	OK(cuStreamSynchronize(second));
	CHECK(first_word(b) == 1);
	CHECK(first_word(a) == 1);
	OK(cuEventSynchronize(e));
	CHECK(first_word(a) == 2);
}

void host_functions_run_in_order_and_may_not_call() {
	Fixture fixture;
	const CUdeviceptr a = words(1);
	const CUstream s = stream(CU_STREAM_NON_BLOCKING);
	void *memory = nullptr;
	OK(cuMemHostAlloc(&memory, 8, 0));
	auto *pinned = static_cast<unsigned *>(memory);
	OK(cuMemsetD32Async(a, 5, 1, s));
	OK(cuMemcpyDtoHAsync(pinned, a, 4, s));
	OK(cuLaunchHostFunc(s, [](void *p) {
		auto *seen = static_cast<unsigned *>(p);
		seen[1] = seen[0] == 5 && cuCtxSynchronize() == CUDA_ERROR_NOT_PERMITTED;
	}, pinned));
	OK(cuStreamSynchronize(s));
	CHECK(pinned[1] == 1);
}

void every_schedule_ends_alike() {
	for (const char *schedule : {"late", "early", "random:1", "random:2", "random:3", "random:4"}) {
		Fixture fixture;
		CHECK(cudadouble_configure("schedule", schedule) == 0);
		const CUdeviceptr a = words(1), b = words(1);
		const CUstream first = stream(CU_STREAM_NON_BLOCKING), second = stream(CU_STREAM_NON_BLOCKING);
		for (unsigned round = 0; round < 20; ++round) {
			const CUevent written = event(), read = event();
			OK(cuMemsetD32Async(a, round, 1, first));
			OK(cuEventRecord(written, first));
			OK(cuStreamWaitEvent(second, written, 0));
			OK(cuMemcpyDtoDAsync(b, a, 4, second));
			OK(cuEventRecord(read, second));
			OK(cuStreamWaitEvent(first, read, 0));
			if (round % 5 != 4) continue;
			OK(cuStreamSynchronize(second));
			CHECK(first_word(b) == round);
		}
	}
}

// ---- graphs ----

void forked_and_joined_streams_make_one_graph() {
	Fixture fixture;
	const CUdeviceptr a = words(1), b = words(1), c = words(2);
	const CUstream origin = stream(CU_STREAM_NON_BLOCKING), branch = stream(CU_STREAM_NON_BLOCKING);
	const CUevent fork = event(), join = event();
	OK(cuStreamBeginCapture(origin, CU_STREAM_CAPTURE_MODE_GLOBAL));
	OK(cuMemsetD32Async(a, 1, 1, origin));
	OK(cuEventRecord(fork, origin));
	OK(cuStreamWaitEvent(branch, fork, 0));
	OK(cuMemsetD32Async(b, 2, 1, branch));
	CUgraph graph = nullptr;
	EXPECT(CUDA_ERROR_STREAM_CAPTURE_UNJOINED, cuStreamEndCapture(origin, &graph));
	OK(cuStreamBeginCapture(origin, CU_STREAM_CAPTURE_MODE_GLOBAL));
	OK(cuMemsetD32Async(a, 1, 1, origin));
	OK(cuEventRecord(fork, origin));
	OK(cuStreamWaitEvent(branch, fork, 0));
	OK(cuMemsetD32Async(b, 2, 1, branch));
	OK(cuEventRecord(join, branch));
	EXPECT(CUDA_ERROR_STREAM_CAPTURE_UNMATCHED, cuStreamEndCapture(branch, &graph));
	OK(cuStreamWaitEvent(origin, join, 0));
	OK(cuMemcpyDtoDAsync(c, a, 4, origin));
	OK(cuMemcpyDtoDAsync(c + 4, b, 4, origin));
	OK(cuStreamEndCapture(origin, &graph));
	CHECK(first_word(a) == poison);  // nothing has run
	size_t count = 0;
	OK(cuGraphGetNodes(graph, nullptr, &count));
	CHECK(count == 4);
	CUgraphExec exec = nullptr;
	OK(cuGraphInstantiate(&exec, graph, 0));
	OK(cuGraphLaunch(exec, origin));
	OK(cuGraphExecDestroy(exec));  // what was launched goes on
	OK(cuGraphDestroy(graph));
	OK(cuStreamSynchronize(origin));
	CHECK(first_word(c) == 1);
	CHECK(first_word(c + 4) == 2);
}

void captures_refuse_what_the_driver_refuses() {
	Fixture fixture;
	const CUdeviceptr a = words(1);
	const CUstream s = stream(CU_STREAM_NON_BLOCKING), blocking = stream(CU_STREAM_DEFAULT);
	const CUevent outside = event();
	CUgraph graph = nullptr;
	EXPECT(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, cuStreamBeginCapture(nullptr, CU_STREAM_CAPTURE_MODE_GLOBAL));
	EXPECT(CUDA_ERROR_ILLEGAL_STATE, cuStreamEndCapture(s, &graph));
	const auto spoils = [&](CUstream captured, CUresult want, CUresult (*call)(CUdeviceptr, CUstream, CUevent)) {
		OK(cuStreamBeginCapture(captured, CU_STREAM_CAPTURE_MODE_GLOBAL));
		EXPECT(want, call(a, captured, outside));
		CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
		OK(cuStreamIsCapturing(captured, &status));
		CHECK(status == CU_STREAM_CAPTURE_STATUS_INVALIDATED);
		EXPECT(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, cuMemsetD32Async(a, 1, 1, captured));
		EXPECT(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, cuStreamEndCapture(captured, &graph));
		CHECK(graph == nullptr);
	};
	spoils(s, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, [](CUdeviceptr, CUstream c, CUevent) { return cuStreamSynchronize(c); });
	spoils(s, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, [](CUdeviceptr, CUstream c, CUevent) { return cuStreamQuery(c); });
	spoils(s, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, [](CUdeviceptr, CUstream, CUevent) { return cuCtxSynchronize(); });
	spoils(s, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, [](CUdeviceptr m, CUstream, CUevent) { return cuMemFree(m); });
	spoils(s, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, [](CUdeviceptr m, CUstream, CUevent) {
		unsigned word;
		return cuMemcpyDtoH(&word, m, 4);
	});
	spoils(blocking, CUDA_ERROR_STREAM_CAPTURE_IMPLICIT, [](CUdeviceptr m, CUstream, CUevent) { return cuMemsetD32(m, 1, 1); });
	OK(cuMemsetD32Async(a, 1, 1, blocking));
	OK(cuEventRecord(outside, blocking));
	spoils(s, CUDA_ERROR_STREAM_CAPTURE_ISOLATION, [](CUdeviceptr, CUstream c, CUevent e) { return cuStreamWaitEvent(c, e, 0); });
	spoils(s, CUDA_ERROR_CAPTURED_EVENT, [](CUdeviceptr, CUstream c, CUevent e) {
		OK(cuEventRecord(e, c));
		return cuEventSynchronize(e);
	});

	OK(cuStreamBeginCapture(s, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
	CUresult elsewhere = CUDA_SUCCESS, ended = CUDA_SUCCESS;
	std::thread([&] {
		OK(cuCtxPushCurrent(fixture.context));
		CUdeviceptr memory = 0;
		elsewhere = cuMemAlloc(&memory, 4);  // another thread's business
		ended = cuStreamEndCapture(s, &graph);
	}).join();
	EXPECT(CUDA_SUCCESS, elsewhere);
	EXPECT(CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD, ended);
	OK(cuStreamEndCapture(s, &graph));
	OK(cuGraphDestroy(graph));
}

void graphs_can_be_built_by_hand() {
	Fixture fixture;
	const CUdeviceptr a = words(8);
	CUgraph graph = nullptr;
	OK(cuGraphCreate(&graph, 0));
	CUDA_MEMSET_NODE_PARAMS fill = {};
	fill.dst = a;
	fill.elementSize = 4;
	fill.width = 8;
	fill.height = 1;
	CUgraphNode first = nullptr, second = nullptr;
	fill.value = 1;
	OK(cuGraphAddMemsetNode(&first, graph, nullptr, 0, &fill, fixture.context));
	fill.value = 2;
	OK(cuGraphAddMemsetNode(&second, graph, &first, 1, &fill, fixture.context));
	fill.width = 9;
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuGraphAddMemsetNode(&second, graph, &first, 1, &fill, fixture.context));
	CUgraphNodeType type = CU_GRAPH_NODE_TYPE_EMPTY;
	OK(cuGraphNodeGetType(second, &type));
	CHECK(type == CU_GRAPH_NODE_TYPE_MEMSET);
	CUgraphNode roots[2] = {};
	size_t count = 2;
	OK(cuGraphGetRootNodes(graph, roots, &count));
	CHECK(count == 1 && roots[0] == first);
	CUgraphExec exec = nullptr;
	OK(cuGraphInstantiate(&exec, graph, 0));
	fill.width = 8;
	fill.value = 3;
	OK(cuGraphLaunch(exec, nullptr));
	OK(cuGraphExecMemsetNodeSetParams(exec, second, &fill, fixture.context));  // not for the launch before
	CHECK(first_word(a) == 2);
	OK(cuGraphLaunch(exec, nullptr));
	CHECK(first_word(a) == 3);
	OK(cuGraphDestroy(graph));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuGraphNodeGetType(second, &type));
	OK(cuGraphExecDestroy(exec));
}

void edges_of_overlapping_kernels_are_told_in_full() {
	Fixture fixture;
	const CUdeviceptr a = words(64);
	const CUstream s = stream(CU_STREAM_NON_BLOCKING);
	const brenier_planted_params params = {pointer(a), nullptr, 64, 7};
	CUgraph graph = nullptr;
	OK(cuStreamBeginCapture(s, CU_STREAM_CAPTURE_MODE_RELAXED));
	OK(cuMemsetD32Async(a, 0, 64, s));
	for (int i = 0; i < 2; ++i) launch("brenier_cuda_planted_write", s, params, true);
	OK(cuStreamEndCapture(s, &graph));
	CUgraphNode nodes[3] = {};
	size_t count = 3;
	OK(cuGraphGetNodes(graph, nodes, &count));
	int programmatic = 0;
	for (const CUgraphNode node : nodes) {
		CUgraphNode before[1] = {};
		CUgraphEdgeData edge[1] = {};
		count = 1;
		OK(cuGraphNodeGetDependencies(node, before, edge, &count));
		if (count == 0 || edge[0].type != CU_GRAPH_DEPENDENCY_TYPE_PROGRAMMATIC) continue;
		++programmatic;
		EXPECT(CUDA_ERROR_LOSSY_QUERY, cuGraphNodeGetDependencies(node, before, nullptr, &count));
	}
	CHECK(programmatic == 1);  // a kernel does not overlap a memset
	OK(cuGraphDestroy(graph));
}

// ---- handles and contexts ----

void handles_belong_to_their_context() {
	Fixture fixture;
	const CUstream ours = stream(CU_STREAM_NON_BLOCKING);
	const CUevent ours_too = event();
	const CUdeviceptr memory = words(1);
	CUcontext other = nullptr;
	OK(cuCtxCreate(&other, nullptr, 0, 0));
	EXPECT(CUDA_ERROR_INVALID_CONTEXT, cuStreamSynchronize(ours));
	EXPECT(CUDA_ERROR_INVALID_HANDLE, cuEventRecord(ours_too, nullptr));
	OK(cuMemsetD32(memory, 1, 1));  // addresses are the process', as on a card
	OK(cuCtxDestroy(other));
	EXPECT(CUDA_ERROR_INVALID_CONTEXT, cuCtxPushCurrent(other));
	CUcontext current = nullptr;
	OK(cuCtxGetCurrent(&current));
	CHECK(current == fixture.context);
}

void stale_and_foreign_handles_are_refused() {
	Fixture fixture;
	const CUstream s = stream(0);
	const CUevent e = event();
	OK(cuStreamDestroy(s));
	EXPECT(CUDA_ERROR_INVALID_HANDLE, cuStreamDestroy(s));
	EXPECT(CUDA_ERROR_INVALID_HANDLE, cuStreamSynchronize(reinterpret_cast<CUstream>(e)));
	EXPECT(CUDA_ERROR_INVALID_HANDLE, cuEventSynchronize(reinterpret_cast<CUevent>(&failures)));
	OK(cuEventDestroy(e));
	EXPECT(CUDA_ERROR_INVALID_HANDLE, cuEventQuery(e));
	const CUdeviceptr memory = words(1);
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemFree(memory + 4));
	OK(cuMemFree(memory));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemFree(memory));
	OK(cuMemFree(0));
	CUmodule module = nullptr;
	alignas(64) static const char no_label[192] = {};
	EXPECT(CUDA_ERROR_INVALID_IMAGE, cuModuleLoadData(&module, no_label + 64));
	alignas(64) static const char unknown[192] = "BRENIER image no_such_file";
	EXPECT(CUDA_ERROR_INVALID_IMAGE, cuModuleLoadData(&module, unknown + 64));
}

void a_context_is_current_on_one_thread() {
	Fixture fixture;
	std::thread([&] {
		CUdeviceptr memory = 0;
		EXPECT(CUDA_ERROR_INVALID_CONTEXT, cuMemAlloc(&memory, 4));
		OK(cuCtxSetCurrent(fixture.context));
		OK(cuMemAlloc(&memory, 4));
		CUcontext popped = nullptr;
		OK(cuCtxPopCurrent(&popped));
		CHECK(popped == fixture.context);
		EXPECT(CUDA_ERROR_INVALID_CONTEXT, cuCtxPopCurrent(&popped));
	}).join();
}

void the_primary_context_is_counted() {
	Fixture fixture;
	CUcontext first = nullptr, second = nullptr;
	OK(cuDevicePrimaryCtxRetain(&first, 0));
	OK(cuDevicePrimaryCtxRetain(&second, 0));
	CHECK(first == second);
	EXPECT(CUDA_ERROR_INVALID_CONTEXT, cuCtxDestroy(first));
	OK(cuDevicePrimaryCtxRelease(0));
	unsigned flags = 0;
	int active = 0;
	OK(cuDevicePrimaryCtxGetState(0, &flags, &active));
	CHECK(active == 1);
	OK(cuDevicePrimaryCtxRelease(0));
	OK(cuDevicePrimaryCtxGetState(0, &flags, &active));
	CHECK(active == 0);
	EXPECT(CUDA_ERROR_INVALID_CONTEXT, cuDevicePrimaryCtxRelease(0));
}

// ---- memory ----

void copies_stay_inside_of_allocations() {
	Fixture fixture;
	const CUdeviceptr a = words(25);
	std::vector<unsigned> host(25);
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemcpyHtoD(a, host.data(), 101));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemcpyHtoD(a - 1, host.data(), 1));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemcpyDtoD(a + 1, a, 100));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemsetD32(a, 0, 26));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemsetD32(a + 2, 0, 1));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemcpyHtoD(a, nullptr, 4));
	OK(cuMemcpyHtoD(a, host.data(), 100));
	CUdeviceptr base = 0;
	size_t bytes = 0;
	OK(cuMemGetAddressRange(&base, &bytes, a + 99));
	CHECK(base == a && bytes == 100 && a % 256 == 0);
	CUDA_MEMCPY2D copy = {};
	copy.srcMemoryType = CU_MEMORYTYPE_HOST;
	copy.srcHost = host.data();
	copy.srcPitch = 20;
	copy.dstMemoryType = CU_MEMORYTYPE_DEVICE;
	copy.dstDevice = a;
	copy.dstPitch = 20;
	copy.WidthInBytes = 8;
	copy.Height = 5;
	for (unsigned i = 0; i < 25; ++i) host[i] = i;
	OK(cuMemcpy2D(&copy));
	CHECK(first_word(a + 84) == 21 && first_word(a + 88) == 0);
	copy.Height = 6;
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemcpy2D(&copy));
}

void work_on_memory_that_is_gone_loses_the_context() {
	Fixture fixture;
	const CUdeviceptr a = words(1);
	const CUstream s = stream(CU_STREAM_NON_BLOCKING);
	CUgraph graph = nullptr;
	CUgraphExec exec = nullptr;
	OK(cuStreamBeginCapture(s, CU_STREAM_CAPTURE_MODE_GLOBAL));
	OK(cuMemsetD32Async(a, 1, 1, s));
	OK(cuStreamEndCapture(s, &graph));
	OK(cuGraphInstantiate(&exec, graph, 0));
	OK(cuGraphDestroy(graph));
	OK(cuMemFree(a));
	OK(cuGraphLaunch(exec, s));
	EXPECT(CUDA_ERROR_ILLEGAL_ADDRESS, cuStreamSynchronize(s));
	EXPECT(CUDA_ERROR_ILLEGAL_ADDRESS, cuStreamQuery(s));
	char said[200];
	cudadouble_last_message(said, sizeof said);
	CHECK(std::strstr(said, "freed allocation of 4 bytes") != nullptr);
}

// ---- kernels ----

// Puts two kernels into a stream, the second to overlap the first, one by one or as a graph.
void launch_both(CUstream s, bool in_graph, const char *first, brenier_planted_params first_params, const char *second,
                 brenier_planted_params second_params) {
	if (in_graph) OK(cuStreamBeginCapture(s, CU_STREAM_CAPTURE_MODE_RELAXED));
	launch(first, s, first_params, false);
	launch(second, s, second_params, true);
	if (!in_graph) return;
	CUgraph graph = nullptr;
	CUgraphExec exec = nullptr;
	OK(cuStreamEndCapture(s, &graph));
	OK(cuGraphInstantiate(&exec, graph, 0));
	cuGraphLaunch(exec, s);  // may tell already of a fault
	OK(cuGraphDestroy(graph));
	cuGraphExecDestroy(exec);
}

// How often of 20 times a copy that is launched to overlap what it copies misses that.
int missed(const char *copy, const char *schedule, bool in_graph) {
	Fixture fixture;
	CHECK(cudadouble_configure("schedule", schedule) == 0);
	int wrong = 0;
	for (int round = 0; round < 20; ++round) {
		const CUdeviceptr a = words(64), b = words(64);
		const CUstream s = stream(CU_STREAM_NON_BLOCKING);
		launch_both(s, in_graph, "brenier_cuda_planted_write", {pointer(a), nullptr, 64, 7}, copy,
		            {pointer(b), pointer(a), 64, 0});
		OK(cuStreamSynchronize(s));
		std::vector<unsigned> copied(64);
		OK(cuMemcpyDtoH(copied.data(), b, 256));
		wrong += copied != std::vector<unsigned>(64, 7);
	}
	return wrong;
}

void a_read_before_the_wait_for_the_kernel_ahead_is_caught() {
	for (const char *schedule : {"late", "early", "random:1", "random:2"}) {
		CHECK(missed("brenier_cuda_planted_copy", schedule, false) == 0);
		CHECK(missed("brenier_cuda_planted_copy", schedule, true) == 0);
	}
	CHECK(missed("brenier_cuda_planted_early_copy", "early", true) == 20);
	for (const char *schedule : {"random:1", "random:2"}) {
		CHECK(missed("brenier_cuda_planted_early_copy", schedule, false) > 0);
		CHECK(missed("brenier_cuda_planted_early_copy", schedule, true) > 0);
	}
}

void a_fault_of_either_of_two_overlapping_kernels_is_told() {
	for (const bool first_fails : {true, false}) {
		Fixture fixture;
		CHECK(cudadouble_configure("schedule", "early") == 0);
		const CUdeviceptr a = words(64), b = words(64), small = words(1);
		const CUstream s = stream(CU_STREAM_NON_BLOCKING);
		launch_both(s, true, "brenier_cuda_planted_write", {pointer(first_fails ? small : a), nullptr, 64, 7},
		            "brenier_cuda_planted_copy", {pointer(first_fails ? b : small), pointer(a), 64, 0});
		EXPECT(CUDA_ERROR_ILLEGAL_ADDRESS, cuStreamSynchronize(s));
		char said[400];
		cudadouble_last_message(said, sizeof said);
		CHECK(std::strstr(said, first_fails ? "brenier_cuda_planted_write" : "brenier_cuda_planted_copy") != nullptr);
	}
}

void a_division_by_zero_ends_the_kernel_and_not_the_process() {
	Fixture fixture;
	const CUdeviceptr a = words(1);
	launch("brenier_cuda_planted_divide", nullptr, {pointer(a), nullptr, 1, 0}, false);
	EXPECT(CUDA_ERROR_ILLEGAL_INSTRUCTION, cuCtxSynchronize());
}

// ---- orders ----

void calls_fail_on_order_and_are_noted() {
	Fixture fixture;
	cudadouble_record(1);
	cudadouble_fail("cuMemAlloc", 2, CUDA_ERROR_OUT_OF_MEMORY, 0);
	const CUdeviceptr first = words(1);
	CUdeviceptr second = 0;
	EXPECT(CUDA_ERROR_OUT_OF_MEMORY, cuMemAlloc(&second, 4));
	OK(cuMemAlloc(&second, 4));
	cudadouble_fail(nullptr, 1, CUDA_ERROR_UNKNOWN, 0);
	EXPECT(CUDA_ERROR_UNKNOWN, cuMemFree(first));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemFree(first));  // it was freed all the same
	cudadouble_record(0);
	char calls[200];
	CHECK(cudadouble_calls(calls, sizeof calls) == std::strlen(calls) + 1);
	CHECK(std::string(calls) == "cuMemAlloc\ncuMemAlloc\ncuMemAlloc\ncuMemFree\ncuMemFree\n");
	CHECK(cudadouble_calls(calls, 4) > 4 && std::strcmp(calls, "cuM") == 0);
	cudadouble_fail("cuMemAlloc", 5, CUDA_ERROR_UNKNOWN, 0);
	CHECK(cudadouble_clear_failures() == 1);
	CHECK(cudadouble_configure("capability", "seven") == -1 && cudadouble_configure("colour", "1") == -1);
}

#define TEST(function) {#function, function}
const struct {
	const char *name;
	void (*run)();
} tests[] = {
	TEST(blocking_streams_and_the_null_stream_wait_for_each_other),
	TEST(other_streams_wait_for_nobody),
	TEST(pinned_memory_is_read_late_and_pageable_memory_at_once),
	TEST(queries_make_progress),
	TEST(an_event_orders_streams_as_it_was_when_waited_for),
	TEST(host_functions_run_in_order_and_may_not_call),
	TEST(every_schedule_ends_alike),
	TEST(forked_and_joined_streams_make_one_graph),
	TEST(captures_refuse_what_the_driver_refuses),
	TEST(graphs_can_be_built_by_hand),
	TEST(edges_of_overlapping_kernels_are_told_in_full),
	TEST(handles_belong_to_their_context),
	TEST(stale_and_foreign_handles_are_refused),
	TEST(a_context_is_current_on_one_thread),
	TEST(the_primary_context_is_counted),
	TEST(copies_stay_inside_of_allocations),
	TEST(work_on_memory_that_is_gone_loses_the_context),
	TEST(a_read_before_the_wait_for_the_kernel_ahead_is_caught),
	TEST(a_fault_of_either_of_two_overlapping_kernels_is_told),
	TEST(a_division_by_zero_ends_the_kernel_and_not_the_process),
	TEST(calls_fail_on_order_and_are_noted),
};

}  // namespace

int main() {
	for (const auto &test : tests) {
		test_name = test.name;
		const int before = failures;
		test.run();
		std::printf("%s %s\n", failures == before ? "ok  " : "FAIL", test.name);
	}
	return failures == 0 ? 0 : 1;
}
