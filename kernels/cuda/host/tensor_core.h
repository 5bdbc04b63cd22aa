// How tensor cores add.
//
// A step sums the accumulator c and the exact products a_k b_k of K pairs: each term is aligned to the
// largest exponent among them, truncated toward zero to F fractional bits of that exponent, the
// truncated terms are added exactly, and the sum is truncated toward zero to float32. The exponent of
// a product is the sum of its factors' (its significand may reach 4); that of a subnormal number is
// the smallest normal one; a zero term counts as 2^-126. A NaN, or infinities that cancel, give
// 0x7fffffff.
//
// Source: MMA-Sim (arXiv 2511.10909), bit-equal to the cards in its authors' tests. F and K:
//   sm_80, sm_86, sm_89   mma.sync m16n8k16     F = 24, two steps of K = 8, low k first
//   sm_90                 mma.sync and wgmma    F = 25, one step of K = 16
//   sm_100, sm_120        mma.sync              F = 25, one step of K = 16
#pragma once
#include <stdint.h>

#include "launch.h"

namespace brenier {
namespace host {

enum class Format { float16, bfloat16 };

struct TensorCoreModel {
	int fraction_bits, step;  // F and K
	static TensorCoreModel of(int capability) {
		return capability < 90 ? TensorCoreModel{24, 8} : TensorCoreModel{25, 16};
	}
};

// d [rows,columns] += a [rows,16] b [16,columns], or = a b where `accumulate` is false; row-major,
// columns a multiple of 8.
void multiply_add(const TensorCoreModel &model, Rounding rounding, Format format, int rows, int columns,
                  const uint16_t *a, const uint16_t *b, float *d, bool accumulate);

}  // namespace host
}  // namespace brenier
