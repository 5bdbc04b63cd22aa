// Parameters of the kernels of rotated draws. What such a draw is, its streams, and the order and
// rounding of every sum are in kernels/cpu/rotated.h; the bits are the same here, with s = 16 axes a
// choice.
//
// The points in the frame's axes, z, lie in tiles of 32 S cells, S steps, 1 <= S <= 8:
//   z [tiles][d][32 S]   axis after axis of a tile
// Eight lanes share a tile. Lane m of them has the tile's cells 4 S m .. 4 S (m+1) - 1, its group,
// four at a step: cell 4 S m + 4 step + c lies at 32 step + 4 m + c. So cells go up from lane to lane,
// and of equal scores the lowest group holds the lowest cell.
#ifndef BRENIER_KERNELS_CUDA_ROTATED_H
#define BRENIER_KERNELS_CUDA_ROTATED_H
#include "params.h"

#define BRENIER_ROTATED_AXES 16    // s
#define BRENIER_ROTATED_STEPS 8    // S at most
#define BRENIER_ROTATED_GROUPS 8   // of a tile, a lane each
#define BRENIER_ROTATED_QUAD 4     // choices that a warp scores side by side

// rotated_frame.cu: the frame of a group, in float64. Reflectors: a thread each, blocks of FRAME_COLUMNS
// threads. Frame: a block for FRAME_COLUMNS columns, of FRAME_THREADS threads with dynamic shared memory
// for columns and reflectors, or, wide, of a thread a column.
#define BRENIER_ROTATED_FRAME_COLUMNS 32
#define BRENIER_ROTATED_FRAME_THREADS 256
typedef struct {
	BRENIER_ADDRESS(const float) normals;  // [ceil(d/2)][d+1]
	BRENIER_ADDRESS(double) reflectors;    // like normals
	BRENIER_ADDRESS(float) signs;          // [d]
	BRENIER_ADDRESS(double) columns;       // [blocks][d][FRAME_COLUMNS]; wide
	BRENIER_ADDRESS(float) frame;          // [d,d], an axis a row
	int32_t d;
} brenier_rotated_frame_params;

// rotated_points.cu: z. Grid: blocks of POINTS_CELLS places of z, times blocks of POINTS_AXES axes.
#define BRENIER_ROTATED_POINTS_THREADS 128
#define BRENIER_ROTATED_POINTS_CELLS 128
#define BRENIER_ROTATED_POINTS_AXES 64
typedef struct {
	BRENIER_ADDRESS(const float) points;  // [N,d]
	BRENIER_ADDRESS(const float) frame;   // [d,d]
	BRENIER_ADDRESS(float) z;             // [tiles][d][32 S]; past cell N-1, that cell
	int32_t N, d;
	int32_t tiles, steps;
} brenier_rotated_points_params;

// rotated_draws.cu: the axes and coefficients of a whole group of choices; and draws themselves.
// Axes: a thread a shuffle, blocks of AXES_THREADS or fewer threads with 2 d bytes of dynamic shared
// memory each. Scale: a thread a family, blocks of SCALE_THREADS.
#define BRENIER_ROTATED_AXES_THREADS 32
#define BRENIER_ROTATED_SCALE_THREADS 64
typedef struct {
	BRENIER_ADDRESS(int32_t) axes;         // [choices][16]
	BRENIER_ADDRESS(const float) normals;  // [choices*3][width], width = 16 + (d-16)%2
	BRENIER_ADDRESS(float) v;              // [choices*3][16], of each family's first draw
	uint64_t seed, group;
	int32_t choices;  // of a group
	int32_t d;        // below 65536
} brenier_rotated_draws_params;

// Noise: a thread for each coordinate, blocks of NOISE_THREADS.
#define BRENIER_ROTATED_NOISE_THREADS 256
typedef struct {
	BRENIER_ADDRESS(const float) frame;   // [d,d]
	BRENIER_ADDRESS(const int32_t) axes;  // [choices][16], of the group
	BRENIER_ADDRESS(const float) v;       // [choices*3][16]
	BRENIER_ADDRESS(float) x;             // [rows,d]
	int64_t first;                        // draw of the group
	int64_t rows;
	int32_t d;
} brenier_rotated_noise_params;

// rotated_search.cu. Search leaves, for every draw of some choices and every tile, the k best of the
// tile's groups and their highest scores; finish finds the k best cells of draws among the k best
// groups of all tiles. 1 <= k <= 8, k <= N.
// There are fewer than 2^31 tiles times choices/4.
// Search: any number of blocks of SEARCH_THREADS, with SEARCH_SHARED bytes of dynamic shared memory,
// and a tile more for the kernel that keeps one there. Finish: a warp a draw, blocks of FINISH_THREADS.
#define BRENIER_ROTATED_SEARCH_THREADS 256
#define BRENIER_ROTATED_SEARCH_SHARED (4 * 32 * BRENIER_ROTATED_STEPS)
#define BRENIER_ROTATED_FINISH_THREADS 256
typedef struct {
	float score;
	int32_t group;  // tile * 8 + lane
} brenier_rotated_top;

typedef struct {
	BRENIER_ADDRESS(const float) z;           // [tiles][d][32 S]
	BRENIER_ADDRESS(const float) heights;     // [N]
	BRENIER_ADDRESS(const int32_t) axes;      // [choices][16], of the choices that are searched for
	BRENIER_ADDRESS(const float) v;           // [choices*3][16]
	BRENIER_ADDRESS(brenier_rotated_top) tops;  // [choices*12][tiles][k], aligned to 8 bytes
	BRENIER_ADDRESS(int32_t) cells;           // [draws,k], best first
	BRENIER_ADDRESS(double) scores;           // [draws,k]
	BRENIER_ADDRESS(const double) highest;    // of the heights
	int32_t N, d;
	int32_t tiles, steps;
	int32_t choices, k;
	int32_t skip, draws;  // finish: of the choices' draws, those from `skip` on
} brenier_rotated_search_params;

#endif
