#include "graph.h"

#include <algorithm>

#include "module.h"

namespace brenier::cudadouble {

namespace {

Driver &driver() { return Driver::instance(); }

CUgraphNodeType type_of(const Work &work) {
	if (std::holds_alternative<KernelWork>(work)) return CU_GRAPH_NODE_TYPE_KERNEL;
	if (std::holds_alternative<CopyWork>(work)) return CU_GRAPH_NODE_TYPE_MEMCPY;
	if (std::holds_alternative<FillWork>(work)) return CU_GRAPH_NODE_TYPE_MEMSET;
	if (std::holds_alternative<HostWork>(work)) return CU_GRAPH_NODE_TYPE_HOST;
	if (std::holds_alternative<GraphWork>(work)) return CU_GRAPH_NODE_TYPE_GRAPH;
	return CU_GRAPH_NODE_TYPE_EMPTY;
}

std::shared_ptr<Graph> find_graph(CUgraph handle) {
	auto graph = driver().graphs.find(handle);
	require(graph != nullptr, CUDA_ERROR_INVALID_VALUE);
	return graph;
}

GraphNode &find_node(CUgraphNode handle) {
	const auto node = driver().nodes.find(handle);
	require(node != nullptr, CUDA_ERROR_INVALID_VALUE);
	return *node;
}

GraphExec &find_exec(CUgraphExec handle) {
	const auto exec = driver().execs.find(handle);
	require(exec != nullptr, CUDA_ERROR_INVALID_VALUE);
	return *exec;
}

// Copies handles out by the driver's habit: a null array asks for the number; a short one is filled.
void give(const std::vector<CUgraphNode> &found, CUgraphNode *nodes, size_t *count) {
	require(count != nullptr, CUDA_ERROR_INVALID_VALUE);
	if (nodes == nullptr) {
		*count = found.size();
		return;
	}
	for (size_t i = 0; i < *count; ++i) nodes[i] = i < found.size() ? found[i] : nullptr;
	*count = std::min(*count, found.size());
}

// In no order that a program could count on, as the driver promises none.
std::vector<CUgraphNode> handles_of(const Graph &graph) {
	std::vector<CUgraphNode> handles;
	for (const auto &node : graph.nodes) handles.push_back(node->handle);
	switch (driver().options.streams) {
	case host::When::early: break;
	case host::When::late: std::reverse(handles.begin(), handles.end()); break;
	case host::When::random: std::shuffle(handles.begin(), handles.end(), driver().random); break;
	}
	return handles;
}

bool is_dependent(const Work &work) {
	const auto *kernel = std::get_if<KernelWork>(&work);
	return kernel != nullptr && kernel->dependent;
}

// What the edge from one node to another says: of a kernel that may overlap another, more than nothing.
CUgraphEdgeData edge_between(const GraphNode &from, const GraphNode &to) {
	CUgraphEdgeData edge = {};
	if (is_dependent(to.work) && from.type == CU_GRAPH_NODE_TYPE_KERNEL) {
		edge.from_port = CU_GRAPH_KERNEL_NODE_PORT_PROGRAMMATIC;
		edge.type = CU_GRAPH_DEPENDENCY_TYPE_PROGRAMMATIC;
	}
	return edge;
}

std::shared_ptr<const GraphPlan> make_plan(const Graph &graph) {
	auto plan = std::make_shared<GraphPlan>();
	std::map<CUgraphNode, size_t> index;
	for (const auto &node : graph.nodes) {
		PlannedNode planned{node->handle, node->context, node->work, {}};
		for (const CUgraphNode earlier : node->after) planned.after.push_back(index.at(earlier));
		index[node->handle] = plan->nodes.size();
		plan->nodes.push_back(std::move(planned));
	}
	return plan;
}

// Where a node of the original graph stands in an instantiated one.
size_t place_in(const GraphPlan &plan, CUgraphNode node, CUgraphNodeType type) {
	require(find_node(node).type == type, CUDA_ERROR_INVALID_VALUE);
	for (size_t i = 0; i < plan.nodes.size(); ++i) {
		if (plan.nodes[i].node == node) return i;
	}
	refuse(CUDA_ERROR_INVALID_VALUE);
}

KernelWork kernel_work(Context &context, const CUDA_KERNEL_NODE_PARAMS *p) {
	require(p != nullptr, CUDA_ERROR_INVALID_VALUE);
	return make_launch(context, p->func, {p->gridDimX, p->gridDimY, p->gridDimZ}, {p->blockDimX, p->blockDimY, p->blockDimZ},
	                   p->sharedMemBytes, p->kernelParams, p->extra, false);
}

FillWork fill_work(const CUDA_MEMSET_NODE_PARAMS *p) {
	require(p != nullptr && (p->elementSize == 1 || p->elementSize == 2 || p->elementSize == 4), CUDA_ERROR_INVALID_VALUE);
	const FillWork fill{static_cast<uintptr_t>(p->dst), p->pitch, p->width, p->height, p->value, p->elementSize};
	const size_t bytes = (fill.rows - 1) * fill.pitch + fill.width * fill.element;
	require(fill.rows > 0 && fill.width > 0 && driver().memory.find(fill.to, bytes) != nullptr, CUDA_ERROR_INVALID_VALUE);
	return fill;
}

CUresult add(CUgraphNode *out, CUgraph handle, const CUgraphNode *after, size_t count, Context &context, Work work) {
	require(out != nullptr && (count == 0 || after != nullptr), CUDA_ERROR_INVALID_VALUE);
	const auto graph = find_graph(handle);
	for (size_t i = 0; i < count; ++i) require(find_node(after[i]).graph == graph.get(), CUDA_ERROR_INVALID_VALUE);
	*out = add_node(*graph, context, std::move(work), {after, after + count})->handle;
	return CUDA_SUCCESS;
}

// A new plan with the work of one node replaced; launches under way keep the old one.
void replace(GraphExec &exec, size_t place, Work work) {
	auto plan = std::make_shared<GraphPlan>(*exec.plan);
	plan->nodes[place].work = std::move(work);
	exec.plan = plan;
}

// A node whose prerequisites are done, and after it the kernels that overlap it.
std::vector<size_t> choose_next(const GraphPlan &plan, const std::vector<bool> &done) {
	std::vector<size_t> ready;
	for (size_t i = 0; i < plan.nodes.size(); ++i) {
		const auto &after = plan.nodes[i].after;
		if (!done[i] && std::all_of(after.begin(), after.end(), [&done](size_t earlier) { return done[earlier]; }))
			ready.push_back(i);
	}
	size_t next = ready.front();
	if (driver().options.streams == host::When::late) next = ready.back();
	if (driver().options.streams == host::When::random) next = ready[driver().random() % ready.size()];

	std::vector<size_t> chain{next};
	while (std::holds_alternative<KernelWork>(plan.nodes[next].work)) {
		const auto follows = [next](const PlannedNode &node) { return node.after == std::vector<size_t>{next}; };
		const auto follower = std::find_if(plan.nodes.begin(), plan.nodes.end(), follows);
		if (follower == plan.nodes.end() || !overlaps(follower->work, chain.size())) break;
		next = static_cast<size_t>(follower - plan.nodes.begin());
		chain.push_back(next);
	}
	return chain;
}

Fault perform_nodes(const GraphPlan &plan, const std::vector<size_t> &nodes) {
	if (nodes.size() == 1) return perform(plan.nodes[nodes[0]].work);
	std::vector<const KernelWork *> chain;
	for (const size_t node : nodes) chain.push_back(&std::get<KernelWork>(plan.nodes[node].work));
	return perform_overlapping(chain);
}

CUresult instantiate(CUgraphExec *out, CUgraph handle) {
	require(out != nullptr, CUDA_ERROR_INVALID_VALUE);
	Context &context = current();
	auto exec = std::make_shared<GraphExec>();
	exec->context = &context;
	exec->plan = make_plan(*find_graph(handle));
	*out = reinterpret_cast<CUgraphExec>(driver().execs.add(exec));
	return CUDA_SUCCESS;
}

}  // namespace

std::shared_ptr<GraphNode> add_node(Graph &graph, Context &context, Work work, std::vector<CUgraphNode> after) {
	auto node = std::make_shared<GraphNode>();
	node->graph = &graph;
	node->context = &context;
	node->type = type_of(work);
	node->work = std::move(work);
	node->after = std::move(after);
	node->handle = reinterpret_cast<CUgraphNode>(driver().nodes.add(node));
	graph.nodes.push_back(node);
	return node;
}

void drop_nodes(const Graph &graph) {
	for (const auto &node : graph.nodes) driver().nodes.remove(node->handle);
}

Fault perform_plan(const GraphPlan &plan) {
	std::vector<bool> done(plan.nodes.size(), false);
	for (size_t left = plan.nodes.size(); left > 0;) {
		const std::vector<size_t> chain = choose_next(plan, done);
		for (const size_t node : chain) done[node] = true;
		left -= chain.size();
		const Fault fault = perform_nodes(plan, chain);
		if (fault.code != CUDA_SUCCESS) return fault;
		driver().clock += static_cast<double>(chain.size());
	}
	return {};
}

}  // namespace brenier::cudadouble

