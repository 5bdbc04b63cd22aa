#ifndef BRENIER_KERNELS_CUDA_IMAGE_H
#define BRENIER_KERNELS_CUDA_IMAGE_H
#include "params.h"

// What lies in memory: a value of the network, or the caller's pixels.
enum {
	BRENIER_CUDA_OUT_VALUE,  // elements of the network's type
	BRENIER_CUDA_OUT_F32,
	BRENIER_CUDA_OUT_F16,
	BRENIER_CUDA_OUT_U8,  // round(x scale + shift) to nearest even within 0..255; a NaN is 0
};

// Where element (image, pixel = y*width + x, channel) is:
// data[image*image_step + pixel*pixel_step + channel*channel_step], counted in elements.
typedef struct {
	BRENIER_ADDRESS(void) data;
	int32_t kind;  // BRENIER_CUDA_OUT_*
	int32_t image_step, pixel_step, channel_step;
	float scale, shift;
} brenier_cuda_out;

// A code z [n,dim] float32 to a value: runs of `run` elements, each padded with zeros to `pitch`.
typedef struct {
	BRENIER_ADDRESS(const float) z;
	BRENIER_ADDRESS(void) out;  // [n][dim/run][pitch]
	int32_t n, dim, run, pitch;
} brenier_cuda_code;

// The caller's pixels, U8 as x scale + shift, to a value: runs of `run` elements, each padded with zeros
// to `pitch`.
typedef struct {
	brenier_cuda_out in;
	BRENIER_ADDRESS(void) out;  // [n][size/run][pitch]
	int32_t n, size, channels, run, pitch;
} brenier_cuda_pixels;

// A value to the caller's pixels: runs of `run` elements `pitch` apart, [n][pixels*channels/run][pitch].
typedef struct {
	BRENIER_ADDRESS(const void) in;
	brenier_cuda_out out;
	int32_t n, pixels, channels, run, pitch;
} brenier_cuda_image;

#endif
