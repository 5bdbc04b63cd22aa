// Numbers whose order is that of floats, for a maximum by atomics.
#pragma once
#include "device.cuh"
#include "ptx/half.cuh"

namespace brenier {

__device__ inline uint32_t ordered(float v) {
	const uint32_t bits = float_bits(v);
	return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}
__device__ inline float from_ordered(uint32_t v) { return float_value(v & 0x80000000u ? v & 0x7fffffffu : ~v); }

}  // namespace brenier
