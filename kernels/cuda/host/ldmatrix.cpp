#include "ldmatrix.h"

#include "scheduler.h"

namespace brenier {
namespace host {

namespace {

struct LoadOperand {
	uint32_t *r;
	const void *row;
};

template <int matrices, bool transposed>
bool compute(Block &, unsigned, void *const *operands) {
	uint16_t elements[matrices][8][8];
	for (int l = 0; l < 8 * matrices; l++)
		memcpy(elements[l / 8][l % 8], static_cast<LoadOperand *>(operands[l])->row, 16);
	for (int l = 0; l < lanes; l++)
		for (int m = 0; m < matrices; m++) {
			const int row = l / 4, column = 2 * (l % 4);
			const uint16_t low = transposed ? elements[m][column][row] : elements[m][row][column];
			const uint16_t high = transposed ? elements[m][column + 1][row] : elements[m][row][column + 1];
			static_cast<LoadOperand *>(operands[l])->r[m] = low | (uint32_t)high << 16;
		}
	return true;
}

const Operation four{"ldmatrix_x4", compute<4, false>};
const Operation two{"ldmatrix_x2", compute<2, false>};
const Operation four_transposed{"ldmatrix_x4_transposed", compute<4, true>};

}  // namespace

void load_matrices(uint32_t *r, int matrices, bool transposed, const void *row) {
	Thread &self = running();
	const Operation &operation = transposed ? four_transposed : matrices == 4 ? four : two;
	check_shared(operation.name, row, 16, 16);
	LoadOperand o{r, row};
	self.owner->meet(self, lanes, operation, &o);
}

}  // namespace host
}  // namespace brenier
