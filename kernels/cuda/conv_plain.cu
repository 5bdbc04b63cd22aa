// Convolution on every card, for every shape and element type: a thread makes one output element,
// in float32, taps and channels in order. See conv.h.
#include "activation.cuh"
#include "conv.h"
#include "element.cuh"
#include "image.cuh"
#include "ptx/dependent.cuh"

namespace brenier {

template <class E>
__device__ inline void conv_plain(const brenier_cuda_conv_plain &p) {
	using Bits = typename E::Bits;
	launch_dependents();
	const brenier_cuda_conv_phase phase = p.phases[p.first_phase + (int)blockIdx.y];
	const int64_t index = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
	const int r = (int)(index % p.written);
	const int64_t m = index / p.written;
	const int per_image = phase.rows * phase.cols;
	wait_for_prerequisites();
	if (m >= (int64_t)p.n * per_image) return;
	const int image = (int)(m / per_image), rest = (int)(m % per_image);
	const int i = rest / phase.cols, j = rest % phase.cols;

	float sum = 0.0f;
	if (r < p.channels) {
		const Bits *in = (const Bits *)p.in + (int64_t)image * p.in_image + r / p.out_channels * p.in_channels;
		const float *weights = p.weights + phase.weights + r;
		for (int t = 0; t < phase.taps; t++) {
			const int *tap = p.taps + 2 * (phase.first_tap + t);
			const int y = i * phase.in_step_y + tap[0], x = j * phase.in_step_x + tap[1];
			if ((unsigned)y < (unsigned)p.in_height && (unsigned)x < (unsigned)p.in_width) {
				const Bits *pixel = in + ((int64_t)y * p.in_width + x) * p.in_pitch;
				for (int c = 0; c < p.in_channels; c++)
					sum = fmaf(E::value(pixel[c]), weights[(int64_t)c * p.out_pitch], sum);
			}
			weights += (int64_t)p.in_channels * p.out_pitch;
		}
		sum += p.bias[r];
	}
	const int pixel = phase.out_pixel + i * phase.out_step_y + j * phase.out_step_x;
	if (p.residual != nullptr)
		sum += E::value(((const Bits *)p.residual)[image * p.residual_image + pixel * p.residual_pixel + r]);
	sum = activate(sum, p.activation);
	const int to = image * p.out.image_step + pixel * p.out.pixel_step + r * p.out.channel_step;
	if (p.out.kind == BRENIER_CUDA_OUT_VALUE)
		((Bits *)p.out.data)[to] = E::bits(r < p.channels ? sum : 0.0f);
	else
		store_pixel(p.out, to, sum);
}

}  // namespace brenier

BRENIER_KERNEL(brenier_cuda_conv_plain_f16, brenier_cuda_conv_plain, 128, 1) { brenier::conv_plain<brenier::Half>(p); }
BRENIER_KERNEL(brenier_cuda_conv_plain_bf16, brenier_cuda_conv_plain, 128, 1) { brenier::conv_plain<brenier::BFloat>(p); }
BRENIER_KERNEL(brenier_cuda_conv_plain_f32, brenier_cuda_conv_plain, 128, 1) { brenier::conv_plain<brenier::Float>(p); }
