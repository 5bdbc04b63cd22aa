// Words as sets of bits.
#pragma once
#include "device.cuh"

namespace brenier {

// How many bits are set.
__device__ __forceinline__ int count_bits(uint32_t word) {
#if BRENIER_DEVICE_CODE
	return __popc(word);
#else
	return __builtin_popcount(word);
#endif
}

// The lowest bit set, of a word that is not 0: of a ballot, the first lane.
__device__ __forceinline__ int first_bit(uint32_t word) {
#if BRENIER_DEVICE_CODE
	return __ffs((int)word) - 1;
#else
	return __builtin_ctz(word);
#endif
}

}  // namespace brenier
