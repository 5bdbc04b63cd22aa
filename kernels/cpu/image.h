#ifndef BRENIER_KERNELS_CPU_IMAGE_H
#define BRENIER_KERNELS_CPU_IMAGE_H
#include <stdint.h>

// Pixels from activations.
//
//	in   [pixels,channels] float32
//	out  the same order, or [channels,pixels] with planar
//
// as float32, as float16 (rounded to nearest even; beyond 65504 infinity), or as bytes:
// in * scale + shift rounded to nearest even and clamped to 0..255, a NaN 0.
void brenier_image_f32(int path, int planar, int64_t pixels, int64_t channels, const float *in, float *out);
void brenier_image_f16(int path, int planar, int64_t pixels, int64_t channels, const float *in, uint16_t *out);
void brenier_image_u8(int path, int planar, int64_t pixels, int64_t channels, float scale, float shift,
                      const float *in, uint8_t *out);

#endif
