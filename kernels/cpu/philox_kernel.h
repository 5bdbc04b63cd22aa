// Philox4x32-10 of DOUBLES counters at a time, each word in the low half of a lane. Include after
// simd_double.h, once for every path.
#include "philox.h"

// c[v][0..3]: the words of the counters, in place of which come those of the blocks. The upper halves
// of the lanes are noise before and after: products do not see them. Two vectors side by side do not
// wait for each other's products.
BRENIER_INLINE void BRENIER_KERNEL(philox_blocks)(vq (*c)[4], const int vectors, uint64_t seed) {
	uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
	const vq m0 = (vq){0} + PHILOX_M0, m1 = (vq){0} + PHILOX_M1;
	for (int round = 0; round < PHILOX_ROUNDS; round++) {
#pragma GCC unroll 2
		for (int v = 0; v < vectors; v++) {
			const vq p0 = vq_mul_low(c[v][0], m0), p1 = vq_mul_low(c[v][2], m1);
			c[v][0] = (p1 >> 32) ^ c[v][1] ^ k0;
			c[v][1] = p1;
			c[v][2] = (p0 >> 32) ^ c[v][3] ^ k1;
			c[v][3] = p0;
		}
		k0 += PHILOX_W0;
		k1 += PHILOX_W1;
	}
}

// Writes the blocks of a vector one after another, [DOUBLES][4].
BRENIER_INLINE void BRENIER_KERNEL(store_blocks)(const vq c[4], uint32_t *words) {
	const vq first = (c[0] & 0xFFFFFFFFu) | c[1] << 32, second = (c[2] & 0xFFFFFFFFu) | c[3] << 32;
#pragma GCC unroll 8
	for (int i = 0; i < DOUBLES; i++) {
		const brenier_q2 block = {first[i], second[i]};
		memcpy(words + 4 * i, &block, sizeof block);
	}
}

// (r + 1/2) / 2^32, exact, of words r: the last bit of 2^20's mantissa is worth 2^-32.
BRENIER_INLINE vd BRENIER_KERNEL(uniform_of)(vq r) {
	return (vd)(r | 0x4130000000000000u) - (1048576.0 - 0x1p-33);
}
