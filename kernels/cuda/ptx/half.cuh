// Conversions between float and the 16-bit formats, which travel as bits.
#pragma once
#include "../device.cuh"

#if BRENIER_DEVICE_CODE
#include <cuda_bf16.h>
#include <cuda_fp16.h>
namespace brenier {

// To nearest, ties to even; beyond the range, infinity.
__device__ inline uint16_t half_bits(float v) { return __half_as_ushort(__float2half_rn(v)); }
__device__ inline float half_value(uint16_t bits) { return __half2float(__ushort_as_half(bits)); }
__device__ inline uint16_t bfloat_bits(float v) { return __bfloat16_as_ushort(__float2bfloat16_rn(v)); }
__device__ inline float bfloat_value(uint16_t bits) { return __uint_as_float((uint32_t)bits << 16); }

// Two in one word, the first in the low half.
__device__ inline uint32_t pack_half2(float low, float high) {
#if __CUDA_ARCH__ >= 800
	uint32_t r;
	asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(high), "f"(low));
	return r;
#else
	return (uint32_t)half_bits(low) | (uint32_t)half_bits(high) << 16;
#endif
}
__device__ inline uint32_t pack_bfloat2(float low, float high) {
	return (uint32_t)bfloat_bits(low) | (uint32_t)bfloat_bits(high) << 16;
}

__device__ inline uint32_t float_bits(float v) { return __float_as_uint(v); }
__device__ inline float float_value(uint32_t bits) { return __uint_as_float(bits); }
__device__ inline uint64_t double_bits(double v) { return (uint64_t)__double_as_longlong(v); }
__device__ inline double double_value(uint64_t bits) { return __longlong_as_double((long long)bits); }

}  // namespace brenier
#else
#include "../host/half.h"
#endif
