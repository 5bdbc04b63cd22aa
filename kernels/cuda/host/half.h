// Twin of ptx/half.cuh: to nearest, ties to even, without a 16-bit type of the compiler's. A NaN
// becomes the card's: 0x7fff.
#pragma once
#include "device.h"

namespace brenier {

inline uint32_t float_bits(float v) { return host::same_bits<uint32_t>(v); }
inline float float_value(uint32_t bits) { return host::same_bits<float>(bits); }
inline uint64_t double_bits(double v) { return host::same_bits<uint64_t>(v); }
inline double double_value(uint64_t bits) { return host::same_bits<double>(bits); }

inline uint16_t half_bits(float v) {
	const uint32_t bits = float_bits(v), sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
	if (magnitude > 0x7f800000) return 0x7fff;
	if (magnitude >= 0x477ff000) return (uint16_t)(sign | 0x7c00);  // 65520 and above
	if (magnitude < 0x38800000) {
		// Below 2^-14 a half counts in steps of 2^-24; the sum with 0.5, whose last place is 2^-24,
		// rounds to them.
		return (uint16_t)(sign | (float_bits(float_value(magnitude) + 0.5f) - 0x3f000000));
	}
	return (uint16_t)(sign | (magnitude - 0x38000000 + 0xfff + (magnitude >> 13 & 1)) >> 13);
}
inline float half_value(uint16_t bits) {
	const uint32_t sign = (uint32_t)(bits & 0x8000) << 16, exponent = bits >> 10 & 31, fraction = bits & 0x3ff;
	if (exponent == 31) return float_value(fraction ? sign | 0x7fc00000 | fraction << 13 : sign | 0x7f800000);
	if (exponent == 0) return float_value(sign | float_bits((float)fraction * 0x1p-24f));
	return float_value(sign | (exponent + 112) << 23 | fraction << 13);
}
inline uint16_t bfloat_bits(float v) {
	const uint32_t bits = float_bits(v);
	if ((bits & 0x7fffffff) > 0x7f800000) return 0x7fff;
	return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
inline float bfloat_value(uint16_t bits) { return float_value((uint32_t)bits << 16); }

inline uint32_t pack_half2(float low, float high) { return half_bits(low) | (uint32_t)half_bits(high) << 16; }
inline uint32_t pack_bfloat2(float low, float high) { return bfloat_bits(low) | (uint32_t)bfloat_bits(high) << 16; }

}  // namespace brenier
