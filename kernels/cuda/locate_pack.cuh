// A row of a packed matrix, by one warp: float16, and how far that is off.
#pragma once
#include "locate_bound.cuh"
#include "ptx/warp.cuh"

namespace brenier {

__device__ inline double warp_sum(double v) {
#pragma unroll
	for (int mask = 16; mask > 0; mask /= 2) v += shuffle_xor(v, mask);
	return v;
}

// The largest |v_k| of v [d], as bits: beyond those of any number where one is infinite or a NaN.
__device__ inline uint32_t locate_extent(const float *v, int d) {
	uint32_t most = 0;
	for (int k = lane_id(); k < d; k += 32) most = max(most, float_bits(v[k]) & 0x7fffffffu);
#pragma unroll
	for (int mask = 16; mask > 0; mask /= 2) most = max(most, shuffle_xor(most, mask));
	return most;
}

// Sums of squares, rounded.
struct PackedRow {
	double norm_squared;   // of the row, scaled
	double error_squared;  // of the row, scaled, less what is packed
};

// Where the 16-byte chunk of a row, dimensions 8*chunk .. 8*chunk+7, lies in a packed tile.
struct LocateTileRow {
	unsigned char *tile;
	int row;
	__device__ __forceinline__ unsigned char *operator()(int chunk) const {
		return tile + (int64_t)(chunk / 8) * BRENIER_LOCATE_SLICE_BYTES + row * 128 + ((chunk % 8) ^ (row % 8)) * 16;
	}
};

// Packs v [d] times `scale`, a power of two, in slices*8 chunks, each at place(chunk); v may be null,
// for zeros. The result is the same in all lanes.
template <class Place>
__device__ inline PackedRow locate_pack_row(const float *v, int d, double scale, int slices, Place place) {
	PackedRow sums = {0, 0};
	for (int chunk = lane_id(); chunk < slices * 8; chunk += 32) {
		uint32_t words[4];
#pragma unroll
		for (int pair = 0; pair < 4; pair++) {
			uint32_t bits[2];
#pragma unroll
			for (int side = 0; side < 2; side++) {
				const int k = chunk * 8 + pair * 2 + side;
				const double value = v != nullptr && k < d ? (double)v[k] * scale : 0;
				bits[side] = half_bits((float)value);
				const double error = value - (double)half_value((uint16_t)bits[side]);
				sums.norm_squared = fma(value, value, sums.norm_squared);
				sums.error_squared = fma(error, error, sums.error_squared);
			}
			words[pair] = bits[0] | bits[1] << 16;
		}
		*(uint4 *)place(chunk) = make_uint4(words[0], words[1], words[2], words[3]);
	}
	return {warp_sum(sums.norm_squared), warp_sum(sums.error_squared)};
}

// Packs a sample x [d] likewise and says how far its screened scores can be off.
template <class Place>
__device__ inline brenier_locate_row locate_pack_sample(const float *x, int d, const brenier_locate_map &map, int slices,
                                                        Place place) {
	const uint32_t extent = locate_extent(x, d);
	LocateSample sample;
	sample.exponent = min(locate_exponent(float_value(extent)), locate_most_scale);
	if (extent >= 0x7f800000u || sample.exponent < locate_least_scale) {
		locate_pack_row(nullptr, d, 1, slices, place);
		return {1, -locate_infinity()};
	}
	const double scale = power_of_two(sample.exponent);
	const PackedRow packed = locate_pack_row(x, d, scale, slices, place);
	sample.norm = sqrt(packed.norm_squared) * locate_rounding;
	sample.error = sqrt(packed.error_squared) * locate_rounding;
	return {(float)scale, locate_margin(map, sample, d)};
}

}  // namespace brenier
