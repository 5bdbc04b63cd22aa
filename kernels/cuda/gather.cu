// Moves elements as a table says. A thread makes one move of one image.
#include "gather.h"

#include "device.cuh"
#include "ptx/dependent.cuh"

BRENIER_KERNEL(brenier_cuda_gather_units, brenier_cuda_gather, 256, 1) {
	using namespace brenier;
	launch_dependents();
	const int64_t index = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
	wait_for_prerequisites();
	if (index >= (int64_t)p.n * p.count) return;
	const int64_t image = index / p.count, move = index % p.count;
	const int32_t to_unit = p.moves[2 * move], from_unit = p.moves[2 * move + 1];
	const int64_t to = image * p.out_units + to_unit, from = image * p.in_units + from_unit;
	const bool zero = from_unit < 0;
	switch (p.unit) {
	case 2: ((uint16_t *)p.out)[to] = zero ? (uint16_t)0 : ((const uint16_t *)p.in)[from]; break;
	case 4: ((uint32_t *)p.out)[to] = zero ? 0u : ((const uint32_t *)p.in)[from]; break;
	default:
		for (int part = 0; part < p.unit / 16; part++) {
			uint4 v;
			v.x = v.y = v.z = v.w = 0;
			if (!zero) v = ((const uint4 *)p.in)[from * (p.unit / 16) + part];
			((uint4 *)p.out)[to * (p.unit / 16) + part] = v;
		}
	}
}
