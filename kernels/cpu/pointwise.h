#ifndef BRENIER_KERNELS_CPU_POINTWISE_H
#define BRENIER_KERNELS_CPU_POINTWISE_H
#include <stdint.h>

#include "activation.h"

// The steps of the decoder that work element by element, and group normalisation.
// in and out are dense float32 and may be the same memory.

// out[i] = activation(in[i] * scale[i % period] + shift[i % period]) for first <= i < first+count,
// in one rounding where the path has fma; scale and shift NULL: activation(in[i]).
void brenier_affine(int path, const float *scale, const float *shift, int64_t period,
                    const brenier_activation *activation, const float *in, float *out, int64_t first,
                    int64_t count);

// out[i] = activation(a[i] + b[i]), or a[i] * b[i] with multiply.
void brenier_binary(int path, int multiply, const brenier_activation *activation, const float *a,
                    const float *b, float *out, int64_t count);

// One group of one image [pixels,channels]: the group_channels channels from first_channel on get
// mean 0 and variance 1 (sums in float64), then scale and shift [channels], then the activation.
// in and out are the image's.
void brenier_group_norm(int path, int64_t pixels, int64_t channels, int64_t first_channel,
                        int64_t group_channels, double epsilon, const float *scale, const float *shift,
                        const brenier_activation *activation, const float *in, float *out);

#endif
