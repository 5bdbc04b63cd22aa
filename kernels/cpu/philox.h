// The constants of Philox4x32-10, and one round of a single block; philox_kernel.h has vectors of them.
// Source of the constants: Salmon et al. (SC 2011), table 2 and section 4.3.
#ifndef BRENIER_KERNELS_CPU_PHILOX_H
#define BRENIER_KERNELS_CPU_PHILOX_H
#include <stdint.h>

#define PHILOX_ROUNDS 10
#define PHILOX_M0 0xD2511F53u
#define PHILOX_M1 0xCD9E8D57u
#define PHILOX_W0 0x9E3779B9u  // Weyl steps of the key: the golden ratio, and sqrt(3) - 1
#define PHILOX_W1 0xBB67AE85u

static inline __attribute__((always_inline)) void philox_round(uint32_t *c0, uint32_t *c1,
                                                               uint32_t *c2, uint32_t *c3,
                                                               uint32_t k0, uint32_t k1) {
	const uint64_t p0 = (uint64_t)PHILOX_M0 * *c0;
	const uint64_t p1 = (uint64_t)PHILOX_M1 * *c2;
	*c0 = (uint32_t)(p1 >> 32) ^ *c1 ^ k0;
	*c1 = (uint32_t)p1;
	*c2 = (uint32_t)(p0 >> 32) ^ *c3 ^ k1;
	*c3 = (uint32_t)p0;
}

#endif
