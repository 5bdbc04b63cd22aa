#include "registers.h"

#include "scheduler.h"

namespace brenier {
namespace host {

namespace {

constexpr int registers_of_a_multiprocessor = 65536;

bool compute(Block &block, unsigned first_thread, void *const *operands, bool raise) {
	const int count = *static_cast<int *>(operands[0]);
	for (int i = 1; i < warpgroup_threads; i++)
		if (*static_cast<int *>(operands[i]) != count)
			fail(Fault::illegal_instruction, "warps of one warpgroup ask for %d and %d registers", count,
			     *static_cast<int *>(operands[i]));
	int &current = block.registers[first_thread / warpgroup_threads];
	if (current && (raise ? count < current : count > current))
		fail(Fault::illegal_instruction, "%s from %d to %d", raise ? "registers_raise" : "registers_lower", current, count);
	current = count;
	int sum = 0;
	for (unsigned g = 0; g * warpgroup_threads < block.count; g++) sum += block.registers[g] * warpgroup_threads;
	if (sum > registers_of_a_multiprocessor)
		fail(Fault::deadlock, "the warpgroups ask for %d registers, but a multiprocessor has %d", sum,
		     registers_of_a_multiprocessor);
	return true;
}

const Operation raise_operation{"registers_raise", [](Block &block, unsigned first, void *const *operands) {
	return compute(block, first, operands, true);
}};
const Operation lower_operation{"registers_lower", [](Block &block, unsigned first, void *const *operands) {
	return compute(block, first, operands, false);
}};

}  // namespace

void set_registers(int count, bool raise) {
	Thread &self = running();
	if (self.owner->options.capability != 90)
		fail(Fault::illegal_instruction, "setmaxnreg is of sm_90a, not sm_%d", self.owner->options.capability);
	if (count < 24 || count > 256 || count % 8)
		fail(Fault::illegal_instruction, "%d registers: wants a multiple of 8 from 24 to 256", count);
	self.owner->meet(self, warpgroup_threads, raise ? raise_operation : lower_operation, &count);
}

}  // namespace host
}  // namespace brenier
