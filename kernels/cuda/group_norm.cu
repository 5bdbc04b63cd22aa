// GroupNormalization (Wu and He, "Group Normalization", 2018): a group of channels of an image is
// brought to mean 0 and (biased) variance 1, then scaled and shifted channel by channel.
//
// The sums are taken in one order, thread by thread and then down a tree, so an image's bits do not
// depend on the batch.
#include "group_norm.h"

#include "activation.cuh"
#include "element.cuh"
#include "ptx/block.cuh"
#include "ptx/dependent.cuh"

namespace brenier {

enum { kThreads = BRENIER_CUDA_GROUP_NORM_THREADS };

// The sum of every thread's v, known to all threads.
__device__ inline float block_sum(float v, float *cells) {
	sync_threads();  // the cells may still be read from the sum before
	cells[threadIdx.x] = v;
	sync_threads();
	for (int half = kThreads / 2; half > 0; half /= 2) {
		if ((int)threadIdx.x < half) cells[threadIdx.x] += cells[threadIdx.x + half];
		sync_threads();
	}
	return cells[0];
}

template <class E>
__device__ inline void group_norm(const brenier_cuda_group_norm &p) {
	using Bits = typename E::Bits;
	__shared__ float cells[kThreads];
	launch_dependents();
	const int own = p.channels / p.groups, first = (int)blockIdx.x * own;
	const int64_t image = (int64_t)(p.first_image + (int)blockIdx.y) * p.pixels * p.pitch;
	const Bits *in = (const Bits *)p.in + image;
	Bits *out = (Bits *)p.out + image;
	const int size = p.pixels * own;
	wait_for_prerequisites();

	float sum = 0.0f;
	for (int i = threadIdx.x; i < size; i += kThreads) sum += E::value(in[i / own * p.pitch + first + i % own]);
	const float mean = block_sum(sum, cells) / (float)size;
	float squares = 0.0f;
	for (int i = threadIdx.x; i < size; i += kThreads) {
		const float d = E::value(in[i / own * p.pitch + first + i % own]) - mean;
		squares = fmaf(d, d, squares);
	}
	const float variance = block_sum(squares, cells) / (float)size;
	const float factor = 1.0f / sqrtf(variance + p.epsilon);
	for (int i = threadIdx.x; i < size; i += kThreads) {
		const int c = first + i % own, at = i / own * p.pitch + c;
		const float v = fmaf((E::value(in[at]) - mean) * factor, p.scale[c], p.shift[c]);
		out[at] = E::bits(activate(v, p.activation));
	}
	if (first + own != p.channels) return;
	const int padding = p.pitch - p.channels;  // the last group's block clears it
	for (int i = threadIdx.x; i < p.pixels * padding; i += kThreads)
		out[i / padding * p.pitch + p.channels + i % padding] = E::bits(0.0f);
}

}  // namespace brenier

BRENIER_KERNEL(brenier_cuda_group_norm_f16, brenier_cuda_group_norm, BRENIER_CUDA_GROUP_NORM_THREADS, 1) {
	brenier::group_norm<brenier::Half>(p);
}
BRENIER_KERNEL(brenier_cuda_group_norm_bf16, brenier_cuda_group_norm, BRENIER_CUDA_GROUP_NORM_THREADS, 1) {
	brenier::group_norm<brenier::BFloat>(p);
}
BRENIER_KERNEL(brenier_cuda_group_norm_f32, brenier_cuda_group_norm, BRENIER_CUDA_GROUP_NORM_THREADS, 1) {
	brenier::group_norm<brenier::Float>(p);
}
