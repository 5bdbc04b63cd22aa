#include "wgmma.h"

#include <algorithm>

#include "product_queue.h"
#include "scheduler.h"
#include "tensor_core.h"

namespace brenier {
namespace host {

namespace {

constexpr uint32_t in_flight = 0x7ffff00du;  // what d's registers hold: a NaN that no product makes
constexpr int tile_rows = 64;
constexpr int depth = 16;

// The constant fields: 8 rows 1024 bytes after the last 8, leading offset (unused with a swizzle) 1,
// 128-byte swizzle.
constexpr uint64_t fixed_fields = (uint64_t)1 << 16 | (uint64_t)(1024 >> 4) << 32 | (uint64_t)1 << 62;
constexpr uint64_t address_field = 0x3fff;

// Row and column, in the tile, of register i of a thread of the warpgroup.
int fragment_row(unsigned thread, int i) { return (int)(16 * (thread / 32) + thread % 32 / 4 + 8 * (i >> 1 & 1)); }
int fragment_column(unsigned thread, int i) { return 8 * (i / 4) + 2 * (int)(thread % 4) + (i & 1); }

void check_descriptor(uint64_t descriptor, int rows) {
	if ((descriptor & ~address_field) != fixed_fields)
		fail(Fault::illegal_instruction, "wgmma: descriptor %llx is none of wgmma_descriptor's", (unsigned long long)descriptor);
	const uint64_t offset = (descriptor & address_field) << 4;
	if (offset % 1024 >= 128 || offset % 32)
		fail(Fault::misaligned_address,
		     "wgmma: a tile at shared + %llu: wants a multiple of 1024, and 0, 32, 64 or 96 more for a step of k",
		     (unsigned long long)offset);
	check_shared("wgmma's tile", place->dynamic_shared + offset / 1024 * 1024, (size_t)rows * 128, 1024);
}

// Row `row` of a tile whose step of k starts at an offset in shared memory.
void read_row(Block &block, uint64_t offset, int row, uint16_t *elements) {
	const unsigned char *shared = block.threads[0]->dynamic_shared, *view = block.async_view();
	for (int chunk = 0; chunk < 2; chunk++) {
		const uint64_t linear = offset + (uint64_t)(row / 8) * 1024 + (uint64_t)(row % 8) * 128 + (uint64_t)chunk * 16;
		const uint64_t at = linear ^ (linear >> 7 & 7) << 4;
		if (memcmp(shared + at, view + at, 16) != 0)
			block.report(Fault::illegal_instruction,
			             "wgmma reads shared + " + std::to_string(at) +
			                 ", which threads have written without fence_async_shared, or while it was under way");
		memcpy(elements + chunk * 8, shared + at, 16);
	}
}

// The matrix [64,16] that the threads hold: word i of lane 4g+t of warp w is of row 16w + g, and 8 more
// for odd i, and of columns 2t and 2t+1, and 8 more from i = 2 on.
void gather(Block &block, const Fragments &fragments, uint16_t *a) {
	for (int thread = 0; thread < (int)warpgroup_threads; thread++) {
		if (memcmp(fragments.registers[thread], fragments.values[thread], sizeof fragments.values[thread]) != 0)
			block.report(Fault::illegal_instruction, "wgmma: a register of operand a was written while its product was under way");
		for (int i = 0; i < 4; i++) {
			const int row = 16 * (thread / 32) + thread % 32 / 4 + 8 * (i & 1), column = 2 * (thread % 4) + 8 * (i >> 1);
			a[row * depth + column] = (uint16_t)fragments.values[thread][i];
			a[row * depth + column + 1] = (uint16_t)(fragments.values[thread][i] >> 16);
		}
	}
}

}  // namespace

void ProductQueue::clear() {
	products.clear();
	group_ends.clear();
	group_commits.clear();
	accumulators.clear();
	computed = awaited_end = 0;
	awaited = false;
}

void ProductQueue::issue(Thread &self, float *d, int columns, uint64_t a, const uint32_t *fragment, uint64_t b,
                         bool accumulate) {
	const unsigned slot = self.linear % warpgroup_threads, index = self.products_issued++;
	if (index == computed + products.size()) {
		Accumulator *accumulator = nullptr;
		for (const auto &candidate : accumulators)
			if (candidate->registers[slot] == d) accumulator = candidate.get();
		if (!accumulator) {
			accumulators.push_back(std::make_unique<Accumulator>());
			accumulator = accumulators.back().get();
			accumulator->columns = columns;
			std::fill(std::begin(accumulator->registers), std::end(accumulator->registers), nullptr);
			accumulator->values.resize((size_t)tile_rows * (size_t)columns);
		}
		accumulator->last = index;
		products.push_back({a, b, nullptr, columns, accumulate, 0, accumulator});
		if (fragment) products.back().fragments = std::make_unique<Fragments>();
	}
	Product &product = products[index - computed];
	Accumulator &accumulator = *product.accumulator;
	if (product.a != a || product.b != b || product.columns != columns || product.accumulate != accumulate ||
	    accumulator.columns != columns || !product.fragments != !fragment)
		fail(Fault::illegal_instruction, "wgmma: threads of one warpgroup give different operands");
	const int count = columns / 2;
	if (!accumulator.registers[slot]) {
		if (!self.fenced) fail(Fault::illegal_instruction, "wgmma: no wgmma_fence since the start or the last wgmma_wait");
		accumulator.registers[slot] = d;
		for (int i = 0; i < count; i++) {
			accumulator.values[(size_t)fragment_row(slot, i) * (size_t)columns + (size_t)fragment_column(slot, i)] = d[i];
			memcpy(&d[i], &in_flight, 4);
		}
	} else {
		if (accumulator.registers[slot] != d)
			fail(Fault::illegal_instruction, "wgmma: threads of one warpgroup use different accumulators");
		for (int i = 0; i < count; i++)
			if (memcmp(&d[i], &in_flight, 4) != 0)
				fail(Fault::illegal_instruction, "wgmma: register %d of an accumulator under way was written", i);
	}
	if (fragment) {
		product.fragments->registers[slot] = fragment;
		memcpy(product.fragments->values[slot], fragment, sizeof product.fragments->values[slot]);
	}
	product.issued++;
}

void ProductQueue::commit(Thread &self) {
	const unsigned group = self.product_groups++;
	if (group == group_ends.size()) {
		group_ends.push_back(self.products_issued);
		group_commits.push_back(0);
	}
	if (group_ends[group] != self.products_issued)
		fail(Fault::illegal_instruction, "wgmma_commit: threads of one warpgroup commit %u and %u products",
		     group_ends[group], self.products_issued);
	if (++group_commits[group] < warpgroup_threads) return;
	Block &block = *self.owner;
	const When when = block.options.schedule.products;
	if (when == When::early || (when == When::random && block.random.one_in(3))) compute_until(block, group_ends[group]);
}

namespace {
struct WaitOperand {
	unsigned pending, groups;
};
}  // namespace

bool wait_together(Block &block, unsigned first_thread, void *const *operands) {
	const WaitOperand o = *static_cast<WaitOperand *>(operands[0]);
	ProductQueue &queue = block.products[first_thread / warpgroup_threads];
	for (int i = 1; i < warpgroup_threads; i++) {
		const WaitOperand &other = *static_cast<WaitOperand *>(operands[i]);
		if (other.pending != o.pending || other.groups != o.groups)
			fail(Fault::illegal_instruction, "wgmma_wait: threads of one warpgroup wait for different groups");
	}
	queue.awaited_end = o.groups > o.pending ? queue.group_ends[o.groups - o.pending - 1] : 0;
	const When when = block.options.schedule.products;
	if (when == When::early || queue.awaited_end <= queue.computed || (when == When::random && block.random.one_in(2))) {
		queue.compute_until(block, queue.awaited_end);
		queue.hand_back(block, queue.awaited_end);
		return true;
	}
	queue.awaited = true;
	return false;
}

static const Operation wait_operation{"wgmma_wait", wait_together};

void ProductQueue::wait(Thread &self, unsigned pending) {
	WaitOperand o{pending, self.product_groups};
	self.owner->meet(self, warpgroup_threads, wait_operation, &o);
	self.fenced = false;
}

void ProductQueue::release(Block &block, unsigned first_thread) {
	awaited = false;
	compute_until(block, awaited_end);
	hand_back(block, awaited_end);
	for (unsigned w = first_thread / lanes; w < (first_thread + warpgroup_threads) / lanes; w++) block.make_warp_ready(w);
}

bool ProductQueue::compute_one(Block &block) {
	unsigned committed = 0;
	for (size_t g = group_ends.size(); g > 0 && !committed; g--)
		if (group_commits[g - 1] == warpgroup_threads) committed = group_ends[g - 1];
	if (computed >= committed) return false;
	compute_until(block, computed + 1);
	return true;
}

void ProductQueue::compute_until(Block &block, unsigned end) {
	for (; computed < end; computed++) {
		compute(block, products.front());
		products.pop_front();
	}
}

void ProductQueue::compute(Block &block, const Product &product) {
	const uint64_t a_offset = (product.a & address_field) << 4, b_offset = (product.b & address_field) << 4;
	uint16_t a[tile_rows * depth], b[depth * 256], row[depth];
	block.publish_fenced();
	if (product.fragments) gather(block, *product.fragments, a);
	else
		for (int i = 0; i < tile_rows; i++) read_row(block, a_offset, i, a + i * depth);
	for (int j = 0; j < product.columns; j++) {
		read_row(block, b_offset, j, row);
		for (int k = 0; k < depth; k++) b[k * product.columns + j] = row[k];
	}
	multiply_add(TensorCoreModel::of(block.options.capability), block.options.rounding, Format::float16, tile_rows,
	             product.columns, a, b, product.accumulator->values.data(), product.accumulate);
}

// Gives the registers of the accumulators whose last product is before `end` back to the threads.
void ProductQueue::hand_back(Block &block, unsigned end) {
	for (size_t n = 0; n < accumulators.size();) {
		Accumulator &accumulator = *accumulators[n];
		if (accumulator.last >= end) {
			n++;
			continue;
		}
		for (unsigned slot = 0; slot < warpgroup_threads; slot++) {
			float *d = accumulator.registers[slot];
			for (int i = 0; i < accumulator.columns / 2; i++) {
				if (memcmp(&d[i], &in_flight, 4) != 0)
					block.report(Fault::illegal_instruction, "wgmma: an accumulator was written while it was under way");
				d[i] = accumulator.values[(size_t)fragment_row(slot, i) * (size_t)accumulator.columns +
				                          (size_t)fragment_column(slot, i)];
			}
		}
		accumulators.erase(accumulators.begin() + (ptrdiff_t)n);
	}
}

void wgmma_issue(float *d, int columns, uint64_t a, const uint32_t *fragment, uint64_t b, bool accumulate) {
	Thread &self = running();
	Block &block = *self.owner;
	self.spins = 0;
	if (block.options.capability != 90)
		fail(Fault::illegal_instruction, "wgmma is of sm_90a, not sm_%d", block.options.capability);
	if (self.linear / warpgroup_threads * warpgroup_threads + warpgroup_threads > block.count)
		fail(Fault::illegal_instruction, "wgmma: thread %u is in no whole warpgroup", self.linear);
	if (!fragment) check_descriptor(a, tile_rows);
	check_descriptor(b, columns);
	block.products[self.linear / warpgroup_threads].issue(self, d, columns, a, fragment, b, accumulate);
}

void wgmma_wait_until(unsigned pending) {
	Thread &self = running();
	self.owner->products[self.linear / warpgroup_threads].wait(self, pending);
}

}  // namespace host

uint64_t wgmma_descriptor(const void *shared) {
	host::check_shared("wgmma_descriptor", shared, 16, 16);
	const ptrdiff_t offset = static_cast<const unsigned char *>(shared) - host::place->dynamic_shared;
	if (offset < 0 || offset >= 1 << 18)
		host::fail(host::Fault::illegal_address, "wgmma_descriptor: tiles lie in dynamic shared memory");
	return (uint64_t)offset >> 4 | host::fixed_fields;
}

void wgmma_fence() { host::running().fenced = true; }

void wgmma_commit() {
	host::Thread &self = host::running();
	self.owner->products[self.linear / host::warpgroup_threads].commit(self);
}

}  // namespace brenier
