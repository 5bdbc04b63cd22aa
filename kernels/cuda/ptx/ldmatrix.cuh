// Fragments of 8x8 matrices of 16-bit elements out of shared memory (sm_75 and later).
#pragma once
#include "../device.cuh"

#if BRENIER_DEVICE_CODE
namespace brenier {

// Four matrices: lane l gives the address of row l%8 of matrix l/8, 16 bytes, aligned to 16.
// Element r[m] of lane l is the pair at columns 2(l%4) and the next of row l/4 of matrix m.
__device__ inline void ldmatrix_x4(uint32_t (&r)[4], const void *row) {
	const uint32_t at = (uint32_t)__cvta_generic_to_shared(row);
	asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
	             : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
	             : "r"(at)
	             : "memory");
}
// Two matrices: the addresses are those of lanes 0..15; the other lanes' must be valid too.
__device__ inline void ldmatrix_x2(uint32_t (&r)[2], const void *row) {
	const uint32_t at = (uint32_t)__cvta_generic_to_shared(row);
	asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1}, [%2];"
	             : "=r"(r[0]), "=r"(r[1])
	             : "r"(at)
	             : "memory");
}
// The same, each matrix transposed.
__device__ inline void ldmatrix_x4_transposed(uint32_t (&r)[4], const void *row) {
	const uint32_t at = (uint32_t)__cvta_generic_to_shared(row);
	asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
	             : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
	             : "r"(at)
	             : "memory");
}

}  // namespace brenier
#else
#include "../host/ldmatrix.h"
#endif
