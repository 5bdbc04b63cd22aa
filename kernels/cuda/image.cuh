// Float32 to the caller's pixels and back.
#pragma once
#include "image.h"
#include "ptx/half.cuh"

namespace brenier {

// round(x) within 0..255; the comparisons send a NaN to 0.
__device__ inline uint8_t byte_of(float x) {
	x = x > 0.0f ? x : 0.0f;
	x = x > 255.0f ? 255.0f : x;
	return (uint8_t)(float_bits(x + 8388608.0f) & 0xff);  // 2^23: its last bit is worth 1
}

// Writes one element of an output that is no value of the decoder.
__device__ inline void store_pixel(const brenier_cuda_out &out, int at, float v) {
	switch (out.kind) {
	case BRENIER_CUDA_OUT_F32: ((float *)out.data)[at] = v; break;
	case BRENIER_CUDA_OUT_F16: ((uint16_t *)out.data)[at] = half_bits(v); break;
	default: ((uint8_t *)out.data)[at] = byte_of(fmaf(v, out.scale, out.shift)); break;
	}
}

// Reads one element of the caller's pixels.
__device__ inline float load_pixel(const brenier_cuda_out &in, int at) {
	switch (in.kind) {
	case BRENIER_CUDA_OUT_F32: return ((const float *)in.data)[at];
	case BRENIER_CUDA_OUT_F16: return half_value(((const uint16_t *)in.data)[at]);
	default: return fmaf((float)((const uint8_t *)in.data)[at], in.scale, in.shift);
	}
}

}  // namespace brenier
