// Locate on the device: the k cells with the highest score s_i = h_i + <x,y_i>, in three steps.
//
//   samples   x is rounded to float16 and every row gets its margin, from the bound
//   screen    scores of every (sample, cell) on the tensor cores; of them only what the bound
//             cannot rule out is kept: cells in lists, or maxima of groups of cells
//   rescore   what is left is scored again in float64, and those scores decide
//
// The score returned is the float64 fma chain over dimensions 0 .. d-1 that starts at h_i, on the
// stored float32 values; order: score descending, then index ascending. Rows for which the screen
// proves too little are scored exactly against every cell (locate_plain.cu).
//
// Scaled units. Points are multiplied by one power of two, 2^point_exponent, and each sample by its
// own, `scale`, so that the largest element of either lies in [2^14, 2^15). The screened score is
// f_i = scale * (level_i + <x, 2^point_exponent y_i>), level_i = 2^point_exponent (h_i - max h).
//
// Packed matrices. Rows (cells or samples) are cut into tiles of 128, dimensions into slices of 64;
// both are filled up, with zeros. A slice of a tile is 16 KiB, as it will lie in shared memory:
// 128 rows of 128 bytes, the 16-byte chunk c of row r (dimensions 8c .. 8c+7) at
// r*128 + ((c ^ r%8) * 16), so that neither ldmatrix nor wgmma meets a bank conflict.
//   packed [tiles][slices][16384 bytes]
//
// Groups. The cells of a tile are four groups of 32: cell c of a tile is in group (c%8)/2, which are
// the columns that lane t = (c%8)/2 of a quad holds in an accumulator fragment.
//   maxima [rows/8][tiles][8][4] float32: of row, tile, group at ((row/8*tiles + tile)*8 + row%8)*4 + group
#ifndef BRENIER_KERNELS_CUDA_LOCATE_H
#define BRENIER_KERNELS_CUDA_LOCATE_H
#include "params.h"

enum {
	BRENIER_LOCATE_TILE = 128,         // rows of a tile
	BRENIER_LOCATE_SLICE = 64,         // dimensions of a slice
	BRENIER_LOCATE_SLICE_BYTES = 16384,
	BRENIER_LOCATE_STEP = 16,          // dimensions of one matrix instruction
	BRENIER_LOCATE_GROUPS = 4,         // groups of a tile
	BRENIER_LOCATE_GROUP_CELLS = 32,
	BRENIER_LOCATE_MAX_K = 32
};

// What is known of a map as a whole; in device memory, written by the packing kernels.
typedef struct {
	uint32_t extent;         // the bits of the largest |y_ik|, a float32
	uint32_t reserved;
	uint64_t norm_squared;   // the bits of the largest |2^point_exponent y_i|^2, a float64
	uint64_t error_squared;  // the same of the residual, 2^point_exponent y_i less what is packed
	double highest;          // the highest h_i
	double reach;            // the largest |h_i|
} brenier_locate_map;

// A sample, in scaled units. A row whose margin is negative is not screened: it is padding, or no
// bound holds for it and it stands in the list of exact rows.
typedef struct {
	float scale;   // a power of two
	float margin;  // how far below the best a cell may be screened and still win (locate_bound.cuh)
} brenier_locate_row;

// A cell that the screen could not rule out when it met it.
typedef struct {
	int32_t cell;   // may be N or more: padding, to be skipped
	float screened;  // f_i
} brenier_locate_candidate;

// locate_pack.cu. Extent: grid of any size. Pack: one warp a cell, blocks of 256 threads. Heights:
// one block of 1024 threads. Levels: one thread a padded cell.
typedef struct {
	BRENIER_ADDRESS(const float) points;     // [N,d]
	BRENIER_ADDRESS(const float) heights;    // [N]
	BRENIER_ADDRESS(unsigned char) packed;   // [tiles][slices][16384]
	BRENIER_ADDRESS(float) levels;           // [tiles*128], -infinity past cell N
	BRENIER_ADDRESS(brenier_locate_map) map; // cleared before extent
	int64_t cells;                           // N
	int32_t dim;                             // d
	int32_t tiles, slices;
} brenier_locate_pack_params;

// locate_samples.cu: one warp a row of the padded rows, blocks of 256 threads.
typedef struct {
	BRENIER_ADDRESS(const float) x;                // [rows,d]
	BRENIER_ADDRESS(const brenier_locate_map) map;
	BRENIER_ADDRESS(unsigned char) packed;         // [row tiles][slices][16384]
	BRENIER_ADDRESS(brenier_locate_row) rows;      // [row tiles*128]
	BRENIER_ADDRESS(uint32_t) exact_count;         // rows that no bound holds for; or 0
	BRENIER_ADDRESS(int32_t) exact_rows;           // [rows]
	int32_t row_count;
	int32_t dim, slices;
} brenier_locate_samples_params;

