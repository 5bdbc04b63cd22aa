// The wgmma of a warpgroup that are under way.
#pragma once
#include <stdint.h>

#include <deque>
#include <memory>
#include <vector>

namespace brenier {
namespace host {

class Block;
struct Thread;

// An accumulator d [64,columns] that belongs to the tensor core: from the first product into it until
// the wait, what the threads have in its registers is poison.
struct Accumulator {
	int columns;
	float *registers[128];      // of each thread; null until the thread issues its first product
	std::vector<float> values;  // [64,columns]
	unsigned last;              // product into it
};

// An operand a that is in registers: where, and what they hold.
struct Fragments {
	const uint32_t *registers[128];
	uint32_t values[128][4];
};

struct Product {
	uint64_t a, b;     // descriptors
	std::unique_ptr<Fragments> fragments;  // in place of a, or null
	int columns;
	bool accumulate;
	unsigned issued;   // by how many threads
	Accumulator *accumulator;
};

class ProductQueue {
public:
	void clear();
	// Every one of these is called by each thread of the warpgroup.
	void issue(Thread &self, float *d, int columns, uint64_t a, const uint32_t *fragment, uint64_t b, bool accumulate);
	void commit(Thread &self);
	void wait(Thread &self, unsigned pending);

	// Whether products up to some group are waited for, which the schedule has put off.
	bool is_awaited() const { return awaited; }
	// Computes what is waited for and lets the warpgroup go on.
	void release(Block &block, unsigned first_thread);
	// Computes the oldest committed product; false if there is none.
	bool compute_one(Block &block);
	bool is_idle() const { return accumulators.empty(); }

private:
	friend bool wait_together(Block &, unsigned, void *const *);
	void compute_until(Block &block, unsigned end);
	void compute(Block &block, const Product &product);
	void hand_back(Block &block, unsigned end);

	std::deque<Product> products;          // not yet computed
	unsigned computed = 0;                 // products before them since the block's start
	std::vector<unsigned> group_ends;      // of each group ever committed
	std::vector<unsigned> group_commits;   // threads that have committed it
	std::vector<std::unique_ptr<Accumulator>> accumulators;
	bool awaited = false;
	unsigned awaited_end = 0;
};

}  // namespace host
}  // namespace brenier
