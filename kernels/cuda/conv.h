#ifndef BRENIER_KERNELS_CUDA_CONV_H
#define BRENIER_KERNELS_CUDA_CONV_H
#include "activation.h"
#include "image.h"
#include "params.h"

// A convolution in phase form over a batch of images:
//
//	out[out_pixel + i*out_step_y + j*out_step_x, r] = activation(residual +
//	    scale[r] sum over taps t, channels c of weight_t[r,c] in[i*in_step_y + dy_t, j*in_step_x + dx_t, c]
//	    + bias[r])
//
// for each phase and its pixels (i,j), i < rows, j < cols, with in zero outside. A value is
// [image][y][x][pitch], pitch a multiple of 8 elements, what is beyond the channels finite.

enum {
	BRENIER_CUDA_CONV_STEP = 32,    // of the sum, k: what a tile takes in at a time
	BRENIER_CUDA_CONV_CHUNK = 16,   // steps: sums of so many are made from zero, then added in order
	BRENIER_CUDA_CONV_GROUP = 32,   // rows that are packed together
	BRENIER_CUDA_CONV_FEW = 8,      // rows of a group that the kernel for few outputs serves at most
	BRENIER_CUDA_CONV_PHASES = 16,  // of a launch
	BRENIER_CUDA_CONV_TAPS = 192,   // of a launch
};

// One input pixel that a phase reads.
typedef struct {
	int32_t offset;  // (dy*in_width + dx) * in_pitch
	int16_t dy, dx;
} brenier_cuda_conv_tap;

// What numbers below 2^31 are divided by: their product with the factor over 2^(31 + shift), in whole numbers,
// where 2^shift is the least power of two that is not below the divisor, and the factor is above 2^(31 + shift)
// over it by one at most (Granlund and Montgomery 1994).
typedef struct {
	uint32_t factor;
	int32_t shift;  // 0: the divisor is 1
} brenier_cuda_divisor;

typedef struct {
	int64_t weights;  // where its weights begin, in elements
	int32_t rows, cols;
	brenier_cuda_divisor by_image, by_row;  // of rows times cols, of cols
	int32_t out_pixel, out_step_y, out_step_x;  // in output pixels
	int32_t in_step_y, in_step_x;
	int32_t first_tap, taps;
	int32_t steps;  // ceil(taps * in_channels / BRENIER_CUDA_CONV_STEP)
} brenier_cuda_conv_phase;

// The sum runs over k, padded with zeros to whole steps: where the channels of a group are whole
// steps, over blocks of 32 channels, then taps, then the channels of the block (taps_fastest), so that
// the taps of a step's neighbours find their pixels in the first-level cache; else over taps, then
// channels. Weights are packed
// [phase][group][step][row of the group, padded][BRENIER_CUDA_CONV_STEP]. Row q of 32 packed ones is
// output channel 8t + 2j + e of the 32, where q = 8j + 2t + e (t < 4, j < 4, e < 2), so that a
// thread's results are neighbours in memory.
//
// The kernel for few outputs takes up to 8 rows of a group, all phases in one launch. All have the
// same in_step. Its columns are, phase after phase and row after row, the taps: column
// out_channels*first_tap + row*taps + tap. Their weights are packed [group][tile of 16 columns][step of 32
// channels][lane][16]: element 8m + 2r + e of lane 4g + t is channel 8t + 4m + r/2*2 + e of column
// g + r%2*8 (m < 2, r < 4, e < 2).
typedef struct {
	int32_t rows, cols;        // a block's rectangle, in pixels of a phase
	int32_t tiles_y, tiles_x;  // such rectangles of an image
	int32_t first_y, first_x;  // the least dy and dx of the taps
	int32_t height, width;     // of the input that a rectangle's taps reach
	int32_t column_tiles;      // of 16 columns
	int32_t pitch;             // floats from a column's sums to the next: 8 beyond a multiple of 32
	brenier_cuda_divisor by_groups, by_tiles_y, by_tiles_x, by_area, by_cols, by_channels;  // out_channels
} brenier_cuda_conv_few;

typedef struct {
	BRENIER_ADDRESS(const void) in;
	BRENIER_ADDRESS(const void) weights;
	BRENIER_ADDRESS(const float) scale_bias;  // [groups * packed_rows][2], in the order of the output
	BRENIER_ADDRESS(const void) residual;     // a value of out's shape, or 0
	brenier_cuda_out out;
	int32_t residual_image, residual_pixel;  // elements from one to the next
	int32_t n;
	int32_t in_height, in_width, in_pitch, in_image;  // in_image: elements of an image
	int32_t groups;
	int32_t in_octets;     // channels of a group, padded, over 8
	int32_t out_channels;  // of a group, those that are written
	int32_t packed_rows;   // of a group, a multiple of 32, or 8
	int32_t phase_count;
	int32_t taps_fastest;
	brenier_cuda_activation activation;
	brenier_cuda_conv_few few;  // of the kernel for few outputs alone
	brenier_cuda_conv_phase phases[BRENIER_CUDA_CONV_PHASES];
	brenier_cuda_conv_tap taps[BRENIER_CUDA_CONV_TAPS];
} brenier_cuda_conv;

// The same by the plain kernel: a thread makes one element. Its tables lie in memory.
typedef struct {
	BRENIER_ADDRESS(const void) in;
	BRENIER_ADDRESS(const float) weights;  // [phase][tap][channel of the group][out_pitch], f32
	BRENIER_ADDRESS(const float) bias;     // [out_pitch]
	BRENIER_ADDRESS(const void) residual;
	BRENIER_ADDRESS(const brenier_cuda_conv_phase) phases;  // blockIdx.y counts them from first_phase on
	BRENIER_ADDRESS(const int32_t) taps;                    // [tap][2]: dy, dx
	brenier_cuda_out out;
	int32_t residual_image, residual_pixel;
	int32_t n, first_phase;
	int32_t in_height, in_width, in_pitch, in_image;
	int32_t in_channels, out_channels;  // of a group
	int32_t channels;                   // of the output
	int32_t out_pitch;                  // packed rows: channels, padded
	int32_t written;                    // of these, those that are written; beyond the channels zeros
	brenier_cuda_activation activation;
} brenier_cuda_conv_plain;

#endif
