// Philox4x32-10 of DOUBLES counters at a time, each word in the low half of a lane. Include after
// simd_double.h, once for every path.
#include "philox.h"

// c[0..3]: the words of the counters, in place of which come those of the blocks. The upper halves of
// the lanes are noise before and after: products do not see them.
BRENIER_INLINE void BRENIER_KERNEL(philox_blocks)(vq c[4], uint64_t seed) {
	uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
	const vq m0 = (vq){0} + PHILOX_M0, m1 = (vq){0} + PHILOX_M1;
	for (int round = 0; round < PHILOX_ROUNDS; round++) {
		const vq p0 = vq_mul_low(c[0], m0), p1 = vq_mul_low(c[2], m1);
		c[0] = (p1 >> 32) ^ c[1] ^ k0;
		c[1] = p1;
		c[2] = (p0 >> 32) ^ c[3] ^ k1;
		c[3] = p0;
		k0 += PHILOX_W0;
		k1 += PHILOX_W1;
	}
}

// (r + 1/2) / 2^32, exact, of the words r in the low halves of the lanes: put below 2^52's mantissa.
BRENIER_INLINE vd BRENIER_KERNEL(uniform_of)(vq r) {
	return ((vd)((r & 0xFFFFFFFFu) | 0x4330000000000000u) - (4503599627370496.0 - 0.5)) * 0x1p-32;
}
