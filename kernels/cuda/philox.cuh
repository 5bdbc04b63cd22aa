// Philox4x32-10: the bits of every draw.
// Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011),
// table 2 and section 4.3.
#pragma once
#include "device.cuh"

namespace brenier {

// The block of a counter (x, y, z, w) under the key (low, high half of `seed`).
__device__ __forceinline__ uint4 philox(uint4 counter, uint64_t seed) {
	const uint32_t multiplier0 = 0xD2511F53u, multiplier1 = 0xCD9E8D57u;
	const uint32_t weyl0 = 0x9E3779B9u, weyl1 = 0xBB67AE85u;  // golden ratio, sqrt(3) - 1
	uint32_t key0 = (uint32_t)seed, key1 = (uint32_t)(seed >> 32);
	uint4 c = counter;
#pragma unroll
	for (int round = 0; round < 10; round++) {
		const uint64_t p0 = (uint64_t)multiplier0 * c.x;
		const uint64_t p1 = (uint64_t)multiplier1 * c.z;
		c = make_uint4((uint32_t)(p1 >> 32) ^ c.y ^ key0, (uint32_t)p1,
		               (uint32_t)(p0 >> 32) ^ c.w ^ key1, (uint32_t)p0);
		key0 += weyl0;
		key1 += weyl1;
	}
	return c;
}

}  // namespace brenier