// The screens of whole tiles: locate_mma.cu, locate_wgmma.cu. Each has two kernels, *_candidates for
// k = 1 and *_maxima for any k; grid and shared memory are each file's own.
//
// Split s of `splits` takes cell tiles s*tiles/splits .. (s+1)*tiles/splits - 1.
// Of row r and split s, at i = r*splits + s: the best screened score, the number of candidates, which
// may be more than there is room for, and the candidates at i*capacity.
typedef struct {
	BRENIER_ADDRESS(const unsigned char) cells;      // [tiles][slices][16384]
	BRENIER_ADDRESS(const float) levels;             // [tiles*128]
	BRENIER_ADDRESS(const unsigned char) samples;    // [row tiles][slices][16384]
	BRENIER_ADDRESS(const brenier_locate_row) rows;  // [row tiles*128]
	BRENIER_ADDRESS(float) maxima;                   // [row tiles*16][tiles][8][4]; *_maxima only
	BRENIER_ADDRESS(float) best;                     // [row tiles*128, splits]; *_candidates only, as
	BRENIER_ADDRESS(uint32_t) counts;                // [row tiles*128, splits]
	BRENIER_ADDRESS(brenier_locate_candidate) candidates;  // [row tiles*128, splits, capacity]
	int32_t tiles;      // cell tiles
	int32_t row_tiles;
	int32_t slices;     // d/64, rounded up
	int32_t steps;      // d/16, rounded up
	int32_t splits;
	int32_t capacity;
	int32_t resident;   // mma: the samples' slices fit in shared memory
} brenier_locate_screen_params;

// What decides: locate_select.cu for maxima, locate_rescore.cu for candidates. Rows that are not
// screened are left alone, and rows of which more is left than there is room for join the exact rows.
// Where there is no list of these (exact_count is 0), select scores all of their cells itself.
typedef struct {
	BRENIER_ADDRESS(const float) x;                  // [rows,d]
	BRENIER_ADDRESS(const float) points;             // [N,d]
	BRENIER_ADDRESS(const float) heights;            // [N]
	BRENIER_ADDRESS(const brenier_locate_row) rows;  // [rows] or more
	BRENIER_ADDRESS(const unsigned char) packed_cells;    // [tiles][slices][16384]; select, not _wide, as
	BRENIER_ADDRESS(const unsigned char) packed_samples;  // [rows/128][slices][16384]
	BRENIER_ADDRESS(const float) levels;             // [tiles*128]
	BRENIER_ADDRESS(const float) maxima;             // [rows/8][tiles][8][4]; select
	BRENIER_ADDRESS(const float) best;               // [rows, splits]; rescore, as
	BRENIER_ADDRESS(const uint32_t) counts;          // [rows, splits]
	BRENIER_ADDRESS(const brenier_locate_candidate) candidates;  // [rows, splits, capacity]
	BRENIER_ADDRESS(uint32_t) exact_count;           // or 0; select
	BRENIER_ADDRESS(int32_t) exact_rows;             // [rows]
	BRENIER_ADDRESS(int32_t) best_cells;             // [rows,k]
	BRENIER_ADDRESS(double) best_scores;             // [rows,k]
	int64_t cells;      // N
	int32_t row_count;
	int32_t dim, tiles, slices, k;
	int32_t splits, capacity;
	int32_t lifted;     // select: there are d float64 of dynamic shared memory
} brenier_locate_decide_params;

// locate_few.cu: maxima of few samples, brenier_cuda_locate_few_8, _16, _32 and _64 for as many; 256
// threads, any number of blocks. Dynamic shared memory: slices KiB for each 8 samples. Up to 8 samples
// are packed by the kernel itself; more have gone through locate_samples.cu.
typedef struct {
	BRENIER_ADDRESS(const unsigned char) cells;     // [tiles][slices][16384]
	BRENIER_ADDRESS(const float) levels;            // [tiles*128]
	BRENIER_ADDRESS(const brenier_locate_map) map;  // _8 only
	BRENIER_ADDRESS(const float) x;                 // [row_count,d]; _8 only
	BRENIER_ADDRESS(const unsigned char) samples;   // [1 tile][slices][16384]; not _8
	BRENIER_ADDRESS(brenier_locate_row) rows;       // [8] written by _8; [16, 32, 64] read by the others
	BRENIER_ADDRESS(float) maxima;                  // [8, 16, 32 or 64 rows]
	int32_t row_count;
	int32_t dim, tiles, slices;
} brenier_locate_few_params;

#endif
