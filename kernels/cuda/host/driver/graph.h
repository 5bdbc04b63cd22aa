// Graphs: captured or built node by node, and the plans that launches run.
#pragma once
#include "stream.h"

namespace brenier::cudadouble {

struct GraphNode {
	CUgraphNode handle = nullptr;
	Graph *graph = nullptr;
	Context *context = nullptr;
	CUgraphNodeType type = CU_GRAPH_NODE_TYPE_EMPTY;
	Work work;
	std::vector<CUgraphNode> after;
	std::vector<void *> param_list;  // what cuGraphKernelNodeGetParams points its caller to
};

struct Graph {
	CUgraph handle = nullptr;
	std::vector<std::shared_ptr<GraphNode>> nodes;  // in order of creation, which is topological
};

struct PlannedNode {
	CUgraphNode node;           // of the graph that was instantiated
	Context *context;
	Work work;
	std::vector<size_t> after;  // indices into the plan
};

// Never changed once a launch holds it; new parameters make a new plan.
struct GraphPlan {
	std::vector<PlannedNode> nodes;
};

struct GraphExec {
	Context *context = nullptr;
	std::shared_ptr<const GraphPlan> plan;
};

std::shared_ptr<GraphNode> add_node(Graph &graph, Context &context, Work work, std::vector<CUgraphNode> after);
void drop_nodes(const Graph &graph);

// Runs the nodes of a plan in an order that their dependencies allow, chosen by the schedule.
Fault perform_plan(const GraphPlan &plan);

}  // namespace brenier::cudadouble
