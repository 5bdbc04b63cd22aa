// Parameters of the kernels of rotated draws. What such a draw is, its streams, and the order and
// rounding of every sum are in kernels/cpu/rotated.h; the bits are the same here. A set has 16 axes and
// 48 draws in 12 families.
//
// The points in the frame's axes lie in tiles of C = 128 U cells, U units, axis after axis of a tile:
//   z [tiles][d][C] float32, and
//   z16 [tiles][d][C] float16: times 2^z_exponent
// past cell N-1 that cell's.
#ifndef BRENIER_KERNELS_CUDA_ROTATED_H
#define BRENIER_KERNELS_CUDA_ROTATED_H
#include "params.h"

#define BRENIER_ROTATED_UNIT 128  // cells

// rotated_frame.cu: the frames of groups, one for each y of the grid, in float64. Reflectors: a thread
// each, blocks of FRAME_COLUMNS threads. Frame: a block for FRAME_COLUMNS columns, of FRAME_THREADS threads
// with dynamic shared memory for columns and reflectors, or, wide, of a thread a column.
#define BRENIER_ROTATED_FRAME_COLUMNS 32
#define BRENIER_ROTATED_FRAME_THREADS 256
typedef struct {
	BRENIER_ADDRESS(const float) normals;  // [groups][ceil(d/2)][d+1]
	BRENIER_ADDRESS(double) reflectors;    // like normals
	BRENIER_ADDRESS(float) signs;          // [groups][d]
	BRENIER_ADDRESS(double) columns;       // [groups][blocks][d][FRAME_COLUMNS]; wide
	BRENIER_ADDRESS(float) frame;          // [groups][d,d], an axis a row
	int32_t d;
} brenier_rotated_frame_params;

// rotated_points.cu: z and z16 of one group. Grid: blocks of POINTS_CELLS of all cells of tiles, times blocks
// of POINTS_AXES axes.
#define BRENIER_ROTATED_POINTS_THREADS 128
#define BRENIER_ROTATED_POINTS_CELLS 128
#define BRENIER_ROTATED_POINTS_AXES 64
typedef struct {
	BRENIER_ADDRESS(const float) points;  // [N,d]
	BRENIER_ADDRESS(const float) frame;   // [d,d]
	BRENIER_ADDRESS(float) z;             // [tiles][d][C]
	BRENIER_ADDRESS(uint16_t) z16;        // [tiles][d][C]
	int32_t N, d;
	int32_t units, z_exponent;  // U
} brenier_rotated_points_params;

// rotated_draws.cu: the axes and coefficients of whole groups of sets, one for each y of the grid; and
// draws themselves. Axes: a thread a shuffle, blocks of AXES_THREADS or fewer threads with 2 d bytes of
// dynamic shared memory each. Coefficients: a thread a family, blocks of COEFFICIENTS_THREADS.
#define BRENIER_ROTATED_AXES_THREADS 32
#define BRENIER_ROTATED_COEFFICIENTS_THREADS 64
typedef struct {
	BRENIER_ADDRESS(int32_t) axes;         // [groups][sets][16]
	BRENIER_ADDRESS(const float) normals;  // [groups][sets*12], where d is odd
	BRENIER_ADDRESS(float) v;              // [groups][sets*12][16], of each family's first draw
	uint64_t seed, group;  // the first
	int32_t sets;  // of a group
	int32_t d;     // below 65536
} brenier_rotated_draws_params;

// Noise: a thread for each coordinate, blocks of NOISE_THREADS.
#define BRENIER_ROTATED_NOISE_THREADS 256
typedef struct {
	BRENIER_ADDRESS(const float) frame;   // [d,d]
	BRENIER_ADDRESS(const int32_t) axes;  // [sets][16], of the group
	BRENIER_ADDRESS(const float) v;       // [sets*12][16]
	BRENIER_ADDRESS(float) x;             // [rows,d]
	int64_t first;                        // draw of the group
	int64_t rows;
	int32_t d;
} brenier_rotated_noise_params;

// rotated_screen.cu, rotated_finish.cu: the k best cells of draws, 1 <= k <= 8, k <= N. A screen leaves
// about the best score of each draw in each unit, finish scores the cells of the units that matter.
//
// A screened score is that of kernels/cpu/rotated.h times 2^(z_exponent + v_exponent), plus
// SCREEN_OFFSET, give or take what rotated_screen.cuh says: the exponents bring the largest |y_i| and
// |v| to at most 2^14, so that scores near a draw's best are positive. Of a unit without a positive score
// some other is left.
//
// There are fewer than 2^31 tiles times sets. Screen: any number of blocks of SCREEN_THREADS, or WIDE_THREADS,
// with dynamic shared memory of 8 bytes a cell of a tile for levels, and d rows of z16, each with SCREEN_PAD
// bytes more, or, where it is wide, WIDE_BYTES a warp; `round` warps of a block take SCREEN_SETS sets of a
// tile each at a time, or one where it is wide.
// Plain: a warp for each set and unit, blocks of PLAIN_THREADS. Finish: a block for FINISH_DRAWS draws.
#define BRENIER_ROTATED_SCREEN_OFFSET 536870912.0  // 2^29
#define BRENIER_ROTATED_SCREEN_THREADS 512
#define BRENIER_ROTATED_WIDE_THREADS 256
#define BRENIER_ROTATED_SCREEN_PAD 16
#define BRENIER_ROTATED_SCREEN_SETS 2
#define BRENIER_ROTATED_WIDE_BYTES (3 * 16 * (2 * 64 + 16))  // three times 64 cells of a set's axes
#define BRENIER_ROTATED_PLAIN_THREADS 128
#define BRENIER_ROTATED_FINISH_THREADS 256
#define BRENIER_ROTATED_FINISH_DRAWS 16
typedef struct {
	BRENIER_ADDRESS(const float) z;           // [tiles][d][C]
	BRENIER_ADDRESS(const uint16_t) z16;      // [tiles][d][C]
	BRENIER_ADDRESS(const float) heights;     // [N]
	BRENIER_ADDRESS(const double) highest;    // of the heights
	BRENIER_ADDRESS(const int32_t) axes;      // [sets][16], of the sets that are searched for
	BRENIER_ADDRESS(const float) v;           // [sets*12][16]
	BRENIER_ADDRESS(float) maxima;            // [tiles*U][sets*48], screened scores
	BRENIER_ADDRESS(int32_t) cells;           // [draws,k], best first
	BRENIER_ADDRESS(double) scores;           // [draws,k]
	BRENIER_ADDRESS(uint32_t) counts;         // [N], or 0: the draws are counted by their best cell
	int32_t N, d;
	int32_t tiles, units;  // U
	int32_t sets, k;
	int32_t round;  // screen
	int32_t skip, draws;  // finish: of the sets' draws, those from `skip` on
	int32_t z_exponent, v_exponent;
	float reach;  // at least the largest |y_i|, times 2^z_exponent
} brenier_rotated_search_params;

#endif
