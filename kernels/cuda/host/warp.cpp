#include "warp.h"

#include "scheduler.h"

namespace brenier {
namespace host {

namespace {

struct ShuffleOperand {
	uint64_t value;
	int operand;
	uint64_t result;
};

// The lane that lane `l` reads. A source beyond the warp wraps round, as on the card.
template <Shuffle how>
int source_lane(int l, int operand) {
	switch (how) {
	case Shuffle::source: return operand & 31;
	case Shuffle::exclusive_or: return (l ^ operand) & 31;
	case Shuffle::down: return l + operand < 32 ? l + operand : l;
	case Shuffle::up: return l - operand >= 0 ? l - operand : l;
	}
	return l;
}

template <Shuffle how>
bool compute_shuffle(Block &, unsigned, void *const *operands) {
	for (int l = 0; l < 32; l++) {
		ShuffleOperand &o = *static_cast<ShuffleOperand *>(operands[l]);
		o.result = static_cast<ShuffleOperand *>(operands[source_lane<how>(l, o.operand)])->value;
	}
	return true;
}

const Operation shuffles[4] = {{"shuffle", compute_shuffle<Shuffle::source>},
                               {"shuffle_xor", compute_shuffle<Shuffle::exclusive_or>},
                               {"shuffle_down", compute_shuffle<Shuffle::down>},
                               {"shuffle_up", compute_shuffle<Shuffle::up>}};

const Operation ballot_operation{"ballot", [](Block &, unsigned, void *const *operands) {
	uint32_t votes = 0;
	for (int l = 0; l < 32; l++) votes |= *static_cast<uint32_t *>(operands[l]) << l;
	for (int l = 0; l < 32; l++) *static_cast<uint32_t *>(operands[l]) = votes;
	return true;
}};

const Operation sync_operation{"sync_warp", [](Block &, unsigned, void *const *) { return true; }};

}  // namespace

uint64_t shuffle_bits(uint64_t value, int operand, Shuffle how) {
	Thread &self = running();
	ShuffleOperand o{value, operand, 0};
	if ((how == Shuffle::down || how == Shuffle::up) && operand < 0)
		fail(Fault::illegal_instruction, "%s by %d lanes", shuffles[(int)how].name, operand);
	self.owner->meet(self, lanes, shuffles[(int)how], &o);
	return o.result;
}

}  // namespace host

uint32_t ballot(bool vote) {
	host::Thread &self = host::running();
	uint32_t votes = vote;
	self.owner->meet(self, host::lanes, host::ballot_operation, &votes);
	return votes;
}

void sync_warp() {
	host::Thread &self = host::running();
	self.owner->meet(self, host::lanes, host::sync_operation, nullptr);
}

}  // namespace brenier