using namespace brenier::cudadouble;

extern "C" {

CUresult CUDAAPI cuGraphCreate(CUgraph *handle, unsigned flags) {
	return entry(__func__, [&] {
		require(handle != nullptr && flags == 0, CUDA_ERROR_INVALID_VALUE);
		auto graph = std::make_shared<Graph>();
		*handle = reinterpret_cast<CUgraph>(driver().graphs.add(graph));
		graph->handle = *handle;
		return CUDA_SUCCESS;
	});
}

CUresult CUDAAPI cuGraphDestroy(CUgraph handle) {
	return entry(__func__, [&] {
		drop_nodes(*find_graph(handle));
		driver().graphs.remove(handle);
		return CUDA_SUCCESS;
	}, Releases::yes);
}

CUresult CUDAAPI cuGraphAddKernelNode(CUgraphNode *node, CUgraph graph, const CUgraphNode *after, size_t count,
                                      const CUDA_KERNEL_NODE_PARAMS *params) {
	return entry(__func__, [&] {
		Context &context = current();
		return add(node, graph, after, count, context, kernel_work(context, params));
	});
}

CUresult CUDAAPI cuGraphAddMemsetNode(CUgraphNode *node, CUgraph graph, const CUgraphNode *after, size_t count,
                                      const CUDA_MEMSET_NODE_PARAMS *params, CUcontext) {
	return entry(__func__, [&] { return add(node, graph, after, count, current(), fill_work(params)); });
}

CUresult CUDAAPI cuGraphAddHostNode(CUgraphNode *node, CUgraph graph, const CUgraphNode *after, size_t count,
                                    const CUDA_HOST_NODE_PARAMS *params) {
	return entry(__func__, [&] {
		require(params != nullptr && params->fn != nullptr, CUDA_ERROR_INVALID_VALUE);
		return add(node, graph, after, count, current(), HostWork{params->fn, params->userData});
	});
}

CUresult CUDAAPI cuGraphAddEmptyNode(CUgraphNode *node, CUgraph graph, const CUgraphNode *after, size_t count) {
	return entry(__func__, [&] { return add(node, graph, after, count, current(), EmptyWork{}); });
}

CUresult CUDAAPI cuGraphGetNodes(CUgraph handle, CUgraphNode *nodes, size_t *count) {
	return entry(__func__, [&] {
		give(handles_of(*find_graph(handle)), nodes, count);
		return CUDA_SUCCESS;
	});
}

CUresult CUDAAPI cuGraphGetRootNodes(CUgraph handle, CUgraphNode *nodes, size_t *count) {
	return entry(__func__, [&] {
		std::vector<CUgraphNode> roots;
		for (const auto &node : find_graph(handle)->nodes) {
			if (node->after.empty()) roots.push_back(node->handle);
		}
		give(roots, nodes, count);
		return CUDA_SUCCESS;
	});
}

CUresult CUDAAPI cuGraphNodeGetType(CUgraphNode node, CUgraphNodeType *type) {
	return entry(__func__, [&] {
		require(type != nullptr, CUDA_ERROR_INVALID_VALUE);
		*type = find_node(node).type;
		return CUDA_SUCCESS;
	});
}

CUresult CUDAAPI cuGraphNodeGetDependencies(CUgraphNode handle, CUgraphNode *after, CUgraphEdgeData *edges, size_t *count) {
	return entry(__func__, [&] {
		const GraphNode &node = find_node(handle);
		require(edges == nullptr || after != nullptr, CUDA_ERROR_INVALID_VALUE);
		give(node.after, after, count);
		if (after == nullptr) return CUDA_SUCCESS;
		for (size_t i = 0; i < *count; ++i) {
			const CUgraphEdgeData edge = edge_between(find_node(after[i]), node);
			require(edges != nullptr || edge.type == CU_GRAPH_DEPENDENCY_TYPE_DEFAULT, CUDA_ERROR_LOSSY_QUERY);
			if (edges != nullptr) edges[i] = edge;
		}
		return CUDA_SUCCESS;
	});
}

// The parameters that it points to belong to the node, as the driver says.
CUresult CUDAAPI cuGraphKernelNodeGetParams(CUgraphNode handle, CUDA_KERNEL_NODE_PARAMS *params) {
	return entry(__func__, [&] {
		require(params != nullptr, CUDA_ERROR_INVALID_VALUE);
		GraphNode &node = find_node(handle);
		require(node.type == CU_GRAPH_NODE_TYPE_KERNEL, CUDA_ERROR_INVALID_VALUE);
		auto &kernel = std::get<KernelWork>(node.work);
		node.param_list = {kernel.params.data()};
		*params = {};
		params->func = kernel.function->handle;
		params->gridDimX = kernel.grid[0];
		params->gridDimY = kernel.grid[1];
		params->gridDimZ = kernel.grid[2];
		params->blockDimX = kernel.block[0];
		params->blockDimY = kernel.block[1];
		params->blockDimZ = kernel.block[2];
		params->sharedMemBytes = kernel.shared;
		params->kernelParams = node.param_list.data();
		params->ctx = node.context->handle;
		return CUDA_SUCCESS;
	});
}

CUresult CUDAAPI cuGraphKernelNodeSetParams(CUgraphNode handle, const CUDA_KERNEL_NODE_PARAMS *params) {
	return entry(__func__, [&] {
		GraphNode &node = find_node(handle);
		require(node.type == CU_GRAPH_NODE_TYPE_KERNEL, CUDA_ERROR_INVALID_VALUE);
		node.work = kernel_work(*node.context, params);
		return CUDA_SUCCESS;
	});
}

CUresult CUDAAPI cuGraphInstantiateWithFlags(CUgraphExec *exec, CUgraph graph, unsigned long long) {
	return entry("cuGraphInstantiate", [&] { return instantiate(exec, graph); });
}

CUresult CUDAAPI cuGraphExecKernelNodeSetParams(CUgraphExec exec_handle, CUgraphNode node,
                                                const CUDA_KERNEL_NODE_PARAMS *params) {
	return entry(__func__, [&] {
		GraphExec &exec = find_exec(exec_handle);
		const size_t place = place_in(*exec.plan, node, CU_GRAPH_NODE_TYPE_KERNEL);
		const bool dependent = std::get<KernelWork>(exec.plan->nodes[place].work).dependent;
		KernelWork work = kernel_work(*exec.plan->nodes[place].context, params);
		work.dependent = dependent;
		replace(exec, place, std::move(work));
		return CUDA_SUCCESS;
	});
}

CUresult CUDAAPI cuGraphExecMemsetNodeSetParams(CUgraphExec exec_handle, CUgraphNode node,
                                                const CUDA_MEMSET_NODE_PARAMS *params, CUcontext) {
	return entry(__func__, [&] {
		GraphExec &exec = find_exec(exec_handle);
		const size_t place = place_in(*exec.plan, node, CU_GRAPH_NODE_TYPE_MEMSET);
		replace(exec, place, fill_work(params));
		return CUDA_SUCCESS;
	});
}

CUresult CUDAAPI cuGraphUpload(CUgraphExec exec, CUstream stream) {
	return entry(__func__, [&] {
		find_exec(exec);
		find_stream(stream);
		return CUDA_SUCCESS;
	});
}

CUresult CUDAAPI cuGraphLaunch(CUgraphExec handle, CUstream stream_handle) {
	return entry(__func__, [&] {
		Stream &stream = find_stream(stream_handle);
		const GraphExec &exec = find_exec(handle);
		require(exec.context == stream.context, CUDA_ERROR_INVALID_CONTEXT);
		submit(stream, GraphWork{exec.plan});
		return stream.context->lost;
	});
}

CUresult CUDAAPI cuGraphExecDestroy(CUgraphExec handle) {
	return entry(__func__, [&] {
		find_exec(handle);
		driver().execs.remove(handle);
		return CUDA_SUCCESS;
	}, Releases::yes);
}

}  // extern "C"
