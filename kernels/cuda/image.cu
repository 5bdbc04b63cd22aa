// The two ends of a network: codes or pixels to its first value, its last value to pixels where no
// convolution writes them.
#include "image.cuh"

#include "element.cuh"
#include "ptx/dependent.cuh"

namespace brenier {

// A thread makes one element of the value, padding included.
template <class E>
__device__ inline void code(const brenier_cuda_code &p) {
	launch_dependents();
	const int64_t index = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
	const int padded = p.dim / p.run * p.pitch;
	wait_for_prerequisites();
	if (index >= (int64_t)p.n * padded) return;
	const int image = (int)(index / padded), rest = (int)(index % padded);
	const int run = rest / p.pitch, place = rest % p.pitch;
	const float v = place < p.run ? p.z[(int64_t)image * p.dim + run * p.run + place] : 0.0f;
	((typename E::Bits *)p.out)[index] = E::bits(v);
}

// A thread makes one element of the value, padding included.
template <class E>
__device__ inline void pixels(const brenier_cuda_pixels &p) {
	launch_dependents();
	const int64_t index = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
	const int padded = p.size / p.run * p.pitch;
	wait_for_prerequisites();
	if (index >= (int64_t)p.n * padded) return;
	const int image = (int)(index / padded), rest = (int)(index % padded);
	const int run = rest / p.pitch, place = rest % p.pitch;
	float v = 0.0f;
	if (place < p.run) {
		const int element = run * p.run + place, pixel = element / p.channels, channel = element % p.channels;
		v = load_pixel(p.in, image * p.in.image_step + pixel * p.in.pixel_step + channel * p.in.channel_step);
	}
	((typename E::Bits *)p.out)[index] = E::bits(v);
}

// A thread makes one element of the image, in the order of memory where channels lie side by side.
template <class E>
__device__ inline void image(const brenier_cuda_image &p) {
	launch_dependents();
	const int64_t index = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
	const int size = p.pixels * p.channels;
	wait_for_prerequisites();
	if (index >= (int64_t)p.n * size) return;
	const int image = (int)(index / size), rest = (int)(index % size);
	const int64_t from = (int64_t)image * (size / p.run * p.pitch) + rest / p.run * p.pitch + rest % p.run;
	const int pixel = rest / p.channels, channel = rest % p.channels;
	store_pixel(p.out, image * p.out.image_step + pixel * p.out.pixel_step + channel * p.out.channel_step,
	            E::value(((const typename E::Bits *)p.in)[from]));
}

}  // namespace brenier

BRENIER_KERNEL(brenier_cuda_code_f16, brenier_cuda_code, 256, 1) { brenier::code<brenier::Half>(p); }
BRENIER_KERNEL(brenier_cuda_code_bf16, brenier_cuda_code, 256, 1) { brenier::code<brenier::BFloat>(p); }
BRENIER_KERNEL(brenier_cuda_code_f32, brenier_cuda_code, 256, 1) { brenier::code<brenier::Float>(p); }
BRENIER_KERNEL(brenier_cuda_pixels_f16, brenier_cuda_pixels, 256, 1) { brenier::pixels<brenier::Half>(p); }
BRENIER_KERNEL(brenier_cuda_pixels_bf16, brenier_cuda_pixels, 256, 1) { brenier::pixels<brenier::BFloat>(p); }
BRENIER_KERNEL(brenier_cuda_pixels_f32, brenier_cuda_pixels, 256, 1) { brenier::pixels<brenier::Float>(p); }
BRENIER_KERNEL(brenier_cuda_image_f16, brenier_cuda_image, 256, 1) { brenier::image<brenier::Half>(p); }
BRENIER_KERNEL(brenier_cuda_image_bf16, brenier_cuda_image, 256, 1) { brenier::image<brenier::BFloat>(p); }
BRENIER_KERNEL(brenier_cuda_image_f32, brenier_cuda_image, 256, 1) { brenier::image<brenier::Float>(p); }
