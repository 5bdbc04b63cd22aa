// Packs a map for the screens, once, when it is loaded; heights again whenever they change. What is
// packed and in which layout, locate.h says; the kernels run in the order in which they stand here.
#include "locate_pack.cuh"
#include "ptx/block.cuh"
#include "ptx/memory.cuh"

namespace brenier {

// The largest |y_ik|, into map->extent, which is 0 before.
BRENIER_KERNEL(brenier_cuda_locate_extent, brenier_locate_pack_params, 256, 1) {
	const int64_t count = p.cells * p.dim;
	uint32_t most = 0;
	for (int64_t i = (int64_t)blockIdx.x * 256 + threadIdx.x; i < count; i += (int64_t)gridDim.x * 256)
		most = max(most, float_bits(p.points[i]) & 0x7fffffffu);
#pragma unroll
	for (int mask = 16; mask > 0; mask /= 2) most = max(most, shuffle_xor(most, mask));
	if (lane_id() == 0) atomic_max(&p.map->extent, most);
}

// Points into packed; their largest norms into the map, where they are 0 before.
BRENIER_KERNEL(brenier_cuda_locate_pack, brenier_locate_pack_params, 256, 1) {
	const int64_t cell = (int64_t)blockIdx.x * 8 + threadIdx.x / 32;
	unsigned char *const tile = p.packed + cell / BRENIER_LOCATE_TILE * p.slices * BRENIER_LOCATE_SLICE_BYTES;
	const double scale = power_of_two(locate_exponent(float_value(p.map->extent)));
	const float *const point = cell < p.cells ? p.points + cell * p.dim : nullptr;
	const LocateTileRow place = {tile, (int)(cell % BRENIER_LOCATE_TILE)};
	const PackedRow row = locate_pack_row(point, p.dim, scale, p.slices, place);
	if (lane_id() != 0) return;
	// The bits of float64 >= 0 are ordered as the numbers are.
	atomic_max((unsigned long long *)&p.map->norm_squared, (unsigned long long)double_bits(row.norm_squared));
	atomic_max((unsigned long long *)&p.map->error_squared, (unsigned long long)double_bits(row.error_squared));
}

// The highest height and the largest |h_i|, into the map.
BRENIER_KERNEL(brenier_cuda_locate_heights, brenier_locate_pack_params, 1024, 1) {
	__shared__ float highs[32], lows[32];
	float high = p.heights[0], low = high;
	for (int64_t i = threadIdx.x; i < p.cells; i += 1024) {
		high = fmaxf(high, p.heights[i]);
		low = fminf(low, p.heights[i]);
	}
#pragma unroll
	for (int mask = 16; mask > 0; mask /= 2) {
		high = fmaxf(high, shuffle_xor(high, mask));
		low = fminf(low, shuffle_xor(low, mask));
	}
	if (lane_id() == 0) {
		highs[threadIdx.x / 32] = high;
		lows[threadIdx.x / 32] = low;
	}
	sync_threads();
	if (threadIdx.x != 0) return;
	for (int warp = 1; warp < 32; warp++) {
		high = fmaxf(high, highs[warp]);
		low = fminf(low, lows[warp]);
	}
	p.map->highest = (double)high;
	p.map->reach = fmax(fabs((double)high), fabs((double)low));
}

// Heights into levels.
BRENIER_KERNEL(brenier_cuda_locate_levels, brenier_locate_pack_params, 256, 1) {
	const int64_t cell = (int64_t)blockIdx.x * 256 + threadIdx.x;
	if (cell >= (int64_t)p.tiles * BRENIER_LOCATE_TILE) return;
	const double scale = power_of_two(locate_exponent(float_value(p.map->extent)));
	p.levels[cell] = cell < p.cells ? (float)(((double)p.heights[cell] - p.map->highest) * scale) : -locate_infinity();
}

}  // namespace brenier
