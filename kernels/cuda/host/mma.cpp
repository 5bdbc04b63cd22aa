#include "mma.h"

#include "scheduler.h"
#include "tensor_core.h"

namespace brenier {
namespace host {

namespace {

struct MmaOperand {
	float *d;
	const uint32_t *a, *b;
};

template <Format format>
bool compute(Block &block, unsigned, void *const *operands) {
	uint16_t a[16][16], b[16][8];
	float d[16][8];
	for (int l = 0; l < lanes; l++) {
		const MmaOperand &o = *static_cast<MmaOperand *>(operands[l]);
		const int g = l / 4, t = l % 4;
		for (int i = 0; i < 4; i++)
			for (int half = 0; half < 2; half++)
				a[g + 8 * (i & 1)][2 * t + half + 8 * (i >> 1)] = (uint16_t)(o.a[i] >> 16 * half);
		for (int i = 0; i < 2; i++)
			for (int half = 0; half < 2; half++) b[2 * t + half + 8 * i][g] = (uint16_t)(o.b[i] >> 16 * half);
		for (int i = 0; i < 4; i++) d[g + 8 * (i >> 1)][2 * t + (i & 1)] = o.d[i];
	}
	multiply_add(TensorCoreModel::of(block.options.capability), block.options.rounding, format, 16, 8, a[0], b[0], d[0],
	             true);
	for (int l = 0; l < lanes; l++) {
		const MmaOperand &o = *static_cast<MmaOperand *>(operands[l]);
		for (int i = 0; i < 4; i++) o.d[i] = d[l / 4 + 8 * (i >> 1)][2 * (l % 4) + (i & 1)];
	}
	return true;
}

const Operation f16{"mma_f16", compute<Format::float16>};
const Operation bf16{"mma_bf16", compute<Format::bfloat16>};

}  // namespace
}  // namespace host

void mma_f16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
	host::Thread &self = host::running();
	host::MmaOperand o{d, a, b};
	self.owner->meet(self, host::lanes, host::f16, &o);
}

void mma_f16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], const float (&c)[4]) {
	for (int i = 0; i < 4; i++) d[i] = c[i];
	mma_f16(d, a, b);
}

void mma_bf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
	host::Thread &self = host::running();
	host::MmaOperand o{d, a, b};
	self.owner->meet(self, host::lanes, host::bf16, &o);
}

}  // namespace brenier
