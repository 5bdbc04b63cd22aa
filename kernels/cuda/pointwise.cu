// Scales, shifts, sums and products of whole values. A thread takes one octet.
#include "pointwise.h"

#include "activation.cuh"
#include "element.cuh"
#include "ptx/dependent.cuh"

namespace brenier {

template <class E>
__device__ inline void affine(const brenier_cuda_affine &p) {
	using Bits = typename E::Bits;
	launch_dependents();
	const int64_t octet = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
	wait_for_prerequisites();
	if (octet >= p.octets) return;
	Octet x = load_octet<E>((const Bits *)p.in + octet * 8);
	if (p.scale != nullptr) {
		const int64_t place = octet % p.period * 8;
		const Octet scale = load_octet<Float>(p.scale + place), shift = load_octet<Float>(p.shift + place);
#pragma unroll
		for (int i = 0; i < 8; i++) x.v[i] = fmaf(x.v[i], scale.v[i], shift.v[i]);
	}
#pragma unroll
	for (int i = 0; i < 8; i++) x.v[i] = activate(x.v[i], p.activation);
	store_octet<E>((Bits *)p.out + octet * 8, x);
}

template <class E>
__device__ inline void binary(const brenier_cuda_binary &p) {
	using Bits = typename E::Bits;
	launch_dependents();
	const int64_t octet = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
	wait_for_prerequisites();
	if (octet >= p.octets) return;
	Octet a = load_octet<E>((const Bits *)p.a + octet * 8);
	const Octet b = load_octet<E>((const Bits *)p.b + octet * 8);
#pragma unroll
	for (int i = 0; i < 8; i++) a.v[i] = activate(p.multiply ? a.v[i] * b.v[i] : a.v[i] + b.v[i], p.activation);
	store_octet<E>((Bits *)p.out + octet * 8, a);
}

}  // namespace brenier

BRENIER_KERNEL(brenier_cuda_affine_f16, brenier_cuda_affine, 256, 1) { brenier::affine<brenier::Half>(p); }
BRENIER_KERNEL(brenier_cuda_affine_bf16, brenier_cuda_affine, 256, 1) { brenier::affine<brenier::BFloat>(p); }
BRENIER_KERNEL(brenier_cuda_affine_f32, brenier_cuda_affine, 256, 1) { brenier::affine<brenier::Float>(p); }
BRENIER_KERNEL(brenier_cuda_binary_f16, brenier_cuda_binary, 256, 1) { brenier::binary<brenier::Half>(p); }
BRENIER_KERNEL(brenier_cuda_binary_bf16, brenier_cuda_binary, 256, 1) { brenier::binary<brenier::BFloat>(p); }
BRENIER_KERNEL(brenier_cuda_binary_f32, brenier_cuda_binary, 256, 1) { brenier::binary<brenier::Float>(p); }
