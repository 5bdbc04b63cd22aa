// The element types of activations: how they travel, one at a time and in groups of eight.
#pragma once
#include "ptx/half.cuh"

namespace brenier {

// Eight neighbouring elements, 16-byte aligned groups in memory.
struct Octet {
	float v[8];
};

struct Half {
	using Bits = uint16_t;
	static __device__ inline float value(Bits b) { return half_value(b); }
	static __device__ inline Bits bits(float v) { return half_bits(v); }
	static __device__ inline uint32_t pack(float low, float high) { return pack_half2(low, high); }
};

struct BFloat {
	using Bits = uint16_t;
	static __device__ inline float value(Bits b) { return bfloat_value(b); }
	static __device__ inline Bits bits(float v) { return bfloat_bits(v); }
	static __device__ inline uint32_t pack(float low, float high) { return pack_bfloat2(low, high); }
};

struct Float {
	using Bits = float;
	static __device__ inline float value(Bits b) { return b; }
	static __device__ inline Bits bits(float v) { return v; }
};

template <class E>
__device__ inline Octet load_octet(const typename E::Bits *at) {
	Octet o;
	if constexpr (sizeof(typename E::Bits) == 4) {
		const float4 low = *(const float4 *)at, high = *(const float4 *)(at + 4);
		o = {{low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w}};
	} else {
		const uint4 words = *(const uint4 *)at;
		const uint32_t word[4] = {words.x, words.y, words.z, words.w};
#pragma unroll
		for (int i = 0; i < 4; i++) {
			o.v[2 * i] = E::value((uint16_t)word[i]);
			o.v[2 * i + 1] = E::value((uint16_t)(word[i] >> 16));
		}
	}
	return o;
}

template <class E>
__device__ inline void store_octet(typename E::Bits *at, const Octet &o) {
	if constexpr (sizeof(typename E::Bits) == 4) {
		float4 low, high;
		low.x = o.v[0], low.y = o.v[1], low.z = o.v[2], low.w = o.v[3];
		high.x = o.v[4], high.y = o.v[5], high.z = o.v[6], high.w = o.v[7];
		*(float4 *)at = low;
		*(float4 *)(at + 4) = high;
	} else {
		uint4 words;
		words.x = E::pack(o.v[0], o.v[1]), words.y = E::pack(o.v[2], o.v[3]);
		words.z = E::pack(o.v[4], o.v[5]), words.w = E::pack(o.v[6], o.v[7]);
		*(uint4 *)at = words;
	}
}

}  // namespace brenier
