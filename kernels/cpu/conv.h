#ifndef BRENIER_KERNELS_CPU_CONV_H
#define BRENIER_KERNELS_CPU_CONV_H
#include <stdint.h>

#include "activation.h"

// One phase of a convolution over a batch of images, activations dense [image][y][x][channel]:
//
//	out[out_y + i*out_step_y, out_x + j*out_step_x, r] = activation(bias[r] + residual +
//	    sum over taps t, channels c of weight_t[r,c] * in[i*in_step_y + dy_t, j*in_step_x + dx_t, c])
//
// for i < rows, j < cols, with in zero outside. residual, where given, has out's layout.
typedef struct {
	int32_t in_height, in_width, in_channels;
	int32_t out_height, out_width, out_channels;
	int32_t rows, cols;
	int32_t out_y, out_x, out_step_y, out_step_x;
	int32_t in_step_y, in_step_x;
	int32_t taps;
	int32_t few_outputs;  // which kernel, and so which packing: see brenier_conv
} brenier_phase;

typedef struct {
	int32_t dy, dx;
} brenier_tap;

// A panel is some neighbouring output channels that are computed together, and the input channels
// that they read.
typedef struct {
	int64_t weights, bias;             // indices of its first weight and bias
	int32_t first_in, in_channels;
	int32_t first_out, out_channels;
} brenier_panel;

// The output channels of a panel, by path: two vectors mostly; three where one would be left over,
// and one where there are no more.
#define BRENIER_PANEL_VECTORS 2
#define BRENIER_PANEL_VECTORS_MOST 3
// The most output channels of the few_outputs kernel.
#define BRENIER_FEW_OUTPUTS 4

// Computes the panels for `pixels` of the phase's pixels from first_pixel on, counted through the
// images one after another. Bias starts the sum, then taps in order, then channels in order, so an
// element has the same bits whatever the range and the batch.
//
// Weights are packed [panel][tap][in channel][out channel of the panel], out channels padded with
// zeros to whole vectors; bias [panel][same width]. With few_outputs there is one panel of at
// most BRENIER_FEW_OUTPUTS channels, the lanes are input channels, and weights are
// [tap][out channel][in channel, padded with zeros to whole vectors], bias [out channel].
// zeros: phase->in_channels zeros.
void brenier_conv(int path, const brenier_phase *phase, const brenier_tap *taps,
                  const brenier_panel *panels, int64_t panel_count, const brenier_activation *activation,
                  const float *weights, const float *bias, const float *zeros, const float *in,
                  float *out, const float *residual, int64_t first_pixel, int64_t pixels);

#endif
